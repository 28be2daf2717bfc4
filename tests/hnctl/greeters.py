"""Where SSH seems to be: a socket that greets whoever connects, and where hnctl is told to look for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def greeting(words: bytes = b"SSH-2.0-x\r\n") -> Iterator[int]:
    """Greet all who connect while the block runs; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def greet() -> None:
            while not over.is_set():
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(words)

        thread = threading.Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield port
        finally:
            over.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
            thread.join()


def unused_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
