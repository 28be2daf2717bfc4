"""`hnctl drift`: what is not as the fleet file says, and who is to blame."""

from __future__ import annotations

from typing import Any

import click

from hnctl.command import Command
from hnctl.commands.rollout import compare_with_file, tell_ignored, tell_needs
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.options import connection_options, option, output_option, refresh_option, selection_options
from hnctl.printing import print_data, print_listing


@click.command(cls=Command)
@option(
    "--fail-on",
    type=click.Choice(("changed", "any")),
    default="any",
    show_default=True,
    help="Exit with 2 for any difference, or only for what was changed there.",
)
@selection_options
@connection_options
@refresh_option
@output_option
def drift(fail_on: str, verbose: bool, **options: Any) -> Exit:
    """Tell which values are not as the fleet file says, and why.

    Changed there: somebody changed what was applied; the node's flows since then are shown. Not applied yet: the file
    has moved on. Never managed: no value was ever applied. What hnctl history lists tells them apart. Writes nothing;
    exits with 2 when there is drift.

    Examples:
      hnctl drift -f fleet.yaml --fail-on changed
      hnctl apply --only-drift
    """
    from hnctl.drift import find_causes, read_flows_since
    from hnctl.reading import tell_failures
    from hnctl.render.drift import drift_row, render_drift, render_drift_markdown
    from hnctl.render.error import error_document
    from hnctl.render.listing import Listing

    link = Connection(verbose=verbose, **options)
    _, comparison, _ = compare_with_file(link, **options)
    plan, failures = comparison.plan, comparison.failures
    found = find_causes(link, plan)
    since = read_flows_since(link, plan, found)
    output, compared = link.value("output"), len(plan.compared)
    if output == "table" and (compared or not failures):
        print_data(render_drift(found, since, compared=compared, verbose=verbose))
    elif output == "markdown" and (compared or not failures):
        print_data(render_drift_markdown(found, since, compared=compared))
    elif output not in ("table", "markdown"):
        rows = [drift_row(one, since.get((one.change.node, one.change.setting))) for one in found]
        errors = [error_document(error, node=node) for node, error in failures.items()]
        print_listing(Listing("drift", (), rows, errors), output)
    tell_failures(failures)
    tell_ignored(comparison)
    tell_needs(comparison)
    if failures:
        return exit_for_failures(failures.values(), some_succeeded=bool(compared))
    counts = any(fail_on == "any" or one.cause == "changed there" for one in found)
    return Exit.DIFFERENT if counts else Exit.OK
