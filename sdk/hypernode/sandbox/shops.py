"""The shops on the nodes, as a visitor sees them: ``/_shops/NODE/``, no part of the API and not in its log."""

from __future__ import annotations

import re
from http import HTTPStatus

from hypernode.sandbox.answers import Answer
from hypernode.sandbox.wire import Receive, Scope, Send, deliver
from hypernode.sandbox.world import World

PREFIX = "/_shops/"
_PATH = re.compile(r"/_shops/([^/]+)/")


class Shops:
    """The ASGI application for the shops of `world`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await deliver(self._answer(scope["method"], scope["path"]), send)

    def _answer(self, method: str, path: str) -> Answer:
        found = _PATH.fullmatch(path)
        node = self._world.nodes.get(found[1]) if found else None
        if node is None:
            return _page(404, "There is no such shop.")
        if method not in ("GET", "HEAD"):
            return _page(405, "Shops are for looking at.").with_header("allow", "GET, HEAD")
        now = self._world.settle(node)
        if node.is_gone(now):
            return _page(404, "There is no such shop.")
        if node.fields["ip"] is None:
            return _page(503, f"{node.name} has no address yet.")
        if self._world.is_broken(node):
            return _page(500, "Fatal error: Uncaught Error: Call to undefined function")
        return _page(200, f"Welcome to {node.name}")


def _page(status: int, text: str) -> Answer:
    title = HTTPStatus(status).phrase if status != 200 else text
    html = f"<!doctype html>\n<html>\n<head><title>{title}</title></head>\n<body><p>{text}</p></body>\n</html>\n"
    return Answer(status, html.encode(), ((b"content-type", b"text/html; charset=utf-8"),))
