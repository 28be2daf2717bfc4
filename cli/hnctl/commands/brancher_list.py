"""The commands of `hnctl brancher` that look at Branchers or end them."""

from __future__ import annotations

import json
from typing import Any

import click

from hnctl.branchers import branchers_of, check_parent, choose_parent, end_branchers, read_accounts, server_now
from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, nodes_through_api_options, one_node_option, option, output_option
from hnctl.printing import print_either, print_listing, print_note
from hnctl.selection import Selection, choose, naming_fleet
from hnctl.value_types import Month
from hypernode.names import parent_of


@click.command("list", cls=Command)
@one_node_option
@connection_options
@output_option
def list_(nodes: tuple[str, ...], **options: Any) -> Exit:
    """List the Branchers of a node, and this month's minutes.

    Minutes are those that were started. That a cost is in cents is inferred, and said only where the API names a
    currency; how many free minutes are left is computed here, from the 400 of Hypernode's documentation. The limit is
    that of create --ttl.

    Example: hnctl brancher list -n kaasshop
    """
    from hnctl.render.branchers import (
        COLUMNS,
        brancher_document,
        brancher_row,
        cost_in_words,
        month_document,
        month_in_words,
    )
    from hnctl.render.listing import Listing

    link = Connection(**options)
    parent = choose_parent(nodes)
    with branchers_of(link, parent) as branchers:
        account = branchers.account()
    now, form = server_now(link), link.value("output")
    for_person = form in ("table", "markdown")
    rows = [
        brancher_row(one, now, account.currency) if for_person else brancher_document(one, parent, now)
        for one in account.branchers
    ]
    more = {"month": month_document(account)}
    print_listing(Listing("branchers", COLUMNS, rows, empty=f"{parent} has no Branchers.", more=more), form)
    if for_person:
        if any(one.cost is not None for one in account.branchers):
            print_note(cost_in_words(account))
        print_note(month_in_words(account))
    return Exit.OK


@click.command(cls=Command)
@click.argument("month", metavar="[YEAR-MONTH]", type=Month(), required=False)
@one_node_option
@connection_options
@output_option
def history(month: tuple[int, int] | None, nodes: tuple[str, ...], **options: Any) -> Exit:
    """Show what the Branchers of a node came to in each month.

    No source states the units of total time and total cost. The call is known from a proposal to the official client;
    what it answers for a single month no source tells, and it is shown as it comes.

    Examples:
      hnctl brancher history -n kaasshop
      hnctl brancher history 2026-08 -n kaasshop
    """
    from hnctl.render.listing import FORMAT_VERSION, Listing

    link = Connection(**options)
    parent = choose_parent(nodes)
    form = link.value("output")
    with branchers_of(link, parent) as branchers:
        if month is not None:
            answer = branchers.month_history(*month)
            print_either(
                form,
                lambda: json.dumps(answer, indent=2),
                lambda: {"format_version": FORMAT_VERSION, "month": "{:04}-{:02}".format(*month), "answer": answer},
            )
            return Exit.OK
        years = branchers.year_history()
    rows = [
        {
            "month": f"{year.year:04}-{each.month:02}",
            "total_time": each.total_time,
            "total_cost": each.total_cost,
            "units": "not stated by the API",
        }
        for year in years
        for each in year.months
    ]
    columns = ["month", "total_time", "total_cost"]
    print_listing(Listing("months", columns, rows, empty=f"{parent} has had no Branchers."), form)
    if rows and form in ("table", "markdown"):
        print_note("The units of total time and total cost are not stated by the API.")
    return Exit.OK


@click.command(cls=Command)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@one_node_option
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@connection_options
@output_option
def delete(names: tuple[str, ...], nodes: tuple[str, ...], yes: bool, **options: Any) -> Exit:
    """End Branchers, and lose all that is on them.

    One that is gone already counts as ended.

    Example: hnctl brancher delete kaasshop-eph7h2k9q
    """
    from hnctl.consent import ask
    from hnctl.reading import print_rows
    from hnctl.render.branchers import brancher_row, minutes_in_words
    from hnctl.render.listing import cell

    link = Connection(**options)
    parents = {name: check_parent(name, nodes) for name in names}
    accounts, failures = read_accounts(link, list(dict.fromkeys(parents.values())))
    found = {one.name: one for account in accounts.values() for one in account.branchers if one.name in parents}
    now = server_now(link)
    for one in found.values():
        row = brancher_row(one, now, None)
        labels = f", labels {cell(row['labels'])}" if row["labels"] else ""
        print_note(f"{one.name}: {minutes_in_words(one)}{labels}; all that is on it is lost.")
    for name in names:
        if name not in found and parents[name] in accounts:
            print_note(f"{name}: it is not in the list of {parents[name]}, or not yet; if it is there, it is ended.")
    if accounts:
        ask(f"End {', '.join(dict.fromkeys(names))}?", yes=yes, undone="nothing was ended")
    wanted = [{"name": name, "parent": parent} for name, parent in parents.items() if parent in accounts]
    rows, unended = end_branchers(link, wanted)
    return print_rows(link, "branchers", ["name", "result"], rows, {**failures, **unended})


@click.command(cls=Command)
@option("--dry-run", is_flag=True, help="Tell which, and end none.")
@nodes_through_api_options
@connection_options
@output_option
def reap(dry_run: bool, selection: Selection, **options: Any) -> Exit:
    """End the Branchers of hnctl whose time limit is over.

    Those are the ones with the label hnctl_until, which create --ttl gives, once that is over by the server's clock. It
    does not ask, and may stand in cron.

    Examples:
      hnctl brancher reap -n kaasshop --dry-run
      hnctl brancher reap --all
    """
    from hnctl.reading import of_nodes, print_rows
    from hnctl.render.branchers import brancher_document

    link = Connection(**options)
    chosen = choose(selection, link, naming_fleet(selection, link, link.catalogue()))
    parents = list(dict.fromkeys(parent_of(node) or node for node in chosen))
    accounts, failures = read_accounts(link, parents)
    now = server_now(link)
    found = [brancher_document(one, parent, now) for parent, account in accounts.items() for one in account.branchers]
    over = [row for row in found if row["over"]]
    if dry_run:
        rows = [{**row, "result": "would be ended"} for row in over]
    else:
        rows, unended = end_branchers(link, over)
        failures |= unended
    columns = ["name", "until", "minutes", "result"]
    return print_rows(
        link, "branchers", columns, rows, failures, empty=f"No Brancher{of_nodes(accounts)} is beyond its time limit."
    )
