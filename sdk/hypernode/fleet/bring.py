"""Bringing one node to what is wished: it is locked, read again, compared, written once, waited for and read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hypernode.api.flows import FIRST_INTERVAL
from hypernode.catalogue import Catalogue
from hypernode.errors import (
    FlowFailed,
    HypernodeError,
    NodeIsBusy,
    NotApplied,
    NotVerified,
    OutcomeUnknown,
    PlanIsStale,
    SafetyError,
)
from hypernode.fleet.history import NodeLog
from hypernode.fleet.journal import NO_JOURNAL, Journal, NoJournal, State
from hypernode.fleet.managed import managed
from hypernode.fleet.node_locks import locked
from hypernode.fleet.plan import Change
from hypernode.fleet.stores import Pending, Store

if TYPE_CHECKING:
    from hypernode.api.models import Flow

OnLook: TypeAlias = "Callable[[str, Sequence[Flow]], None]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one node."""

    node: str
    state: State
    """``done``, ``unchanged`` (it was as wished already), ``failed``, ``unknown`` or ``not_attempted``."""
    changes: tuple[Change, ...] = ()
    """What was planned for it."""
    error: HypernodeError | None = None
    """Why it is neither done nor unchanged; None too when the run stopped before it, or leaves it out."""
    reason: str = ""
    """Why it was not attempted, or not again; for one that is done: what could not be verified, or was answered on the
    way."""
    flows: tuple[str, ...] = ()
    """Uuids of the flows that did it."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """How nodes are worked on; what the plan says of its own carrying out is in `Plan.rules`."""

    parallel: int = 8
    timeout: float = 900.0
    """Seconds that one node's change may take."""
    interval: float = FIRST_INTERVAL
    """Seconds until the first look at a running flow."""
    ignore_running: bool = False
    """Whether to change nodes while a flow of theirs is running."""


def bring(
    node: str,
    changes: Sequence[Change],
    store: Store,
    catalogue: Catalogue,
    options: Options,
    lock_folder: Path,
    on_look: OnLook | None = None,
    journal: Journal | NoJournal = NO_JOURNAL,
    past: NodeLog | None = None,
) -> Outcome:
    """Bring one node to what `changes` wish, and return what became of it. Raises nothing of ours.

    When `past` says that a write was sent and nothing of its end, that is looked for first.
    """
    started = time.monotonic()
    planned = tuple(changes)
    sent_at = None if past is None else past.sent_at
    """When a write was sent whose end is not known yet."""

    def outcome(
        state: State, error: HypernodeError | None = None, flows: Sequence[Flow] = (), reason: str = ""
    ) -> Outcome:
        if error is not None and error.node is None:
            error.node = node
        uuids = tuple(flow.uuid for flow in flows)
        return Outcome(node, state, planned, error, reason, flows=uuids, seconds=time.monotonic() - started)

    def finish(update: Pending, wished: Mapping[str, Any]) -> Outcome:
        try:
            flows = update.wait(options.timeout, interval=options.interval, on_look=_looking(node, on_look, journal))
        except (FlowFailed, NotApplied) as exc:
            return outcome("failed", exc)
        except NotVerified as exc:
            return outcome("done", reason="; ".join([exc.message, *map(_answered, update.notes)]))
        except HypernodeError as exc:
            return outcome("unknown", exc)
        journal.note("read back", node=node, settings=journal.values(wished))
        return outcome("done", flows=flows, reason="; ".join(map(_answered, update.notes)))

    try:
        with locked(node, lock_folder, journal.owner, lasts=options.timeout):
            journal.announce("node begun", node=node)
            ended = None
            if past is not None and sent_at is not None:
                sent = {change.setting: change.desired for change in planned if change.setting in past.sent}
                try:
                    update = store.find(node, sent, sent_at, past.flows)
                except HypernodeError as exc:
                    return outcome("unknown", _still_unknown(exc))
                if update is not None and (ended := finish(update, sent)).state != "done":
                    return ended
            sent_at = None
            live = store.read(node, [change.setting for change in planned])
            left = open_changes(planned, live, catalogue)
            if not left:
                return ended or outcome("unchanged")
            if not options.ignore_running and (busy := store.blocking(node)) is not None:
                raise NodeIsBusy(
                    f"the flow {busy}; nothing was changed",
                    hint="Wait for it (hnctl flows watch; on the node: livelog), or allow it with --ignore-running",
                )
            wished = {change.setting: change.to_send for change in left}
            journal.announce("sending", node=node, settings=journal.values(wished))
            return finish(store.write(node, wished), wished)
    except OutcomeUnknown as exc:
        return outcome("unknown", exc)
    except SafetyError as exc:
        # What keeps us from the node says nothing of what was sent to it before.
        return outcome("not_attempted", exc) if sent_at is None else outcome("unknown", _still_unknown(exc))
    except HypernodeError as exc:
        return outcome("failed", exc)


def _still_unknown(exc: HypernodeError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"a change was sent before, and what became of it cannot be found out now: {exc.message}",
        hint="Go on with the run later: it looks again before it sends anything",
    )


def _looking(node: str, on_look: OnLook | None, journal: Journal | NoJournal) -> Callable[[Sequence[Flow]], None]:
    """Return what is told of each look at a node's flows: the journal learns each flow once."""
    known: list[str] = []

    def look(flows: Sequence[Flow]) -> None:
        uuids = [flow.uuid for flow in flows]
        if uuids and uuids != known:
            known[:] = uuids
            journal.note("flows", node=node, flows=uuids)
        if on_look is not None:
            on_look(node, flows)

    return look


def _answered(note: str) -> str:
    return f"a question was answered with yes: {note}"


def open_changes(changes: Sequence[Change], live: Mapping[str, Any], catalogue: Catalogue) -> list[Change]:
    """Return those of one node's changes that are still to be made.

    Raises:
        PlanIsStale: A value is neither what the plan saw nor what it wishes.
    """
    left = []
    moved = []
    for change in changes:
        now = managed(catalogue, change.setting).typed(live.get(change.setting))
        if now == change.desired:
            continue
        if change.moved_to(now):
            moved.append(Change(change.node, change.setting, now, change.desired, change.reference))
        left.append(change)
    if moved:
        words = "; ".join(f"{change.setting} is now {change.before}" for change in moved)
        raise PlanIsStale(
            f"the node changed since the plan was made: {words}; nothing was changed on it",
            hint="Make a new plan, which shows what it has now, or leave it out with --exclude",
            node=changes[0].node,
        )
    return left
