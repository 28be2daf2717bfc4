"""`hnctl flows`: the jobs in a node's logbook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, one_node_option, option, output_option, wait_options
from hnctl.printing import print_data, print_note
from hnctl.selection import only_node

if TYPE_CHECKING:
    from hypernode.api.flows import Flows
    from hypernode.api.models import Flow

_BACKUP = "create_backup"
"""A flow that is reverted in the logbook while `hypernode-log` shows it going on (CONTRACT.md 1.7)."""


@click.group()
def flows() -> None:
    """Show or follow the flows of a node."""


@flows.command("list", cls=Command)
@one_node_option
@option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Most flows to show.")
@connection_options
@output_option
def list_(nodes: tuple[str, ...], limit: int, output: str | None, **connection: Any) -> None:
    """List the flows of a node, newest first.

    Example: hnctl flows list -n kaasshop --limit 5
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing

    link = Connection(output=output, **connection)
    node = only_node(nodes)
    rows = [_row(flow) for flow in _flows(link, node).iter(limit)]
    columns = ["name", "state", "progress", "created_at", "uuid"]
    print_listing(Listing("flows", columns, rows, empty="No flows."), link.value("output"))


@flows.command(cls=Command)
@one_node_option
@wait_options
@connection_options
@output_option
def watch(nodes: tuple[str, ...], output: str | None, **options: Any) -> Exit:
    """Follow the flows of a node until none is under way.

    Fails when one of them is reverted; of a backup that leaves open whether it was made. As JSON and YAML each change
    is a document of its own.

    Example: hnctl flows watch -n kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION, cell, render_document
    from hypernode.api.flows import watch as follow

    link = Connection(output=output, **options)
    node = only_node(nodes)
    form = link.value("output")
    reverted: dict[str, str] = {}
    logbook = _flows(link, node)
    for flow in follow(logbook.newest, timeout=float(link.value("wait")), interval=float(link.value("poll_interval"))):
        if flow.state == "reverted":
            reverted[flow.uuid] = flow.name
        row = _row(flow)
        if form in ("table", "markdown"):
            text = cell(f"{flow.name} {flow.state or 'not started'} {row['progress']} {flow.uuid}")
        else:
            text = render_document({"format_version": FORMAT_VERSION, **row}, "jsonl" if form == "json" else form)
            text = f"---\n{text}" if form == "yaml" else text
        print_data(text, follow=True)
    for uuid, name in reverted.items():
        if name == _BACKUP:
            print_note(
                f"{node}: {name} {uuid} was reverted, and its outcome is unknown\n"
                f"  hint: Often it is only a snapshot that takes long; look for it with `hnctl backups list -n {node}`"
            )
    if not reverted:
        return Exit.OK
    return Exit.UNKNOWN if set(reverted.values()) == {_BACKUP} else Exit.FAILED


def _flows(link: Connection, node: str) -> Flows:
    from hypernode.api.flows import Flows

    link.address([node])
    return Flows(link.transport, node, link.token(node))


def _row(flow: Flow) -> dict[str, Any]:
    row = flow.model_dump(mode="json")
    row["progress"] = f"{flow.progress.completed}/{flow.progress.total}"
    row["running"] = list(flow.progress.running)
    row["tracker"] = flow.tracker.uuid
    return row
