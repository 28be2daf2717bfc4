"""`hnctl products`: hosting tiers, what a node has, and moving it to another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, one_node_option, option, output_option
from hnctl.printing import print_data, print_either, print_listing, print_note
from hnctl.selection import only_node
from hnctl.value_types import SECONDS, TICK, ZonedMoment
from hypernode.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hnctl.product_change import Check
    from hypernode.api.client import Client
    from hypernode.api.models import Flow, Product

_code_argument = click.argument("code", metavar="CODE")


@click.group()
def products() -> None:
    """Products: what nodes can be, what one is, and changing it."""


@products.command("list", cls=Command)
@one_node_option
@connection_options
@output_option
def list_(nodes: tuple[str, ...], **options: Any) -> Exit:
    """List the products on offer.

    They are the same for all nodes; the token of one is used to ask. The unit of a price is not stated by the API.

    Example: hnctl products list -n kaasshop
    """
    from hnctl.render.listing import Listing
    from hnctl.render.products import COLUMNS, UNIT, product_document, product_row

    link = Connection(**options)
    with _client(link, nodes) as client:
        offered = client.products.list()
    form = link.value("output")
    for_person = form in ("table", "markdown")
    rows = [product_row(product) if for_person else product_document(product) for product in offered]
    print_listing(Listing("products", COLUMNS, rows, empty="No products."), form)
    if rows and for_person:
        print_note(f"Price: {UNIT}.")
    return Exit.OK


@products.command(cls=Command)
@_code_argument
@one_node_option
@connection_options
@output_option
def show(code: str, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Show one product with its price.

    The unit of a price is not stated by the API.

    Example: hnctl products show FALCON_L_202203 -n kaasshop
    """
    link = Connection(**options)
    with _client(link, nodes) as client:
        product = client.products.get(code)
    _print_product(link, product)
    return Exit.OK


@products.command(cls=Command)
@one_node_option
@connection_options
@output_option
def current(nodes: tuple[str, ...], **options: Any) -> Exit:
    """Show the product of a node.

    The unit of a price is not stated by the API.

    Example: hnctl products current -n kaasshop
    """
    link = Connection(**options)
    with _client(link, nodes) as client:
        product = client.products.current()
    _print_product(link, product)
    return Exit.OK


@products.command(cls=Command)
@_code_argument
@one_node_option
@connection_options
@output_option
def check(code: str, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Tell what moving a node to another product would mean.

    Whether its address changes, whether its volume is swapped or its data copied, whether the disk fits, whether the
    account can pay, and the price now and then, whose unit is not stated by the API. Changes nothing.

    Example: hnctl products check FALCON_L_202203 -n kaasshop
    """
    from hnctl.product_change import read_check
    from hnctl.render.listing import FORMAT_VERSION
    from hnctl.render.products import check_document, check_in_words

    link = Connection(**options)
    with _client(link, nodes) as client:
        found = read_check(client, code)
    print_either(
        link.value("output"),
        lambda: check_in_words(found),
        lambda: {"format_version": FORMAT_VERSION, "check": check_document(found)},
    )
    return Exit.OK


@products.command(cls=Command)
@_code_argument
@one_node_option
@option("--at", type=ZonedMoment(), metavar="TIME", help="When, with its zone: 2026-09-01T03:00+02:00.  [default: now]")
@option(
    "--confirm", metavar="NODE:CODE", multiple=True, help="Agree to it; without it NODE:CODE is typed on a terminal."
)
@option("--ignore-running", is_flag=True, help="Change it although a flow of the node is running.")
@option("--wait", prefix="HNCTL_PRODUCTS_", is_flag=True, help="Wait until it is done.")
@option(
    "--within",
    type=SECONDS,
    default="2h",
    show_default=True,
    help="Time that it may take, at most 7d; how much it does no source says.",
)
@option("--poll-interval", type=TICK, help="Time until the first look at a flow; grows to 15s.  [default: 2s]")
@connection_options
@output_option
def change(
    code: str,
    nodes: tuple[str, ...],
    at: datetime | None,
    confirm: tuple[str, ...],
    ignore_running: bool,
    wait: bool,
    within: float,
    **options: Any,
) -> Exit:
    """Move a node to another product, with the shop down for a while.

    It costs money. What `hnctl products check` tells is shown first. It is refused when the disk does not fit or no
    payment method is valid, and it has to be confirmed by name. It is sent once, whatever happens. One that is
    scheduled (--at) can be taken back in the control panel only, until it starts, by Hypernode's documentation.

    Examples:
      hnctl products change FALCON_L_202203 -n kaasshop --wait
      hnctl products change FALCON_L_202203 -n kaasshop --confirm kaasshop:FALCON_L_202203
    """
    from hnctl.product_change import agree_by_name, check_still_so, read_check
    from hypernode.fleet.node_locks import locked

    if at is not None and wait:
        raise click.UsageError("What is scheduled is not waited for; give --at or --wait.")
    link = Connection(**options)
    with _client(link, nodes) as client:
        found = read_check(client, code)
        if at is not None and at <= link.transport.server_time(datetime.now(UTC)):
            raise InputError(f"{at.isoformat()} is over", hint="Without --at it is changed now")
        if found.is_there:
            return _tell(link, found, "unchanged", f"{client.node} is of {code} already; nothing was sent.")
        _show(link, found)
        agree_by_name(found, confirm)
        with locked(client.node, link.lock_folder, lasts=within):
            check_still_so(client, found, ignore_running=ignore_running)
            before = client.products.moves() if wait else frozenset()
            client.products.change(code, at=at)
            if at is not None:
                return _tell(link, found, "scheduled", f"{client.node}: scheduled for {at.isoformat()}. {_SCHEDULED}")
            if not wait:
                return _tell(link, found, "accepted", f"{client.node}: the change was accepted. {_look(client.node)}")
            print_note(f"{client.node}: the change was accepted.")
            return _follow(link, client, found, before, within=within)


_SCHEDULED = (
    "No call of the API lists what is scheduled; the control panel does, and `hypernode-systemctl list_xgrades` there."
)


def _look(node: str) -> str:
    return f"Look at it with `hnctl flows watch -n {node}` and `hnctl products current -n {node}`."


def _follow(link: Connection, client: Client, found: Check, before: frozenset[str], *, within: float) -> Exit:
    from hnctl.render.progress import seen, waiting

    node = client.node
    try:
        with waiting() as show:

            def look(flows: Sequence[Flow]) -> None:
                show(seen(node, flows))

            product = client.products.wait(
                found.then.code, before, timeout=within, interval=float(link.value("poll_interval")), on_look=look
            )
    except KeyboardInterrupt:
        print_note(f"{node}: the change goes on. {_look(node)}")
        raise
    if product is None:
        _tell(link, found, "unknown", f"{node}: no flow of it showed up so far. {_look(node)}")
        return Exit.UNKNOWN
    return _tell(link, found, "done", f"{node} is of {product.code} now.")


def _show(link: Connection, found: Check) -> None:
    """Show what is to be done, where it does not stand in the way of a document for a machine."""
    from hnctl.render.products import check_in_words

    (print_data if link.value("output") == "table" else print_note)(check_in_words(found))


def _tell(link: Connection, found: Check, result: str, text: str) -> Exit:
    from hnctl.render.listing import FORMAT_VERSION
    from hnctl.render.products import check_document

    print_either(
        link.value("output"),
        lambda: text,
        lambda: {"format_version": FORMAT_VERSION, "change": {**check_document(found), "result": result}},
    )
    return Exit.OK


def _client(link: Connection, nodes: tuple[str, ...]) -> Client:
    """Return a client of the node that is meant: the one of -n, else our own."""
    node = only_node(nodes)
    link.address([node])
    return link.client(node)


def _print_product(link: Connection, product: Product) -> None:
    from hnctl.render.listing import FORMAT_VERSION
    from hnctl.render.products import product_card, product_document

    print_either(
        link.value("output"),
        lambda: product_card(product),
        lambda: {"format_version": FORMAT_VERSION, "product": product_document(product)},
    )
