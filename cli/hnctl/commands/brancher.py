"""`hnctl brancher`: copies of a node that are paid by the minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hnctl.branchers import branchers_of, check_parent, choose_parent, server_now, tell_there, wait_for
from hnctl.command import Command
from hnctl.commands.brancher_list import delete, history, list_, reap
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import (
    clear_option,
    connection_options,
    one_node_option,
    option,
    output_option,
    timeout_option,
    within_option,
)
from hnctl.printing import print_either, print_listing, print_note
from hnctl.value_types import TICK
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.api.models import Brancher, BrancherAccount

_poll_option = option("--poll-interval", type=TICK, help="Time until the second look; grows to 15s.  [default: 2s]")
_name_argument = click.argument("name", metavar="NAME")


@click.group()
def brancher() -> None:
    """Branchers: copies of a node, paid by the minute."""


brancher.add_command(list_)
brancher.add_command(history)
brancher.add_command(delete)
brancher.add_command(reap)


@brancher.command(cls=Command)
@one_node_option
@option("--ttl", type=TICK, metavar="TIME", help="Time limit, such as 4h and at most 7d, after which `reap` ends it.")
@option(
    "--label",
    "labels",
    metavar="LABEL",
    multiple=True,
    help="A label: ticket=42, or a word; can be given again. The value begins after the first = (inferred).",
)
@clear_option
@option("--wait", prefix="HNCTL_BRANCHER_", is_flag=True, help="Wait until it can be used.")
@within_option
@_poll_option
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@connection_options
@output_option
def create(
    nodes: tuple[str, ...],
    ttl: float | None,
    labels: tuple[str, ...],
    clear: tuple[str, ...],
    wait: bool,
    within: float,
    yes: bool,
    **options: Any,
) -> Exit:
    """Make a Brancher of a node, which costs money from then on.

    It is a copy of the latest backup, with real customer data and live keys. When the answer is lost, the Brancher is
    looked for by a label, and none is made twice. With --wait it is there once its flows have succeeded, it has an
    address, and SSH answered six times in a row.

    Example: hnctl brancher create -n kaasshop --ttl 4h --label ticket=42 --clear cron,supervisor --wait
    """
    from hnctl.consent import ask
    from hnctl.render.branchers import announcement
    from hypernode.api.branchers import check_labels

    link = Connection(**options)
    parent = choose_parent(nodes)
    wished = check_labels(_read_labels(labels))
    with branchers_of(link, parent) as branchers:
        account = branchers.account()
        print_note(announcement(parent, account, clear, ttl))
        ask(f"Make a Brancher of {parent}?", yes=yes, undone="nothing was made")
        try:
            made = branchers.create(labels=wished, clear_services=clear, ttl=ttl)
        except KeyboardInterrupt:
            print_note(f"Interrupted: whether one was made is not known. Look: hnctl brancher list -n {parent}")
            raise
        print_note(f"{made.name} was made, and is paid for from now on.")
        now: BrancherAccount | None = account
        if wait:
            made, now = tell_there(link, branchers, wait_for(link, branchers, made.name, within=within))
        else:
            print_note(
                "By the control panel's own words it takes up to 15 minutes until it is there; more was seen.\n"
                f"  hnctl brancher wait {made.name}\n"
                f"  hnctl brancher delete {made.name}"
            )
    _print_one(link, made, now)
    return Exit.OK


@brancher.command(cls=Command)
@_name_argument
@click.argument("labels", metavar="[LABEL]...", nargs=-1)
@option("--none", is_flag=True, help="Take all labels away.")
@one_node_option
@connection_options
@output_option
def labels(name: str, labels: tuple[str, ...], none: bool, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Show the labels of a Brancher, or replace them.

    Those of hnctl (hnctl, hnctl_until) stay. The value of a label begins after the first = (inferred).

    Examples:
      hnctl brancher labels kaasshop-eph7h2k9q
      hnctl brancher labels kaasshop-eph7h2k9q ticket=42 demo
    """
    from hnctl.render.branchers import label_rows
    from hnctl.render.listing import Listing

    if none and labels:
        raise click.UsageError("Give either labels or --none.")
    link = Connection(**options)
    parent = check_parent(name, nodes)
    wished = _read_labels(labels)
    with branchers_of(link, parent) as branchers:
        now = branchers.set_labels(name, wished) if labels or none else branchers.get(name).labels
    listing = Listing("labels", ["label", "value"], label_rows(now), empty=f"{name} has no labels.")
    print_listing(listing, link.value("output"))
    return Exit.OK


@brancher.command(cls=Command)
@_name_argument
@one_node_option
@within_option
@_poll_option
@connection_options
@output_option
def wait(name: str, nodes: tuple[str, ...], within: float, **options: Any) -> Exit:
    """Wait until a Brancher can be used.

    That is once its flows have succeeded, it has an address, and SSH answered six times in a row.

    Example: hnctl brancher wait kaasshop-eph7h2k9q
    """
    link = Connection(**options)
    with branchers_of(link, check_parent(name, nodes)) as branchers:
        one, account = tell_there(link, branchers, wait_for(link, branchers, name, within=within))
    _print_one(link, one, account)
    return Exit.OK


@brancher.command("ssh-check", cls=Command)
@_name_argument
@one_node_option
@timeout_option
@output_option
def ssh_check(name: str, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Try once whether SSH answers on a Brancher; ends with 1 if not.

    Nothing is sent, and no jump host is used.

    Example: hnctl brancher ssh-check kaasshop-eph7h2k9q
    """
    from hnctl.render.listing import FORMAT_VERSION
    from hypernode.api.branchers import try_ssh

    link = Connection(**options)
    check_parent(name, nodes)
    host, port = link.ssh_address(name)
    port = port or 22
    came = try_ssh(host, port, timeout=float(link.value("timeout")))
    answers = came == "answers"
    why, look = ("", "") if answers else _WITHOUT_SSH[came]
    document = {
        "format_version": FORMAT_VERSION,
        "brancher": name,
        "host": host,
        "port": port,
        "answers": answers,
        "reason": None if answers else came,
    }
    print_either(
        link.value("output"),
        lambda: f"{name}: SSH {'answers' if answers else 'does not answer'} at {host}:{port}" + (why and f": {why}"),
        lambda: document,
    )
    if answers:
        return Exit.OK
    print_note(
        f"  hint: While a Brancher is being made this can be: hnctl brancher wait {name}. If it goes on, look {look}"
    )
    return Exit.FAILED


_WITHOUT_SSH = {
    "no_name": ("its name leads to no address", "at ssh_host in `hnctl config list`, and at DNS here"),
    "refused": ("the connection was refused", "at ssh_port in `hnctl config list`"),
    "silent": ("nothing came in time", "for a firewall on the way, or give it a longer --timeout"),
    "no_greeting": (
        "it can be connected to, and no SSH server greeted",
        "at ssh_host and ssh_port in `hnctl config list`",
    ),
    "unreachable": ("it cannot be reached from here", "at the network between here and it"),
}
"""What came instead of a greeting, and where to look."""


def _read_labels(texts: tuple[str, ...]) -> dict[str, str | None]:
    """Return labels as they were typed.

    Raises:
        InputError: One is given twice, of which the API would keep no one knows which.
    """
    from hypernode.api.labels import parse_label

    labels: dict[str, str | None] = {}
    for text in texts:
        label, value = parse_label(text)
        if label in labels:
            raise InputError(f"the label {label} is given twice", hint="A label has one value")
        labels[label] = value
    return labels


def _print_one(link: Connection, one: Brancher, account: BrancherAccount | None) -> None:
    from hnctl.render.branchers import brancher_card, brancher_document, month_document
    from hnctl.render.listing import FORMAT_VERSION

    parent, now = check_parent(one.name, ()), server_now(link)
    print_either(
        link.value("output"),
        lambda: brancher_card(one, now),
        lambda: {
            "format_version": FORMAT_VERSION,
            "brancher": brancher_document(one, parent, now),
            "month": None if account is None else month_document(account),
        },
    )
