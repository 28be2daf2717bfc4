"""A report on a node's out-of-memory events as one page that asks nothing of anybody (extra `report`).

The page holds no script and forbids itself every request, so that a name that an attacker chose does nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hypernode.oom import plots
from hypernode.oom.advice import Advice
from hypernode.oom.clock import in_words, moment
from hypernode.oom.evidence import Evidence
from hypernode.oom.incidents import Incident
from hypernode.oom.logs import Entry
from hypernode.oom.plots import Plot
from hypernode.oom.replay import NOT_KNOWN, TRIGGER_SOURCE
from hypernode.printable import printable

_TEMPLATE = "report.html.jinja"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about."""

    name: str
    """The node, or the logs."""
    evidence: Evidence
    advice: Advice
    worst: Incident | None
    """The incident whose time is shown close up."""
    around: Sequence[Entry]
    """What all logs tell of that time, in order."""
    missing: Sequence[str] = ()
    """What could not be looked into, a line each."""


def make_report(subject: Subject, *, made_at: datetime, version: str) -> str:
    """Return the page as HTML. It needs matplotlib and jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = lambda text: printable(str(text))
    history = subject.evidence.history
    return environment.get_template(_TEMPLATE).render(
        subject=subject,
        history=history,
        replayed=subject.evidence.replayed,
        plots=tuple(_plots(subject)),
        first=in_words(history.incidents[0].at) if history.incidents else None,
        last=in_words(history.incidents[-1].last.event.at) if history.incidents else None,
        trigger_source=TRIGGER_SOURCE,
        not_known=NOT_KNOWN,
        made_at=f"{made_at:%Y-%m-%d %H:%M}",
        version=version,
    )


def _plots(subject: Subject) -> Iterator[Plot]:
    """Yield the pictures that something is to be seen on."""
    history = subject.evidence.history
    if any(one.at for one in history.incidents):
        yield plots.kills_over_time(history)
    if subject.evidence.worst is not None:
        yield plots.memory_by_service(history, subject.evidence.worst, subject.evidence.ram_kib)
    if any(one.at for one in history.incidents):
        yield plots.by_hour_and_weekday(history)
    if history.culprits:
        yield plots.top_culprits(history)
    if subject.worst is not None and subject.worst.worst.event.at is not None and subject.around:
        yield plots.around_one(subject.around, moment(subject.worst.worst.event.at))
