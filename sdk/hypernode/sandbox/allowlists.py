"""The allowlists of nodes (CONTRACT.md 2.6).

What no source tells is decided here: an address is kept in its canonical form, and two entries are the same when they
have the same type and the same addresses, however these are written.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from hypernode.errors import InputError
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.world import World

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KNOWN_TYPES = ("waf", "database", "ftp", "ssh", "phpmyadmin")
"""The last two are known to the node's own tool only."""
_FIRST_TYPES = ("waf", "database", "ftp")
_FIRST_ID = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: whom it lets pass, and to what."""

    id: int
    created: str
    type: str
    network: Network
    ip: str
    description: str

    def as_json(self, node: Node) -> dict[str, object]:
        """Return the entry as the list of `node` shows it (CONTRACT.md 2.8)."""
        return {
            "id": self.id,
            "created": self.created,
            "domainname": node.fields["domainname"],
            "ip": self.ip,
            "type": self.type,
            "description": self.description,
        }


class Allowlists:
    """The allowlists of all nodes of `world`; each is empty at first."""

    def __init__(self, world: World) -> None:
        self.types: tuple[str, ...] = _FIRST_TYPES
        self._world = world
        self._entries: defaultdict[str, list[Entry]] = defaultdict(list)
        self._ids = count(_FIRST_ID)

    def set_types(self, types: Iterable[str]) -> None:
        """Let entries be of these types only; those that are there stay.

        Raises:
            InputError: No source knows such a type.
        """
        wanted = tuple(dict.fromkeys(types))
        if strange := [type_ for type_ in wanted if type_ not in KNOWN_TYPES]:
            raise InputError(f"an allowlist has no type {strange[0]!r}: it is one of {', '.join(KNOWN_TYPES)}")
        self.types = wanted

    def entries(self, node: Node) -> list[Entry]:
        """Return the entries of `node`, oldest first."""
        return list(self._entries[node.name])

    def find(self, node: Node, type_: str, network: Network) -> Entry | None:
        """Return the entry of `node` for just these addresses."""
        for entry in self._entries[node.name]:
            if (entry.type, entry.network) == (type_, network):
                return entry
        return None

    def add(self, node: Node, type_: str, ip: str, description: str) -> Entry:
        """Add an entry that is not there yet; `ip` is one that `parse_network` takes."""
        network = parse_network(ip)
        shown = str(network) if "/" in ip else str(network.network_address)
        created = self._world.stamp(self._world.clock())
        entry = Entry(next(self._ids), created, type_, network, shown, description)
        self._entries[node.name].append(entry)
        return entry

    def remove(self, node: Node, entry: Entry) -> None:
        """Remove an entry of `node`."""
        self._entries[node.name].remove(entry)


def parse_network(ip: str) -> Network:
    """Return the addresses that `ip` means: one address or a range in CIDR form.

    Raises:
        ValueError: It is neither; also when a range names one of its addresses in place of its first.
    """
    if "%" in ip:
        raise ValueError("an address with a zone belongs to one machine")
    return ipaddress.ip_network(ip)
