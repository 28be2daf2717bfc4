"""One node, seen through the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hypernode.api.answers import read_as
from hypernode.api.apps import make_node
from hypernode.api.flows import Flows
from hypernode.api.resource import Resource
from hypernode.api.settings import Settings
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue
from hypernode.config import load_config
from hypernode.credentials import explicit, find_token
from hypernode.errors import BadAnswer, Rejected
from hypernode.names import check_node, parent_of
from hypernode.secrets import Secret

if TYPE_CHECKING:  # the models and the lesser resources are imported when they are needed: see benchmarks/README.md
    from hypernode.api.allowlist import Allowlist
    from hypernode.api.attacks import Attacks
    from hypernode.api.backups import Backups
    from hypernode.api.branchers import Branchers
    from hypernode.api.fpm import FpmStatus
    from hypernode.api.insights import Insights
    from hypernode.api.models import Node, Relations
    from hypernode.api.products import Products
    from hypernode.api.raw import Raw

R = TypeVar("R", bound=Resource)


class Client(Resource):
    """A node and all that belongs to it. Making one sends nothing; use it in a `with` block, or call `close`.

    Args:
        node: Name of the node or Brancher.
        token: Its token; None: found as DESIGN 5 says (environment, token_command, keyring, the node's own file).
        api_url: Address of the API; None: HNCTL_API_URL, the config, or the public one. Ignored with `transport`.
        transport: A transport to share with other clients, which then is not closed with this one.
        catalogue: Settings to know; None: those of this version.
        sleep: Waits.
        clock: Monotonic seconds.

    Raises:
        InvalidNode: No node can have this name.
        InputError: The address or the time limit of the environment cannot be used.
        NoToken: No token was given and none was found.
    """

    settings: Settings
    flows: Flows

    def __init__(
        self,
        node: str,
        *,
        token: str | Secret | None = None,
        api_url: str | None = None,
        transport: Transport | None = None,
        catalogue: Catalogue | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.node = check_node(node)
        self._owns_transport = transport is None
        config = load_config()
        if transport is None:
            transport = Transport(
                api_url or str(config.find("api_url")[0]),
                timeout=config.seconds("timeout"),
                rps=config.number("rps"),
                ca_file=config.find("ca_file")[0],
                sleep=sleep,
                clock=clock,
            )
        # After the transport, which has checked the address that the token is for.
        if token is None:
            found = find_token(node, api_url=transport.api_url, config=config, only_node=True)
        else:
            found = explicit(token, node)
        super().__init__(transport, node, found.secret, sleep=sleep)
        self.settings = Settings(
            transport,
            node,
            found.secret,
            catalogue or Catalogue.bundled(),
            interval=config.seconds("poll_interval"),
            sleep=sleep,
            clock=clock,
        )
        self.flows = Flows(transport, node, found.secret)

    def __repr__(self) -> str:
        return f"Client({self.node!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless the transport is shared."""
        if self._owns_transport:
            self._transport.close()

    def iter_nodes(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the API's own word
        parent: str | None = None,
    ) -> Iterator[Node]:
        """Yield the nodes that the token may see, page by page: this one and its Branchers (source: GET /v2/app/).

        Args:
            type: Only ``persistent`` nodes, or only ``brancher`` ones; None: both.
            parent: Only the Branchers of this node; None: all nodes.
        """
        query = {"destroyed": "false"}
        if type is not None:
            query["type"] = type
        if parent is not None:
            query["parent"] = check_node(parent)
        for item in self._iter("/v2/app/", query):
            yield make_node(item, str(item.get("name")) if isinstance(item, dict) else "?")

    def get_node(self) -> Node:
        """Return what the API says of the node besides its settings (source: GET /v2/app/{app}/)."""
        return make_node(self.settings.detail(), self.node)

    def get_relations(self) -> Relations:
        """Return the node's cluster relations in both directions (source: GET /v2/app/{app}/relations/)."""
        from hypernode.api.models import Relations

        return read_as(Relations, self._get(f"/v2/app/{self.node}/relations/"), "list of relations", node=self.node)

    def get_fpm_status(self) -> FpmStatus:
        """Ask the node what its PHP-FPM workers do (source: POST /v2/nats/{app}/hypernode.show-fpm-status)."""
        from hypernode.api.fpm import get_fpm_status

        return get_fpm_status(self._transport, self.node, self._token)

    def check_name(self, name: str) -> tuple[str, ...]:
        """Return what the API has against `name` for a new node; nothing when it is free.

        Source: GET /v2/app/name/validate/, which checks the rules that nobody has written down (CONTRACT.md 7).

        Raises:
            ApiError, CredentialsError: The API judged nothing; a 401 or a 403 says nothing of the name.
        """
        try:
            said = self._get("/v2/app/name/validate/", {"name": name})
        except Rejected as exc:
            return tuple(text for texts in exc.fields.values() for text in texts) or (exc.message,)
        if isinstance(said, dict):
            said = said.get("errors")
        if said is not None and not (isinstance(said, list) and all(isinstance(text, str) for text in said)):
            raise BadAnswer("the API answered no messages about the name", status=200)
        return tuple(said or ())

    def preinstall(self, kind: str, *, sample_data: bool = False) -> Any:
        """Post the job that installs a fresh shop (source: POST /v2/app/{app}/perform_preinstall/, documented in 2020).

        What becomes of a shop that is there is not attested (CONTRACT.md 2.1 #13). Sent once, whatever happens.

        Args:
            kind: ``magento_2`` and its like; the API judges it.
            sample_data: Whether the shop is filled.

        Returns:
            The answer as decoded; nothing attests its shape.

        Raises:
            OutcomeUnknown: The answer was lost.
        """
        body = {"preinstall_type": kind, "sample_data": sample_data}
        look = f"Look at `hnctl flows list -n {self.node}` before you try again"
        return self._send_once("POST", f"/v2/app/{self.node}/perform_preinstall/", body, look=look).data

    @cached_property
    def products(self) -> Products:
        """The products on offer, and the node's."""
        from hypernode.api.products import Products

        return self._resource(Products)

    @cached_property
    def branchers(self) -> Branchers:
        """The node's Branchers; those of its parent when it is one itself."""
        from hypernode.api.branchers import Branchers

        return Branchers(self._transport, parent_of(self.node) or self.node, self._token, sleep=self._sleep)

    @cached_property
    def allowlist(self) -> Allowlist:
        """The addresses that may pass."""
        from hypernode.api.allowlist import Allowlist

        return self._resource(Allowlist)

    @cached_property
    def backups(self) -> Backups:
        """The node's backups."""
        from hypernode.api.backups import Backups

        return self._resource(Backups)

    @cached_property
    def attacks(self) -> Attacks:
        """The attacks that can be blocked."""
        from hypernode.api.attacks import Attacks

        return self._resource(Attacks)

    @cached_property
    def insights(self) -> Insights:
        """The marks on the node's graphs."""
        from hypernode.api.insights import Insights

        return self._resource(Insights)

    @cached_property
    def raw(self) -> Raw:
        """Any call by its path."""
        from hypernode.api.raw import Raw

        return self._resource(Raw)

    def _resource(self, kind: type[R]) -> R:
        return kind(self._transport, self.node, self._token, sleep=self._sleep)
