"""A history of kills run under the documented trigger of the platform's own killer. Pure.

A daemon of the platform listens to the kernel's cgroup kills. When they repeat it ends non-essential processes of the
app user, to protect the shop: since release 5874 at five kills within one second, before it at two (OOM_FORMATS.md 8).
`permissive_memory_management` makes it end user processes less quickly; how much less is not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hypernode.oom.clock import moment
from hypernode.oom.events import Event
from hypernode.oom.incidents import LONGEST_INCIDENT, SAME_INCIDENT

TRIGGER_SOURCE = "5 since the platform's release 5874, 2 before it, by its changelog"
NOT_KNOWN = (
    "how much later a permissive node ends processes, and which; the killer's own signals leave no line in the log."
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The kills of one incident."""

    at: str | None
    kills: int
    cgroup_kills: int
    at_least: int
    """The most cgroup kills that surely came within the window."""
    at_most: int
    """The most that may have: the scope of a kill is not always told, and many logs count whole seconds."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What the trigger would have made of a history."""

    threshold: int
    window: float
    incidents: tuple[Replayed, ...]
    untimed_kills: int
    """Kills without a time, which cannot be replayed."""

    @property
    def stepped_in(self) -> int:
        """Incidents in which the killer was surely set off."""
        return sum(incident.at_least >= self.threshold for incident in self.incidents)

    @property
    def unclear(self) -> int:
        """Incidents in which the log leaves open whether it was."""
        return sum(incident.at_least < self.threshold <= incident.at_most for incident in self.incidents)

    @property
    def sentence(self) -> str:
        """What it means for permissive_memory_management, in a sentence."""
        total, kills = len(self.incidents), sum(incident.kills for incident in self.incidents)
        if not total:
            return "There are no kills in these logs, so permissive_memory_management would have changed nothing."
        times = f"({kills} kill{'s' * (kills != 1)})"
        counted = f"{total} incident{'s' * (total != 1)} {times}"
        if not self.stepped_in and not self.unclear:
            where = f"In none of {counted} would the platform's own killer have stepped in"
            if total == 1:
                where = f"In the only incident {times} the platform's own killer would not have stepped in"
            return f"{where}, so permissive_memory_management would have changed nothing."
        if not self.stepped_in:
            told = f"In {self.unclear} of {counted} the log leaves open whether the platform's own killer stepped in"
        else:
            told = f"In {self.stepped_in} of {counted} the platform's own killer would have stepped in"
            told += f", in {self.unclear} more the log leaves it open" if self.unclear else ""
        return f"{told}; only there could permissive_memory_management have changed anything."


@dataclass(frozen=True, slots=True)
class _Kill:
    at: str
    earliest: float
    latest: float
    cgroup: bool | None
    """None: not told."""


class Replaying:
    """A replay that is told one event after the other, in order of time.

    Args:
        threshold: Cgroup kills that set the killer off.
        window: Seconds within which they come.
    """

    def __init__(self, *, threshold: int = 5, window: float = 1.0) -> None:
        self._threshold = threshold
        self._window = window
        self._incidents: list[Replayed] = []
        self._kills: list[_Kill] = []
        self._untimed = 0

    def add(self, event: Event) -> None:
        """Tell of the next event."""
        if event.at is None:
            self._untimed += len(event.victims)
            return
        kill = _kill(event, event.at)
        for _ in event.victims:
            if self._kills and self._begins_another(kill):
                self._end_incident()
            self._kills.append(kill)

    def result(self) -> Replay:
        """Return what became of all events; there are no more."""
        self._end_incident()
        return Replay(self._threshold, self._window, tuple(self._incidents), self._untimed)

    def _begins_another(self, kill: _Kill) -> bool:
        """Tell whether `kill` is of another incident; what the trigger may count together is not parted."""
        pause = kill.earliest - self._kills[-1].latest
        too_long = kill.earliest - self._kills[0].latest > LONGEST_INCIDENT
        return pause > SAME_INCIDENT or (too_long and pause > self._window)

    def _end_incident(self) -> None:
        if self._kills:
            self._incidents.append(_incident(self._kills, self._window))
            self._kills = []


def replay(events: Iterable[Event], *, threshold: int = 5, window: float = 1.0) -> Replay:
    """Run `events` under a trigger; see `Replaying`."""
    playing = Replaying(threshold=threshold, window=window)
    for event in events:
        playing.add(event)
    return playing.result()


def _kill(event: Event, at: str) -> _Kill:
    """Place a kill in time; a log of whole seconds leaves open where in the second it was."""
    start = moment(at).timestamp()
    exact = event.stamp is not None and bool(event.stamp.fraction)
    cgroup = None if event.scope == "unknown" else event.scope == "memcg"
    return _Kill(at, start, start if exact else start + 1.0, cgroup)


def _incident(kills: Sequence[_Kill], window: float) -> Replayed:
    sure = [kill for kill in kills if kill.cgroup]
    possible = [kill for kill in kills if kill.cgroup is not False]
    return Replayed(
        kills[0].at,
        len(kills),
        len(sure),
        _most(sure, lambda first, last: last.latest - first.earliest <= window),
        _most(possible, lambda first, last: last.earliest - first.latest <= window),
    )


def _most(kills: Sequence[_Kill], within: Callable[[_Kill, _Kill], bool]) -> int:
    """Return the largest number of neighbouring kills of which the first and the last are within the window."""
    most = first = 0
    for last in range(len(kills)):
        while not within(kills[first], kills[last]) and first < last:
            first += 1
        most = max(most, last - first + 1)
    return most
