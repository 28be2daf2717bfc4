"""Events that belong together, and what is worth keeping of them: a storm of kills is one incident. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hypernode.oom.clock import moment
from hypernode.oom.events import Event
from hypernode.oom.services import OTHERS, service_of
from hypernode.oom.verdict import Confidence, Verdict, judge

SAME_INCIDENT = 60.0
"""Events no more than so many seconds apart are one incident."""
LONGEST_INCIDENT = 600.0
"""But after so many seconds another one begins: a machine that kills all day long has more than one."""
_SURENESS: dict[Confidence, int] = {"none": 0, "low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True, slots=True)
class Case:
    """One event that was judged; its table was let go."""

    number: int
    event: Event
    verdict: Verdict

    @property
    def held_kib(self) -> int:
        """What its table counts in all, at most."""
        return sum(usage.at_most_kib for usage in self.verdict.usages)


@dataclass(frozen=True, slots=True)
class Incident:
    """One or more events within a minute of each other."""

    first: Case
    last: Case
    events: int
    kills: int
    victims: tuple[tuple[str, int], ...]
    """How many of which service were killed, the most first; those of no known one are `services.OTHERS`."""
    worst: Case
    """Whose verdict is the surest, and of these the one that counts the most memory."""

    @property
    def at(self) -> str | None:
        """When it began, as `Event.at`."""
        return self.first.event.at


def incidents(found: Iterable[tuple[int, Event]]) -> Iterator[Incident]:
    """Yield the incidents of numbered events that come in order of time with their tables, as `files.select` has them.

    Of events without a time those follow each other that are close by the machine's uptime; one with neither stands
    alone.
    """
    gathered: _Gathered | None = None
    for number, event in found:
        case = Case(number, replace(event, tasks=()), judge(event))
        if gathered is not None and not (
            _within(SAME_INCIDENT, gathered.last.event, event)
            and _within(LONGEST_INCIDENT, gathered.first.event, event)
        ):
            yield gathered.incident()
            gathered = None
        gathered = gathered or _Gathered(case)
        gathered.add(case)
    if gathered is not None:
        yield gathered.incident()


class _Gathered:
    """An incident that may go on."""

    def __init__(self, first: Case) -> None:
        self.first = self.last = self.worst = first
        self.events = 0
        self.victims: Counter[str] = Counter()

    def goes_on(self, event: Event) -> bool:
        """Tell whether `event` belongs to it."""
        is_close = _within(SAME_INCIDENT, self.last.event, event)
        return is_close and _within(LONGEST_INCIDENT, self.first.event, event)

    def add(self, case: Case) -> None:
        self.last = case
        self.events += 1
        self.victims.update(service_of(victim.name) or OTHERS for victim in case.event.victims)
        self.worst = max(self.worst, case, key=lambda one: (_SURENESS[one.verdict.confidence], one.held_kib))

    def incident(self) -> Incident:
        victims = tuple(sorted(self.victims.items(), key=lambda item: (-item[1], item[0])))
        return Incident(self.first, self.last, self.events, self.victims.total(), victims, self.worst)


def _within(seconds: float, earlier: Event, later: Event) -> bool:
    if earlier.at is not None and later.at is not None:
        return abs((moment(later.at) - moment(earlier.at)).total_seconds()) <= seconds
    if earlier.at is None and later.at is None and earlier.uptime is not None and later.uptime is not None:
        return abs(later.uptime - earlier.uptime) <= seconds
    return False
