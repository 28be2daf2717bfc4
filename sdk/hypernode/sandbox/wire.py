"""Sending an answer over uvicorn, whole or broken on purpose.

A broken answer ends with the connection gone and `receive` saying so: to uvicorn that is a client that left, so it logs
nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hypernode.sandbox.answers import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LONGEST_HANG = 60.0
LONGEST_BODY = 1 << 20
_NO_LINGER = struct.pack("ii", 1, 0)


class Protocol(HttpToolsProtocol):
    """uvicorn's own, with the transport where the application finds it."""

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


async def read_body(receive: Receive) -> bytes | None:
    """Return the request's body; None when it is longer than a megabyte.

    Raises:
        EOFError: The client left before it was whole: to any server that is no request.
    """
    body = b""
    while len(body) <= LONGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError
        chunk: bytes = message.get("body", b"")
        body += chunk
        if not message.get("more_body"):
            return body
    return None


async def deliver(answer: Answer, send: Send) -> None:
    """Send `answer` whole."""
    await _start(answer, len(answer.body), send)
    await send({"type": "http.response.body", "body": answer.body})


async def truncate(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the first half of `answer`, and close the connection."""
    await _start(answer, len(answer.body) or 64, send)
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    scope["state"]["transport"].close()
    await _until_gone(receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection (TCP RST) without a word."""
    transport: asyncio.Transport = scope["state"]["transport"]
    with suppress(ValueError):  # whoever asked was killed meanwhile, and there is no connection left
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    await _until_gone(receive)


async def hang(scope: Scope, receive: Receive) -> None:
    """Say nothing until the client leaves, a minute has passed or the server ends."""
    try:
        async with asyncio.timeout(LONGEST_HANG):
            await _until_gone(receive)
    except TimeoutError:
        await reset(scope, receive)


async def _start(answer: Answer, length: int, send: Send) -> None:
    headers = list(answer.headers)
    if answer.status != 204:  # which has no body, not even an empty one (RFC 9110 8.6)
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
