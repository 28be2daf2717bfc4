"""`hnctl preview`: the fleet file tried on a copy of a node, which is ended afterwards."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import (
    clear_option,
    connection_options,
    file_option,
    one_node_option,
    option,
    output_option,
    refresh_option,
    wait_options,
    within_option,
)
from hnctl.printing import print_data, print_either, print_note
from hnctl.selection import Selection, catalogue_for, choose_in_fleet, fleet_path
from hnctl.value_types import TICK


@click.command(cls=Command)
@one_node_option
@file_option
@option(
    "--ttl",
    type=TICK,
    default="2h",
    show_default=True,
    help="Time limit of the copy, at most 7d, after which `reap` ends it.",
)
@clear_option
@within_option
@option("--keep", is_flag=True, help="Leave the copy there until its time limit is over.")
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@wait_options
@connection_options
@refresh_option
@output_option
def preview(
    nodes: tuple[str, ...],
    file: str | None,
    ttl: float,
    clear: tuple[str, ...],
    within: float,
    keep: bool,
    yes: bool,
    refresh: bool,
    verbose: bool,
    **options: Any,
) -> Exit:
    """Try the fleet file on a copy of a node before the node itself.

    A Brancher is made, looked at, changed as the file says, held against the file's gates, compared and ended: its
    settings, the gates' pages with their times, PHP-FPM. It costs by the started minute, and holds real customer data
    and live keys. Killed in the middle, `hnctl brancher reap` ends it once its time limit is over. A gate that fails
    ends with 3.

    Example: hnctl preview -f fleet.yaml -n kaasshop --clear cron,supervisor
    """
    from hnctl.agreement import show_plan
    from hnctl.branchers import branchers_of, choose_parent
    from hnctl.comparing import compare_nodes
    from hnctl.consent import ask
    from hnctl.preview import Preview
    from hnctl.render.branchers import announcement
    from hnctl.render.preview import preview_document, render_preview
    from hnctl.values import fetch_from
    from hypernode.fleet.compare import desired_of
    from hypernode.fleet.spec import parse
    from hypernode.fleet.yamlfile import read_file

    link = Connection(verbose=verbose, **options)
    node = choose_parent(nodes)
    selection = Selection((node,), file=file)
    path = fleet_path(link, file)
    catalogue = catalogue_for(selection, link, refresh=refresh)
    fleet = parse(read_file(path), catalogue, path=str(path))
    choose_in_fleet(selection, fleet)
    desired = desired_of(fleet, [node], partial(fetch_from, path.parent))
    comparison = compare_nodes(link, catalogue, desired, None)
    for failure in comparison.failures.values():
        raise failure
    if not comparison.plan.changes:
        print_data(f"In sync: {node} is as the file says; there is nothing to try on a copy.")
        return Exit.OK
    show_plan(comparison.plan, {}, verbose=verbose, stderr=True)
    with branchers_of(link, node) as branchers:
        print_note(announcement(node, branchers.account(), clear, ttl))
        ask(f"Make a copy of {node} and try this on it?", yes=yes, undone="nothing was made")
        trial = Preview(link, branchers, catalogue, desired, node)
        judged = trial.run(ttl=ttl, clear=clear, within=within, keep=keep)
    print_either(
        link.value("output"),
        lambda: render_preview(trial, judged, file),
        lambda: preview_document(trial, judged),
    )
    if not trial.ended and not keep:
        return Exit.FAILED
    if judged.verdict == "passed":
        return Exit.OK
    return Exit.UNKNOWN if trial.outcome is not None and trial.outcome.state == "unknown" else Exit.PARTLY
