"""`hnctl diff`, `plan` and `apply`: the fleet file against what nodes have."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.options import (
    connection_options,
    option,
    output_option,
    refresh_option,
    rollout_options,
    selection_options,
)
from hnctl.printing import print_data, print_listing, print_note
from hnctl.selection import Selection, catalogue_for, check_excluded, choose_in_fleet, fleet_path
from hypernode.errors import HypernodeError, PlanIsStale
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.catalogue import Catalogue
    from hypernode.fleet.compare import Comparison, Desired

_NO_PLAN = "Make a plan: hnctl plan -o json > plan.json. A fleet file is named with -f"


@click.command(cls=Command)
@option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are differences.")
@selection_options
@connection_options
@refresh_option
@output_option
def diff(detailed_exitcode: bool, verbose: bool, **options: Any) -> Exit:
    """Show how nodes differ from the fleet file.

    Writes nothing. Where a product is in question, prices are shown as the API gives them; it does not state their
    unit.

    Example: hnctl diff -f fleet.yaml --group magento --detailed-exitcode
    """
    link = Connection(verbose=verbose, **options)
    _, comparison, _ = compare_with_file(link, **options)
    _emit_plan(link, comparison, verbose=verbose)
    tell_ignored(comparison)
    _advise_copy(comparison, options["selection"].file)
    return _status(comparison, detailed=detailed_exitcode)


@click.command(cls=Command)
@selection_options
@connection_options
@refresh_option
@output_option
def plan(verbose: bool, **options: Any) -> Exit:
    """Make a plan that can be reviewed and applied.

    As JSON it is kept, and applied exactly as it is. Writes nothing. Prices of products are in a unit that the API does
    not state.

    Examples:
      hnctl plan -f fleet.yaml -o json > plan.json
      hnctl apply plan.json
    """
    from hypernode.errors import UnsafePlan

    link = Connection(verbose=verbose, **options)
    _, comparison, _ = compare_with_file(link, **options)
    _emit_plan(link, comparison, verbose=verbose)
    tell_ignored(comparison)
    _advise_copy(comparison, options["selection"].file)
    try:
        comparison.plan.raise_if_unsafe()
    except UnsafePlan as exc:
        reasons = exc.message.removeprefix("refused as unsafe:\n")
        print_note(f"As it is, apply will refuse this plan:\n{reasons}")
    return _status(comparison, detailed=False)


@click.command(cls=Command)
@click.argument("plan_file", metavar="[PLAN.json]", required=False, type=click.Path())
@option("--checksum", metavar="SUM", help="Refuse unless the plan made now has this checksum.")
@option("--only-drift", is_flag=True, help="Put back what was changed on the nodes since we applied it, nothing else.")
@selection_options
@rollout_options
@connection_options
@refresh_option
@output_option
def apply(plan_file: str | None, checksum: str | None, only_drift: bool, verbose: bool, **options: Any) -> Exit:
    """Bring nodes to the fleet file, or carry out a plan that was reviewed before.

    The plan is shown and asked about. Each node is read again, changed with one request, waited for and read back.
    A node that moved meanwhile is left alone and named; when a reviewed plan is carried out, so are all others.

    Examples:
      hnctl apply -f fleet.yaml
      hnctl apply plan.json --yes
      hnctl apply --yes --max-failures 5% --confirm kaasshop:mysql_version
      hnctl apply --yes --only-drift
    """
    from hnctl.rollout import carry_out, source_of

    link = Connection(verbose=verbose, **options)
    if plan_file is not None:
        if only_drift:
            raise click.UsageError("A plan is applied as it is: --only-drift makes one anew.")
        return _apply_file(link, Path(plan_file), checksum, verbose=verbose, **options)
    catalogue, comparison, raw = compare_with_file(link, **options)
    made = comparison.plan
    if only_drift:
        from hnctl.drift import cut_to_drift

        made = cut_to_drift(link, made)
    if checksum is not None and checksum != made.checksum:
        raise PlanIsStale(
            f"the plan made now has the checksum {made.checksum}, not {checksum}; nothing was changed",
            hint=f"Look at it, and review it again: hnctl diff{options['selection'].spelled()}",
        )
    if only_drift and not made.changes and not comparison.failures and link.value("output") == "table":
        print_data("Nothing to put back")  # "in sync" would be wrong: other differences may be left out
        return Exit.OK
    tell_needs(comparison)
    source = source_of(fleet_path(link, options["selection"].file), raw)
    again = f"hnctl apply{' --only-drift' if only_drift else ''}{options['selection'].spelled()}"
    return carry_out(
        link, catalogue, made, comparison.failures, source=source, ask=True, again=again, verbose=verbose, **options
    )


def _apply_file(
    link: Connection, path: Path, checksum: str | None, *, rules: Mapping[str, Any], verbose: bool, **options: Any
) -> Exit:
    from hnctl.comparing import check_canaries
    from hnctl.rollout import carry_out, source_of
    from hnctl.values import fetch_from
    from hypernode.fleet.planfile import fetch_secrets, load
    from hypernode.fleet.rollout import check_fresh
    from hypernode.fleet.yamlfile import read_file

    chosen: Selection = options["selection"]
    if chosen.nodes or chosen.groups or chosen.where or _given("file"):
        raise click.UsageError("A plan is applied as it is: of the selection only --exclude goes with it.")
    if "order" in rules:
        raise click.UsageError("A plan keeps the order that it was made with.")
    catalogue = catalogue_for(Selection(), link, refresh=options["refresh"])
    raw = read_file(path, if_missing=_NO_PLAN)
    made = load(raw, catalogue, path=str(path), api_url=link.api_url)
    if checksum is not None and checksum != made.checksum:
        raise PlanIsStale(f"{path} has the checksum {made.checksum}, not {checksum}; nothing was changed")
    check_excluded(chosen.exclude, made.compared)
    made = replace(made, rules=replace(made.rules, **rules))
    check_canaries(rules.get("canary", ()), made.compared, known=made.compared, path=str(path))
    made = fetch_secrets(made.without(chosen.exclude), partial(fetch_from, path.parent), path=str(path))
    link.address(made.nodes)
    with link.executor() as executor:
        check_fresh(made, link.reader(catalogue, made.ways), catalogue, executor)
    source, again = source_of(path, raw), f"hnctl apply {shlex.quote(str(path))}{chosen.spelled()}"
    return carry_out(link, catalogue, made, {}, source=source, ask=True, again=again, verbose=verbose, **options)


def _given(name: str) -> bool:
    """Tell whether an option stands on the command line, and not just in a variable."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def compare_with_file(
    link: Connection, *, selection: Selection, refresh: bool, rules: Mapping[str, Any] | None = None, **_: Any
) -> tuple[Catalogue, Comparison, bytes]:
    """Read the fleet file, whose bytes come last, and the chosen nodes, and plan."""
    from hnctl.comparing import check_canaries, compare_nodes
    from hnctl.fitting import fitted
    from hnctl.values import fetch_from
    from hypernode.fleet.compare import desired_of
    from hypernode.fleet.spec import parse
    from hypernode.fleet.yamlfile import read_file

    path = fleet_path(link, selection.file)
    catalogue = catalogue_for(selection.or_all(), link, refresh=refresh)
    raw = read_file(path)
    fleet = parse(raw, catalogue, path=str(path))
    chosen = choose_in_fleet(selection, fleet)
    check_canaries((rules or {}).get("canary", ()), chosen, known=fleet.nodes, path=fleet.path)
    desired: Desired = desired_of(fleet, chosen, partial(fetch_from, path.parent))
    return catalogue, fitted(link, compare_nodes(link, catalogue, desired, selection.where, rules)), raw


def tell_ignored(comparison: Comparison) -> None:
    """Tell on stderr how many values the fleet file says to ignore."""
    if count := comparison.ignored:
        verb = "value is" if count == 1 else "values are"
        print_note(f"{count:,} {verb} ignored; `ignore` in the fleet file says why.")


def _advise_copy(comparison: Comparison, file: str | None) -> None:
    """Tell on stderr how what cannot be undone can be tried on a copy first."""
    final = [change for change in comparison.plan.changes if "irreversible" in change.hazards]
    if final:
        named = "" if file is None else f" -f {shlex.quote(file)}"
        names = ", ".join(dict.fromkeys(change.setting for change in final))
        print_note(printable(f"Try {names} on a copy first: hnctl preview{named} -n {final[0].node}"))


def tell_needs(comparison: Comparison) -> None:
    """Tell on stderr which products are in question: no command but one of its own changes them."""
    if comparison.needs:
        from hnctl.render.fit import needs_told

        print_note("\n".join(map(printable, needs_told(comparison.needs))))


def _emit_plan(link: Connection, comparison: Comparison, *, verbose: bool) -> None:
    from hnctl.agreement import show_plan
    from hnctl.reading import tell_failures, tell_hints
    from hypernode.fleet.planfile import dump

    unread = _reasons(comparison.failures)
    output = link.value("output")
    if output == "table":
        show_plan(comparison.plan, unread, verbose=verbose, needs=comparison.needs)
        tell_hints(comparison.failures)
        return
    if output == "markdown":
        from hnctl.render.fit import needs_markdown
        from hnctl.render.plan import render_plan_markdown

        parts = [
            render_plan_markdown(comparison.plan, unread, needs=comparison.needs),
            needs_markdown(comparison.needs),
        ]
        print_data("\n\n".join(filter(None, parts)))
        return
    from hnctl.render.error import error_document
    from hnctl.render.fit import need_row
    from hnctl.render.listing import Listing, render_document

    document = dump(comparison.plan, api_url=link.api_url, unread=unread)
    document["products"] = [need_row(need) for need in comparison.needs]
    if output == "jsonl":
        failures = [error_document(error, node=node) for node, error in comparison.failures.items()]
        rows = [*document["changes"], *({"product": need} for need in document["products"])]
        print_listing(Listing("changes", [], rows, failures), output)
    else:
        print_data(render_document(document, output))
    tell_failures(comparison.failures)


def _reasons(failures: Mapping[str, HypernodeError]) -> dict[str, str]:
    return {node: error.message.removeprefix(f"{node}: ") for node, error in failures.items()}


def _status(comparison: Comparison, *, detailed: bool) -> Exit:
    if comparison.failures:
        return exit_for_failures(comparison.failures.values(), some_succeeded=bool(comparison.plan.compared))
    another = any(need.setting is None for need in comparison.needs)
    return Exit.DIFFERENT if detailed and (comparison.plan.changes or another) else Exit.OK
