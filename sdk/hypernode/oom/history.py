"""Many incidents together: a one-off, a pattern by the clock, or a machine that is too small for what it runs. Pure.

Hours and days are those of the log's own clock, which is the one that cron goes by.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal, NamedTuple

from hypernode.oom.incidents import Incident
from hypernode.oom.sizes import size
from hypernode.oom.verdict import Confidence

Kind = Literal["none", "one-off", "pattern", "structural", "unclear"]
MOST_INCIDENTS = 1_000
"""Only the youngest so many are looked at."""
_DAY = 24 * 60
_SAME_TIME = 60
"""Minutes of the day within which incidents count as being at the same time."""
_MOSTLY = 0.6
_FEW_DAYS = 3
"""On so many days the same has to happen to be more than chance."""
_MANY_DAYS = 5
_GROWTH = 1.15
_ENOUGH_TOLD = 1 / 3
"""The share of incidents that has to tell who held most."""
_SELDOM = 7.0
"""Days between incidents from which on they are too rare to be structural."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class History:
    """What became of looking at many incidents."""

    kind: Kind
    sentence: str
    confidence: Confidence
    reasons: tuple[str, ...]
    incidents: tuple[Incident, ...]
    culprits: tuple[tuple[str, int], ...]
    """In how many incidents which service held most, the most first."""
    grows: tuple[str, ...]
    """Services that held more and more."""
    not_told: int
    """Incidents whose reports do not tell who held most."""

    @property
    def events(self) -> int:
        """Reports of the oom-killer in all."""
        return sum(one.events for one in self.incidents)

    @property
    def kills(self) -> int:
        """Processes killed in all."""
        return sum(one.kills for one in self.incidents)

    @property
    def culprit(self) -> str | None:
        """The service that held most in more than half of the incidents that tell; None: none, or too few tell."""
        told = sum(count for _, count in self.culprits)
        enough = told >= _ENOUGH_TOLD * len(self.incidents)
        return self.culprits[0][0] if told and enough and self.culprits[0][1] * 2 > told else None

    @property
    def victims(self) -> Counter[str]:
        """How many processes of which service were killed."""
        killed: Counter[str] = Counter()
        for incident in self.incidents:
            killed.update(dict(incident.victims))
        return killed

    def by_hour(self) -> list[list[int]]:
        """Return how many incidents began when: a list of 24 hours for each weekday, Monday first."""
        counts = [[0] * 24 for _ in WEEKDAYS]
        for when in _times(self.incidents):
            counts[when.weekday()][when.hour] += 1
        return counts


def look_back(incidents: Iterable[Incident]) -> History:
    """Return what `incidents`, in order of time, have in common."""
    kept: deque[Incident] = deque(maxlen=MOST_INCIDENTS)
    total = 0
    for one in incidents:
        kept.append(one)
        total += 1
    found = tuple(kept)
    culprits = Counter(one.worst.verdict.culprit for one in found)
    not_told = culprits.pop(None, 0)
    ranked = tuple(
        sorted(((name, count) for name, count in culprits.items() if name), key=lambda item: (-item[1], item[0]))
    )
    kind, sentence, confidence, reasons = _judge(found)
    growing = _growth(found)
    if total > len(found):
        reasons = (*reasons, f"Only the youngest {len(found):,} of {total:,} incidents are looked at.")
    return History(kind, sentence, confidence, (*reasons, *growing.values()), found, ranked, tuple(growing), not_told)


_Judgement = tuple[Kind, str, Confidence, tuple[str, ...]]


def _judge(found: Sequence[Incident]) -> _Judgement:
    if not found:
        return "none", "There are no out-of-memory events", "high", ()
    if len(found) == 1:
        return "one-off", "It happened once", "low", ("One incident tells nothing about when the next will be.",)
    timed = _times(found)
    if len(timed) < len(found):
        why = f"{len(found) - len(timed)} of {len(found)} incidents have no time in their log."
        return "unclear", f"{len(found)} incidents, and not enough times to compare", "none", (why,)
    hour = _same_time(timed)
    all_days = {when.date() for when in timed}
    if len(hour.days) >= 2 and hour.incidents >= _MOSTLY * len(timed):
        count = f"{hour.incidents} of {len(timed)} incidents"
        sentence = f"{_rhythm(hour.days)} {_between(hour.begin, hour.end)}: {count}"
        days = len(hour.days)
        confidence: Confidence = "low" if days < _FEW_DAYS else "medium" if days < _MANY_DAYS else "high"
        reason = f"They came on {days} days, always at that time. Something that runs then is the cause."
        if days < _FEW_DAYS:
            reason = "They came on two days at the same time; that can be chance."
        return "pattern", sentence, confidence, (reason,)
    if len(all_days) >= _FEW_DAYS:
        sentence = f"{len(timed)} incidents on {len(all_days)} days, at no time of the day in particular"
        if (max(timed) - min(timed)) / len(timed) > timedelta(days=_SELDOM):
            return "unclear", sentence, "none", ("They are rare, and may each have a reason of its own.",)
        why = "No one job by the clock explains that: again and again more memory is needed than there is."
        return "structural", sentence, "medium" if len(all_days) < _MANY_DAYS else "high", (why,)
    sentence = f"{len(timed)} incidents on {len(all_days)} day{'s' * (len(all_days) > 1)}, too few to tell a pattern"
    return "unclear", sentence, "none", ()


def _times(found: Sequence[Incident]) -> list[datetime]:
    return [datetime.fromisoformat(one.at[:19]) for one in found if one.at is not None]


class _Cluster(NamedTuple):
    """Incidents that came within an hour of the day."""

    incidents: int
    days: tuple[date, ...]
    """Those on which the hour began, in order."""
    begin: int
    """Minute of the day of the earliest."""
    end: int
    """And of the latest."""


def _same_time(times: Sequence[datetime]) -> _Cluster:
    """Return the hour of the day in which incidents came on the most days."""
    best = _Cluster(0, (), 0, 0)
    for begin in sorted(set(map(_minute, times))):
        near = [when for when in times if (_minute(when) - begin) % _DAY < _SAME_TIME]
        last = max((_minute(when) - begin) % _DAY for when in near)
        days = sorted({(when - timedelta(minutes=begin)).date() for when in near})
        cluster = _Cluster(len(near), tuple(days), begin, (begin + last) % _DAY)
        best = max(best, cluster, key=lambda one: (len(one.days), one.incidents))
    return best


def _minute(when: datetime) -> int:
    return when.hour * 60 + when.minute


def _rhythm(days: Sequence[date]) -> str:
    if len(days) >= _FEW_DAYS and len({day.weekday() for day in days}) == 1:
        return f"Each {WEEKDAYS[days[0].weekday()]}" if _steps(days) == {7} else f"On {WEEKDAYS[days[0].weekday()]}s"
    if len(days) >= _FEW_DAYS and _steps(days) == {1}:
        return "Each day"
    return f"On {len(days)} of {(days[-1] - days[0]).days + 1} days"


def _steps(days: Sequence[date]) -> set[int]:
    return {(later - earlier).days for earlier, later in pairwise(days)}


def _between(begin: int, end: int) -> str:
    first, last = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in (begin, end))
    return f"at {first}" if first == last else f"between {first} and {last}"


def _growth(found: Sequence[Incident]) -> dict[str, str]:
    """Tell of the service that was largest most often whether it held more and more, in a sentence."""
    held: dict[str, list[int]] = {}
    for one in found:
        for usage in one.worst.verdict.usages[:1]:
            held.setdefault(usage.service, []).append(usage.at_most_kib)
    told = {}
    for service, sizes in sorted(held.items(), key=lambda item: (-len(item[1]), item[0]))[:1]:
        half = len(sizes) // 2
        if half >= 2 and median(sizes[-half:]) >= _GROWTH * median(sizes[:half]):
            early, late = size(round(median(sizes[:half]))), size(round(median(sizes[-half:])))
            told[service] = (
                f"{service} grows: it held {early} in the first half of the incidents and {late} in the last."
            )
    return told
