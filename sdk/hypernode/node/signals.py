"""Signals as something to wait for: each that is caught comes out of a pipe, beside whatever else is waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def into_pipe(numbers: Iterable[signal.Signals]) -> Iterator[int]:
    """Catch signals while the block runs, and return the pipe that their numbers can be read from, a byte each."""
    before: dict[signal.Signals, Any] = {}
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        for number in numbers:
            before[number] = signal.signal(number, hear)
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(wakeup)
        os.close(reading)
        os.close(writing)


def hear(number: int, frame: object) -> None:
    """Do nothing: Python has written the number into the pipe."""
