"""Taking a run back: a plan out of what the journal recorded and what is there now. Pure.

Only what the run itself set, and nobody changed since, is set back to what it was before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypernode.catalogue import Catalogue, as_shown
from hypernode.errors import InputError
from hypernode.fleet.history import NodeLog, RunLog
from hypernode.fleet.journal import is_kept
from hypernode.fleet.managed import Managed, managed
from hypernode.fleet.plan import Change, Plan
from hypernode.fleet.spec import NO_LIMITS
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


def plan_rollback(
    log: RunLog,
    planned: Plan,
    live: Mapping[str, Mapping[str, Any]],
    catalogue: Catalogue,
) -> Rollback:
    """Return what is to be set back, and what is not and why.

    Args:
        log: The run.
        planned: Its plan, read back.
        live: What nodes have now, by setting, as decoded; only these nodes are set back.
        catalogue: Types the values and gives the risk of each change.
    """
    changes: list[Change] = []
    left: list[Left] = []
    for change in planned.changes:
        if change.node not in live or change.setting not in log.nodes[change.node].sent:
            continue
        now = managed(catalogue, change.setting).typed(live[change.node].get(change.setting))
        node = log.nodes[change.node]
        reason = _why_not(change, now, node, log.salt)
        if reason == _BACK and node.state == "failed":
            continue  # it was never set
        if reason:
            left.append(Left(change.node, change.setting, reason))
        else:
            changes.append(replace(change.reversed(), current=now))
    plan = replace(planned.with_only(changes), compared=tuple(sorted(live)), limits=NO_LIMITS)
    return Rollback(plan, tuple(left))


_BACK = "it is back already"


def _why_not(change: Change, now: Managed, node: NodeLog, salt: str) -> str:
    """Return why what the run set is not set back; nothing: it is."""
    if not is_kept(now, node.sent[change.setting], salt) and not (change.is_between(now) and now != change.current):
        back = not isinstance(now, Secret) and now == change.current
        return _BACK if back else f"moved on: it is {as_shown(now)} now"
    hazard = change.risk.irreversible
    if hazard is not None and ("irreversible" in change.hazards or "irreversible" in change.reversed().hazards):
        return f"irreversible: {hazard.text}"
    if isinstance(change.current, Secret):
        return "its value before was a secret, which no journal keeps"
    return ""
