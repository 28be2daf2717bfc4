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

_SAME_INCIDENT = 60.0
"""Kills no more than so many seconds apart are one incident."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Kills that belong together."""

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
    incidents: tuple[Incident, ...]
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


@dataclass(frozen=True, slots=True)
class _Kill:
    at: str
    earliest: float
    latest: float
    cgroup: bool | None
    """None: not told."""


def replay(events: Iterable[Event], *, threshold: int = 5, window: float = 1.0) -> Replay:
    """Run `events`, in order of time, under a trigger of `threshold` cgroup kills within `window` seconds."""
    kills: list[_Kill] = []
    untimed = 0
    for event in events:
        if event.at is None:
            untimed += len(event.victims)
            continue
        kills += [_kill(event, event.at)] * len(event.victims)
    incidents: list[list[_Kill]] = []
    for kill in kills:
        if incidents and kill.earliest - incidents[-1][-1].latest <= _SAME_INCIDENT:
            incidents[-1].append(kill)
        else:
            incidents.append([kill])
    return Replay(threshold, window, tuple(_incident(found, window) for found in incidents), untimed)


def _kill(event: Event, at: str) -> _Kill:
    """Place a kill in time; a log of whole seconds leaves open where in the second it was."""
    start = moment(at).timestamp()
    exact = event.stamp is not None and bool(event.stamp.fraction)
    cgroup = None if event.scope == "unknown" else event.scope == "memcg"
    return _Kill(at, start, start if exact else start + 1.0, cgroup)


def _incident(kills: Sequence[_Kill], window: float) -> Incident:
    sure = [kill for kill in kills if kill.cgroup]
    possible = [kill for kill in kills if kill.cgroup is not False]
    return Incident(
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
