"""Asks a sandbox on this machine for app details and counts: `asking URL NODES.json SECONDS MOST_REQUESTS`.

One connection for each node, always one request under way on each, on raw sockets: the asker must cost less than the
server. Prints answers, seconds and its own CPU seconds.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_LARGEST = 1 << 16


@dataclass(slots=True)
class Connection:
    """A connection that asks for the same node over and over."""

    socket: socket.socket
    request: bytes
    length: int = 0
    """Bytes of its answer, head and all; every answer about an unchanged node has as many."""
    missing: int = 0


def _receive(sock: socket.socket) -> bytes:
    data = sock.recv(_LARGEST)
    assert data, "the sandbox closed a connection"
    return data


def _connect(host: str, port: int, node: str, token: str) -> Connection:
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = [
        f"GET /v2/app/{node}/?destroyed=false HTTP/1.1",
        f"Host: {host}:{port}",
        "Accept: application/json",
        f"Authorization: Token {token}",
    ]
    connection = Connection(sock, ("\r\n".join(head) + "\r\n\r\n").encode())
    sock.sendall(connection.request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _receive(sock)
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200"), top
    length = next(
        int(line.split(b":")[1]) for line in top.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += _receive(sock)
    assert json.loads(body)["name"] == node
    connection.length = len(top) + 4 + length
    return connection


def _ask(connections: list[Connection], seconds: float, most: int) -> tuple[int, float]:
    """Return how many answers came, and in how many seconds."""
    answers = 0
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.missing = connection.length
            connection.socket.sendall(connection.request)
        started = time.perf_counter()
        end = started + seconds
        while answers < most and time.perf_counter() < end:
            for key, _ in selector.select(1):
                connection = key.data
                whole = connection.missing == connection.length
                data = _receive(connection.socket)
                assert not whole or data.startswith(b"HTTP/1.1 200")
                connection.missing -= len(data)
                if connection.missing == 0:
                    answers += 1
                    connection.missing = connection.length
                    connection.socket.sendall(connection.request)
        return answers, time.perf_counter() - started


def main() -> None:
    """Ask until the time is over or enough was asked."""
    url, nodes = urlsplit(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))
    seconds, most = float(sys.argv[3]), int(sys.argv[4])
    assert url.hostname == "127.0.0.1"
    assert url.port is not None
    connections = [_connect(url.hostname, url.port, node, token) for node, token in nodes.items()]
    before = time.process_time()
    answers, took = _ask(connections, seconds, most)
    print(json.dumps({"answers": answers, "seconds": took, "cpu": time.process_time() - before}))
    for connection in connections:
        connection.socket.close()


main()
