"""Products, as hosting tiers are called here: what there is, what a node has, and moving it (CONTRACT.md 2.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from hypernode.api.answers import read_as, read_list
from hypernode.api.flows import FIRST_INTERVAL, Flows, wait
from hypernode.api.models import Configuration, Flavor, Flow, PaymentInformation, Product, ProductChange, Sla
from hypernode.api.resource import Resource
from hypernode.errors import ApiUseSwitchedOff, Forbidden, InputError, NotApplied, NotFound
from hypernode.names import check_code, check_node

MOVES = frozenset({"xgrade_app", "xgrade_app_flow"})
"""Names of the flows that move a node to another product (CONTRACT.md 1.7)."""
_GRACE = 60.0
"""Seconds after which a flow that never showed up is given up."""


class Products(Resource):
    """The products on offer, and that of one node."""

    def list(self) -> tuple[Product, ...]:
        """Return the products on offer, in the order of the API (source: GET /v2/product/)."""
        return read_list(Product, self._get("/v2/product/"), "product", node=self._node)

    def get(self, code: str) -> Product:
        """Return one product with its price, whose unit no source states (source: GET /v2/product/{code}/with_price/).

        Raises:
            InputError: No product can have this code.
            NotFound: There is none.
        """
        try:
            data = self._get(f"/v2/product/{check_code(code)}/with_price/")
        except NotFound as exc:
            hint = f"See `hnctl products list -n {self._node}`"
            raise NotFound(f"there is no product {code}", status=exc.status, hint=hint) from exc
        return read_as(Product, data, "product", node=self._node)

    def current(self) -> Product:
        """Return the node's product (source: GET /v2/product/app/{app}/current/)."""
        return read_as(Product, self._get(f"/v2/product/app/{self._node}/current/"), "product", node=self._node)

    def next_best(self) -> Product:
        """Return what the API calls the next best plan, by code and name only.

        Source: GET /v2/app/{app}/next_best_plan/

        Raises:
            NotFound: The API names none.
        """
        return read_as(Product, self._get(f"/v2/app/{self._node}/next_best_plan/"), "product", node=self._node)

    def flavor(self) -> Flavor:
        """Return the machine under the node (source: GET /v2/app/{app}/flavor/)."""
        return read_as(Flavor, self._get(f"/v2/app/{self._node}/flavor/"), "flavor", node=self._node)

    def check(self, code: str) -> ProductChange:
        """Tell what moving the node to a product would mean; changes nothing.

        Source: GET /v2/app/xgrade/{app}/check/{code}/

        Raises:
            InputError: No product can have this code.
            NotFound: There is no such product, or no such node.
        """
        path = f"/v2/app/xgrade/{self._node}/check/{check_code(code)}/"
        try:
            data = self._get(path)
        except NotFound as exc:
            exc.hint = (
                f"Either there is no product {code} (see `hnctl products list -n {self._node}`) or no such node, or "
                "the token belongs to another one"
            )
            raise
        return read_as(ProductChange, data, "check of a product", node=self._node)

    def change(self, code: str, *, at: datetime | None = None) -> None:
        """Move the node to a product. It costs money, and the shop is down for a part of it (CONTRACT.md 2.11).

        Source: PATCH /v2/app/xgrade/{app}/. Sent once, whatever happens.

        Args:
            code: Of the product.
            at: When, aware; None: now. It can be taken back in the control panel only, until it starts.

        Raises:
            InputError: No product can have this code, or `at` names no time zone.
            OutcomeUnknown: The answer was lost.
        """
        if at is not None and at.utcoffset() is None:
            # The documentation contradicts itself about the zone of times without one (CONTRACT.md 1.6).
            raise InputError("a time without a zone could be meant in several", hint="Write 2026-09-01T03:00+02:00")
        body = {"product": check_code(code)} | ({} if at is None else {"scheduled_at": at.isoformat()})
        look = f"Look for xgrade_app with `hnctl flows list -n {self._node}` before you try again"
        if at is not None:
            look = "Look in the control panel whether it is scheduled before you try again"
        self._send_once("PATCH", f"/v2/app/xgrade/{self._node}/", body, look=look)

    def moves(self) -> frozenset[str]:
        """Return the uuids of the flows that moved or move the node, of the newest 50; for `wait`."""
        return frozenset(flow.uuid for flow in self._flows.newest() if flow.name in MOVES)

    def wait(
        self,
        code: str,
        before: Collection[str],
        *,
        timeout: float,
        interval: float = FIRST_INTERVAL,
        on_look: Callable[[Sequence[Flow]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Product | None:
        """Wait until a change of the product is done. The API names no job of it, so its flow is looked for by name.

        Args:
            code: Of the product that the node moves to.
            before: What `moves` returned before the change was sent.
            timeout: Seconds in all. No source says how long it takes; running out of them ends nothing.
            interval: Seconds until the first look; the looks get rarer, down to one in 15 seconds.
            on_look: Told what each look saw.
            clock: Monotonic seconds.

        Returns:
            The node's product; None: no flow showed up within a minute.

        Raises:
            FlowFailed: It was rolled back.
            FlowTimedOut: It goes on.
            NotApplied: The flow has succeeded, and the node has another product.
        """
        flows = wait(
            lambda: [flow for flow in self._flows.newest() if flow.name in MOVES and flow.uuid not in before],
            timeout=timeout,
            interval=interval,
            grace=min(_GRACE, timeout),
            on_look=on_look,
            sleep=self._sleep,
            clock=clock,
        )
        if not flows:
            return None
        product = self.current()
        if product.code != code:
            raise NotApplied(
                f"the flow {flows[0].name} has succeeded, and the node is of {product.code} and not of {code}",
                hint=f"Look at it again in a while: hnctl products current -n {self._node}",
                node=self._node,
            )
        return product

    @property
    def _flows(self) -> Flows:
        return Flows(self._transport, self._node, self._token)

    def payment(self) -> PaymentInformation:
        """Tell whether the node's account can pay (source: GET /v2/app/{app}/check-payment-information/)."""
        path = f"/v2/app/{self._node}/check-payment-information/"
        return read_as(PaymentInformation, self._get(path), "payment information", node=self._node)

    def slas(self) -> tuple[Sla, ...]:
        """Return the service levels on offer (source: GET /v2/addon/slas/)."""
        return read_list(Sla, self._get("/v2/addon/slas/"), "service level", node=self._node)

    def sla(self, code: str) -> Sla:
        """Return one service level (source: GET /v2/addon/{code}/).

        Raises:
            InputError: None can have this code.
            NotFound: There is none.
        """
        try:
            data = self._get(f"/v2/addon/{check_code(code)}/")
        except NotFound as exc:
            raise NotFound(f"there is no service level {code}", status=exc.status) from exc
        return read_as(Sla, data, "service level", node=self._node)

    def iter_configurations(self) -> Iterator[Configuration]:
        """Yield what a new node can start with, page by page (source: GET /v2/configuration/)."""
        for item in self._iter("/v2/configuration/"):
            yield read_as(Configuration, item, "configuration", node=self._node)

    def order(self, name: str, code: str, configuration: str) -> Any:
        """Order a new node. It costs money, and only a token that support handed out may (CONTRACT.md 2.1 #9).

        Source: POST /v2/app/order/. Sent once, whatever happens.

        Args:
            name: Of the new node.
            code: Of its product.
            configuration: `Configuration.id` of what it starts with.

        Returns:
            The answer as decoded; nothing attests its shape.

        Raises:
            InvalidNode, InputError: The name or the code cannot be one.
            Forbidden: The token may not order.
            OutcomeUnknown: The answer was lost.
        """
        body = {"app_name": check_node(name), "product": check_code(code), "initial_app_configuration": configuration}
        look = "Look in the control panel whether it was ordered before you try again"
        try:
            return self._send_once("POST", "/v2/app/order/", body, look=look).data
        except Forbidden as exc:
            if not isinstance(exc, ApiUseSwitchedOff):
                exc.hint = "The token of a node may not order; support@hypernode.com hands out tokens that may"
            raise
