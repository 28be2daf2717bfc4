"""`hnctl attacks`: ready-made nginx rules against known attacks."""

from __future__ import annotations

from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.consent import ask_to_send, yes_option
from hnctl.options import connection_options, one_node_option, output_option
from hnctl.printing import print_either, print_note
from hnctl.selection import only_node
from hypernode.errors import InputError
from hypernode.printable import printable

_FOLDER = "/data/web/nginx"


@click.group()
def attacks() -> None:
    """List the attacks that can be blocked, and block one."""


@attacks.command("list", cls=Command)
@one_node_option
@connection_options
@output_option
def list_(nodes: tuple[str, ...], output: str | None, **connection: Any) -> None:
    """List the attacks that can be blocked, and what each rule does.

    Example: hnctl attacks list -n kaasshop
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing

    link = Connection(output=output, **connection)
    node = only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        rows = [{"name": name, "description": text} for name, text in sorted(client.attacks.descriptions().items())]
    print_listing(Listing("attacks", ["name", "description"], rows, empty="No attacks."), link.value("output"))


@attacks.command(cls=Command)
@click.argument("name", metavar="NAME")
@one_node_option
@yes_option
@connection_options
@output_option
def block(name: str, nodes: tuple[str, ...], yes: bool, **options: Any) -> None:
    """Block an attack on a node.

    A flow, block_attack, puts a file with rules for nginx into /data/web/nginx on the node, and takes it away again
    when nginx does not accept it. No call undoes it: the file is removed by hand. It is sent once.

    Example: hnctl attacks block BlockSqliBruteForce -n kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION

    link, node = Connection(**options), only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        known = client.attacks.descriptions()
        if name not in known:
            raise _unknown(name, list(known))
        print_note(printable(f"{name}: {known[name]}"))
        ask_to_send(
            f"{node}: rules against {name} are put into {_FOLDER}; no call undoes that, the file is removed by hand",
            yes=yes,
        )
        client.attacks.block(name)
    document = {"format_version": FORMAT_VERSION, "node": node, "attack": name, "result": "posted"}
    print_either(
        link.value("output"), lambda: printable(f"{node}: the job to block {name} is posted"), lambda: document
    )
    print_note(
        f"Follow it with `hnctl flows watch -n {node}`. The file lies in {_FOLDER} on the node unless nginx refused it."
    )


def _unknown(name: str, known: list[str]) -> InputError:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return InputError(
        f"the API knows no attack {printable(name[:80])!r}",
        hint=f"Did you mean {near[0]}?" if near else "They are listed by `hnctl attacks list`",
    )
