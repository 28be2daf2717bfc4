"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(ask: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Ask until the answer will do; a 404 on the way has no results yet."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if done(answer := ask()):
                return answer
        except KeyError:
            pass
        time.sleep(0.005)
    raise AssertionError("it did not happen within 5 seconds")
