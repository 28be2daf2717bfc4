"""Which nodes a command is about, out of its selection options, the fleet file and the environment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hnctl.connection import Connection
from hypernode.catalogue import Catalogue, closest
from hypernode.errors import InputError, InvalidNode
from hypernode.names import check_node

if TYPE_CHECKING:
    from hypernode.fleet.spec import Fleet


@dataclass(frozen=True, slots=True)
class Selection:
    """The values of the selection options."""

    nodes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    all_nodes: bool = False
    exclude: tuple[str, ...] = ()
    where: str | None = None
    file: str | None = None
    """The fleet file that was named, if one was."""

    def or_all(self) -> Selection:
        """Return a selection of all nodes if none was chosen."""
        return self if self.nodes or self.groups else replace(self, all_nodes=True)

    def spelled(self) -> str:
        """Return the options that make it, quoted for a shell, with a blank before each."""
        said = [
            *([("-f", self.file)] if self.file is not None else []),
            *(("-n", node) for node in self.nodes),
            *(("--group", group) for group in self.groups),
            *(("--exclude", node) for node in self.exclude),
            *([("--where", self.where)] if self.where is not None else []),
        ]
        every = " --all" if self.all_nodes else ""
        return "".join(f" {option} {shlex.quote(value)}" for option, value in said) + every


def fleet_path(connection: Connection, file: str | None) -> Path:
    """Return the path of the fleet file, whether or not it is there."""
    return Path(file or str(connection.value("file")))


def catalogue_for(selection: Selection, connection: Connection, *, refresh: bool) -> Catalogue:
    """Return the settings; with `refresh` asked of the API, with the token of a node that the command is about.

    The fleet file is only looked into for names here: the settings are needed to read it.
    """
    if not refresh:
        return connection.catalogue()
    from hypernode.credentials import known_tokens
    from hypernode.fleet.spec import node_names
    from hypernode.fleet.yamlfile import read_file

    names = [check_node(name) for name in selection.nodes]
    path = fleet_path(connection, selection.file)
    if not names and (selection.groups or selection.all_nodes) and path.exists():
        names = node_names(read_file(path), path=str(path))
    if not names:
        own = _find_own()
        names = [own] if own else [check_node(token.node) for token in known_tokens(connection.api_url)]
    return connection.fresh_catalogue(names)


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
    everything = selection.or_all().all_nodes
    return [
        node
        for node, groups in fleet.nodes.items()
        if node not in selection.exclude
        and (everything or node in selection.nodes or not set(groups).isdisjoint(selection.groups))
    ]


def load_fleet(selection: Selection, connection: Connection, catalogue: Catalogue) -> Fleet:
    """Return the fleet file for what it says of nodes and groups; secrets are not looked for.

    Raises:
        FileError: It cannot be used.
    """
    from hypernode.fleet.spec import load

    return load(fleet_path(connection, selection.file), catalogue, with_secrets=False)


def naming_fleet(
    selection: Selection, connection: Connection, catalogue: Catalogue, *, only_named_file: bool = False
) -> Fleet | None:
    """Return the fleet file if the chosen nodes are to be looked up in it: groups, and all where there is one.

    Args:
        selection: What was chosen.
        connection: Tells the name of the fleet file.
        catalogue: To read that file with.
        only_named_file: Whether all means the nodes with a token even where a fleet.yaml lies about. The shell has
            emptied that file already in ``hnctl export > fleet.yaml``.

    Raises:
        InvalidNode: A name is wrong.
        FileError: The fleet file is needed and cannot be used.
    """
    for node in selection.nodes:
        check_node(node)
    by_file = selection.all_nodes and (
        selection.file or (not only_named_file and fleet_path(connection, None).exists())
    )
    return load_fleet(selection, connection, catalogue) if selection.groups or by_file else None


def choose(selection: Selection, connection: Connection, fleet: Fleet | None) -> list[str]:
    """Return the chosen nodes for a command that needs no fleet file unless it names the nodes.

    With nothing chosen it is HYPERNODE_APP_NAME, else the node we stand on (DESIGN 4).

    Args:
        selection: What was chosen.
        connection: Tells the API whose tokens count.
        fleet: See `naming_fleet`.

    Raises:
        InputError: Nothing tells which node, or a name is wrong.
    """
    named = [check_node(node) for node in selection.nodes]
    if fleet is not None:
        known = tuple(node for node in named if node in fleet.nodes)
        in_file = choose_in_fleet(Selection(known, selection.groups, selection.all_nodes), fleet)
        return _without([*in_file, *named], selection.exclude, known=[*fleet.nodes, *named])
    if selection.all_nodes:
        from hypernode.credentials import known_tokens

        with_token = dict.fromkeys(token.node for token in known_tokens(connection.api_url))
        nodes = [*map(check_node, with_token), *named]
        if not nodes and (own := _find_own()):
            nodes = [own]
        if not nodes:
            raise InputError(
                "which nodes? No file and no variable names any",
                hint="Name a fleet file with -f or a node with -n, or set HYPERNODE_API_TOKENS",
            )
        return _without(nodes, selection.exclude, known=nodes)
    # Whoever spells out the nodes may keep a list of those to spare in HNCTL_EXCLUDE.
    named = named or [own_node()]
    return _without(named, selection.exclude, known=[*named, *map(check_node, selection.exclude)])


def only_node(nodes: Sequence[str]) -> str:
    """Return the one node that was given, else the own one.

    Raises:
        InputError: There are several, or a name is wrong.
    """
    if len(nodes) > 1:
        raise InputError("this is done on one node at a time", hint="Give -n once")
    return check_node(nodes[0]) if nodes else own_node()


def own_node() -> str:
    """Return the node that the environment or the machine itself names.

    Raises:
        InvalidNode: Neither does.
    """
    name = _find_own()
    if not name:
        raise InvalidNode("which node? None was given", hint="Name it with -n NODE, or set HYPERNODE_APP_NAME")
    return name


def _find_own() -> str | None:
    from hypernode.credentials import own_name

    name = os.environ.get("HYPERNODE_APP_NAME") or own_name()
    return check_node(name) if name else None


def check_excluded(exclude: Iterable[str], known: Collection[str]) -> None:
    """Refuse to leave out what is not there: with a slip of the pen, the node to spare would be changed.

    Raises:
        InputError: One of `exclude` is not `known`.
    """
    for name in exclude:
        if name not in known:
            near = closest(check_node(name), known)
            raise InputError(f"there is no node {name} to leave out", hint=f"Did you mean {near}?" if near else None)


def _without(nodes: Iterable[str], exclude: Sequence[str], *, known: Collection[str]) -> list[str]:
    check_excluded(exclude, known)
    return [node for node in dict.fromkeys(nodes) if node not in exclude]


def _not_there(kind: str, name: str, known: Iterable[str], path: str) -> InputError:
    near = closest(name, known)
    return InputError(f"{path} has no {kind} {name}", hint=f"Did you mean {near}?" if near else None)
