"""Which nodes a command is about, out of its selection options, the fleet file and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hnctl.connection import Connection
from hypernode.errors import InputError, InvalidNode
from hypernode.names import check_node

if TYPE_CHECKING:
    from hypernode.catalogue import Catalogue
    from hypernode.fleet.spec import Fleet


@dataclass(frozen=True, slots=True)
class Selection:
    """The values of `selection_options`, without --where, which needs the nodes' answers."""

    nodes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    all_nodes: bool = False
    exclude: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen."""
        return not (self.nodes or self.groups or self.all_nodes)


def fleet_path(connection: Connection, file: str | None) -> Path:
    """Return the path of the fleet file, whether or not it is there."""
    return Path(file or str(connection.value("file")))


def choose_in_fleet(selection: Selection, fleet: Fleet) -> list[str]:
    """Return the chosen nodes of `fleet`, all when nothing was chosen, in the order of the file.

    Raises:
        InputError: A node or group is not in the file.
    """
    for group in selection.groups:
        if group not in fleet.groups:
            raise _not_there("group", group, fleet.groups, fleet.path)
    for node in (*selection.nodes, *selection.exclude):
        if node not in fleet.nodes:
            raise _not_there("node", check_node(node), fleet.nodes, fleet.path)
    everything = selection.all_nodes or selection.is_empty
    return [
        node
        for node, groups in fleet.nodes.items()
        if node not in selection.exclude
        and (everything or node in selection.nodes or not set(groups).isdisjoint(selection.groups))
    ]


def choose(
    selection: Selection,
    connection: Connection,
    catalogue: Catalogue,
    file: str | None,
    *,
    only_named_file: bool = False,
) -> list[str]:
    """Return the chosen nodes for a command that needs no fleet file unless a group is named.

    With nothing chosen it is HYPERNODE_APP_NAME, else the node we stand on (DESIGN 4).

    Args:
        selection: What was chosen.
        connection: Tells the name of the fleet file.
        catalogue: To read that file with.
        file: Its name if one was given.
        only_named_file: Whether --all means the nodes with a token even where a fleet.yaml lies about. The shell has
            emptied that file already in ``hnctl export --all > fleet.yaml``.

    Raises:
        InputError: Nothing tells which node, or a name is wrong.
        FileError: The fleet file is needed and cannot be used.
    """
    path = fleet_path(connection, file)
    if selection.groups or (selection.all_nodes and (file or (path.exists() and not only_named_file))):
        from hypernode.fleet.spec import load

        fleet = load(path, catalogue)
        named = [check_node(node) for node in selection.nodes if node not in fleet.nodes]
        known = tuple(node for node in selection.nodes if node in fleet.nodes)
        inside = Selection(known, selection.groups, selection.all_nodes, _inside(selection.exclude, fleet))
        return _without([*choose_in_fleet(inside, fleet), *named], selection.exclude)
    if selection.all_nodes:
        from hypernode.credentials import tokens_in_environment

        nodes = sorted(tokens_in_environment())
        if not nodes:
            raise InputError(
                f"--all needs a fleet file ({path} is not there) or HYPERNODE_API_TOKENS", hint="Name a file with -f"
            )
        return _without([check_node(node) for node in nodes], selection.exclude)
    if selection.nodes:
        return _without([check_node(node) for node in dict.fromkeys(selection.nodes)], selection.exclude)
    return [own_node()]


def own_node() -> str:
    """Return the node that the environment or the machine itself names.

    Raises:
        InvalidNode: Neither does.
    """
    from hypernode.credentials import own_name

    name = os.environ.get("HYPERNODE_APP_NAME") or own_name()
    if not name:
        raise InvalidNode("which node? None was given", hint="Name it with -n NODE, or set HYPERNODE_APP_NAME")
    return check_node(name)


def _inside(names: Sequence[str], fleet: Fleet) -> tuple[str, ...]:
    return tuple(name for name in names if name in fleet.nodes)


def _without(nodes: list[str], exclude: Sequence[str]) -> list[str]:
    return [node for node in dict.fromkeys(nodes) if node not in exclude]


def _not_there(kind: str, name: str, known: Iterable[str], path: str) -> InputError:
    from hypernode.catalogue import closest

    near = closest(name, known)
    return InputError(f"{path} has no {kind} {name}", hint=f"Did you mean {near}?" if near else None)
