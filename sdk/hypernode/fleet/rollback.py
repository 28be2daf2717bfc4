"""Taking a run back: a plan out of what the journal recorded and what is there now. Pure, but for `Settling`.

Only what the run itself set, and nobody changed since, is set back to what it was before. A write whose end is not
known may land at any time, so that nothing can be said of it before it is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hypernode.catalogue import Catalogue, as_shown
from hypernode.errors import FlowFailed, InputError, NotApplied, NotVerified
from hypernode.fleet.history import NodeLog, RunLog
from hypernode.fleet.journal import is_kept
from hypernode.fleet.managed import Managed, managed
from hypernode.fleet.plan import Change, Plan
from hypernode.fleet.spec import NO_LIMITS
from hypernode.fleet.stores import Store
from hypernode.secrets import Secret


@dataclass(frozen=True, slots=True)
class Left:
    """A value that the run set and that is not set back."""

    node: str
    setting: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """What sets a run back."""

    plan: Plan
    left: tuple[Left, ...]
    """Sorted by node, then setting."""


def settings_to_read(log: RunLog, chosen: Collection[str] = ()) -> dict[str, list[str]]:
    """Return what the run sent, by node: the settings to look at before it can be taken back.

    Args:
        log: The run.
        chosen: Nodes to take back; none: all.

    Raises:
        InputError: The run has no such node.
    """
    for node in chosen:
        if node not in log.nodes:
            raise InputError(f"the run {log.run} has no node {node}", hint=f"hnctl history {log.run} lists them")
    return {name: sorted(node.sent) for name, node in log.nodes.items() if node.sent and (not chosen or name in chosen)}


def taken_back(rollbacks: Iterable[RunLog]) -> dict[str, str]:
    """Return the nodes that `rollbacks` have changed, each with the name of the first of them that did."""
    found: dict[str, str] = {}
    for back in rollbacks:
        for name, node in back.nodes.items():
            if node.sent:
                found.setdefault(name, back.run)
    return found


def is_taken_back(log: RunLog, rollbacks: Collection[RunLog]) -> bool:
    """Tell whether `rollbacks` were about all that a run has changed, and not just about some nodes of it."""
    seen = {name for back in rollbacks for name in (*back.plan["compared"], *back.nodes)}
    return bool(rollbacks) and seen.issuperset(name for name, node in log.nodes.items() if node.sent)


def plan_rollback(
    log: RunLog,
    planned: Plan,
    live: Mapping[str, Mapping[str, Any]],
    catalogue: Catalogue,
    *,
    pending: Collection[str] = (),
) -> Rollback:
    """Return what is to be set back, and what is not and why.

    Args:
        log: The run.
        planned: Its plan, read back.
        live: What nodes have now, by setting, as decoded; only these nodes are set back.
        catalogue: Types the values and gives the risk of each change.
        pending: Nodes on which a write of the run may still land.
    """
    changes: list[Change] = []
    left: list[Left] = []
    for change in planned.changes:
        if change.node not in live or change.setting not in log.nodes[change.node].sent:
            continue
        now = managed(catalogue, change.setting).typed(live[change.node].get(change.setting))
        node = log.nodes[change.node]
        reason = _why_not(change, now, node, log.salt, pending=change.node in pending)
        if reason == _BACK and node.state == "failed":
            continue  # it was never set
        if reason:
            left.append(Left(change.node, change.setting, reason))
        else:
            changes.append(replace(change.reversed(), current=now))
    plan = replace(planned.with_only(changes), compared=tuple(sorted(live)), limits=NO_LIMITS)
    return Rollback(plan, tuple(left))


class Settling:
    """Reads the nodes of a run once it is known what became of what it has sent to them.

    Args:
        store: The way to them. Nothing is written.
        log: The run.
        planned: Its plan, read back.
        timeout: Seconds to wait for a write that is still under way.
        interval: Seconds until the first look at it.
    """

    def __init__(self, store: Store, log: RunLog, planned: Plan, *, timeout: float, interval: float) -> None:
        self._store = store
        self._log = log
        self._changes = planned.by_node()
        self._timeout = timeout
        self._interval = interval

    def read(self, node: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
        """Read `node` after an open write of the run has come to its end.

        Raises:
            HypernodeError: The node cannot be read, or the end of the write cannot be found out.
        """
        told = self._log.nodes[node]
        if told.sent_at is not None:
            sent = {change.setting: change.desired for change in self._changes[node] if change.setting in told.sent}
            update = self._store.find(node, sent, told.sent_at, told.flows)
            if update is not None:
                # Whether it succeeded shows in what the node has.
                with suppress(FlowFailed, NotApplied, NotVerified):
                    update.wait(self._timeout, interval=self._interval, on_look=None)
        return self._store.read(node, names)


_BACK = "it is back already"
_OPEN = "it was sent, and what became of it is not known yet; `hnctl rollback` finds that out first"


def _why_not(change: Change, now: Managed, node: NodeLog, salt: str, *, pending: bool) -> str:
    """Return why what the run set is not set back; nothing: it is."""
    if not is_kept(now, node.sent[change.setting], salt) and not (change.is_between(now) and now != change.current):
        if pending:
            return _OPEN
        back = not isinstance(now, Secret) and now == change.current
        return _BACK if back else f"moved on: it is {as_shown(now)} now"
    hazard = change.risk.irreversible
    if hazard is not None and ("irreversible" in change.hazards or "irreversible" in change.reversed().hazards):
        return f"irreversible: {hazard.text}"
    if isinstance(change.current, Secret):
        return "its value before was a secret, which no journal keeps"
    return ""
