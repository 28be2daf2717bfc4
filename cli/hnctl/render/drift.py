"""Drift for a person, by cause, and as documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hnctl.render.listing import markdown_table
from hypernode.allowlists import Entries
from hypernode.catalogue import as_text
from hypernode.fleet.drift import CAUSES, Applied, Drift
from hypernode.fleet.managed import as_json
from hypernode.printable import printable

if TYPE_CHECKING:
    from hnctl.drift import Since
    from hypernode.api.models import Flow

_MOST_NAMES = 4
_MOST_FLOWS = 3


def drift_row(one: Drift, flows: Sequence[Flow] | None) -> dict[str, Any]:
    """Return one value as JSON values; `flows` are those of others since it was applied, None: they are not known."""
    change, applied = one.change, one.applied
    return {
        "node": change.node,
        "setting": change.setting,
        "cause": one.cause,
        "current": change.before if change.secret and change.current is not None else as_json(change.current),
        "desired": None if change.secret else as_json(change.desired),
        "secret": change.secret,
        "reference": change.reference,
        "moved_on": one.moved_on,
        "unclear_run": one.unclear,
        "applied": applied
        and {
            "value": None if change.secret else applied.value,
            "run": applied.run,
            "who": applied.who,
            "at": applied.at.isoformat(),
        },
        "flows": None
        if flows is None
        else [
            {
                "name": flow.name,
                "state": flow.state,
                "created_at": flow.created_at.isoformat() if flow.created_at else None,
                "uuid": flow.uuid,
            }
            for flow in flows
        ],
    }


def render_drift(drift: Sequence[Drift], since: Since, *, compared: int, verbose: bool) -> str:
    """Return what a person is shown; `compared` nodes were read. With `verbose` each node has a line of its own."""
    if not drift:
        return _no_drift(compared)
    lines = [_head(drift, compared)]
    for cause in CAUSES:
        mine = [one for one in drift if one.cause == cause]
        if not mine:
            continue
        lines += ["", f"{cause}: {_count(len(mine), 'value')}"]
        if cause == "changed there":
            for one in mine:
                lines += _changed(one, since.get((one.change.node, one.change.setting)))
        else:
            lines += _folded(mine, verbose=verbose)
    return "\n".join(map(printable, lines))


def render_drift_markdown(drift: Sequence[Drift], since: Since, *, compared: int) -> str:
    """Return the same for a comment under a pull request."""
    if not drift:
        return f"**{_no_drift(compared)}**"
    rows = []
    for cause in CAUSES:
        for one in (one for one in drift if one.cause == cause):
            change = one.change
            flows = since.get((change.node, change.setting), ())
            applied = f"{_applied_value(one)} by {_by(one.applied)}" if one.applied else "-"
            told = ", ".join(map(_flow, flows)) or "-"
            rows.append([cause, change.node, change.setting, change.before, change.after, applied, told])
    heads = ["cause", "node", "setting", "now", "the file wishes", "applied", "flows since"]
    return f"**{_head(drift, compared)}**\n\n{markdown_table(heads, rows)}"


def _no_drift(compared: int) -> str:
    return f"No drift: {_count(compared, 'node')} compared"


def _head(drift: Sequence[Drift], compared: int) -> str:
    nodes = len({one.change.node for one in drift})
    verb = "is" if len(drift) == 1 else "are"
    return f"{_count(len(drift), 'value')} on {nodes} of {_count(compared, 'node')} {verb} not as the file says"


def _changed(one: Drift, flows: Sequence[Flow] | None) -> Iterable[str]:
    change = one.change
    now = str(change.current) if isinstance(change.desired, Entries) else change.before
    yield f"  {change.node}  {change.setting}  {_applied_value(one)} -> {now}"
    if one.applied is not None:
        yield f"    applied by {_by(one.applied)}"
    if one.unclear is not None:
        yield f"    run {one.unclear} sent it since and did not end well: this may be its doing"
    for flow in (flows or ())[:_MOST_FLOWS]:
        yield f"    since then {_flow(flow)}"
    if flows is not None and not flows:
        yield "    since then no flow of others is in the logbook"
    elif flows and len(flows) > _MOST_FLOWS:
        yield f"    ... and {len(flows) - _MOST_FLOWS} more (hnctl flows list -n {change.node})"
    if one.moved_on:
        yield f"    and the file wishes another value since: {change.after}"


def _folded(drift: Sequence[Drift], *, verbose: bool) -> list[str]:
    """Return lines for values that say all there is to say; nodes with the same change share one."""
    crowds: dict[tuple[str, ...], list[str]] = {}
    for one in drift:
        change = one.change
        own = (change.node,) if verbose else ()
        crowds.setdefault((change.setting, change.before, change.after, *own), []).append(change.node)
    width = max(len(setting) for setting, *_ in crowds)
    return [
        f"  {setting:<{width}}  {before} -> {after}  {_names(nodes)}"
        for (setting, before, after, *_), nodes in sorted(crowds.items())
    ]


def _applied_value(one: Drift) -> str:
    value = one.applied and one.applied.value
    if isinstance(value, dict):
        return str(Entries(value))
    return "not set" if value is None else "(secret)" if one.change.secret else as_text(value)


def _by(applied: Applied) -> str:
    return f"{applied.who} on {_time(applied.at)}, run {applied.run}"


def _flow(flow: Flow) -> str:
    when = f" {_time(flow.created_at)}" if flow.created_at else ""
    return f"{flow.name} {flow.state or 'not started'}{when} ({flow.uuid})"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _names(nodes: Sequence[str]) -> str:
    more = len(nodes) - _MOST_NAMES
    return ", ".join(nodes) if more <= 0 else f"{', '.join(nodes[:_MOST_NAMES])} and {more:,} more (--verbose)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
