"""The stdout of a command poured into a file: for what is no text, or too much to be held in memory."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from typing import BinaryIO, NamedTuple

from hypernode.errors import HypernodeError, ToolError

_CHUNK = 1 << 16


class Sink(NamedTuple):
    """Where it goes."""

    file: BinaryIO
    limit: int
    """Bytes that the command may say, on both streams together; it is no friend that says more."""


def pour(process: subprocess.Popen[bytes], sink: Sink, timeout: float) -> bytes:
    """Let a process run to its end, its stdout going into `sink`, and return what it said on stderr.

    Args:
        process: Both streams are pipes, and it is given nothing to read.
        sink: What was poured into it until an error counts for nothing.
        timeout: Seconds.

    Raises:
        subprocess.TimeoutExpired: It did not end in time; it still runs.
        ToolError: It says more than it may; it still runs.
        HypernodeError: The file cannot be written.
    """
    deadline = time.monotonic() + timeout
    left = sink.limit
    err = bytearray()
    with selectors.DefaultSelector() as open_streams:
        for stream in filter(None, (process.stdout, process.stderr)):
            open_streams.register(stream, selectors.EVENT_READ)
        while open_streams.get_map():
            ready = open_streams.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:  # even if something is ready: a trickle may never end
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                left -= len(data)
                if left < 0:
                    raise ToolError(f"it sends more than {sink.limit:,} bytes, and was stopped")
                if not data:
                    open_streams.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    err += data
                else:
                    _write(sink.file, data)
    process.wait(max(0.0, deadline - time.monotonic()))
    return bytes(err)


def _write(file: BinaryIO, data: bytes) -> None:
    try:
        file.write(data)
    except OSError as exc:  # not to be taken for a command that cannot be started
        raise HypernodeError(f"what it sends cannot be kept on this machine: {exc.strerror}") from None
