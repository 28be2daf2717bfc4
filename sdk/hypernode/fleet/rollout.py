"""Carrying a plan out: each node is locked, read again, compared, written once, waited for and read back.

It decides nothing but to stop. Every node of the plan gets exactly one outcome, whatever happens.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from math import ceil
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
from hypernode.fleet.executors import first_to_end
from hypernode.fleet.journal import Journal, State
from hypernode.fleet.node_locks import locked
from hypernode.fleet.plan import Change, Plan, share_of
from hypernode.fleet.spec import Share
from hypernode.fleet.stores import Reader, Store, read_nodes

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
    """Why it is neither done nor unchanged; None too when the run stopped before it."""
    reason: str = ""
    """Why it was not attempted; for one that is done: what could not be verified, or was answered on the way."""
    flows: tuple[str, ...] = ()
    """Uuids of the flows that did it."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a plan is carried out."""

    parallel: int = 8
    max_failures: Share | None = None
    """Failed or unknown nodes after which no more are started; a percentage is of the plan's nodes, rounded up."""
    timeout: float = 900.0
    """Seconds that one node's change may take."""
    interval: float = FIRST_INTERVAL
    """Seconds until the first look at a running flow."""
    ignore_running: bool = False
    """Whether to change nodes while a flow of theirs is running."""


def apply(
    plan: Plan,
    store: Store,
    catalogue: Catalogue,
    executor: Executor,
    *,
    options: Options,
    lock_folder: Path,
    stop: threading.Event,
    failed_before: int = 0,
    on_look: OnLook | None = None,
    journal: Journal | None = None,
) -> Iterator[Outcome]:
    """Carry out `plan`, which was shown and agreed to, and yield an outcome for each of its nodes as it is known.

    Args:
        plan: What to change.
        store: The way to the nodes.
        catalogue: Types the values that are read.
        executor: Runs the nodes; at most `options.parallel` are under way.
        options: See `Options`.
        lock_folder: Where the locks are that keep two runs from one node; one folder per API host.
        stop: Once it is set, no more nodes are started.
        failed_before: Nodes that failed before this, when they were read; they count.
        on_look: Told a node and its flows after each look at them, from the thread that works on the node.
        journal: Where each step is written down before it is taken. When that fails, no more nodes are started.
    """
    nodes = plan.by_node()
    waiting = deque(nodes)
    most = _failures_allowed(options.max_failures, len(nodes) + failed_before)
    failures = failed_before
    running: dict[Future[Outcome], str] = {}
    try:
        while True:
            while (
                not (reason := _reason_to_stop(stop, failures, most, journal))
                and waiting
                and len(running) < options.parallel
            ):
                node = waiting.popleft()
                task = executor.submit(
                    bring, node, nodes[node], store, catalogue, options, lock_folder, on_look, journal
                )
                running[task] = node
            if reason:
                # An executor with fewer workers has begun less than it was given.
                waiting.extend(running.pop(task) for task in list(running) if task.cancel())
            if not running:
                break
            for task in first_to_end(running):
                outcome = _outcome_of(task, running.pop(task), nodes)
                failures += outcome.state in ("failed", "unknown")
                _note_end(journal, outcome)
                yield outcome
    finally:
        for task in running:
            task.cancel()
    for node in sorted(waiting):
        yield Outcome(node, "not_attempted", nodes[node], reason=reason)


def _outcome_of(task: Future[Outcome], node: str, nodes: Mapping[str, tuple[Change, ...]]) -> Outcome:
    """Return what `task` returned; what a worker that died or stumbled has left behind is not known."""
    failure = task.exception()
    if failure is None:
        return task.result()
    error = OutcomeUnknown(
        f"hnctl itself failed at it ({type(failure).__name__}), and what the node has now is not known",
        hint="Look at it with `hnctl diff`; please report this",
        node=node,
    )
    error.__cause__ = failure
    return Outcome(node, "unknown", nodes[node], error)


def _failures_allowed(share: Share | None, nodes: int) -> int | None:
    # With less than one, the run would be over before it began.
    return None if share is None else max(1, ceil(share_of(share, nodes)))


def _note_end(journal: Journal | None, outcome: Outcome) -> None:
    if journal is not None:
        error = None if outcome.error is None else outcome.error.message
        seconds = round(outcome.seconds, 3)
        journal.note(
            "node ended",
            node=outcome.node,
            state=outcome.state,
            error=error,
            reason=outcome.reason or None,
            flows=list(outcome.flows),
            seconds=seconds,
        )


def _reason_to_stop(stop: threading.Event, failures: int, most: int | None, journal: Journal | None) -> str:
    if journal is not None and journal.failure is not None:
        return f"the run was stopped: {journal.failure.message}"
    if stop.is_set():
        return "the run was interrupted"
    if most is not None and failures >= most:
        return f"the run was stopped: {failures} node{'s' * (failures != 1)} failed (--max-failures)"
    return ""


def bring(
    node: str,
    changes: Sequence[Change],
    store: Store,
    catalogue: Catalogue,
    options: Options,
    lock_folder: Path,
    on_look: OnLook | None = None,
    journal: Journal | None = None,
) -> Outcome:
    """Bring one node to what `changes` wish, and return what became of it. Raises nothing of ours."""
    started = time.monotonic()
    planned = tuple(changes)

    def outcome(
        state: State, error: HypernodeError | None = None, flows: Sequence[Flow] = (), reason: str = ""
    ) -> Outcome:
        if error is not None and error.node is None:
            error.node = node
        uuids = tuple(flow.uuid for flow in flows)
        return Outcome(node, state, planned, error, reason, flows=uuids, seconds=time.monotonic() - started)

    try:
        with locked(node, lock_folder, None if journal is None else journal.owner):
            if journal is not None:
                journal.announce("node begun", node=node)
            live = store.read(node, [change.setting for change in planned])
            left = open_changes(planned, live, catalogue)
            if not left:
                return outcome("unchanged")
            if not options.ignore_running and (busy := store.blocking(node)) is not None:
                raise NodeIsBusy(
                    f"the flow {busy}; nothing was changed",
                    hint="Wait for it (hnctl flows watch; on the node: livelog), or allow it with --ignore-running",
                )
            wished = {change.setting: change.desired for change in left}
            if journal is not None:
                journal.announce("sending", node=node, settings=journal.values(wished))
            update = store.write(node, wished)
            told = _looking(node, on_look, journal)
            try:
                flows = update.wait(options.timeout, interval=options.interval, on_look=told)
            except (FlowFailed, NotApplied) as exc:
                return outcome("failed", exc)
            except NotVerified as exc:
                return outcome("done", reason="; ".join([exc.message, *map(_answered, update.notes)]))
            except HypernodeError as exc:
                return outcome("unknown", exc)
            if journal is not None:
                journal.note("read back", node=node, settings=journal.values(wished))
            return outcome("done", flows=flows, reason="; ".join(map(_answered, update.notes)))
    except OutcomeUnknown as exc:
        return outcome("unknown", exc)
    except SafetyError as exc:
        return outcome("not_attempted", exc)
    except HypernodeError as exc:
        return outcome("failed", exc)


def _looking(node: str, on_look: OnLook | None, journal: Journal | None) -> Callable[[Sequence[Flow]], None] | None:
    """Return what is told of each look at a node's flows: the journal learns each flow once."""
    if journal is None:
        return None if on_look is None else partial(on_look, node)
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
        now = catalogue[change.setting].typed(live.get(change.setting))
        if now == change.desired:
            continue
        if change.moved_to(now):
            moved.append(Change(change.node, change.setting, now, change.desired, change.reference))
        left.append(change)
    if moved:
        words = "; ".join(f"{change.setting} is now {change.before}" for change in moved)
        raise PlanIsStale(
            f"the node changed since the plan was made: {words}; nothing was changed on it",
            hint="Look at it again with `hnctl diff`, and make a new plan",
            node=changes[0].node,
        )
    return left


def check_fresh(plan: Plan, reader: Reader, catalogue: Catalogue, executor: Executor) -> None:
    """Read all nodes of a plan that was made earlier, and refuse it as a whole when one has moved.

    Nodes that cannot be read are left to `apply`, which reads each again.

    Raises:
        PlanIsStale: Names every node that moved.
    """
    by_node = plan.by_node()
    wanted = {change.setting for change in plan.changes}
    live, _ = read_nodes(
        reader,
        by_node,
        executor,
        keep=lambda _, detail: {name: detail.get(name) for name in wanted},
        names=lambda node: [change.setting for change in by_node[node]],
    )
    moved = []
    for node, now in live.items():
        try:
            open_changes(by_node[node], now, catalogue)
        except PlanIsStale as exc:
            moved.append(f"{node}: {exc.message}")
    if moved:
        raise PlanIsStale(
            "the plan is stale; nothing was written:\n" + "\n".join(f"  - {text}" for text in moved),
            hint="Make a new plan, or leave these nodes out with --exclude",
        )
