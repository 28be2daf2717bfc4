"""Showing a plan and having it agreed to: an ordinary yes, and one by name for each hazard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from hnctl.consent import ask, may_ask
from hnctl.printing import print_data, print_note
from hypernode.catalogue import Catalogue
from hypernode.fleet.fit import Need
from hypernode.fleet.managed import managed
from hypernode.fleet.plan import Confirmation, Plan


def agree(
    plan: Plan,
    unread: Mapping[str, str],
    catalogue: Catalogue,
    *,
    output: str,
    ask: bool,
    yes: bool,
    confirm: Sequence[Confirmation],
    force: bool,
    verbose: bool,
    whole: str | None = None,
) -> None:
    """Show `plan` and have it agreed to.

    Args:
        plan: What to change.
        unread: Nodes that could not be read, and why.
        catalogue: Tells about which settings a node's tool asks.
        output: The output format; a plan is shown on stderr where stdout is for a machine.
        ask: Whether an ordinary yes is needed.
        yes: Whether it was given.
        confirm: What was confirmed.
        force: Whether the plan may go beyond its limits.
        verbose: Whether every node of the plan is shown by itself.
        whole: What it is the rest of; None: it is a plan of its own.

    Raises:
        UnsafePlan, NotAgreed: It is not.
    """
    prompting = _asked_by_tool(plan, catalogue)
    ask = ask or bool(prompting)
    if output == "table" and (ask or plan.hazardous):
        show_plan(plan, unread, verbose=verbose, whole=whole)
    elif plan.changes and may_ask() and ((ask and not yes) or plan.hazardous):
        show_plan(plan, unread, verbose=verbose, stderr=True, whole=whole)
    if plan.changes:
        plan.raise_if_unsafe([*confirm, *_ask_for_hazards(plan, confirm)], force=force)
        _ask(plan, prompting, needed=ask, yes=yes)


def show_plan(
    plan: Plan,
    unread: Mapping[str, str],
    *,
    verbose: bool,
    stderr: bool = False,
    needs: Sequence[Need] = (),
    whole: str | None = None,
) -> None:
    """Print a plan for a person, as `render_plan` does; on stderr when stdout has a document for a machine."""
    from hnctl.render.console import capture
    from hnctl.render.plan import render_plan

    shown = render_plan(plan, unread, verbose=verbose, needs=needs, whole=whole)
    text = capture(shown, stderr=stderr)
    (print_note if stderr else print_data)(text)


def _ask_for_hazards(plan: Plan, confirmations: Sequence[Confirmation]) -> list[Confirmation]:
    """On a terminal, have the name typed for each hazardous setting that is not confirmed yet."""
    if not may_ask():
        return []
    open_changes = [
        change for change in plan.hazardous if not any(one.covers(change, plan.groups) for one in confirmations)
    ]
    answers = []
    for setting in dict.fromkeys(change.setting for change in open_changes):
        nodes = [change.node for change in open_changes if change.setting == setting]
        word = nodes[0] if len(nodes) == 1 else f"{setting}={len(nodes)}"
        if click.prompt(f"Type {word} to agree to {setting} (see Risk above)", err=True, default="") == word:
            answers += [Confirmation(node, setting) for node in nodes]
    return answers


def _asked_by_tool(plan: Plan, catalogue: Catalogue) -> list[str]:
    """Return the settings of `plan` about which hypernode-systemctl asks: whoever agrees to it answers that too."""
    by_tool = {change.setting for change in plan.changes if change.node in plan.ways}
    return sorted(name for name in by_tool if managed(catalogue, name).tool_prompts)


def _ask(plan: Plan, prompting: Sequence[str], *, needed: bool, yes: bool) -> None:
    if yes or not needed:
        return
    if prompting:
        print_note(f"hypernode-systemctl asks before it changes {', '.join(prompting)}; a yes here answers it.")
    nodes = len(plan.nodes)
    ask(f"Change {nodes} node{'s' * (nodes != 1)}?", yes=yes, undone="nothing was changed")
