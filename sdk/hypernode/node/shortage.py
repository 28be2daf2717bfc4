"""When memory runs short: told once as it begins and once as it is over. Pure.

What goes up and down around a limit would be told without end, so it is over only once it is well away from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hypernode.node.budget import MaxTotal
from hypernode.node.pressure import Sample

Kind = Literal["pressure", "available", "kills"]

_OVER_PRESSURE = 0.5
"""The share of the limit below which pressure is over."""
_OVER_AVAILABLE = 1.5
"""How many times the limit has to be available again; of a high limit half of what is above it is enough."""
_LOG_DELAY = 3.0
"""Seconds that the log may be behind the counters, or before them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as short."""

    pressure: float
    """Percent of the last 10 seconds in which all work waited for memory; 0: never."""
    available: MaxTotal
    """The least that should be available; 0: any."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is to be told."""

    kind: Kind
    begins: bool
    """Or is over; kills only begin."""
    limit: float | int | None
    """In percent, or in KiB; None for kills."""
    sample: Sample
    kills: int = 0
    """How many the log does not tell of."""


class Shortage:
    """Looks at samples, one after the other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._short: set[Kind] = set()
        self._counted: int | None = None
        self._missed = 0
        """Kills that were counted, and not yet looked for in the log."""
        self._missed_at = 0.0
        self._logged: deque[float] = deque(maxlen=10_000)

    def log(self, kills: int, at: float) -> None:
        """Take note that the log told of so many kills at a time of the caller's clock."""
        self._logged.extend([at] * kills)

    def look(self, sample: Sample, at: float) -> Iterator[Alarm]:
        """Yield what begins or is over with this sample."""
        if sample.full is not None:
            value, limit = sample.full.avg10, self._limits.pressure
            short = bool(limit) and value >= limit
            yield from self._turn("pressure", short, value < limit * _OVER_PRESSURE, limit, sample)
        if sample.memory is not None and sample.memory.total_kib:
            total = sample.memory.total_kib
            least = self._limits.available.of(total) // 1024
            enough = min(least * _OVER_AVAILABLE, (least + total) / 2)
            value = sample.memory.available_kib
            yield from self._turn("available", value < least, value >= enough, least, sample)
        yield from self._count(sample, at)

    def _turn(self, kind: Kind, short: bool, over: bool, limit: float, sample: Sample) -> Iterator[Alarm]:
        if short and kind not in self._short:
            self._short.add(kind)
            yield Alarm(kind, True, limit, sample)
        elif over and kind in self._short:
            self._short.remove(kind)
            yield Alarm(kind, False, limit, sample)

    def _count(self, sample: Sample, at: float) -> Iterator[Alarm]:
        """Yield the kills that the log should have told of by now, and has not."""
        if sample.kills is None:
            return
        risen = max(0, sample.kills - self._counted) if self._counted is not None else 0
        self._counted = sample.kills
        if risen and not self._missed:
            self._missed_at = at
        self._missed += risen
        while self._logged and self._logged[0] < (self._missed_at if self._missed else at) - _LOG_DELAY:
            self._logged.popleft()
        if self._missed and at - self._missed_at >= _LOG_DELAY:
            missing, self._missed = self._missed - len(self._logged), 0
            self._logged.clear()
            if missing > 0:
                yield Alarm("kills", True, None, sample, missing)
