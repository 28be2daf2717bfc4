"""How fast we may ask one API host: a fixed cap, and slowing down after a 429.

Without a cap and without a 429 nothing is held back. A 429 halves the rate that was measured just before it and
pauses everybody until its Retry-After; every good answer then lets the rate grow a little, until it is free again.
Whoever cannot wait for the end of that pause is told so at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise

from hypernode.errors import TryLater

_SLOWEST = 1.0  # seconds between requests, however many 429s come
_FREE = 0.002  # an interval below this is no limit worth keeping
_GROWTH = 0.8  # with less, a bad line with a 429 now and then would come to a standstill
_MEASURED = 32


class Pace:
    """Hands out the moments at which requests may leave; shared by all threads that talk to one host."""

    def __init__(self, *, rps: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._floor = 1.0 / rps if rps else 0.0
        self._interval = self._floor
        self._next = 0.0
        self._calm_until = 0.0
        self._closed_until = 0.0
        self._left: deque[float] = deque(maxlen=_MEASURED)
        self._clock = clock
        self._lock = threading.Lock()

    def wait_for_turn(self, longest: float = math.inf) -> float:
        """Take the next turn and return how many seconds it is away.

        Args:
            longest: Seconds that the server may keep us waiting; waiting for our own cap and for each other is not
                counted, since it is as long as the caller made it.

        Raises:
            TryLater: The server wants no request for longer than that; no turn was taken.
        """
        with self._lock:
            now = self._clock()
            closed = self._closed_until - now
            if closed > longest:
                raise TryLater(
                    f"the API asked for a pause that lasts {closed:.0f} more seconds",
                    status=429,
                    retry_after=closed,
                    hint="Try again later",
                )
            turn = max(now, self._next, self._closed_until)
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
            self._closed_until = max(self._closed_until, now + pause)

    def speed_up(self) -> None:
        """Take note of a good answer."""
        if self._interval <= self._floor:
            return
        with self._lock:
            shorter = self._interval * _GROWTH
            self._interval = self._floor if shorter < max(self._floor, _FREE) else shorter

    def _measured(self) -> float:
        """Return the seconds between the last requests: their median, since times of waiting for flows are no rate."""
        left = list(self._left)
        gaps = sorted(after - before for before, after in pairwise(left))
        return gaps[len(gaps) // 2] if gaps else 0.0
