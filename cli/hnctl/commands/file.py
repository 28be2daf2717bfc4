"""`hnctl validate`, `schema`, `export` and `explain`: the fleet file itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.completion import complete_node, complete_setting
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.options import (
    connection_options,
    file_option,
    option,
    output_option,
    refresh_option,
    selection_without_all_options,
)
from hnctl.printing import print_data
from hnctl.selection import Selection, catalogue_for, choose_in_fleet, fleet_path

if TYPE_CHECKING:
    from hypernode.api.models import Flow


@click.command(cls=Command)
@file_option
@output_option
def validate(file: str | None, output: str | None) -> None:
    """Check a fleet file and tell all its problems at once.

    Sends nothing.

    Example: hnctl validate -f fleet.yaml
    """
    from hnctl.render.listing import FORMAT_VERSION, render_document
    from hypernode.fleet.spec import load

    link = Connection(output=output)
    fleet = load(fleet_path(link, file), link.catalogue())
    nodes, groups = len(fleet.nodes), len(fleet.groups)
    facts = {"file": fleet.path, "nodes": nodes, "groups": groups}
    if link.value("output") in ("table", "markdown"):
        print_data(f"{fleet.path}: good, {nodes} node{'s' * (nodes != 1)} in {groups} group{'s' * (groups != 1)}")
    else:
        print_data(render_document({"format_version": FORMAT_VERSION, **facts, "problems": []}, link.value("output")))


@click.command(cls=Command)
def schema() -> None:
    """Print the JSON Schema of the fleet file, for editors.

    Example: hnctl schema > fleet.schema.json
    """
    import json

    from hypernode.fleet.schema import make_schema

    print_data(json.dumps(make_schema(Connection().catalogue()), indent=2))


@click.command(cls=Command)
@option(
    "--all",
    "with_defaults",
    is_flag=True,
    envvar="HNCTL_EXPORT_ALL",
    help="Write all settings, those too that have the value a new node starts with.",
)
@selection_without_all_options
@connection_options
@refresh_option
def export(with_defaults: bool, selection: Selection, refresh: bool, **connection: Any) -> Exit:
    """Write a fleet file of what exists to stdout.

    Without -n or --group it is about all nodes with a token. Secrets become references to fill in. Allowlists are not
    in it: hnctl allowlist list shows what nodes have, to be copied into the file.

    Examples:
      hnctl export > fleet.yaml
      hnctl export --all -n kaasshop
    """
    from hnctl.reading import read_chosen, tell_failures
    from hypernode.fleet.export import make_file

    link = Connection(**connection)
    selection = selection.or_all()
    catalogue = catalogue_for(selection, link, refresh=refresh)
    live, failures = read_chosen(link, selection, catalogue, only_api=True, only_named_file=True)
    tell_failures(failures)
    if live or not failures:
        # Bytes, because a file is UTF-8 in every locale.
        print_data(make_file(live, catalogue, with_defaults=with_defaults).removesuffix("\n").encode())
    return exit_for_failures(failures.values(), some_succeeded=bool(live))


@click.command(cls=Command)
@click.argument("node", shell_complete=complete_node)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@file_option
@connection_options
@refresh_option
@output_option
def explain(node: str, name: str, file: str | None, refresh: bool, output: str | None, **connection: Any) -> None:
    """Tell where the value of one setting comes from.

    Shows all layers of the file, the live value, what the setting takes, what a change of it risks, and the last flow.
    An allowlist is called allowlist.TYPE here; no flow tells of it.

    Examples:
      hnctl explain kaasshop php_version
      hnctl explain kaasshop allowlist.database
    """
    from hnctl.reading import read_one
    from hnctl.render.explanation import explanation_document, render_explanation
    from hnctl.render.listing import render_document
    from hnctl.ways import find_ways
    from hypernode.fleet.managed import AddressList, explained
    from hypernode.fleet.spec import load

    link = Connection(output=output, **connection)
    chosen = Selection(nodes=(node,), file=file)
    catalogue = catalogue_for(chosen, link, refresh=refresh)
    setting = explained(catalogue, name)
    fleet = load(fleet_path(link, file), catalogue, with_secrets=False)
    choose_in_fleet(chosen, fleet)
    ways = find_ways(link, chosen, [node], fleet)
    live = read_one(link, node, setting, ways, catalogue)
    without = node in ways or isinstance(setting, AddressList)
    flows = [] if without else [flow for flow in _newest_flows(link, node) if flow.name == "update_node"]
    document = explanation_document(fleet, node, setting, live, flows[0] if flows else None)
    form = link.value("output")
    print_data(render_explanation(document) if form in ("table", "markdown") else render_document(document, form))


def _newest_flows(link: Connection, node: str) -> Sequence[Flow]:

    with link.client(node) as client:
        return client.flows.newest()
