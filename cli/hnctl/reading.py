"""Reading the chosen nodes side by side, and telling which could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hnctl.command import error_document
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.printing import print_listing, print_note
from hnctl.render.printable import printable
from hnctl.render.progress import progress
from hnctl.selection import Selection, choose
from hypernode.catalogue import Catalogue
from hypernode.errors import HypernodeError


def read_chosen(
    link: Connection,
    selection: Selection,
    catalogue: Catalogue,
    *,
    only_named_file: bool = False,
) -> tuple[dict[str, Mapping[str, Any]], dict[str, HypernodeError]]:
    """Return the answers of the chosen nodes for which --where holds, and the errors of those that gave none.

    `only_named_file`: see `choose`.
    """
    from hypernode.fleet.stores import read_nodes
    from hypernode.fleet.where import facts_of, parse_where

    test, fields = parse_where(selection.where, catalogue) if selection.where else (None, frozenset[str]())
    chosen = choose(selection, link, catalogue, only_named_file=only_named_file)
    link.address(chosen)
    groups = _groups_of(link, catalogue, selection.file) if "group" in fields else {}

    def keep(node: str, detail: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return detail if test is None or test(facts_of(detail, node, groups.get(node, ()))) else None

    with progress("reading", len(chosen)) as bar, link.executor() as executor:
        return read_nodes(link.reader(), chosen, executor, keep=keep, on_node=lambda _: bar.step())


def _groups_of(link: Connection, catalogue: Catalogue, file: str | None) -> Mapping[str, tuple[str, ...]]:
    from hnctl.selection import fleet_path
    from hypernode.fleet.spec import load

    return load(fleet_path(link, file), catalogue, with_secrets=False).nodes


def print_rows(
    link: Connection,
    kind: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    failures: Mapping[str, HypernodeError],
) -> Exit:
    """Print what was read of nodes, tell which could not be read, and return the exit status.

    `kind` is what the rows are, in the plural.
    """
    from hnctl.render.listing import Listing

    more = {"failures": [error_document(error) for error in failures.values()]} if failures else {}
    print_listing(Listing(kind, columns, rows, more, "" if failures else f"No {kind}."), link.value("output"))
    tell_failures(failures)
    return exit_for_failures(failures.values(), some_succeeded=bool(rows))


def tell_failures(failures: Mapping[str, HypernodeError]) -> None:
    """Tell on stderr which nodes could not be read, and why; the same hint only once."""
    hints: dict[str, None] = {}
    for node, error in failures.items():
        print_note(printable(f"{node}: {error.message.removeprefix(f'{node}: ')}"))
        if error.hint:
            hints[error.hint] = None
    for hint in list(hints)[:3]:
        print_note(f"  hint: {printable(hint)}")
