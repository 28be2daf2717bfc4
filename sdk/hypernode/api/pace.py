"""How fast we may ask one API host: a fixed cap, and slowing down after a 429.

Without a cap and without a 429 nothing is held back. A 429 halves the rate that was measured just before it and
pauses everybody until its Retry-After; every good answer then lets the rate grow a little, until it is free again.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SLOWEST = 5.0  # seconds between requests, however many 429s come
_FREE = 0.002  # an interval below this is no limit worth keeping
_GROWTH = 0.95
_MEASURED = 32


class Pace:
    """Hands out the moments at which requests may leave; shared by all threads that talk to one host."""

    def __init__(self, *, rps: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._floor = 1.0 / rps if rps else 0.0
        self._interval = self._floor
        self._next = 0.0
        self._calm_until = 0.0
        self._left: deque[float] = deque(maxlen=_MEASURED)
        self._clock = clock
        self._lock = threading.Lock()

    def wait_for_turn(self) -> float:
        """Take the next turn and return how many seconds it is away."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            if self._interval or turn > now:
                self._next = turn + self._interval
            self._left.append(turn)
            return turn - now

    def slow_down(self, retry_after: float | None) -> None:
        """Take note of a 429; several at about the same time count as one."""
        with self._lock:
            now = self._clock()
            pause = retry_after if retry_after is not None else 1.0
            if now >= self._calm_until:
                self._interval = min(max(2 * self._measured(), 2 * self._interval, 0.01), _SLOWEST)
            self._calm_until = max(self._calm_until, now + max(pause, self._interval))
            self._next = max(self._next, now + pause)

    def speed_up(self) -> None:
        """Take note of a good answer."""
        if self._interval <= self._floor:
            return
        with self._lock:
            shorter = self._interval * _GROWTH
            self._interval = self._floor if shorter < max(self._floor, _FREE) else shorter

    def _measured(self) -> float:
        """Return the seconds between the last requests, on average."""
        if len(self._left) < 2:
            return 0.0
        return (self._left[-1] - self._left[0]) / (len(self._left) - 1)


def backoff(attempt: int, *, base: float = 0.5, longest: float = 10.0) -> float:
    """Return how long to wait before the retry numbered `attempt` (from 0): exponential, with full jitter."""
    return random.uniform(0, min(longest, base * 2**attempt))


def retry_after_seconds(header: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None when it says nothing."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now(), UTC)).total_seconds())
