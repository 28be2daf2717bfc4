"""A plan as text: a summary by setting, what is risky, then the nodes, those with the same change folded together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hnctl.render.listing import markdown_table
from hypernode.fleet.plan import Change, Plan

if TYPE_CHECKING:
    from rich.text import Text

_MOST_FOLDS = 12
_MOST_NAMES = 6
_MOST_SUMMED = 15

Signature = tuple[tuple[str, str, str], ...]


def summed(plan: Plan) -> list[tuple[str, str, str, int]]:
    """Return (setting, before, after, nodes) for each kind of change, by setting, the commonest first."""
    counts: dict[tuple[str, str, str], int] = {}
    for change in plan.changes:
        key = (change.setting, change.before, change.after)
        counts[key] = counts.get(key, 0) + 1
    return sorted(((*key, count) for key, count in counts.items()), key=lambda row: (row[0], -row[3], row[1:3]))


def folded(plan: Plan) -> list[tuple[list[str], tuple[Change, ...]]]:
    """Return the nodes that have the very same changes, together; the largest crowd first."""
    crowds: dict[Signature, tuple[list[str], tuple[Change, ...]]] = {}
    for node, changes in plan.by_node().items():
        signature = tuple((change.setting, change.before, change.after) for change in changes)
        crowds.setdefault(signature, ([], changes))[0].append(node)
    return sorted(crowds.values(), key=lambda crowd: (-len(crowd[0]), crowd[0]))


def render_plan(plan: Plan, unread: Mapping[str, str], *, verbose: bool) -> Text:
    """Return what a person is shown of `plan`.

    Args:
        plan: The plan.
        unread: Nodes that could not be read, and why.
        verbose: Whether every node is listed by itself.
    """
    from rich.text import Text

    text = Text()
    nodes = len(plan.nodes)
    if plan.changes:
        text.append(
            f"{_count(len(plan.changes), 'change')} on {nodes} of {_count(len(plan.compared), 'node')}\n\n", "bold"
        )
        _add_summary(text, plan)
        _add_hazards(text, plan)
        _add_nodes(text, plan, verbose=verbose)
    elif plan.compared or not unread:
        text.append(f"In sync: {_count(len(plan.compared), 'node')} compared, no difference\n")
    if unread:
        text.append(f"\nCould not be read: {_count(len(unread), 'node')}\n", "bold red")
        shown = list(unread.items()) if verbose else list(unread.items())[:_MOST_FOLDS]
        for node, reason in shown:
            text.append(f"  {node}: {reason}\n")
        if len(unread) > len(shown):
            text.append(f"  ... and {len(unread) - len(shown)} more (--verbose lists them)\n")
    if plan.changes:
        text.append(f"\nchecksum {plan.checksum}\n", "dim")
    text.right_crop(1)
    return text


def _add_summary(text: Text, plan: Plan) -> None:
    rows = summed(plan)
    name = max(len(row[0]) for row in rows)
    for setting, before, after, count in rows[:_MOST_SUMMED]:
        text.append(f"  {setting:<{name}}  ")
        text.append(before, "red")
        text.append(" -> ")
        text.append(after, "green")
        text.append(f"  on {_count(count, 'node')}\n")
    if len(rows) > _MOST_SUMMED:
        text.append(f"  ... and {len(rows) - _MOST_SUMMED} other kinds of change\n")


def _add_hazards(text: Text, plan: Plan) -> None:
    counts: dict[tuple[str, str, str], int] = {}
    for change in plan.hazardous:
        for name in change.hazards:
            hazard = getattr(change.risk, name)
            key = (change.setting, name.replace("_", " "), hazard.text)
            counts[key] = counts.get(key, 0) + 1
    restarts = sorted({(c.setting, c.risk.restarts) for c in plan.changes if c.risk.restarts})
    notes = sorted({(c.setting, note) for c in plan.changes if (note := c.risk.note or c.risk.costs)})
    if counts or restarts or notes:
        text.append("\nRisk\n", "bold")
    for (setting, words, why), count in sorted(counts.items()):
        text.append(f"  {setting}: {words}, on {_count(count, 'node')}", "bold red")
        text.append(f" (needs --confirm). {why}\n")
    for setting, service in restarts:
        text.append(f"  {setting}: {service} restarts\n", "yellow")
    for setting, note in notes:
        text.append(f"  {setting}: {note}\n", "yellow")


def _add_nodes(text: Text, plan: Plan, *, verbose: bool) -> None:
    text.append("\n")
    if verbose:
        crowds = [([node], changes) for node, changes in plan.by_node().items()]
    else:
        crowds = folded(plan)
    for names, changes in crowds if verbose else crowds[:_MOST_FOLDS]:
        text.append("~ ", "yellow")
        text.append(_names(names), "bold")
        text.append("\n")
        width = max(len(change.setting) for change in changes)
        for change in changes:
            text.append(f"    {change.setting:<{width}}  ")
            text.append(change.before, "red")
            text.append(" -> ")
            text.append(change.after, "green")
            text.append("\n")
    hidden = 0 if verbose else sum(len(names) for names, _ in crowds[_MOST_FOLDS:])
    if hidden:
        text.append(f"  ... and {_count(hidden, 'more node')} with other changes (--verbose lists them)\n")


def render_plan_markdown(plan: Plan, unread: Mapping[str, str]) -> str:
    """Return `plan` for a comment under a pull request."""
    lines = [f"**{_count(len(plan.changes), 'change')} on {len(plan.nodes)} of {_count(len(plan.compared), 'node')}**"]
    if plan.changes:
        lines += ["", markdown_table(["setting", "from", "to", "nodes"], [[*map(str, row)] for row in summed(plan)])]
        lines += [
            "",
            markdown_table(
                ["nodes", "changes"],
                [
                    [_names(names), "; ".join(f"{c.setting}: {c.before} -> {c.after}" for c in changes)]
                    for names, changes in folded(plan)
                ],
            ),
            "",
            f"checksum `{plan.checksum}`",
        ]
    if unread:
        lines += ["", "Could not be read:", ""]
        lines += [f"- {node}: {reason}" for node, reason in unread.items()]
    return "\n".join(lines)


def _names(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
