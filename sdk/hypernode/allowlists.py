"""Lists of addresses that may pass, as a value, and the one spelling of an address. No I/O.

For plans the list of one type is a setting called ``allowlist.TYPE`` (CONTRACT.md 2.6).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

PREFIX = "allowlist."
TYPES = ("database", "ftp", "phpmyadmin", "ssh", "waf")
"""Those that any source names; which of them a node takes only the API itself says (CONTRACT.md 2.6, 6)."""


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(ip: str) -> Network | None:
    """Return the addresses that `ip` means, one or a range; None when it means none.

    What stands behind a range's prefix does not count: 192.0.2.9/24 is 192.0.2.0/24. An address with a zone (``%eth0``)
    has a meaning on one machine only, and so means none.
    """
    try:
        return None if "%" in ip else ipaddress.ip_network(ip.strip(), strict=False)
    except ValueError:
        return None


def canonical(ip: str) -> str:
    """Return the one spelling of an address or a range that all others mean; `ip` itself when it is neither.

    A range of one address is that address.
    """
    network = parse_network(ip)
    if network is None:
        return ip.strip()
    return str(network.network_address if network.num_addresses == 1 else network)


def is_address(ip: str) -> bool:
    """Tell whether `ip` is an address or a range."""
    return parse_network(ip) is not None


class Entries(Mapping[str, str]):
    """The addresses of one list, each with its description; addresses are spelled canonically and sorted.

    Two are equal when their addresses are: nothing is known that changes a description. So one is equal to its
    own JSON form too.
    """

    __slots__ = ("_descriptions", "gone")

    gone: frozenset[str]
    """Addresses that are to be taken away; what is in neither is somebody else's and left alone."""

    def __init__(self, descriptions: Mapping[str, str], gone: Iterable[str] = ()) -> None:
        spelled = {canonical(ip): description for ip, description in descriptions.items()}
        self._descriptions = {ip: spelled[ip] for ip in sorted(spelled, key=_rank)}
        self.gone = frozenset(gone)

    def __getitem__(self, ip: str) -> str:
        return self._descriptions[ip]

    def __iter__(self) -> Iterator[str]:
        return iter(self._descriptions)

    def __len__(self) -> int:
        return len(self._descriptions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._descriptions.keys() == other.keys()

    def __hash__(self) -> int:
        return hash(frozenset(self._descriptions))

    def __repr__(self) -> str:
        return f"Entries({self._descriptions!r})"

    def __str__(self) -> str:
        return ", ".join(self._descriptions) or "no entries"

    def __or__(self, other: Mapping[str, str]) -> Entries:
        """Return both together; where both have an address, the description of `other` stays."""
        return Entries({**self._descriptions, **other})

    def in_place_of(self, before: Mapping[str, str]) -> Entries:
        """Return these with all of `before` that they lack as `gone`."""
        return Entries(self._descriptions, before.keys() - self.keys())

    def are_there(self, found: Mapping[str, str]) -> bool:
        """Tell whether `found` has all of these and nothing that is to be gone."""
        return self.keys() <= found.keys() and not self.gone & found.keys()

    def count(self) -> str:
        """Return how many there are, in words."""
        return f"{len(self) or 'no'} {'entry' if len(self) == 1 else 'entries'}"

    def changed_from(self, before: Mapping[str, str]) -> str:
        """Return what has to be added to `before` and removed from it, in words."""
        added = [f"+{ip}{f' ({text})' if text else ''}" for ip, text in self.items() if ip not in before]
        return " ".join([*added, *(f"-{ip}" for ip in before if ip not in self)])


def _rank(ip: str) -> tuple[int, int, int, str]:
    """Return what addresses are sorted by: IPv4 first, then by number; what is no address comes last."""
    try:
        network = ipaddress.ip_network(ip)
    except ValueError:
        return 9, 0, 0, ip
    return network.version, int(network.network_address), network.prefixlen, ip
