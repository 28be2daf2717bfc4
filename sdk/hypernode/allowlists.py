"""Lists of addresses that may pass, as a value: their one spelling, and what a change of them risks. No I/O.

For plans the list of one type is a setting called ``allowlist.TYPE`` (CONTRACT.md 2.6).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping

PREFIX = "allowlist."
TYPES = ("database", "ftp", "phpmyadmin", "ssh", "waf")
"""Those that any source names; which of them a node takes only the API itself says (CONTRACT.md 2.6, 6)."""


def canonical(ip: str) -> str:
    """Return the one spelling of an address or a range that all others mean; `ip` itself when it is neither.

    A range of one address is that address, and what stands behind a range's prefix does not count.
    """
    try:
        network = ipaddress.ip_network(ip.strip(), strict=False)
    except ValueError:
        return ip.strip()
    return str(network.network_address if network.num_addresses == 1 else network)


def is_address(ip: str) -> bool:
    """Tell whether `ip` is an address or a range."""
    try:
        ipaddress.ip_network(ip.strip(), strict=False)
    except ValueError:
        return False
    return True


def is_for_all(ip: str) -> bool:
    """Tell whether a range holds every address there is, as 0.0.0.0/0 does."""
    return is_address(ip) and ipaddress.ip_network(ip.strip(), strict=False).prefixlen == 0


def may_lock_out(kind: str, before: Collection[str], after: Collection[str]) -> bool:
    """Tell whether changing the list of type `kind` can close a door to whoever changes it.

    ``ssh`` works the other way round: without an entry all may pass, and the first entry closes it for everybody else.
    Whose address is removed later on nobody can know here, so that every removal counts that leaves others.

    Args:
        kind: The type.
        before: The addresses, spelled canonically.
        after: Likewise.
    """
    if kind != "ssh" or not after:
        return False
    return not before or not set(after).issuperset(before)


class Entries(Mapping[str, str]):
    """The addresses of one list, each with its description; addresses are spelled canonically and sorted.

    Two are equal when their addresses are: nothing is known that changes a description. So one is equal to its
    own JSON form too.
    """

    __slots__ = ("_descriptions",)

    def __init__(self, descriptions: Mapping[str, str]) -> None:
        spelled = {canonical(ip): description for ip, description in descriptions.items()}
        self._descriptions = {ip: spelled[ip] for ip in sorted(spelled, key=_rank)}

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
