"""`hnctl allowlist`: the addresses that may pass. The API spells it whitelist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.consent import ask_for_name, ask_to_send, confirm_option, yes_option
from hnctl.exits import Exit
from hnctl.options import connection_options, nodes_through_api_options, one_node_option, option, output_option
from hnctl.printing import print_either, print_note
from hnctl.selection import Selection, only_node
from hypernode.allowlists import PREFIX, canonical, is_address
from hypernode.errors import InputError
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.api.models import AllowlistEntry

_SSH = "works the other way round: without an entry SSH is open to all, the first one closes it for everybody else"

_OF_THE_TOOL = ("ssh", "phpmyadmin")
"""Types that only the documents of hypernode-systemctl name (CONTRACT.md 6)."""


@click.group()
def allowlist() -> None:
    """Show and change the addresses that may pass."""


@allowlist.command("list", cls=Command)
@option("--type", "type_", metavar="TYPE", help="Only entries of this type.")
@nodes_through_api_options
@connection_options
@output_option
def list_(type_: str | None, selection: Selection, **connection: Any) -> Exit:
    """List the entries of the allowlists of nodes.

    Examples:
      hnctl allowlist list -n kaasshop
      hnctl allowlist list --type ssh --all
    """
    from hnctl.reading import ask_chosen, columns_for, of_nodes, print_rows

    def entries(client: Client) -> tuple[AllowlistEntry, ...]:
        return client.allowlist.list(None if type_ is None else _check_type(type_, client.allowlist.types()))

    link = Connection(**connection)
    found, failures = ask_chosen(link, selection, entries)
    rows = [{"node": node, **entry.model_dump(mode="json")} for node, listed in found.items() for entry in listed]
    columns = ["type", "ip", "created", "description"]
    return print_rows(
        link, "entries", columns_for(columns, found, failures), rows, failures, empty=f"No entries{of_nodes(found)}."
    )


@allowlist.command(cls=Command)
@one_node_option
@connection_options
@output_option
def types(nodes: tuple[str, ...], output: str | None, **connection: Any) -> None:
    """List the types of entries that a node takes.

    Only the API itself tells which there are: the documents name more than it was seen to take.

    Example: hnctl allowlist types -n kaasshop
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing

    link = Connection(output=output, **connection)
    node = only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        rows = [{"type": name, "note": _SSH if name == "ssh" else None} for name in client.allowlist.types()]
    print_listing(Listing("types", ["type", "note"], rows, empty="No types."), link.value("output"))


@allowlist.command(cls=Command)
@click.argument("type_", metavar="TYPE")
@click.argument("ip")
@option("--description", metavar="TEXT", default="", help="What it is for.")
@one_node_option
@yes_option
@confirm_option("NODE:allowlist.ssh")
@connection_options
@output_option
def add(type_: str, ip: str, description: str, nodes: tuple[str, ...], **options: Any) -> None:
    """Let an address or a range pass.

    IP is IPv4 or IPv6, in any spelling; whether the API takes IPv6 is open, and it will say so. TYPE is one of
    `hnctl allowlist types`. A range that lets everybody in is asked about.

    The first entry of ssh closes SSH for everybody else. That takes --confirm NODE:allowlist.ssh, or the same typed on
    a terminal; --yes is not enough.

    Examples:
      hnctl allowlist add database 192.0.2.9 --description office -n kaasshop
      hnctl allowlist add ssh 192.0.2.9 -n kaasshop --confirm kaasshop:allowlist.ssh
    """
    address = _check_address(ip)
    link, node = Connection(**options), only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        there = client.allowlist.list(_check_type(type_, client.allowlist.types()))
        known = next((entry for entry in there if canonical(entry.ip) == address), None)
        if known is None:
            if not address.startswith(canonical(ip.partition("/")[0])):
                print_note(f"{printable(ip.strip())} means {address}.")
            before = [entry.ip for entry in there]
            _agree(node, type_, before, [*before, address], yes=options["yes"], confirm=options["confirm"])
            client.allowlist.add(type_, address, description)
    remark = ""
    if known is not None and description not in ("", known.description):
        remark = f"its description stays {known.description or ''!r}"
    _tell(link, node, type_, address, "added" if known is None else "already there", remark)


@allowlist.command(cls=Command)
@click.argument("type_", metavar="TYPE")
@click.argument("ip")
@one_node_option
@yes_option
@confirm_option("NODE:allowlist.ssh")
@connection_options
@output_option
def remove(type_: str, ip: str, nodes: tuple[str, ...], **options: Any) -> None:
    """Let an address or a range pass no more.

    Removing an entry of ssh while others are left locks out whoever comes from there, perhaps you. That takes --confirm
    NODE:allowlist.ssh, or the same typed on a terminal; --yes is not enough. Your own address is known on the node
    itself only, by SSH_CONNECTION; anywhere else each such removal counts as a possible lock-out. Removing the last
    entry of ssh opens SSH to everybody, and is asked about.

    Examples:
      hnctl allowlist remove database 192.0.2.9 -n kaasshop
      hnctl allowlist remove ssh 192.0.2.9 -n kaasshop --confirm kaasshop:allowlist.ssh
    """
    address = _check_address(ip)
    link, node = Connection(**options), only_node(nodes)
    link.address([node])
    with link.client(node) as client:
        there = client.allowlist.list(_check_type(type_, client.allowlist.types()))
        before = [entry.ip for entry in there]
        left = [each for each in before if canonical(each) != address]
        if gone := len(left) < len(before):
            _agree(node, type_, before, left, yes=options["yes"], confirm=options["confirm"])
            client.allowlist.remove(type_, address)
    _tell(link, node, type_, address, "removed" if gone else "not there", _still(address, left))


def _check_address(ip: str) -> str:
    """Return the canonical spelling of `ip`.

    Raises:
        InputError: It is neither an address nor a range.
    """
    if not is_address(ip):
        raise InputError(
            f"{ip[:80]!r} is no address and no range",
            hint="Write it as 192.0.2.9, 198.51.100.0/24, 2001:db8::9 or 2001:db8::/32; names of hosts are not taken",
        )
    return canonical(ip)


def _check_type(type_: str, known: Sequence[str]) -> str:
    from hypernode.catalogue import closest

    if type_ in known:
        return type_
    near = closest(type_, known)
    hint = f"Did you mean {near}?" if near else None
    if type_ in _OF_THE_TOOL:
        hint = f"By the docs the node's own tool knows it: hypernode-systemctl whitelist add {type_} IP"
    there_are = f"there {'are' if len(known) > 1 else 'is'} {', '.join(map(printable, known)) or 'none'}"
    raise InputError(f"the API knows no allowlist of type {printable(type_[:80])!r}; {there_are}", hint=hint)


def _agree(
    node: str, type_: str, before: Sequence[str], after: Sequence[str], *, yes: bool, confirm: Sequence[str]
) -> None:
    """Have what is hazardous about a change agreed to; lock-outs first, as they may end it.

    Raises:
        NotAgreed: It was not.
    """
    from hnctl.own_address import own_address
    from hypernode.allowlist_risk import judge

    hazards = judge(type_, before, after, own=own_address(node))
    for hazard in hazards:
        if hazard.kind == "locks_out":
            name = f"{node}:{PREFIX}{type_}"
            ask_for_name(name, f"{node}: {hazard.text}", confirm=confirm, node=node)
    for hazard in hazards:
        if hazard.kind == "opens":
            ask_to_send(f"{node}: {hazard.text}", yes=yes)


def _still(address: str, left: Sequence[str]) -> str:
    """Return which entry lets `address` pass all the same."""
    from hypernode.allowlist_risk import passes

    by = [entry for entry in left if passes(address, [entry])]
    return f"still let in by {', '.join(by)}" if by else ""


def _tell(link: Connection, node: str, type_: str, ip: str, result: str, remark: str) -> None:
    from hnctl.render.listing import FORMAT_VERSION

    text = f"{node}: {type_} {ip} {result}" + (f", {remark}" if remark else "")
    document = {"node": node, "type": type_, "ip": ip, "result": result, "remark": remark or None}
    print_either(link.value("output"), lambda: printable(text), lambda: {"format_version": FORMAT_VERSION, **document})
