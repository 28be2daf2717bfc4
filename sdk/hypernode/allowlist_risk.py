"""What a change of an allowlist can do that somebody has to agree to first. Pure: all that counts is given.

Most types let those pass that are listed, so a change is dangerous when it lets everybody in. ``ssh`` works the other
way round (CONTRACT.md 2.6): without an entry SSH is open to all, the first one closes it for everybody else, and a
removal that leaves others can close it for whoever makes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Literal

from hypernode.allowlists import Network, canonical, parse_network

SSH = "ssh"
_BROADEST = {4: 8, 6: 16}
"""IP version to the prefix below which a range counts as everybody. Our own line: few owners have that much."""
_MAPPED = IPv6Network("::ffff:0:0/96")
"""All of IPv4, as IPv6 spells it."""


@dataclass(frozen=True, slots=True)
class ListHazard:
    """Something that a change of the list of one type does."""

    kind: Literal["opens", "locks_out"]
    """``opens`` lets everybody in and takes an ordinary yes; ``locks_out`` takes a confirmation by name."""
    text: str
    """A sentence without a full stop."""


def judge(
    type: str,  # noqa: A002 - the API's own word
    before: Collection[str],
    after: Collection[str],
    *,
    own: str | None = None,
) -> tuple[ListHazard, ...]:
    """Tell what is hazardous about making the list `before` of one type the list `after`.

    Args:
        type: Of the entries.
        before: The addresses and ranges that are there, in any spelling.
        after: Those that will be.
        own: The address from which the node sees whoever makes the change; None: it is not known. Say one only when
            it is certain: the wrong one hides a lock-out.
    """
    old, new = set(map(canonical, before)), set(map(canonical, after))
    opened = [
        ListHazard("opens", f"{ip} in the allowlist of {type} {_how_many(ip)}")
        for ip in sorted(new - old)
        if is_everybody(ip)
    ]
    return (*opened, *(_judge_ssh(old, new, own) if type == SSH else ()))


def _judge_ssh(old: set[str], new: set[str], own: str | None) -> Iterator[ListHazard]:
    if not new:
        if old:
            yield ListHazard("opens", "without an entry of ssh, SSH is open to everybody")
    elif not old:
        text = "the first entry of ssh closes SSH for everybody else"
        yield ListHazard("locks_out", text if own is None or passes(own, new) else f"{text}, you ({own}) included")
    elif own is not None:
        if not passes(own, new):
            yield ListHazard("locks_out", f"with what is left of ssh you ({own}) cannot log in any more")
    elif gone := sorted(ip for ip in old - new if not passes(ip, new)):
        text = f"whoever comes from {', '.join(gone)} cannot log in any more, and nothing tells whether that is you"
        yield ListHazard("locks_out", text)


def passes(ip: str, entries: Collection[str]) -> bool:
    """Tell whether all addresses of `ip` are among those of one of `entries`."""
    wanted = parse_network(ip)
    if wanted is None:
        return ip in entries
    return any(_within(wanted, parse_network(entry)) for entry in entries)


def is_everybody(ip: str) -> bool:
    """Tell whether an entry lets everybody in. Many programs take 0.0.0.0 or :: alone for that, too."""
    network = parse_network(ip)
    if network is None:
        return False
    if network.num_addresses == 1:
        return network.network_address.is_unspecified
    if _within(network, _MAPPED):
        return network.prefixlen - _MAPPED.prefixlen < _BROADEST[4]
    return network.prefixlen < _BROADEST[network.version]


def _how_many(ip: str) -> str:
    """Return what an entry that `is_everybody` does, and where that is our own word."""
    network = parse_network(ip)
    if network is not None and network.num_addresses == 1:
        return "lets everybody in where a program takes it for all addresses"
    if network is not None and network.prefixlen:
        return "lets so many in that hnctl counts it as everybody"
    return "lets everybody in"


def _within(inner: Network, outer: Network | None) -> bool:
    # The versions are compared first: a range of one is never within one of the other, and asking raises.
    return outer is not None and inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
