"""Events out of a log that is being written: each is told once, soon after its kill. Pure: the clocks are arguments.

That a report is over only the next one tells, which may come in a week. So an open report is closed when it has said
who was killed, and no further kill has come for a moment; or, while that is still missing, when the log has been silent
for longer: a machine without memory also writes its log with pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from hypernode.oom.clock import Years, iso
from hypernode.oom.events import Event
from hypernode.oom.scan import Scanner

AFTER_KILL = 0.4
"""Seconds within which further kills of the same report are waited for; within a second it has to be told."""
WITHOUT_KILL = 5.0


class Follower:
    """Reads what is appended to a log, and gives back its events.

    Args:
        source: What the events name as theirs.
        clock: Seconds that only grow.
        now: No line was written after this; it tells the year of a log that has none.
    """

    def __init__(self, source: str, *, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._source = source
        self._clock = clock
        self._now = now
        self._years = Years()
        self._scanner = Scanner(on_stamp=self._years.see)
        self._outcomes = 0
        self._since = 0.0
        """When the open report got on last."""

    def read(self, data: bytes) -> Iterator[Event]:
        """Yield the events that are known after `data` was appended. Call it with nothing too, as time goes by."""
        reader, at = self._scanner.reader, self._clock()
        found = list(self._scanner.feed(data)) if data else []
        waits = reader.outcomes == 0
        if found or reader.outcomes != self._outcomes or (waits and data):
            self._outcomes, self._since = reader.outcomes, at
        elif at - self._since >= (WITHOUT_KILL if waits else AFTER_KILL):
            found += reader.end()
            self._outcomes = 0
        for event in found:
            yield replace(event, source=self._source, at=self._time_of(event))

    def _time_of(self, event: Event) -> str | None:
        if event.stamp is None:
            return None
        return iso(event.stamp, self._years.first_year(self._now()) + event.turn)
