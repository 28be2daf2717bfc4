"""Small real servers that answer what the sandbox never would."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = b"<html><head><title>Guest portal</title></head><body>Please sign in</body></html>"


@dataclass
class Odd:
    """A server that is running."""

    port: int = 0
    calls: list[str] = field(default_factory=list)
    """``METHOD path`` of each request."""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    """What came with each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Respond = Callable[[str], tuple[int, str, bytes]]
"""From a path to (status, content type, body)."""


@contextmanager
def serving(respond: Respond, tls: ssl.SSLContext | None = None, **headers: str) -> Iterator[Odd]:
    """Serve on the loopback while the block runs; ``retry_after="5"`` adds a header, ``date="..."`` sets the clock."""
    odd = Odd()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            odd.calls.append(f"{self.command} {self.path}")
            odd.headers.append(dict(self.headers))
            odd.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            status, kind, body = respond(self.path)
            (self.send_response_only if "date" in headers else self.send_response)(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "CONNECT" and status == 200:
                self.connection.recv(65536)  # a reset would come of leaving the client's first words unread
            self.wfile.write(body)

        do_PATCH = do_CONNECT = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that does not trust the certificate leaves in the middle

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        odd.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield odd
        finally:
            server.shutdown()
            thread.join()


def app(**fields: object) -> Respond:
    """Answer every path with an app that has these fields."""
    body = json.dumps({"name": "kaasshop", **fields}).encode()
    return lambda _: (200, "application/json", body)


def by_path(answers: Mapping[str, object]) -> Respond:
    """Answer JSON by the beginning of the path; anything else is 404."""

    def respond(path: str) -> tuple[int, str, bytes]:
        for beginning, data in answers.items():
            if path.startswith(beginning):
                return 200, "application/json", json.dumps(data).encode()
        return 404, "application/json", b'{"detail": "Not found."}'

    return respond
