"""`hnctl nodes`: what the API says of nodes besides their settings."""

from __future__ import annotations

from typing import Any

import click

from hnctl.command import Command
from hnctl.completion import complete_node
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, output_option, refresh_option, selection_options
from hnctl.printing import print_data
from hnctl.selection import Selection, catalogue_for, own_node


@click.group()
def nodes() -> None:
    """Show nodes."""


@nodes.command("list", cls=Command)
@selection_options
@connection_options
@refresh_option
@output_option
def list_(selection: Selection, refresh: bool, **connection: Any) -> Exit:
    """List nodes: those of the fleet file, or all with a token.

    Example: hnctl nodes list --where 'product ~ FALCON_S'
    """
    from hnctl.reading import print_rows, read_chosen
    from hypernode.api.apps import make_node
    from hypernode.errors import BadAnswer

    link = Connection(**connection)
    selection = selection.or_all()
    catalogue = catalogue_for(selection, link, refresh=refresh)
    live, failures = read_chosen(link, selection, catalogue, only_api=True)
    rows = []
    for name, detail in live.items():
        try:
            node = make_node(detail, name)
        except BadAnswer as exc:
            failures[name] = exc
            continue
        row = node.model_dump(mode="json")
        rows.append({**row, "node": name, "product": node.product.code if node.product else None})
    return print_rows(link, "nodes", ["node", "product", "type", "ip", "state", "provider"], rows, failures)


@nodes.command(cls=Command)
@click.argument("name", metavar="[NODE]", required=False, shell_complete=complete_node)
@connection_options
@output_option
def show(name: str | None, output: str | None, **connection: Any) -> None:
    """Show one node.

    Personal data and secrets are left out.

    Example: hnctl nodes show kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION, cell, render_document
    from hypernode.api.labels import spell_labels
    from hypernode.names import check_node

    link = Connection(output=output, **connection)
    chosen = check_node(name) if name else own_node()
    link.address([chosen])
    with link.client(chosen) as client:
        node = client.get_node().model_dump(mode="json")
    form = link.value("output")
    if form not in ("table", "markdown"):
        print_data(render_document({"format_version": FORMAT_VERSION, "node": node}, form))
        return
    for field in ("product", "flavor"):
        node[field] = node[field]["name"] if node[field] else None
    node["labels"] = spell_labels(node["labels"])
    print_data("\n".join(f"{field.replace('_', ' '):<18}{cell(value)}" for field, value in node.items()))


@nodes.command(cls=Command)
@click.argument("name", metavar="[NODE]", required=False, shell_complete=complete_node)
@connection_options
@output_option
def relations(name: str | None, output: str | None, **connection: Any) -> None:
    """Show what other nodes a node works with in a cluster.

    Example: hnctl nodes relations kaasshop
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hypernode.names import check_node

    link = Connection(output=output, **connection)
    chosen = check_node(name) if name else own_node()
    link.address([chosen])
    with link.client(chosen) as client:
        found = client.get_relations()
    sides = [("parent", each, each.parent) for each in found.parents]
    sides += [("child", each, each.child) for each in found.children]
    rows = [{"is": side, "node": other, **each.model_dump(mode="json")} for side, each, other in sides]
    columns = ["node", "is", "type", "cluster_description"]
    empty = f"{chosen} has no relations."
    print_listing(Listing("relations", columns, rows, empty=empty), link.value("output"))
