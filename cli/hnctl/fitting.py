"""What the products that a plan needs cost, and what moving nodes to them would mean; nothing is moved."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hnctl.connection import Connection
from hnctl.printing import print_note
from hypernode.errors import HypernodeError, NotFound
from hypernode.fleet.fit import VARNISH, increase, next_with_varnish

if TYPE_CHECKING:
    from hypernode.api.models import Product, ProductChange
    from hypernode.fleet.compare import Comparison
    from hypernode.fleet.fit import Need


def fitted(link: Connection, comparison: Comparison) -> Comparison:
    """Return `comparison` with what the API says of the products in question; without any, nothing is asked.

    Raises:
        HypernodeError: The API does not tell, and the fleet file has a limit that hangs on it.
    """
    if not comparison.needs:
        return comparison
    try:
        needs = _look_up(link, comparison.needs)
    except HypernodeError as exc:
        if comparison.plan.limits.max_monthly_increase is not None:
            raise
        print_note(f"What the products cost is not known: {exc.message}")
        return comparison
    return replace(comparison, needs=needs, plan=replace(comparison.plan, increase=increase(needs)))


def _look_up(link: Connection, needs: Sequence[Need]) -> tuple[Need, ...]:
    offered = {product.code: product for product in link.client(needs[0].node).products.list()}
    priced = [_priced(link, need, offered) for need in needs]
    with link.executor() as executor:
        changes = list(executor.map(lambda need: _ask(link, need), priced))
    return tuple(replace(need, change=change) for need, change in zip(priced, changes, strict=True))


def _priced(link: Connection, need: Need, offered: dict[str, Product]) -> Need:
    wanted = next_with_varnish(need.current, offered.values()) if need.setting == VARNISH else need.wanted
    price, then = (_price(link, need.node, code, offered) for code in (need.current, wanted))
    return replace(need, wanted=wanted, price=price, wanted_price=then)


def _price(link: Connection, node: str, code: str | None, offered: dict[str, Product]) -> int | None:
    """Return the price of a product, also of one that is on offer no more; None: the API tells none."""
    if code is not None and code not in offered:
        with suppress(NotFound):
            offered[code] = link.client(node).products.get(code)
    return offered[code].price if code in offered else None


def _ask(link: Connection, need: Need) -> ProductChange | None:
    if need.wanted is None:
        return None
    try:
        return link.client(need.node).products.check(need.wanted)
    except NotFound:
        return None
