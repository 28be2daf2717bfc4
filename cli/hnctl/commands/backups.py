"""`hnctl backups`: what there is to go back to, and asking for a backup now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.consent import ask_to_send, yes_option
from hnctl.exits import Exit
from hnctl.options import connection_options, nodes_through_api_options, one_node_option, output_option
from hnctl.printing import print_either, print_note
from hnctl.selection import Selection, only_node
from hypernode.errors import Rejected
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.api.models import Backup


@click.group()
def backups() -> None:
    """List the backups of nodes, and ask for one."""


@backups.command("list", cls=Command)
@nodes_through_api_options
@connection_options
@output_option
def list_(selection: Selection, **connection: Any) -> Exit:
    """List the backups of nodes, in the order of the API.

    No call of the API that attaches or restores one is known. By the docs the node's own tool attaches them:
    `hypernode-systemctl attach_backup`.

    Example: hnctl backups list -n kaasshop
    """
    from hnctl.reading import ask_chosen, columns_for, print_rows

    link = Connection(**connection)
    found, failures = ask_chosen(link, selection, lambda client: tuple(client.backups.iter()))
    rows = [{"node": node, **_row(backup)} for node, listed in found.items() for backup in listed]
    columns = ["created_at", "type", "expires_at", "id"]
    return print_rows(link, "backups", columns_for(columns, found, failures), rows, failures)


@backups.command(cls=Command)
@one_node_option
@yes_option
@connection_options
@output_option
def create(nodes: tuple[str, ...], yes: bool, **options: Any) -> None:
    """Ask for a backup of a node now.

    By the docs this needs SLA Standard, and such a backup is kept for two days. It is sent once. Its flow,
    create_backup, is often shown as reverted although the backup is only slow: look for it in the list.

    Example: hnctl backups create -n kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION

    link, node = Connection(**options), only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        ask_to_send(f"{node}: the platform is about to be asked for a backup", yes=yes)
        try:
            said = client.backups.create()
        except Rejected as exc:
            exc.hint = "By the docs a backup on request needs SLA Standard"
            raise
    document = {"format_version": FORMAT_VERSION, "node": node, "said": said or None}
    print_either(
        link.value("output"),
        lambda: printable(f"{node}: the API took it" + (f" and said: {said}" if said else " and said nothing")),
        lambda: document,
    )
    print_note(
        f"Follow it with `hnctl flows watch -n {node}`. When create_backup ends as reverted it is often only slow:\n"
        f"look for it with `hnctl backups list -n {node}` before you ask for another one."
    )


def _row(backup: Backup) -> dict[str, Any]:
    row = backup.model_dump(mode="json")
    row["expires_at"] = row.pop("expired_at")
    return row
