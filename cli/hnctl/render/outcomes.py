"""What became of the nodes of a run, as text and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hnctl.exits import Exit
from hnctl.render.error import error_document, without_node
from hnctl.render.listing import FORMAT_VERSION
from hypernode.fleet.bring import Outcome
from hypernode.fleet.journal import STATES
from hypernode.fleet.rollback import Left
from hypernode.fleet.rollout import DONE_BEFORE
from hypernode.printable import printable

_WORDS = {
    "done": "done",
    "unchanged": "unchanged",
    "failed": "failed",
    "unknown": "outcome unknown",
    "not_attempted": "not attempted",
}
_MOST_NAMED = 4
_COLOURS = {"done": "green", "unchanged": None, "failed": "red", "unknown": "magenta", "not_attempted": "yellow"}


def outcome_line(outcome: Outcome, hinted: set[str]) -> str:
    """Return what is told of one node when it has ended.

    Args:
        outcome: What became of it.
        hinted: The hints that were told, without names of nodes; none is told twice.
    """
    import click

    word = click.style(_WORDS[outcome.state], fg=_COLOURS[outcome.state])
    line = f"{outcome.node}: {word}"
    if outcome.error is not None:
        message = outcome.error.message.removeprefix(f"{outcome.node}: ")
        line += f": {outcome.reason}: {printable(message)}" if outcome.reason else f": {printable(message)}"
        hint = outcome.error.hint
        if hint and (plain := without_node(hint, outcome.node)) not in hinted:
            hinted.add(plain)
            line += f"\n    hint: {printable(hint)}"
    elif outcome.reason.startswith(DONE_BEFORE):
        line = f"{outcome.node}: {click.style(DONE_BEFORE, fg=_COLOURS['done'])}"
        line += printable(outcome.reason.removeprefix(DONE_BEFORE))
    elif outcome.state == "done":
        settings = ", ".join(f"{change.setting} {change.before} -> {change.after}" for change in outcome.changes)
        line += f" in {outcome.seconds:.0f} s: {printable(settings)}"
        if outcome.reason:
            line += f"\n    {printable(outcome.reason)}"
    elif outcome.reason:
        line += f": {outcome.reason}"
    return line


def together_line(outcomes: Sequence[Outcome]) -> str:
    """Return one line for several nodes of the same state and reason, which nothing was tried on."""
    import click

    word = click.style(_WORDS[outcomes[0].state], fg=_COLOURS[outcomes[0].state])
    what = f"{word}: {printable(outcomes[0].reason)}"
    if outcomes[0].reason == DONE_BEFORE:
        what = click.style(DONE_BEFORE, fg=_COLOURS["done"])
    if len(outcomes) <= _MOST_NAMED:
        return f"{', '.join(outcome.node for outcome in outcomes)}: {what}"
    return f"{len(outcomes)} nodes {what} (--verbose names them)"


def totals(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many nodes ended in each state."""
    return {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}


def totals_line(outcomes: Sequence[Outcome]) -> str:
    """Return the line that a run always ends with."""
    return ", ".join(f"{count} {_WORDS[state]}" for state, count in totals(outcomes).items())


def left_line(left: Left) -> str:
    """Return one line for a value that is not set back."""
    return printable(f"{left.node}: {left.setting} is left: {left.reason}")


def run_document(
    outcomes: Sequence[Outcome], status: Exit, checksum: str, *, run: str | None, left: Sequence[Left]
) -> dict[str, Any]:
    """Return a run as a JSON document; `run` is its name in the history, `left` what it does not set back."""
    return {
        "format_version": FORMAT_VERSION,
        "kind": "hnctl-run",
        "run": run,
        "checksum": checksum,
        "exit_code": int(status),
        "totals": totals(outcomes),
        "nodes": [outcome_row(outcome) for outcome in outcomes],
        **({"left": [asdict(one) for one in left]} if left else {}),
    }


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """Return one node's outcome as JSON values."""
    return {
        "node": outcome.node,
        "state": outcome.state,
        "reason": outcome.error.message if outcome.error is not None else outcome.reason or None,
        "error": error_document(outcome.error, node=outcome.node) if outcome.error is not None else None,
        "changes": [
            {"setting": change.setting, "current": change.before, "desired": change.after} for change in outcome.changes
        ],
        "flows": list(outcome.flows),
        "seconds": round(outcome.seconds, 1),
    }
