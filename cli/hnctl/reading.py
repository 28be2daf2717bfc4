"""Reading the chosen nodes side by side, and telling which could not be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.printing import print_listing, print_note
from hnctl.render.error import error_document, without_node
from hnctl.render.progress import progress
from hnctl.selection import Selection, choose, load_fleet, naming_fleet
from hnctl.ways import find_ways
from hypernode.catalogue import UNREADABLE, Catalogue, Setting
from hypernode.errors import HypernodeError
from hypernode.fleet.managed import AddressList, Managed, refuse_lists
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.fleet.ways import Way

T = TypeVar("T")


def read_one(
    link: Connection, node: str, setting: Setting | AddressList, ways: Mapping[str, Way], catalogue: Catalogue
) -> Managed:
    """Return the live value of one setting or allowlist of one node."""
    if isinstance(setting, AddressList):
        refuse_lists([setting.name] if node in ways else [], node)
        link.address([node])
        return setting.typed(link.reader(catalogue, ways).read(node, [setting.name])[setting.name])
    if node in ways:
        value = setting.typed(link.reader(catalogue, ways).read(node, [setting.name]).get(setting.name))
        if value == UNREADABLE:
            from hypernode.node.systemctl import not_told

            raise not_told(setting.name, node)
        return value
    from hypernode.api.client import Client

    link.address([node])
    with Client(node, token=link.token(node), transport=link.transport, catalogue=catalogue) as client:
        return client.settings.get(setting.name)


def read_chosen(
    link: Connection,
    selection: Selection,
    catalogue: Catalogue,
    *,
    names: Collection[str] | None = None,
    only_api: bool = False,
    only_named_file: bool = False,
) -> tuple[dict[str, Mapping[str, Any]], dict[str, HypernodeError]]:
    """Return the answers of the chosen nodes for which --where holds, and the errors of those that gave none.

    Args:
        link: The ways to them.
        selection: Which nodes.
        catalogue: The settings.
        names: The settings that are needed; None: all there is.
        only_api: Whether to ask the API even where the fleet file names another way.
        only_named_file: See `naming_fleet`.
    """
    from hypernode.fleet.stores import read_nodes
    from hypernode.fleet.where import facts_of, parse_where

    test, fields = parse_where(selection.where, catalogue) if selection.where else (None, frozenset[str]())
    fleet = naming_fleet(selection, link, catalogue, only_named_file=only_named_file)
    chosen = choose(selection, link, fleet)
    link.address(chosen)
    groups = (fleet or load_fleet(selection, link, catalogue)).nodes if "group" in fields else {}
    ways = {} if only_api else find_ways(link, selection, chosen, fleet)
    needed = None if names is None else {*names, *fields}

    def keep(node: str, detail: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return detail if test is None or test(facts_of(detail, node, groups.get(node, ()))) else None

    with progress("reading", len(chosen)) as bar, link.executor() as executor:
        reader = link.reader(catalogue, ways)
        return read_nodes(reader, chosen, executor, keep=keep, names=lambda _: needed, on_node=bar.step)


def ask_chosen(
    link: Connection, selection: Selection, ask: Callable[[Client], T]
) -> tuple[dict[str, T], dict[str, HypernodeError]]:
    """Ask the API about each of the chosen nodes, and return what it said, and the errors of those that failed.

    Args:
        link: The way to it.
        selection: Which nodes.
        ask: Asks about one of them, on a thread of its own.
    """
    from hypernode.fleet.executors import for_each_node

    chosen = choose(selection, link, naming_fleet(selection, link, link.catalogue()))
    link.address(chosen)

    def work(node: str) -> T:
        with link.client(node) as client:
            return ask(client)

    with progress("reading", len(chosen)) as bar, link.executor() as executor:
        return for_each_node(executor, chosen, work, on_node=bar.step)


def columns_for(columns: Sequence[str], found: Collection[str], failures: Collection[str]) -> Sequence[str]:
    """Return the columns of a table about these nodes: which node is only said where there are several."""
    return columns if len(found) + len(failures) == 1 else ["node", *columns]


def print_rows(
    link: Connection,
    kind: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    failures: Mapping[str, HypernodeError],
    *,
    empty: str | None = None,
) -> Exit:
    """Print what was read of nodes, tell which could not be read, and return the exit status.

    `kind` is what the rows are, in the plural; `empty` is told when there are none.
    """
    from hnctl.render.listing import Listing

    documents = [error_document(error, node=node) for node, error in failures.items()]
    print_listing(
        Listing(kind, columns, rows, documents, "" if failures else empty or f"No {kind}."), link.value("output")
    )
    tell_failures(failures)
    return exit_for_failures(failures.values(), some_succeeded=bool(rows))


def of_nodes(asked: Collection[str]) -> str:
    """Return how many nodes were asked, for a sentence on what none of them has; nothing for a single one."""
    return "" if len(asked) == 1 else f" of {len(asked)} nodes"


def tell_failures(failures: Mapping[str, HypernodeError]) -> None:
    """Tell on stderr which nodes could not be read, and why, and what to do."""
    for node, error in failures.items():
        print_note(printable(f"{node}: {error.message.removeprefix(f'{node}: ')}"))
    tell_hints(failures)


def tell_hints(failures: Mapping[str, HypernodeError]) -> None:
    """Tell on stderr what to do about nodes that could not be read; hints that differ in the node only are one."""
    hints: dict[str, str] = {}
    for node, error in failures.items():
        if error.hint:
            hints.setdefault(without_node(error.hint, node), error.hint)
    for hint in list(hints.values())[:3]:
        print_note(f"  hint: {printable(hint)}")
