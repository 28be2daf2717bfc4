"""`hnctl orders`: what it takes to order a node, and ordering it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.consent import ask_for_name, confirm_option
from hnctl.exits import Exit
from hnctl.options import connection_options, one_node_option, option, output_option
from hnctl.printing import print_either, print_note
from hnctl.selection import only_node
from hypernode.errors import InputError, InvalidNode, NotFound, TokenRefused
from hypernode.printable import printable


@click.group()
def orders() -> None:
    """Order a node, with a token that may."""


@orders.command(cls=Command)
@one_node_option
@connection_options
@output_option
def configurations(nodes: tuple[str, ...], output: str | None, **connection: Any) -> None:
    """List what a new node can start with.

    The table shows the versions; JSON has all settings of each.

    Example: hnctl orders configurations -n kaasshop
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing

    link = Connection(output=output, **connection)
    node = only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        found = [each.model_dump(mode="json") for each in client.products.iter_configurations()]
    rows = [
        {**each, "php": each["settings"].get("php_version"), "mysql": each["settings"].get("mysql_version")}
        for each in found
    ]
    columns = ["id", "name", "php", "mysql", "allow_preinstall"]
    print_listing(Listing("configurations", columns, rows, empty="No configurations."), link.value("output"))


@orders.command("check-name", cls=Command)
@click.argument("name", metavar="NAME")
@one_node_option
@connection_options
@output_option
def check_name(name: str, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Ask the API whether a new node can have a name. Exits with 1 when it cannot.

    Example: hnctl orders check-name kaasshop2 -n kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION

    link, node = Connection(**options), only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        said = client.check_name(name)
    document = {"format_version": FORMAT_VERSION, "name": name, "free": not said, "messages": list(said)}
    told = f"{name} is free" if not said else f"{name} cannot be had: {'; '.join(said)}"
    print_either(link.value("output"), lambda: printable(told), lambda: document)
    return Exit.FAILED if said else Exit.OK


@orders.command(cls=Command)
@click.argument("name", metavar="NAME")
@click.argument("code", metavar="CODE")
@click.argument("configuration", metavar="CONFIGURATION")
@option(
    "--order-token",
    metavar="REFERENCE",
    help="Where the token for orders is: env:, file:, keyring:, cmd:, or - for stdin.",
)
@confirm_option("NAME:CODE")
@connection_options
@output_option
def create(
    name: str, code: str, configuration: str, order_token: str | None, confirm: tuple[str, ...], **options: Any
) -> None:
    """Order a new node called NAME, of the product CODE. It costs money.

    The API answers 403 to the token of a node. One that may order is handed out by support@hypernode.com only, and has
    to be named here: no token that hnctl finds by itself is used. The price is shown as the API gives it; it does not
    state the unit. Agree with --confirm NAME:CODE, or by typing that on a terminal; there is no --yes. The order is
    sent once, and what the API answers to one is not known from any source: it is shown as it is.

    Example: hnctl orders create kaasshop2 FALCON_S_202203 magento_2 --order-token file:order-token
    """
    from hnctl.masks import masked
    from hnctl.render.listing import FORMAT_VERSION
    from hnctl.render.products import NOT_STATED, UNIT
    from hnctl.values import read_secret
    from hypernode.api.client import Client
    from hypernode.credentials import explicit
    from hypernode.names import check_code, check_node, parent_of

    check_code(code)
    if parent_of(check_node(name)):
        raise InvalidNode(f"{name} is the name of a Brancher, and those are not ordered", hint="hnctl brancher create")
    if not configuration.strip():
        raise InputError("which configuration? None was given", hint="They are listed by `hnctl orders configurations`")
    if order_token is None:
        raise InputError(
            "an order needs a token of its own: that of a node may not order",
            hint="Ask support@hypernode.com for one, and name it: --order-token file:PATH",
        )
    link = Connection(**options)
    transport = link.transport  # an address that cannot be used is told before a token is looked for
    token = explicit(read_secret("the token for orders", order_token)[0], name).secret
    with _with_own_hints(), Client(name, token=token, transport=transport) as client:
        said = client.check_name(name)
        if said:
            raise InputError(f"{name} cannot be had: {'; '.join(map(printable, said))}")
        product = client.products.get(code)
        price = "not told" if product.price is None else f"{product.price} ({UNIT})"
        print_note(printable(f"{name}: {product.name or code} ({code}) with {configuration}, price {price}"))
        ask_for_name(f"{name}:{code}", f"{name}: a node of the product {code} is ordered, for money", confirm=confirm)
        answer = masked(client.products.order(name, code, configuration), link.catalogue(), token)
    document = {
        "format_version": FORMAT_VERSION,
        "node": name,
        "product": code,
        "configuration": configuration,
        "price": product.price,
        "price_unit": NOT_STATED,
        "answer": answer,
    }
    print_either(link.value("output"), lambda: printable(_told(name, answer)), lambda: document)
    print_note(
        "No call of the API tells how far an order is; the control panel does. Once the node is there:\n"
        f"  hnctl auth bootstrap -n {name}\n"
        f"  hnctl flows watch -n {name}"
    )


@contextmanager
def _with_own_hints() -> Iterator[None]:
    """Replace the hints of errors that take the node for one that is there, and its token for that of a node."""
    try:
        yield
    except TokenRefused as exc:
        exc.hint = "It is the one that --order-token names; support@hypernode.com hands out tokens that may order"
        raise
    except NotFound as exc:
        exc.hint = "With the token of a node that is there: hnctl products list -n NODE"
        raise


def _told(name: str, answer: object) -> str:
    import json

    return f"{name}: ordered" + (f"; the API answered {json.dumps(answer)}" if answer else "")
