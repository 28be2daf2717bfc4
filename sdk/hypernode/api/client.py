"""One node, seen through the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hypernode.api.apps import iter_nodes, make_node
from hypernode.api.flows import Flows
from hypernode.api.settings import Settings
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue
from hypernode.config import load_config
from hypernode.credentials import explicit, find_token
from hypernode.names import check_node
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Node


class Client:
    """A node's settings and flows. Making one sends nothing; use it in a `with` block, or call `close`.

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
        self._transport = transport
        self._token = found.secret
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

    def iter_nodes(self) -> Iterator[Node]:
        """Yield the nodes that the token may see, page by page: this one, and its Branchers (CONTRACT.md 2.1)."""
        return iter_nodes(self._transport, self._token)

    def get_node(self) -> Node:
        """Return what the API says of the node besides its settings."""
        return make_node(self.settings.detail(), self.node)
