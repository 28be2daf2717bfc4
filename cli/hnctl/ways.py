"""How the nodes of a command are reached, by the fleet file or by where we stand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hnctl.connection import Connection
from hnctl.printing import print_note
from hnctl.selection import Selection, fleet_path, load_fleet
from hypernode.credentials import own_name
from hypernode.errors import CredentialsError, FileError

if TYPE_CHECKING:
    from hypernode.fleet.spec import Fleet
    from hypernode.fleet.ways import Way
    from hypernode.node.shell import Shell


def find_ways(
    link: Connection, selection: Selection, nodes: Iterable[str], fleet: Fleet | None, *, to_change: bool = False
) -> dict[str, Way]:
    """Return how those of `nodes` are reached that are not reached through the API.

    The fleet file tells it; it is looked into for this when it names no nodes too, if it is there. A node that we stand
    on and have no token of is reached through its own tool.

    Args:
        link: Finds tokens.
        selection: Names the fleet file, perhaps.
        nodes: The chosen ones.
        fleet: The fleet file if it was read.
        to_change: Whether they are about to be changed, and so must not be reached by a wrong way.

    Raises:
        FileError: A file cannot be used, and was named or is needed to be sure.
    """
    fleet = fleet or _at_hand(link, selection, needed=to_change)
    chosen = list(nodes)
    said = {node: fleet.way(node) for node in chosen if node in fleet.nodes} if fleet else {}
    ways = {node: way for node, way in said.items() if way.by_tool}
    own = own_name()
    if own in chosen and (own not in said or said[own].via is None) and _needs_tool(link, chosen, own):
        from hypernode.fleet.ways import Way

        ways[own] = Way("local")
    return ways


def shell_of(
    link: Connection, selection: Selection, fleet: Fleet | None = None, *, check: bool = True
) -> Callable[[str], Shell]:
    """Return what gives a shell on a node, whatever the way to its settings: here for our own, over SSH for others.

    The arguments are as for `find_ways` and `Connection.shell`.
    """
    from hypernode.fleet.ways import DEFAULT

    known = fleet or _at_hand(link, selection, needed=check)
    own = own_name()

    def shell(node: str) -> Shell:
        way = known.way(node) if known is not None and node in known.nodes else DEFAULT
        return link.shell(node, way._replace(via="local" if node == own else "ssh"), check=check)

    return shell


def _at_hand(link: Connection, selection: Selection, *, needed: bool) -> Fleet | None:
    path = fleet_path(link, selection.file)
    if selection.file is None and not path.exists():
        return None
    from hypernode.fleet.yamlfile import read_file

    try:
        # A large file takes a second to read, and most say nothing of ways.
        raw = read_file(path)
        return load_fleet(selection, link, link.catalogue()) if b"via" in raw or b"ssh" in raw else None
    except FileError:
        if needed or selection.file is not None:
            raise
        print_note(f"{path} has problems (hnctl validate), so what it says of the ways to nodes is not used.")
        return None


def _needs_tool(link: Connection, chosen: list[str], own: str) -> bool:
    """Tell whether the node we stand on has no token that can be used, and has its tool."""
    from hypernode.node.systemctl import TOOL

    link.address(chosen)
    try:
        link.token(own)
    except CredentialsError as exc:
        if shutil.which(TOOL) is None:
            return False
        print_note(f"{own}: {exc.message}, so {TOOL} is used.")
        return True
    return False
