"""`hnctl settings`: what nodes have, changing one setting, and what settings there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from hnctl.command import Command
from hnctl.completion import complete_setting, complete_value
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import (
    connection_options,
    node_option,
    option,
    output_option,
    refresh_option,
    rollout_options,
    selection_options,
)
from hnctl.printing import print_data
from hnctl.selection import Selection, catalogue_for, choose, load_fleet, naming_fleet
from hnctl.ways import find_ways
from hypernode.catalogue import UNREADABLE, Catalogue, Setting, SettingValue, as_shown
from hypernode.printable import printable
from hypernode.secrets import MASK, Secret


@click.group()
def settings() -> None:
    """Read, set and describe settings."""


@settings.command("list", cls=Command)
@selection_options
@connection_options
@refresh_option
@output_option
def list_(selection: Selection, refresh: bool, **connection: Any) -> Exit:
    """List the settings of nodes with their values.

    Secrets are masked.

    Example: hnctl settings list -n kaasshop
    """
    from hnctl.reading import print_rows, read_chosen

    link = Connection(**connection)
    catalogue = catalogue_for(selection, link, refresh=refresh)
    live, failures = read_chosen(link, selection, catalogue)
    rows = [
        {"node": node, **_row(catalogue[name], detail[name])}
        for node, detail in live.items()
        for name in catalogue
        if name in detail
    ]
    columns = (
        ["setting", "value", "default"] if len(live) + len(failures) == 1 else ["node", "setting", "value", "default"]
    )
    return print_rows(link, "settings", columns, rows, failures)


@settings.command(cls=Command)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@selection_options
@connection_options
@refresh_option
@output_option
def get(name: str, selection: Selection, refresh: bool, **connection: Any) -> Exit:
    """Print the value of one setting.

    For a single node it is the value alone.

    Example: hnctl settings get php_version -n kaasshop
    """
    link = Connection(**connection)
    catalogue = Catalogue.bundled()
    if refresh or name not in catalogue:
        catalogue = catalogue_for(selection, link, refresh=refresh)
    setting = catalogue.find(name)
    fleet = naming_fleet(selection, link, catalogue)
    chosen = choose(selection, link, fleet)
    if len(chosen) == 1 and link.value("output") == "table" and not selection.where:
        from hnctl.reading import read_one

        ways = find_ways(link, selection, chosen, fleet)
        print_data(printable(as_shown(read_one(link, chosen[0], setting, ways, catalogue))))
        return Exit.OK
    from hnctl.reading import print_rows, read_chosen
    from hypernode.node.systemctl import not_told

    live, failures = read_chosen(link, selection, catalogue, names=[name])
    for node in [node for node, detail in live.items() if detail.get(name) == UNREADABLE]:
        del live[node]
        failures[node] = not_told(name, node)
    rows = [{"node": node, **_row(setting, detail.get(name))} for node, detail in live.items()]
    return print_rows(link, "settings", ["node", "value"], rows, failures)


@settings.command("set", cls=Command)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@click.argument("value", required=False, shell_complete=complete_value)
@option("--clear", is_flag=True, help="Ask the API for null in place of a value; untested for most settings.")
@selection_options
@rollout_options
@connection_options
@refresh_option
@output_option
def set_(name: str, value: str | None, clear: bool, selection: Selection, refresh: bool, **options: Any) -> Exit:
    """Set one setting, wait until it is applied, and read it back.

    A node that has the value already is left alone. The limits of the fleet file count when it names the nodes: for
    --group, and for --all. A secret's value is a reference (env:, file:, keyring:, cmd:) or
    -, which reads it from stdin; it never stands on the command line.

    Examples:
      hnctl settings set permissive_memory_management true -n kaasshop
      hnctl settings set php_version 8.4 --group magento --yes
      hnctl settings set new_relic_secret env:NR_KEY -n kaasshop
    """
    if (value is None) is not clear:
        raise click.UsageError("Give either a value or --clear.")
    from hnctl.comparing import check_canaries
    from hnctl.rollout import change_nodes
    from hypernode.fleet import rules
    from hypernode.fleet.compare import Desired
    from hypernode.fleet.history import Source
    from hypernode.fleet.spec import NO_LIMITS
    from hypernode.fleet.where import parse_where

    link = Connection(**options)
    catalogue = catalogue_for(selection, link, refresh=refresh)
    asked = parse_where(selection.where, catalogue)[1] if selection.where else ()
    wished, reference = _wished(catalogue.writable(name), value)
    fleet = naming_fleet(selection, link, catalogue)
    chosen = choose(selection, link, fleet)
    if fleet is not None:
        check_canaries(options["rules"].get("canary", ()), chosen, known=fleet.nodes, path=fleet.path)
    confirmed_groups = any(one.count is not None and one.place != "all" for one in options["confirm"])
    by_group = fleet or (load_fleet(selection, link, catalogue) if "group" in asked or confirmed_groups else None)
    values: Mapping[str, SettingValue] = {name: wished}
    desired = Desired(
        dict.fromkeys(chosen, values),
        {wished: reference} if isinstance(wished, Secret) and reference else {},
        len(fleet.nodes) if fleet else len(chosen),
        {group: by_group.members(group) for group in by_group.groups} if by_group else {},
        fleet.limits if fleet else NO_LIMITS,
        fleet.rules if fleet else rules.DEFAULT,
        find_ways(link, selection, chosen, by_group, to_change=True),
    )
    source = Source(os.getcwd())
    return change_nodes(link, catalogue, desired, where=selection.where, source=source, ask=len(chosen) > 1, **options)


@settings.command(cls=Command)
@click.argument("names", metavar="[SETTING]...", nargs=-1, shell_complete=complete_setting)
@node_option
@connection_options
@refresh_option
@output_option
def describe(
    names: tuple[str, ...], nodes: tuple[str, ...], refresh: bool, output: str | None, **connection: Any
) -> None:
    """Describe what settings take, their defaults and their risks.

    Without a name: all. With --refresh the API is asked for its own list, with the token of NODE.

    Example: hnctl settings describe mysql_version
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hnctl.render.setting import card, describe_setting

    link = Connection(output=output, **connection)
    catalogue = catalogue_for(Selection(nodes), link, refresh=refresh)
    chosen = [catalogue.find(name) for name in names] or list(catalogue.values())
    form = link.value("output")
    if names and form == "table":
        print_data("\n\n".join(describe_setting(setting) for setting in chosen))
        return
    columns = ["setting", "type", "values", "default", "risk"] if form == "markdown" else ["setting", "type", "default"]
    columns = columns if form == "markdown" else [*columns, "description"]
    print_listing(Listing("settings", columns, [card(setting) for setting in chosen]), form)


def _row(setting: Setting, raw: object) -> dict[str, Any]:
    value = setting.typed(raw)
    shown = MASK if isinstance(value, Secret) else value
    return {"setting": setting.name, "value": shown, "default": setting.default, "secret": setting.secret}


def _wished(setting: Setting, value: str | None) -> tuple[SettingValue, str | None]:
    """Return the value to set, and for a secret the reference that stands for it."""
    if value is None:
        return None, None
    from hnctl.values import as_utf8, read_secret

    if setting.secret:
        return read_secret(setting.name, value)
    return setting.parse(as_utf8(value, f"the value of {setting.name}")), None
