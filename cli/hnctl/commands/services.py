"""`hnctl services`: restarting and reloading the services of nodes, through hypernode-servicectl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.completion import complete_service
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import file_option, node_option, option, output_option, timeout_option
from hnctl.printing import print_note
from hnctl.selection import Selection, choose
from hnctl.value_types import SECONDS
from hypernode.errors import HypernodeError
from hypernode.node.servicectl import is_mysql

if TYPE_CHECKING:
    from hypernode.node.servicectl import Action, Servicectl

_MOST_QUERIES = 5

_services_argument = click.argument(
    "services", metavar="SERVICE...", nargs=-1, required=True, shell_complete=complete_service
)


@click.group()
def services() -> None:
    """Restart or reload the services of nodes."""


@services.command(cls=Command)
@_services_argument
@node_option
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@option("--wait", type=SECONDS, default="2m", show_default=True, help="Time for MySQL to answer.")
@file_option
@timeout_option
@output_option
def restart(services: tuple[str, ...], nodes: tuple[str, ...], yes: bool, wait: float, **options: Any) -> Exit:
    """Restart services, here or over SSH.

    A restart of mysql is asked about, with the queries that it would end, and is over when MySQL answers again. Nodes
    are taken one after the other; the first that fails ends it.

    Examples:
      hnctl services restart php8.3-fpm -n kaasshop
      hnctl services restart mysql -n kaasshop --yes
    """
    link = Connection(**options)
    chosen = _find(link, services, nodes, options["file"])
    if any(map(is_mysql, services)):
        _agree(chosen, yes=yes)
    return _act(link, "restart", services, chosen, wait=wait)


@services.command("reload", cls=Command)
@_services_argument
@node_option
@file_option
@timeout_option
@output_option
def reload_(services: tuple[str, ...], nodes: tuple[str, ...], **options: Any) -> Exit:
    """Let services read their configuration again, here or over SSH.

    Example: hnctl services reload nginx -n kaasshop
    """
    link = Connection(**options)
    return _act(link, "reload", services, _find(link, services, nodes, options["file"]), wait=0)


def _find(link: Connection, services: Sequence[str], nodes: tuple[str, ...], file: str | None) -> dict[str, Servicectl]:
    """Return the tool of each chosen node; names are checked before any of them is reached."""
    from hnctl.ways import shell_of
    from hypernode.node.servicectl import Servicectl, check_service

    for name in services:
        check_service(name)
    selection = Selection(nodes, file=file)
    shell = shell_of(link, selection)
    return {node: Servicectl(shell(node), node=node) for node in choose(selection, link, None)}


def _agree(chosen: Mapping[str, Servicectl], *, yes: bool) -> None:
    from hnctl.consent import ask
    from hypernode.printable import printable

    if yes:
        return
    for node, tool in chosen.items():
        queries = tool.running_queries()
        if queries is None:
            print_note(f"{node}: a restart of mysql ends all its connections; what runs now cannot be seen.")
            continue
        count = f"{len(queries) or 'no'} running quer{'y' if len(queries) == 1 else 'ies'}"
        print_note(f"{node}: a restart of mysql ends all its connections, and {count}.")
        for query in queries[:_MOST_QUERIES]:
            print_note(f"    {printable(query)}")
    ask(f"Restart mysql on {', '.join(chosen)}?", yes=yes, undone="nothing was restarted")


def _act(
    link: Connection, action: Action, services: Sequence[str], chosen: Mapping[str, Servicectl], *, wait: float
) -> Exit:
    from hnctl.reading import print_rows

    rows: list[dict[str, Any]] = []
    failures: dict[str, HypernodeError] = {}
    for node, tool in chosen.items():
        result = f"{action}ed"
        try:
            if action == "reload":
                tool.do(action, services)
            elif not tool.restart(services, wait=wait):
                result += ", not verified: there is no mysqladmin to ask it with"
        except KeyboardInterrupt:
            print_note(f"{node}: interrupted; whether the {action} was done is not known.")
            return Exit.INTERRUPTED
        except HypernodeError as exc:
            failures[node] = exc
            break
        rows.append({"node": node, "services": list(services), "result": result})
    if failures and (left := list(chosen)[len(rows) + 1 :]):
        print_note(f"Not attempted: {', '.join(left)}.")
    return print_rows(link, "nodes", ["node", "services", "result"], rows, failures)
