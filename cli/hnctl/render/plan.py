"""A plan as text: a summary by setting, what is risky, then the nodes, those with the same change folded together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hnctl.render.fit import needs_told
from hnctl.render.listing import markdown_table, markdown_text
from hypernode.fleet.fit import Need
from hypernode.fleet.plan import Change, Plan
from hypernode.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Crowd = tuple[Sequence[str], tuple[Change, ...]]
"""Nodes that have the very same changes, and one node's changes."""

# A screen has some fifty lines. A plan that is a little longer is better seen whole; a long one is cut to fit.
_LINES_SHOWN_WHOLE = 60
_LINES_OF_A_LONG_PLAN = 22
_MOST_NAMES = 4
_MOST_SUMMED = 15
_MOST_UNREAD = 10

Signature = tuple[tuple[str, str, str], ...]


def summed(plan: Plan) -> list[tuple[str, str, str, int]]:
    """Return (setting, before, after, nodes) for each kind of change, by setting, the commonest first."""
    counts: dict[tuple[str, str, str], int] = {}
    for change in plan.changes:
        key = (change.setting, change.before, change.after)
        counts[key] = counts.get(key, 0) + 1
    return sorted(((*key, count) for key, count in counts.items()), key=lambda row: (row[0], -row[3], row[1:3]))


def folded(plan: Plan) -> list[Crowd]:
    """Return the nodes that have the very same changes, together; the largest crowd first."""
    crowds: dict[Signature, tuple[list[str], tuple[Change, ...]]] = {}
    for node, changes in plan.by_node().items():
        signature = tuple((change.setting, change.before, change.after) for change in changes)
        crowds.setdefault(signature, ([], changes))[0].append(node)
    return sorted(crowds.values(), key=lambda crowd: (-len(crowd[0]), crowd[0]))


def render_plan(
    plan: Plan,
    unread: Mapping[str, str],
    *,
    verbose: bool,
    needs: Sequence[Need] = (),
    whole: str | None = None,
) -> RenderableType:
    """Return what a person is shown of `plan`.

    Args:
        plan: The plan.
        unread: Nodes that could not be read, and why.
        verbose: Whether every node is listed by itself.
        needs: Nodes whose product is in question.
        whole: What it is the rest of, with its checksum; None: it is a plan of its own.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if plan.changes:
        head = f"{_count(len(plan.changes), 'change')} on {len(plan.nodes)} of {_count(len(plan.compared), 'node')}"
        parts += [Text(head, "bold"), Text(), *_summary(plan)]
        if risk := _risk(plan):
            parts += [Text(), Text("Risk", "bold"), risk]
        parts += [Text(), *_nodes(plan, verbose=verbose)]
        if ways := ways_told(plan):
            parts += [Text(), *(Text(f"{how}: {names}") for how, names in ways)]
    elif plan.compared or not unread:
        said = "no setting differs" if needs else "no difference"
        parts.append(Text(f"{'' if needs else 'In sync: '}{_count(len(plan.compared), 'node')} compared, {said}"))
    if needs:
        head, *lines = needs_told(needs)
        parts += [Text(), Text(head, "bold"), *(Text(printable(line)) for line in lines)]
    if unread:
        parts += [Text(), *_unread(unread, verbose=verbose)]
    if waves := waves_told(plan):
        parts += [Text(), Text(waves)]
    if plan.changes:
        parts += [Text(), Text(whole or f"checksum {plan.checksum}", "dim")]
    return Group(*parts)


def _summary(plan: Plan) -> list[Text]:
    from rich.text import Text

    rows = summed(plan)
    width = max(len(row[0]) for row in rows)
    lines = [
        Text.assemble(f"  {setting:<{width}}  ", *_arrow(before, after), f"  on {_count(count, 'node')}")
        for setting, before, after, count in rows[:_MOST_SUMMED]
    ]
    if len(rows) > _MOST_SUMMED:
        lines.append(Text(f"  ... and {len(rows) - _MOST_SUMMED} other kinds of change"))
    return lines


def waves_told(plan: Plan) -> str:
    """Return how many nodes each wave of the rollout changes; nothing when there is one wave only."""
    waves = [str(len(wave)) for wave in plan.rules.divide(plan.order)]
    return f"{len(waves)} waves: {', '.join(waves[:-1])} and {waves[-1]} nodes" if len(waves) > 1 else ""


def ways_told(plan: Plan) -> list[tuple[str, str]]:
    """Return (way, nodes) for the nodes that change and are not reached through the API."""
    by_way: dict[str, list[str]] = {}
    for node in plan.nodes:
        if (way := plan.ways.get(node)) is not None:
            there = " ".join(
                f"{name} {value}" for name, value in way._asdict().items() if name != "via" and value is not None
            )
            by_way.setdefault(f"via {way.via}{f' ({there})' if there and way.via == 'ssh' else ''}", []).append(node)
    return [(how, _names(nodes)) for how, nodes in sorted(by_way.items())]


def risks(plan: Plan) -> list[tuple[str, str, str]]:
    """Return (setting, hazard, text) for all that is worth knowing before a yes, the worst first.

    The hazard says what needs a confirmation of its own, and on how many nodes; it is empty where nothing does.
    """
    counts: dict[tuple[str, str, str], int] = {}
    for change in plan.hazardous:
        for name in change.hazards:
            key = (change.setting, name.replace("_", " "), change.why(name))
            counts[key] = counts.get(key, 0) + 1
    restarts = {(c.setting, "", f"{c.risk.restarts} restarts") for c in plan.changes if c.risk.restarts}
    notes = {(c.setting, "", note) for c in plan.changes if (note := c.risk.note or c.risk.costs)}
    opened = {(c.setting, "", f"{text}.") for c in plan.changes for text in c.opens}
    hazards = [
        (setting, f"{words}, on {_count(count, 'node')} (needs --confirm)", why)
        for (setting, words, why), count in sorted(counts.items())
    ]
    return [*hazards, *sorted(opened), *sorted(restarts), *sorted(notes)]


def _risk(plan: Plan) -> Table | None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for setting, hazard, text in risks(plan):
        told = Text.assemble((f"{hazard}. ", "bold red"), text) if hazard else Text(text, "yellow")
        table.add_row(Padding(setting, (0, 0, 0, 2)), told)
    return table if table.row_count else None


def _nodes(plan: Plan, *, verbose: bool) -> list[Text]:
    from rich.text import Text

    if verbose:
        return [line for node, changes in plan.by_node().items() for line in _crowd([node], changes)]
    crowds = folded(plan)
    room = sum(1 + len(changes) for _, changes in crowds)
    if room > _LINES_SHOWN_WHOLE:
        room = _LINES_OF_A_LONG_PLAN
    lines: list[Text] = []
    hidden = 0
    for names, changes in crowds:
        if hidden or len(lines) + 1 + len(changes) > room:
            hidden += len(names)
        else:
            lines += _crowd(names, changes)
    if hidden:
        lines.append(Text(f"  ... and {_count(hidden, 'more node')} with other changes (--verbose lists them)"))
    return lines


def _crowd(names: Sequence[str], changes: Sequence[Change]) -> list[Text]:
    from rich.text import Text

    width = max(len(change.setting) for change in changes)
    return [
        Text.assemble(("~ ", "yellow"), (_names(names), "bold")),
        *(
            Text.assemble(f"    {change.setting:<{width}}  ", *_arrow(change.before, change.after))
            for change in changes
        ),
    ]


def _arrow(before: str, after: str) -> tuple[tuple[str, str], str, tuple[str, str]]:
    return (printable(before), "red"), " -> ", (printable(after), "green")


def _unread(unread: Mapping[str, str], *, verbose: bool) -> list[Text]:
    from rich.text import Text

    shown = list(unread.items()) if verbose else list(unread.items())[:_MOST_UNREAD]
    lines = [Text(f"Could not be read: {_count(len(unread), 'node')}", "bold red")]
    lines += [Text(printable(f"  {node}: {reason}")) for node, reason in shown]
    if len(unread) > len(shown):
        lines.append(Text(f"  ... and {len(unread) - len(shown)} more (--verbose lists them)"))
    return lines


def render_plan_markdown(plan: Plan, unread: Mapping[str, str], *, needs: Sequence[Need] = ()) -> str:
    """Return `plan` for a comment under a pull request."""
    lines = []
    if plan.changes:
        head = f"{_count(len(plan.changes), 'change')} on {len(plan.nodes)} of {_count(len(plan.compared), 'node')}"
        lines += [f"**{head}**", ""]
        lines.append(markdown_table(["setting", "from", "to", "nodes"], [[*map(str, row)] for row in summed(plan)]))
        if told := risks(plan):
            lines += ["", markdown_table(["risk of", "hazard", "what it means"], told)]
        crowds = [
            [_names(names), "; ".join(f"{c.setting}: {c.before} -> {c.after}" for c in changes)]
            for names, changes in folded(plan)
        ]
        lines += ["", markdown_table(["nodes", "changes"], crowds), ""]
        if ways := ways_told(plan):
            lines += [markdown_table(["way", "nodes"], ways), ""]
        if waves := waves_told(plan):
            lines += [waves, ""]
        lines.append(f"checksum `{plan.checksum}`")
    elif plan.compared or not unread:
        said = ("", "no setting differs") if needs else ("**In sync**: ", "no difference")
        lines.append(f"{said[0]}{_count(len(plan.compared), 'node')} compared, {said[1]}")
    if unread:
        lines += ["", "Could not be read:", ""]
        lines += [markdown_text(f"- {node}: {reason}") for node, reason in unread.items()]
    return "\n".join(lines).lstrip("\n")


def _names(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
