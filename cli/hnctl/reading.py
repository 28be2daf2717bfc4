"""Reading the chosen nodes side by side, and telling which could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hnctl.connection import Connection
from hnctl.printing import print_note
from hnctl.render.printable import printable
from hnctl.render.progress import progress
from hnctl.selection import Selection, choose
from hypernode.catalogue import Catalogue
from hypernode.errors import HypernodeError


def read_chosen(
    link: Connection,
    selection: Selection,
    catalogue: Catalogue,
    file: str | None,
    where: str | None,
    *,
    only_named_file: bool = False,
) -> tuple[dict[str, Mapping[str, Any]], dict[str, HypernodeError]]:
    """Return the answers of the chosen nodes for which `where` holds, and the errors of those that gave none.

    `only_named_file`: see `choose`.
    """
    from hypernode.fleet.stores import read_nodes
    from hypernode.fleet.where import facts_of, parse_where

    test, fields = parse_where(where, catalogue) if where else (None, frozenset[str]())
    chosen = choose(selection, link, catalogue, file, only_named_file=only_named_file)
    link.address(chosen)
    groups = _groups_of(link, catalogue, file) if "group" in fields else {}

    def keep(node: str, detail: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return detail if test is None or test(facts_of(detail, node, groups.get(node, ()))) else None

    with progress("reading", len(chosen)) as bar, link.executor() as executor:
        return read_nodes(link.reader(), chosen, executor, keep=keep, on_node=lambda _: bar.step())


def _groups_of(link: Connection, catalogue: Catalogue, file: str | None) -> Mapping[str, tuple[str, ...]]:
    from hnctl.selection import fleet_path
    from hypernode.fleet.spec import load

    return load(fleet_path(link, file), catalogue, with_secrets=False).nodes


def tell_failures(failures: Mapping[str, HypernodeError]) -> None:
    """Tell on stderr which nodes could not be read, and why; the same hint only once."""
    hints: dict[str, None] = {}
    for node, error in failures.items():
        print_note(printable(f"{node}: {error.message.removeprefix(f'{node}: ')}"))
        if error.hint:
            hints[error.hint] = None
    for hint in list(hints)[:3]:
        print_note(f"  hint: {printable(hint)}")
