"""Why nodes are not as the fleet file says: the runs of before tell what we have applied. Pure.

A value that differs has one of three causes. What we last applied is not there any more: it was *changed there*. It is
there, and the file wishes another by now: *not applied yet*. We never applied any: *never managed*. Only what ended
well counts as applied; of a write whose outcome is not known nobody can say who is to blame for what is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from hypernode.allowlists import Entries
from hypernode.catalogue import UNREADABLE
from hypernode.fleet.history import NodeLog, RunLog
from hypernode.fleet.journal import is_kept
from hypernode.fleet.plan import Change, Plan

if TYPE_CHECKING:
    from hypernode.api.models import Flow

Cause = Literal["changed there", "not applied yet", "never managed"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
_APPLIED = ("done", "unchanged")
"""How a node ends where what was sent counts as applied. A run that was gone on with may find its own write there."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The last time that a run set a setting of a node, and ended well there."""

    value: Any
    """As its journal keeps it: a secret as a hash."""
    run: str
    who: str
    at: datetime
    """When that run began, by the clock of its machine."""
    flows: frozenset[str]
    """Uuids of the flows that the run had on the node."""
    ours: frozenset[str]
    """Those, and the ones of all later runs."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One value that is not as the fleet file says, and why."""

    change: Change
    """What the node has, and what the file wishes."""
    cause: Cause
    applied: Applied | None = None
    """None: never."""
    moved_on: bool = False
    """Whether the file wishes another value than was applied."""
    unclear: str | None = None
    """The last run that sent a value since then and did not end well there: what is there now may be its doing."""


def find_drift(plan: Plan, runs: Iterable[RunLog], *, api_url: str) -> list[Drift]:
    """Return the cause of every change of `plan`, in its order, but of those whose current value nobody can read.

    Args:
        plan: How the nodes and the file differ now.
        runs: Those of before, the newest first. No more of them are taken than are needed.
        api_url: Runs against another API were about other nodes, whatever their names.
    """
    left: dict[str, dict[str, Change]] = {}
    for change in plan.changes:
        if change.current != UNREADABLE:
            left.setdefault(change.node, {})[change.setting] = change
    found: dict[tuple[str, str], Drift] = {}
    unclear: dict[tuple[str, str], str] = {}
    ours: dict[str, set[str]] = {}
    # Nothing is taken of `runs` before it is needed: it may read files.
    todo = iter(runs)
    while left and (log := next(todo, None)) is not None:
        if log.plan.get("api_url") != api_url:
            continue
        for node in log.nodes.keys() & left.keys():
            told = log.nodes[node]
            ours.setdefault(node, set()).update(told.flows)
            for name in sorted(told.sent.keys() & left[node].keys()):
                if told.state in _APPLIED:
                    judged = _judge(left[node].pop(name), log, told, frozenset(ours[node]))
                    found[node, name] = replace(judged, unclear=unclear.get((node, name)))
                else:
                    unclear.setdefault((node, name), log.run)
            if not left[node]:
                del left[node]
    return [
        found.get(place) or Drift(change, "never managed", unclear=unclear.get(place))
        for change in plan.changes
        if change.current != UNREADABLE and (place := (change.node, change.setting))
    ]


def _judge(change: Change, log: RunLog, told: NodeLog, ours: frozenset[str]) -> Drift:
    kept = told.sent[change.setting]
    at = datetime.fromisoformat(log.started_at)
    applied = Applied(kept, log.run, log.who, at, frozenset(told.flows), ours)
    if isinstance(change.desired, Entries):
        return _judge_list(change, change.desired, applied)
    cause: Cause = "not applied yet" if is_kept(change.current, kept, log.salt) else "changed there"
    return Drift(change, cause, applied, not is_kept(change.desired, kept, log.salt))


def _judge_list(change: Change, desired: Entries, applied: Applied) -> Drift:
    """Judge an allowlist by its entries: those of others may be there, and a plan that only adds keeps them."""
    there, ours = Entries(change.current if isinstance(change.current, Entries) else {}), applied.value.keys()
    missing, foreign = desired.keys() - there.keys(), there.keys() - desired.keys()
    changed = bool(missing & ours or foreign - ours)
    moved_on = bool(missing - ours or foreign & ours)
    return Drift(change, "changed there" if changed else "not applied yet", applied, moved_on)


def put_back(plan: Plan, drift: Iterable[Drift]) -> Plan:
    """Return `plan` with only those changes that put back what we applied, it was changed there, and is still wished.

    A node whose changes are all left out counts as not compared: it is not as wished.
    """
    kept = {(one.change.node, one.change.setting) for one in drift if one.cause == "changed there" and not one.moved_on}
    return plan.with_only(change for change in plan.changes if (change.node, change.setting) in kept)


def flows_since(flows: Iterable[Flow], applied: Applied) -> list[Flow]:
    """Return the flows that changed settings after what was `applied`, and are not ours.

    Args:
        flows: The node's logbook, newest first. It is read no further than to the flow of what was applied.
        applied: What, and when.
    """
    found = []
    since = applied.at.replace(microsecond=0)  # the logbook tells whole seconds (CONTRACT.md 1.6)
    for flow in flows:
        if flow.uuid in applied.flows or (flow.created_at is not None and flow.created_at < since):
            break
        if flow.name == "update_node" and flow.uuid not in applied.ours:
            found.append(flow)
    return found
