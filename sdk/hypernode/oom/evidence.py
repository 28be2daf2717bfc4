"""What advice rests on: a node's incidents, what its other logs tell of them, and how they replay. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from hypernode.oom.clock import in_words, moment
from hypernode.oom.history import History
from hypernode.oom.incidents import Incident
from hypernode.oom.logs import Entry, Limit
from hypernode.oom.replay import Replay
from hypernode.oom.services import PAGE_KIB, Usage
from hypernode.products import Product

_MOSTLY = 0.6
_AS_LARGE = 0.95
_SHOWN = 3
_STILL_IN_TIME = timedelta(minutes=1)
"""Clocks of logs differ; a job may be logged a little after the kill that it caused."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cron job that started before incidents."""

    user: str
    command: str
    starts: tuple[Entry, ...]
    """One before each of those incidents."""


@dataclass(frozen=True)
class Evidence:
    """All that advice is taken from."""

    history: History
    entries: tuple[Entry, ...]
    """What other logs tell of the time around the incidents."""
    limits: tuple[Limit, ...]
    replayed: Replay
    window: timedelta
    """How long before an incident a job counts as possible cause."""
    ram_kib: int | None
    """Of the node; None: neither a report nor the node told it."""
    products: Sequence[Product]
    all_day: frozenset[str] = frozenset()
    """See `Surroundings.all_day`."""
    kernel_only: bool = False
    """Whether only the kernel's log is known, as of a node elsewhere, and so nothing of other limits."""
    node: str | None = None
    """Which node it is about, where that is another one and its name is known."""

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """The cron jobs that started before most incidents of which the cron log still tells, the most first."""
        starts: dict[str, list[Entry]] = {}
        told = 0
        for incident in self.history.incidents:
            jobs = self._started_before(incident)
            told += bool(jobs)
            for text, entry in {entry.text: entry for entry in jobs}.items():
                starts.setdefault(text, []).append(entry)
        usual = [
            (text, found)
            for text, found in starts.items()
            if len(found) >= max(1, _MOSTLY * told) and text not in self.all_day
        ]
        usual.sort(key=lambda item: (-len(item[1]), item[1][0].at))
        return tuple(Job(*_parted(text), tuple(found)) for text, found in usual)

    def _started_before(self, incident: Incident) -> list[Entry]:
        if incident.at is None:
            return []
        at = moment(incident.at)
        return [
            entry for entry in self.entries if entry.kind == "cron" and -_STILL_IN_TIME <= at - entry.at <= self.window
        ]

    @cached_property
    def worst(self) -> Incident | None:
        """The youngest of those incidents whose reports count the most memory; None when no report has a table."""
        told = [one for one in self.history.incidents if one.worst.verdict.usages]
        most = max((one.worst.held_kib for one in told), default=0)
        return next((one for one in reversed(told) if one.worst.held_kib >= _AS_LARGE * most), None)

    def usage(self, service: str) -> Usage | None:
        """Return what a service held in the worst incident; None: no process of it is in that report."""
        usages = self.worst.worst.verdict.usages if self.worst else ()
        return next((usage for usage in usages if usage.service == service), None)

    @property
    def culprit(self) -> str | None:
        """See `History.culprit`; None as well when no report of it is sure enough."""
        verdicts = (one.worst.verdict for one in self.history.incidents)
        sure = {verdict.culprit for verdict in verdicts if verdict.confidence in ("medium", "high")}
        return self.history.culprit if self.history.culprit in sure else None

    def matching(self, pattern: re.Pattern[str], *kinds: str) -> tuple[Entry, ...]:
        """Return the entries of some kinds in whose text `pattern` is found."""
        return tuple(entry for entry in self.entries if entry.kind in kinds and pattern.search(entry.text))

    def kills(self) -> tuple[str, ...]:
        """Return the youngest incidents in words, a line each."""
        return tuple(kill_line(one) for one in self.history.incidents[-_SHOWN:])


def _parted(text: str) -> tuple[str, str]:
    user, _, command = text.partition(": ")
    return user, command


def entry_lines(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the youngest of `entries` in words, a line each."""
    return tuple(f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.kind}: {entry.text}" for entry in entries[-_SHOWN:])


def kill_line(incident: Incident) -> str:
    """Return one incident in words."""
    killed = ", ".join(f"{service} ({count})" if count > 1 else service for service, count in incident.victims)
    usages = incident.worst.verdict.usages
    most = f"; {usages[0].service} held most" if usages else "; the report tells no processes"
    number = incident.worst.number
    return f"{in_words(incident.at)} event {number}: killed {killed or 'nobody'}{most}"


def ram_of(history: History) -> int | None:
    """Return how much memory the node had by its youngest report that tells it, in KiB."""
    pages = [one.worst.event.ram_pages for one in history.incidents if one.worst.event.ram_pages]
    return pages[-1] * PAGE_KIB if pages else None
