"""`hnctl settings`: what nodes have, changing one setting, and what settings there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command, error_document
from hnctl.completion import complete_setting, complete_value
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
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
from hnctl.render.printable import printable
from hnctl.selection import Selection, catalogue_for, choose, fleet_path
from hypernode.catalogue import Catalogue, Setting, SettingValue, as_text
from hypernode.secrets import MASK, Secret

if TYPE_CHECKING:
    from hypernode.errors import HypernodeError


@click.group()
def settings() -> None:
    """Read, set and describe settings."""


@settings.command("list", cls=Command)
@selection_options
@connection_options
@refresh_option
@output_option
def list_(
    nodes: tuple[str, ...],
    groups: tuple[str, ...],
    all_nodes: bool,
    exclude: tuple[str, ...],
    where: str | None,
    file: str | None,
    refresh: bool,
    output: str | None,
    **connection: Any,
) -> Exit:
    """List the settings of nodes with their values.

    Secrets are masked.

    Example: hnctl settings list -n kaasshop
    """
    link = Connection(output=output, **connection)
    selection = Selection(nodes, groups, all_nodes, exclude)
    live, failures, catalogue = _read(link, selection, file, where, refresh=refresh)
    rows = [
        {"node": node, **_row(catalogue[name], detail[name])}
        for node, detail in live.items()
        for name in catalogue
        if name in detail
    ]
    columns = ["setting", "value", "default"] if len(live) == 1 else ["node", "setting", "value", "default"]
    return _emit(link, rows, columns, failures)


@settings.command(cls=Command)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@selection_options
@connection_options
@refresh_option
@output_option
def get(
    name: str,
    nodes: tuple[str, ...],
    groups: tuple[str, ...],
    all_nodes: bool,
    exclude: tuple[str, ...],
    where: str | None,
    file: str | None,
    refresh: bool,
    output: str | None,
    **connection: Any,
) -> Exit:
    """Print the value of one setting.

    For a single node it is the value alone.

    Example: hnctl settings get php_version -n kaasshop
    """
    link = Connection(output=output, **connection)
    selection = Selection(nodes, groups, all_nodes, exclude)
    catalogue = Catalogue.bundled()
    if refresh or name not in catalogue:
        catalogue = catalogue_for(selection, link, file, refresh=refresh)
    setting = catalogue.find(name)
    chosen = choose(selection, link, catalogue, file)
    if len(chosen) == 1 and link.value("output") == "table" and not where:
        from hypernode.api.client import Client

        link.address(chosen)
        token = link.token(chosen[0])
        with Client(chosen[0], token=token, transport=link.transport, catalogue=catalogue) as node:
            print_data(_shown(node.settings.get(name)))
        return Exit.OK
    live, failures, catalogue = _read(link, selection, file, where, catalogue=catalogue)
    rows = [{"node": node, **_row(setting, detail.get(name))} for node, detail in live.items()]
    return _emit(link, rows, ["node", "value"], failures)


@settings.command("set", cls=Command)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@click.argument("value", required=False, shell_complete=complete_value)
@option("--clear", is_flag=True, help="Ask the API for null in place of a value; untested for most settings.")
@selection_options
@rollout_options
@connection_options
@refresh_option
@output_option
def set_(
    name: str,
    value: str | None,
    clear: bool,
    nodes: tuple[str, ...],
    groups: tuple[str, ...],
    all_nodes: bool,
    exclude: tuple[str, ...],
    where: str | None,
    file: str | None,
    refresh: bool,
    output: str | None,
    **options: Any,
) -> Exit:
    """Set one setting, wait until it is applied, and read it back.

    A node that has the value already is left alone. A secret's value is a reference (env:, file:, keyring:, cmd:) or
    -, which reads it from stdin; it never stands on the command line.

    Examples:
      hnctl settings set permissive_memory_management true -n kaasshop
      hnctl settings set php_version 8.4 --group magento --yes
      hnctl settings set new_relic_secret env:NR_KEY -n kaasshop
    """
    if (value is None) is not clear:
        raise click.UsageError("Give either a value or --clear.")
    from hnctl.rollout import change_nodes
    from hypernode.fleet.compare import Desired
    from hypernode.fleet.where import parse_where

    link = Connection(output=output, **options)
    selection = Selection(nodes, groups, all_nodes, exclude)
    catalogue = catalogue_for(selection, link, file, refresh=refresh)
    asked = parse_where(where, catalogue)[1] if where else ()
    wished, reference = _wished(catalogue.writable(name), value)
    chosen = choose(selection, link, catalogue, file)
    by_group = (
        groups or "group" in asked or any(one.count is not None and one.place != "all" for one in options["confirm"])
    )
    values: Mapping[str, SettingValue] = {name: wished}
    desired = Desired(
        dict.fromkeys(chosen, values),
        {wished: reference} if isinstance(wished, Secret) and reference else {},
        len(chosen),
        _groups(link, catalogue, file) if by_group else {},
    )
    return change_nodes(link, catalogue, desired, where=where, ask=len(chosen) > 1, **options)


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
    catalogue = catalogue_for(Selection(nodes), link, None, refresh=refresh)
    chosen = [catalogue.find(name) for name in names] or list(catalogue.values())
    form = link.value("output")
    if names and form == "table":
        print_data("\n\n".join(describe_setting(setting) for setting in chosen))
        return
    columns = ["setting", "type", "values", "default", "risk"] if form == "markdown" else ["setting", "type", "default"]
    columns = columns if form == "markdown" else [*columns, "description"]
    print_listing(Listing("settings", columns, [card(setting) for setting in chosen]), form)


def _read(
    link: Connection,
    selection: Selection,
    file: str | None,
    where: str | None,
    *,
    refresh: bool = False,
    catalogue: Catalogue | None = None,
) -> tuple[dict[str, Mapping[str, Any]], dict[str, HypernodeError], Catalogue]:
    """Read the chosen nodes; returns their answers, the errors of the others, and the catalogue."""
    from hnctl.reading import read_chosen

    catalogue = catalogue or catalogue_for(selection, link, file, refresh=refresh)
    live, failures = read_chosen(link, selection, catalogue, file, where)
    return live, failures, catalogue


def _emit(
    link: Connection, rows: list[dict[str, Any]], columns: list[str], failures: Mapping[str, HypernodeError]
) -> Exit:
    from hnctl.printing import print_listing
    from hnctl.reading import tell_failures
    from hnctl.render.listing import Listing

    more = {"failures": [error_document(error) for error in failures.values()]} if failures else {}
    empty = "" if failures else "No settings."
    print_listing(Listing("settings", columns, rows, more, empty), link.value("output"))
    tell_failures(failures)
    return exit_for_failures(failures.values(), some_succeeded=bool(rows))


def _row(setting: Setting, raw: object) -> dict[str, Any]:
    value = setting.typed(raw)
    shown = MASK if isinstance(value, Secret) else value
    return {"setting": setting.name, "value": shown, "default": setting.default, "secret": setting.secret}


def _shown(value: SettingValue) -> str:
    return "not set" if value is None else printable(as_text(value))


def _wished(setting: Setting, value: str | None) -> tuple[SettingValue, str | None]:
    """Return the value to set, and for a secret the reference that stands for it."""
    if value is None:
        return None, None
    from hnctl.values import as_utf8, read_secret

    if setting.secret:
        return read_secret(setting.name, value)
    return setting.parse(as_utf8(value, f"the value of {setting.name}")), None


def _groups(link: Connection, catalogue: Catalogue, file: str | None) -> dict[str, list[str]]:
    """Return the groups of the fleet file, which confirmations and --where can name."""
    from hypernode.fleet.spec import load

    fleet = load(fleet_path(link, file), catalogue, with_secrets=False)
    return {group: fleet.members(group) for group in fleet.groups}
