"""Runs of before, for a person and as documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hnctl.render.listing import FORMAT_VERSION, cell, plain_table
from hypernode.allowlists import Entries
from hypernode.fleet.history import NodeLog, RunLog
from hypernode.fleet.journal import STATES
from hypernode.printable import printable

COLUMNS = ("run", "started_at", "who", "state", "totals", "message")
_ENOUGH = 8
"""Characters of a flow's uuid that tell it from others; the documents have all of it."""
_UNDER_WAY = "under way"
_WORDS = (*(state.replace("_", " ") for state in STATES[:-1]), _UNDER_WAY, STATES[-1].replace("_", " "))


def run_row(log: RunLog, state: str, *, for_person: bool) -> dict[str, Any]:
    """Return one run as DESIGN 6 has it; for a person its totals are words."""
    totals = log.totals()
    said = Counter(_word(node, state) for node in log.nodes.values())
    words = ", ".join(f"{said[word]} {word}" for word in _WORDS if said[word])
    return {
        "run": log.run,
        "started_at": _moment(log.started_at) if for_person else log.started_at,
        "who": log.who,
        "message": log.message,
        "checksum": log.checksum,
        "state": state,
        "totals": words or "nothing" if for_person else totals,
    }


def run_log_document(log: RunLog, state: str) -> dict[str, Any]:
    """Return one run with its nodes as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        **run_row(log, state, for_person=False),
        "ended_at": log.ended_at,
        "job": log.job,
        "file": log.source.file,
        "digest": log.source.digest,
        "rolls_back": log.rolls_back,
        "resumed": [{"at": at, "who": who, "message": message} for at, who, message in log.resumed],
        "nodes": [_node(node, state) for node in log.nodes.values()],
    }


def render_run(log: RunLog, state: str) -> str:
    """Return one run with its nodes."""
    lines = [
        f"{log.run}: {state}",
        f"  by       {log.who}" + (f", {log.job}" if log.job else ""),
        *([f"  why      {log.message}"] if log.message else []),
        f"  began    {_moment(log.started_at)}",
        *[
            f"  resumed  {_moment(at)} by {who}" + (f": {message}" if message else "")
            for at, who, message in log.resumed
        ],
        *([f"  of       {log.rolls_back}, which it sets back"] if log.rolls_back else []),
        *([f"  ended    {_moment(log.ended_at)}"] if log.ended_at else []),
        f"  plan     {log.checksum}",
    ]
    rows = [
        [
            node.node,
            _word(node, state),
            "-" if node.seconds is None else f"{node.seconds:.1f} s",
            ", ".join(uuid[:_ENOUGH] for uuid in node.flows) or "-",
            cell("; ".join([*map(_change, node.changes), *filter(None, [node.error or node.reason])])),
        ]
        for node in log.nodes.values()
    ]
    table = plain_table(
        ["node", "state", "time", "flows", "changes"], [[printable(text) for text in row] for row in rows]
    )
    return "\n".join(map(printable, lines)) + "\n\n" + table


def _moment(at: str) -> str:
    """Return a time of the journal, which is kept in UTC, for a person."""
    return f"{at[:19].replace('T', ' ')} UTC"


def _change(change: Mapping[str, Any]) -> str:
    if change["secret"]:
        return f"{change['setting']} (secret)"
    if isinstance(change["desired"], dict):
        return f"{change['setting']} {Entries(change['desired']).changed_from(Entries(change['current'] or {}))}"
    before, after = (cell(change[side]) if change[side] is not None else "not set" for side in ("current", "desired"))
    return f"{change['setting']} {before} -> {after}"


def _word(node: NodeLog, state: str) -> str:
    """Return what a node's state is called for a person, in a run of `state`."""
    return _UNDER_WAY if _is_under_way(node, state) else node.state.replace("_", " ")


def _is_under_way(node: NodeLog, state: str) -> bool:
    return node.is_open and state == "running"


def _node(node: NodeLog, state: str) -> dict[str, Any]:
    return {
        "node": node.node,
        "state": node.state,
        "under_way": _is_under_way(node, state),
        "changes": [
            {name: change[name] for name in ("setting", "current", "desired", "secret")} for change in node.changes
        ],
        "sent": bool(node.sent),
        "flows": list(node.flows),
        "seconds": node.seconds,
        "error": node.error,
        "reason": node.reason,
    }
