"""`hnctl insights`: marks on the graphs of Insights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, nodes_through_api_options, one_node_option, option, output_option
from hnctl.printing import print_either
from hnctl.selection import Selection, only_node
from hnctl.value_types import MOMENT
from hypernode.errors import InputError
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.api.models import Annotation


@click.group()
def insights() -> None:
    """List the marks on the graphs of Insights, and make one."""


@insights.command("list", cls=Command)
@nodes_through_api_options
@connection_options
@output_option
def list_(selection: Selection, **connection: Any) -> Exit:
    """List the marks on the graphs of nodes.

    A token sees its own ones only. That the API can be asked for those of one node is attested by third parties alone;
    what it answers of other nodes all the same is left out.

    Example: hnctl insights list -n kaasshop
    """
    from hnctl.reading import ask_chosen, columns_for, print_rows

    link = Connection(**connection)
    found, failures = ask_chosen(link, selection, lambda client: tuple(client.insights.iter()))
    rows = [{**_row(mark), "node": node} for node, listed in found.items() for mark in listed]
    columns = ["at", "name", "metrics", "id"]
    return print_rows(link, "annotations", columns_for(columns, found, failures), rows, failures)


@insights.command(cls=Command)
@click.argument("name", metavar="NAME")
@option(
    "--at",
    type=MOMENT,
    metavar="TIME",
    help="When: 2024-03-05T10:15+01:00, without a zone this machine's own; or how long ago, 90s, 7d.  [default: now]",
)
@option("--metrics", metavar="A,B", default="", help="Names of graphs; the API judges them.  [default: not said]")
@one_node_option
@connection_options
@output_option
def add(name: str, at: float | None, metrics: str, nodes: tuple[str, ...], **options: Any) -> None:
    """Mark a moment on the graphs of a node.

    It is sent once, and no call that takes a mark away is known.

    Example: hnctl insights add 'release 12' --metrics memory_usage -n kaasshop
    """
    from datetime import UTC, datetime

    from hnctl.render.listing import FORMAT_VERSION

    if not name.strip():
        raise InputError("a mark needs a name", hint="Say what happened then, such as 'release 12'")
    names = [each.strip() for each in metrics.split(",") if each.strip()]
    link, node = Connection(**options), only_node(nodes)
    moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    link.address([node])
    with link.client(node) as client:
        mark = client.insights.add(name, moment, metrics=names)
    row = {**_row(mark), "node": node}
    print_either(
        link.value("output"),
        lambda: printable(f"{node}: marked {row['name']} at {row['at']}"),
        lambda: {"format_version": FORMAT_VERSION, **row},
    )


def _row(mark: Annotation) -> dict[str, Any]:
    return mark.model_dump(mode="json")
