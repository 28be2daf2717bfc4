"""`hnctl settings`: what nodes have, changing one setting, and what settings there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command, error_document
from hnctl.completion import complete_setting, complete_value
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.options import connection_options, output_option, rollout_options, selection_options
from hnctl.selection import Selection, choose
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
    """List the settings of nodes with their values. Secrets are masked.

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
    """Print the value of one setting. For a single node it is the value alone.

    Example: hnctl settings get php_version -n kaasshop
    """
    link = Connection(output=output, **connection)
    selection = Selection(nodes, groups, all_nodes, exclude)
    catalogue = Catalogue.bundled()
    if refresh or name not in catalogue:
        catalogue = link.catalogue(refresh=refresh, nodes=nodes)
    setting = catalogue.find(name)
    chosen = choose(selection, link, catalogue, file)
    if len(chosen) == 1 and link.value("output") == "table" and not where:
        from hypernode.api.client import Client

        link.address(chosen)
        token = link.token(chosen[0])
        with Client(chosen[0], token=token, transport=link.transport, catalogue=catalogue) as node:
            click.echo(_shown(node.settings.get(name)))
        return Exit.OK
    live, failures, catalogue = _read(link, selection, file, where, catalogue=catalogue)
    rows = [{"node": node, **_row(setting, detail.get(name))} for node, detail in live.items()]
    return _emit(link, rows, ["node", "value"], failures)


@settings.command("set", cls=Command)
@click.argument("name", metavar="SETTING", shell_complete=complete_setting)
@click.argument("value", required=False, shell_complete=complete_value)
@click.option("--clear", is_flag=True, help="Ask the API for null in place of a value; untested for most settings.")
@selection_options
@rollout_options
@connection_options
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
    r"""Set one setting, wait until the platform has applied it, and read it back.

    A node that has the value already is left alone. A secret's value is a reference (env:, file:, keyring:, cmd:) or
    -, which reads it from stdin; it never stands on the command line.

    \b
    Examples:
      hnctl settings set permissive_memory_management true -n kaasshop
      hnctl settings set php_version 8.4 --group magento --yes
      hnctl settings set new_relic_secret env:NR_KEY -n kaasshop
    """
    if (value is None) is not clear:
        raise click.UsageError("Give either a value or --clear.")
    from hnctl.rollout import change_nodes
    from hypernode.fleet.compare import Desired

    link = Connection(output=output, **options)
    catalogue = link.catalogue(refresh=refresh, nodes=nodes)
    wished, reference = _wished(link, catalogue.writable(name), value)
    chosen = choose(Selection(nodes, groups, all_nodes, exclude), link, catalogue, file)
    values: Mapping[str, SettingValue] = {name: wished}
    desired = Desired(
        dict.fromkeys(chosen, values),
        {wished: reference} if isinstance(wished, Secret) and reference else {},
        len(chosen),
        _groups(link, catalogue, file) if groups or options["confirm"] else {},
    )
    return change_nodes(link, catalogue, desired, where=where, ask=len(chosen) > 1, **options)


@settings.command(cls=Command)
@click.argument("names", metavar="[SETTING]...", nargs=-1, shell_complete=complete_setting)
@click.option("-n", "--node", "nodes", metavar="NODE", multiple=True, help="Whose token --refresh uses.")
@connection_options
@output_option
def describe(
    names: tuple[str, ...], nodes: tuple[str, ...], refresh: bool, output: str | None, **connection: Any
) -> None:
    """Describe settings: what they take, their default, and the risk of changing them. Without a name: all.

    Example: hnctl settings describe mysql_version
    """
    from hnctl.render.listing import Listing, render_listing
    from hnctl.render.setting import card, describe_setting

    link = Connection(output=output, **connection)
    catalogue = link.catalogue(refresh=refresh, nodes=nodes)
    chosen = [catalogue.find(name) for name in names] or list(catalogue.values())
    form = link.value("output")
    if names and form == "table":
        click.echo("\n\n".join(describe_setting(setting) for setting in chosen))
        return
    columns = ["setting", "type", "values", "default", "risk"] if form == "markdown" else ["setting", "type", "default"]
    columns = columns if form == "markdown" else [*columns, "description"]
    click.echo(render_listing(Listing("settings", columns, [card(setting) for setting in chosen]), form))


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

    catalogue = catalogue or link.catalogue(refresh=refresh, nodes=selection.nodes)
    live, failures = read_chosen(link, selection, catalogue, file, where)
    return live, failures, catalogue


def _emit(
    link: Connection, rows: list[dict[str, Any]], columns: list[str], failures: Mapping[str, HypernodeError]
) -> Exit:
    from hnctl.reading import tell_failures
    from hnctl.render.listing import Listing, render_listing

    more = {"failures": [error_document(error) for error in failures.values()]} if failures else {}
    click.echo(render_listing(Listing("settings", columns, rows, more, empty="No settings."), link.value("output")))
    tell_failures(failures)
    return exit_for_failures(failures.values(), some_succeeded=bool(rows))


def _row(setting: Setting, raw: object) -> dict[str, Any]:
    value = setting.typed(raw)
    shown = MASK if isinstance(value, Secret) else value
    return {"setting": setting.name, "value": shown, "default": setting.default, "secret": setting.secret}


def _shown(value: SettingValue) -> str:
    return "not set" if value is None else as_text(value)


def _wished(link: Connection, setting: Setting, value: str | None) -> tuple[SettingValue, str | None]:
    """Return the value to set, and for a secret the reference that stands for it."""
    if value is None:
        return None, None
    if not setting.secret:
        return setting.parse(value), None
    from hnctl.secret_values import read_secret

    return read_secret(setting.name, value)


def _groups(link: Connection, catalogue: Catalogue, file: str | None) -> dict[str, list[str]]:
    """Return the groups of the fleet file, for confirmations; none without a file."""
    from hnctl.selection import fleet_path
    from hypernode.fleet.spec import load

    path = fleet_path(link, file)
    if not file and not path.exists():
        return {}
    fleet = load(path, catalogue)
    return {group: fleet.members(group) for group in fleet.groups}
