"""Whether nodes have the product that a change needs or the file says, and what another one would mean. Pure.

A product is never changed by a plan: it costs money, and has a command of its own (``hnctl products change``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypernode.fleet.plan import Plan

if TYPE_CHECKING:
    from hypernode.api.models import Product, ProductChange

VARNISH = "varnish_enabled"
OPEN = ("elasticsearch_enabled", "rabbitmq_enabled")
"""Settings that some products lack; which ones only the refusal of the API tells (CONTRACT.md 6)."""


@dataclass(frozen=True, slots=True)
class Need:
    """One node whose product is in question."""

    node: str
    current: str
    """Code of its product."""
    setting: str | None = None
    """The setting that needs another one; None: the file says another one."""
    wanted: str | None = None
    """Code of the product that would do; None: none is known."""
    has: bool | None = False
    """Whether its product has what is needed; None: the API does not tell."""
    price: int | None = None
    """Of its product. The unit of prices is not stated (CONTRACT.md 2.8)."""
    wanted_price: int | None = None
    change: ProductChange | None = None
    """What moving the node to `wanted` would mean; None: not asked, or not told."""

    @property
    def increase(self) -> int | None:
        """By how much the price rises, at least 0; None: it is not known."""
        if self.has is None:
            return 0  # by the refusal of the API nothing is bought
        if self.price is None or self.wanted_price is None:
            return None
        return max(0, self.wanted_price - self.price)


def find_needs(plan: Plan, live: Mapping[str, Mapping[str, Any]], wished: Mapping[str, str]) -> list[Need]:
    """Return the nodes whose product is in question, in the order of their names; prices are still to be found.

    Args:
        plan: What is to change.
        live: Node to its product as its detail has it; nodes whose product is not known are left out.
        wished: Node to the code that the file says.
    """
    needs = [
        Need(node, live[node]["code"], None, code)
        for node, code in sorted(wished.items())
        if node in live and live[node]["code"] != code
    ]
    for change in plan.changes:
        if change.desired is not True or change.node not in live:
            continue
        code = live[change.node]["code"]
        if change.setting == VARNISH and live[change.node].get("varnish_supported") is False:
            needs.append(Need(change.node, code, change.setting))
        elif change.setting in OPEN:
            needs.append(Need(change.node, code, change.setting, has=None))
    return sorted(needs, key=lambda need: (need.node, need.setting or ""))


def next_with_varnish(current: str, products: Iterable[Product]) -> str | None:
    """Return the code of the cheapest product that costs more, has Varnish, and is of the same family and generation.

    Args:
        current: Code of the product that has it not.
        products: Those on offer, with their prices.
    """
    offered = list(products)
    price = next((each.price for each in offered if each.code == current), None)
    found = [
        each
        for each in offered
        if each.varnish_supported
        and each.is_active is not False
        and _kind(each.code) == _kind(current)
        and each.price is not None
        and price is not None
        and each.price > price
    ]
    return min(found, key=lambda each: (each.price or 0, each.code)).code if found else None


def _kind(code: str) -> tuple[str, str]:
    """Return family and generation, which also tells production from development: FAMILY_SIZE_GENERATION."""
    parts = code.split("_")
    return parts[0], parts[-1]


def increase(needs: Sequence[Need]) -> int | None:
    """Return by how much the prices of all nodes rise together, each node counted once; None: one is not known."""
    by_node: dict[str, int] = {}
    for need in needs:
        if need.increase is None:
            return None
        by_node[need.node] = max(by_node.get(need.node, 0), need.increase)
    return sum(by_node.values())
