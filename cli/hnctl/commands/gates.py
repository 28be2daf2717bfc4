"""`hnctl gates`: what has to hold between the waves of a rollout, tried by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, output_option, refresh_option, selection_options
from hnctl.printing import print_listing
from hnctl.selection import Selection, catalogue_for, choose_in_fleet, load_fleet

if TYPE_CHECKING:
    from hypernode.catalogue import Catalogue
    from hypernode.errors import HypernodeError
    from hypernode.fleet.gates import Finding
    from hypernode.fleet.spec import Fleet


@click.group()
def gates() -> None:
    """Try the gates of a rollout without changing anything."""


@gates.command(cls=Command)
@selection_options
@connection_options
@refresh_option
@output_option
def check(selection: Selection, refresh: bool, output: str | None, **connection: Any) -> Exit:
    """Try the gates of the fleet file on nodes.

    Changes nothing. Fails when a gate fails; when none fails and one could not decide, the status is 3. The gate
    `flows` is left out: it asks what became of a change.

    Example: hnctl gates check -f fleet.yaml --group magento
    """
    from hnctl.gates import exit_for_findings, make_prober
    from hnctl.reading import tell_failures
    from hnctl.render.gates import gate_listing
    from hnctl.render.progress import progress
    from hypernode.fleet.executors import for_each_node

    link = Connection(output=output, **connection)
    catalogue = catalogue_for(selection.or_all(), link, refresh=refresh)
    fleet = load_fleet(selection, link, catalogue)
    nodes, failures = _choose(link, selection, catalogue, fleet)
    link.address(nodes)
    prober = make_prober(link, fleet.rules.gates)
    found: dict[str, tuple[Finding, ...]] = {}
    if prober is not None:
        with progress("trying", len(nodes)) as bar, link.executor() as executor:
            try:
                found, _ = for_each_node(executor, nodes, prober.try_on, on_node=bar.step)
            except KeyboardInterrupt:
                prober.end()
                raise
    findings = [finding for each in found.values() for finding in each]
    empty = "No nodes." if prober else f"{fleet.path} has no gates that can be tried."
    form = link.value("output")
    print_listing(gate_listing(findings, failures, for_person=form in ("table", "markdown"), empty=empty), form)
    tell_failures(failures)
    return exit_for_findings(findings, all_tried=not failures)


def _choose(
    link: Connection, selection: Selection, catalogue: Catalogue, fleet: Fleet
) -> tuple[list[str], dict[str, HypernodeError]]:
    """Return the chosen nodes, and the errors of those that --where could not be asked of."""
    from hnctl.reading import read_chosen

    chosen = choose_in_fleet(selection, fleet)
    if selection.where is None or not chosen:
        return chosen, {}
    named = Selection(tuple(chosen), where=selection.where, file=selection.file)
    read, failures = read_chosen(link, named, catalogue, names=())
    return list(read), failures
