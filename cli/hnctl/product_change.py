"""Moving a node to another product: what the API says of it, what speaks against it, and agreeing to it by name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hnctl.consent import ask_for_name
from hypernode.errors import NodeIsBusy, NotFound, PlanIsStale, UnsafePlan

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.api.models import Product, ProductChange


@dataclass(frozen=True, slots=True)
class Check:
    """What moving a node would mean."""

    node: str
    now: Product
    then: Product
    change: ProductChange

    @property
    def is_there(self) -> bool:
        """Whether the node is of that product already."""
        return self.now.code == self.then.code

    def obstacles(self) -> list[tuple[str, str]]:
        """Return what speaks against it, each with what would help."""
        reasons = []
        if not self.change.will_disk_fit:
            reasons.append(
                (
                    f"what is on the disk of {self.node} does not fit on that of {self.then.code}",
                    "remove what is not needed, or take a larger product: hnctl products list",
                )
            )
        if not self.change.has_valid_payment_method:
            reasons.append(
                (
                    f"the account of {self.node} has no valid payment method",
                    "an owner of the account gives one in the control panel",
                )
            )
        return reasons


def read_check(client: Client, code: str) -> Check:
    """Ask the API what moving a node to `code` would mean; changes nothing.

    Raises:
        InputError, NotFound: There is no such product.
    """
    products = client.products
    then = products.get(code)  # first, since only its refusal can be about nothing but the code
    change, now = products.check(code), products.current()
    with suppress(NotFound):  # an old product may be on offer no longer, and then has no price
        now = products.get(now.code)
    return Check(client.node, now, then, change)


def check_still_so(client: Client, check: Check, *, ignore_running: bool) -> None:
    """Refuse to change a node that is being changed, or has been since `check` was read.

    Raises:
        NodeIsBusy: A flow is under way.
        PlanIsStale: It has another product by now.
    """
    if (code := client.products.current().code) != check.now.code:
        raise PlanIsStale(
            f"it is of {code} by now, and was of {check.now.code} when it was checked; nothing was sent",
            hint="Run the command again",
            node=client.node,
        )
    flow = None if ignore_running else client.flows.blocking()
    if flow is not None:
        raise NodeIsBusy(
            f"the flow {flow.name} is {flow.state or 'about to start'}; nothing was sent",
            hint=f"Wait for it (hnctl flows watch -n {client.node}), or allow it with --ignore-running",
            node=client.node,
        )


def agree_by_name(check: Check, confirmed: Sequence[str]) -> None:
    """Have the node and the product named, after `check` was shown; no ordinary yes counts.

    Args:
        check: What is to be done.
        confirmed: ``NODE:CODE`` as it was given.

    Raises:
        UnsafePlan: Something speaks against it.
        NotAgreed: Nobody did.
    """
    if reasons := check.obstacles():
        raise UnsafePlan(reasons)
    what = f"{check.node}: {check.now.code} -> {check.then.code} costs money, and the shop is down for a part of it"
    ask_for_name(f"{check.node}:{check.then.code}", what, confirm=confirmed, node=check.node)
