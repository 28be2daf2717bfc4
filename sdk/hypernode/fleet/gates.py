"""Gates: what has to hold on the nodes of a wave before the next one begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml

from hypernode.fleet.tree import Problems

Verdict = Literal["passed", "failed", "undecided"]
"""``undecided``: the gate could not find out. It never counts as passed."""


@dataclass(frozen=True, slots=True)
class FlowsGate:
    """Every node of the wave was changed: none failed, and none is unknown."""


@dataclass(frozen=True, slots=True)
class HttpGate:
    """A page of the shop answers as it should."""

    url: str
    """http or https; ``{node}`` in it stands for the node's name."""
    status: int = 200
    timeout: float = 10.0
    contains: str | None = None
    """A text that the page must have."""
    lacks: str | None = None
    """A text that it must not have."""
    needed: int = 1
    """How many of `tries` have to be good."""
    tries: int = 1


@dataclass(frozen=True, slots=True)
class FpmGate:
    """PHP-FPM of the node is not overrun (CONTRACT.md 2.2 #20)."""

    max_busy: int
    """Most workers that may be at work."""


@dataclass(frozen=True, slots=True)
class CommandGate:
    """A command of ours says so: it exits with 0."""

    argv: tuple[str, ...]
    """No shell; the node's name is in HNCTL_NODE."""
    timeout: float = 60.0


Gate = FlowsGate | HttpGate | FpmGate | CommandGate


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate found on one node."""

    gate: str
    """Which gate it was, in a few words."""
    node: str
    verdict: Verdict
    reason: str


def judge(before: Finding | None, after: Finding) -> Finding:
    """Return what a gate found after a change, in the light of what it found before it.

    What was wrong already is not held against the change; where nobody could tell before, nobody can tell now whether
    the change is to blame.

    Args:
        before: None: nothing is known, and `after` counts as it is.
        after: The same gate on the same node.
    """
    if before is None or after.verdict != "failed" or before.verdict == "passed":
        return after
    if before.verdict == "failed":
        return replace(after, verdict="passed", reason=f"failed before the change too: {after.reason}")
    return replace(after, verdict="undecided", reason=f"{after.reason}; before the change: {before.reason}")


def read_gates(node: yaml.Node, problems: Problems) -> tuple[Gate, ...]:
    """Return the gates that the list `node` says; `problems` is told of all that is wrong with it."""
    problems.tell(node, "gates are not supported by this version of hnctl")
    return ()


def spell_gate(gate: Gate) -> dict[str, Any]:
    """Return a gate as the fleet file has it."""
    raise NotImplementedError(gate)
