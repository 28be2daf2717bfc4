"""Running a sandbox: in a thread, on 127.0.0.1, gone without a trace afterwards."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn

from hypernode.sandbox.app import Api
from hypernode.sandbox.control import PREFIX, make_control
from hypernode.sandbox.faults import Draws
from hypernode.sandbox.shops import PREFIX as SHOPS
from hypernode.sandbox.shops import Shops
from hypernode.sandbox.stage import Entry, Stage
from hypernode.sandbox.wire import Protocol, Receive, Scope, Send
from hypernode.sandbox.world import World

T = TypeVar("T")
HOST = "127.0.0.1"


class Sandbox:
    """A stand-in for the API that listens while the ``with`` block runs.

    Attributes:
        url: Where it listens; known from the start of the block on.
        names: The nodes.
        tokens: The token of each node; a Brancher takes its parent's.
        order_token: A token that belongs to no node and may order new ones.
    """

    def __init__(
        self,
        *,
        nodes: int = 5,
        seed: int = 7,
        flow_time: float = 2.0,
        latency: float = 0.0,
        port: int = 0,
        faults: Mapping[str, object] | None = None,
        retry_after: float = 1.0,
        brancher_time: float | None = 3.0,
    ) -> None:
        """Make the nodes; nothing listens yet.

        Args:
            nodes: How many; asking for more never changes the first ones.
            seed: What tokens, values and faults are drawn from.
            flow_time: Seconds from a write to the end of its flows.
            latency: Seconds added to each request.
            port: Where to listen; 0 picks a free port.
            faults: As `Sandbox.set_faults` takes them.
            retry_after: Seconds that a 429 asks for.
            brancher_time: Seconds from the order of a Brancher to its address; None: it never gets one.

        Raises:
            InputError: A fault is unknown, or names a node that is.
        """
        world = World(nodes, seed=seed, flow_time=flow_time)
        self._stage = Stage(world, Draws(seed), latency=latency, retry_after=retry_after)
        self._stage.set_faults(faults or {})
        self._stage.branchers.set_delivery({"brancher_time": brancher_time})
        self._port = port
        self.url = ""
        self.names = tuple(world.nodes)
        self.tokens: Mapping[str, str] = {node.name: node.token for node in world.nodes.values()}
        self.order_token = world.order_token

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; return once a request would be answered.

        Raises:
            OSError: The port is taken.
        """
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, self._port))
        except OSError:
            listener.close()
            raise
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._server = _Server(_make_app(self._stage))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="hypernode-sandbox", daemon=True
        )
        self._thread.start()
        self._server.listening.result()

    def stop(self) -> None:
        """Stop listening; requests that still wait for an answer get none."""
        self._server.end()
        self._thread.join()

    def log(self) -> list[Entry]:
        """Return every request to the API in the order in which they came in."""
        return self._do(self._stage.log.in_order)

    def clear_log(self) -> None:
        """Forget the requests so far."""
        self._do(self._stage.log.entries.clear)

    def settings(self, node: str) -> dict[str, Any]:
        """Return all settings of `node` as a read would show them now."""

        def read() -> dict[str, Any]:
            found = self._stage.world.find(node)
            self._stage.world.settle(found)
            return dict(found.settings)

        return self._do(read)

    def set(self, node: str, **settings: object) -> None:
        """Change settings of `node` behind the client's back, at once and without a flow.

        Raises:
            InputError: The node or a setting is unknown, or a value is of the wrong type.
        """
        self._do(lambda: self._stage.world.set(self._stage.world.find(node), settings))

    def set_product(self, node: str, code: str, *, used_gb: int | None = None) -> None:
        """Let `node` be of the product `code`, at once and without a flow.

        Args:
            node: Which.
            code: Of the product.
            used_gb: How much of its disk is in use; None: as much as before.

        Raises:
            InputError: The node or the product is unknown, or that is no number of gigabytes.
        """
        self._do(lambda: self._stage.world.move(self._stage.world.find(node), code, used_gb))

    def set_delivery(self, **delivery: object) -> None:
        """Change how the Branchers are delivered that are made from now on; what is left out stays.

        Args:
            **delivery: `brancher_time`, seconds from the order to the address, None: it never gets one;
                `logbook_delay`, seconds from the order to its first flow; `ending`, success or reverted.

        Raises:
            InputError: A name or a value is not understood; nothing was changed.
        """
        self._do(lambda: self._stage.branchers.set_delivery(delivery))

    def branchers(self) -> list[dict[str, Any]]:
        """Return the Branchers that nobody destroyed, as a list of the API shows them.

        Each has its `parent` and the services that it started without the data of, `clear_services`.
        """
        return self._do(self._stage.branchers.all_living)

    def destroy(self, brancher: str) -> None:
        """Let a Brancher be gone behind the client's back, at once and without a flow.

        Raises:
            InputError: There is no such Brancher.
        """
        self._do(lambda: self._stage.branchers.destroy(self._stage.world.find(brancher)))

    def set_allowlist_types(self, *types: str) -> None:
        """Let allowlists take entries of these types; at first they are waf, database and ftp.

        Raises:
            InputError: Nobody knows such a type.
        """
        self._do(lambda: self._stage.allowlists.set_types(types))

    def break_page(self, node: str, **settings: object) -> None:
        """Let the shop of `node` answer 500 while the node has these settings; with none always.

        Raises:
            InputError: The node or a setting is unknown, or a value is of the wrong type.
        """
        self._do(lambda: self._stage.world.break_shop(self._stage.world.find(node), settings))

    def mend_page(self, node: str) -> None:
        """Let the shop of `node` answer well again, whatever settings the node has."""
        self._do(lambda: self._stage.world.break_shop(self._stage.world.find(node), None))

    def keep_busy(self, node: str, workers: int) -> None:
        """Let so many PHP-FPM workers of `node` be at work.

        Raises:
            InputError: The node is unknown, or that is no number of workers.
        """
        self._do(lambda: self._stage.world.keep_busy(self._stage.world.find(node), workers))

    def shop_url(self, node: str) -> str:
        """Return the address of the shop on `node`; ``{node}`` gives what a gate says for all nodes."""
        return f"{self.url}{SHOPS}{node}/"

    def start_flow(self, node: str, name: str, seconds: float) -> None:
        """Start a flow that nobody asked for over the API, such as ``xgrade_app``."""
        self._do(lambda: self._stage.world.start_flow(self._stage.world.find(node), name, seconds))

    def set_faults(self, faults: Mapping[str, object]) -> None:
        """Replace all faults by ``{"reset": 0.2, "hang": ["kaasshop"], "any": "20%"}``; draws start anew.

        Raises:
            InputError: A fault is unknown, or names a node that is.
        """
        self._do(lambda: self._stage.set_faults(faults))

    def links(self, **links: str) -> None:
        """Change `location_base`, `next_base` or `redirect_to`: the addresses in answers."""
        self._do(lambda: self._stage.set_links(links))

    def _do(self, act: Callable[[], T]) -> T:
        """Run `act` between two requests, in the server's thread."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except Exception as exc:  # noqa: BLE001 - handed to the thread that asked
                done.set_exception(exc)

        self._server.loop.call_soon_threadsafe(run)
        return done.result()


class _Server(uvicorn.Server):
    """uvicorn's server, started and ended at once: its own waits up to 0.3 s each time, and for hanging clients."""

    def __init__(self, app: Callable[..., Any]) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
        )
        super().__init__(config)
        self.listening: Future[None] = Future()
        self.loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `end` is called."""
        try:
            super().run(sockets)
        except BaseException as exc:
            if self.listening.done():
                raise
            self.listening.set_exception(exc)

    async def main_loop(self) -> None:
        """Wait for the end; each second renew the Date header."""
        self.loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        self.listening.set_result(None)
        while not self._over.is_set():
            try:
                async with asyncio.timeout(1):
                    await self._over.wait()
            except TimeoutError:
                await self.on_tick(0)

    def end(self) -> None:
        """Leave `main_loop`; callable from any thread."""
        self.loop.call_soon_threadsafe(self._over.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything without waiting for anybody."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()
        for listener in sockets or []:
            listener.close()


def _make_app(stage: Stage) -> Callable[[Scope, Receive, Send], Any]:
    api, control, shops = Api(stage), make_control(stage), Shops(stage.world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if f"{scope['path']}/".startswith(PREFIX):
            await control(scope, receive, send)
        elif scope["path"].startswith(SHOPS):
            await shops(scope, receive, send)
        else:
            await api(scope, receive, send)

    return app
