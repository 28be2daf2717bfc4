"""What `hnctl oom metrics` measures.

Labels have few values whatever the logs hold: a process chooses its own name, and each new one would be a series that
Prometheus keeps for weeks. So all services and scopes are always there, and the rest are others; that makes each first
kill a rise from 0 too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from hnctl.render.exposition import Metric
from hypernode.node.pressure import Sample, Stall
from hypernode.oom.clock import moment
from hypernode.oom.events import Event, Scope
from hypernode.oom.services import OTHERS, SERVICES, service_of


@dataclass(frozen=True, slots=True)
class Tally:
    """What the logs hold."""

    kills: Counter[tuple[str, str]]
    """By service and scope."""
    last: float | None
    """Unix time of the last kill; None when there is none with a time."""


def count_kills(events: Iterable[Event]) -> Tally:
    """Count the victims of all events."""
    kills: Counter[tuple[str, str]] = Counter()
    last: float | None = None
    for event in events:
        kills.update((service_of(victim.name) or OTHERS, event.scope) for victim in event.victims)
        if event.victims and event.at is not None:
            at = moment(event.at).timestamp()
            last = at if last is None else max(last, at)
    return Tally(kills, last)


def oom_metrics(tally: Tally, sample: Sample, *, unread: int, now: float) -> list[Metric]:
    """Return what is known as metrics; what is not known is left out.

    Args:
        tally: See `count_kills`.
        sample: How short of memory the node is now.
        unread: Logs that could not be read, or not to their end.
        now: Unix time.
    """
    memory = sample.memory
    return [
        Metric(
            "hnctl_oom_kills",
            "Processes that the oom-killer killed, as the kept kernel logs tell; it falls when an old log is deleted.",
            tuple(
                ({"service": service, "scope": scope}, tally.kills[service, scope])
                for service in (*SERVICES, OTHERS)
                for scope in get_args(Scope)
            ),
        ),
        Metric(
            "hnctl_oom_last_kill_timestamp_seconds",
            "When the oom-killer killed last, as the kept kernel logs tell.",
            _alone(tally.last),
        ),
        Metric("hnctl_oom_logs_unread", "Kernel logs that could not be read to their end.", _alone(unread)),
        Metric(
            "hnctl_oom_pressure_ratio",
            "Share of the time in which some or all (full) work waited for memory.",
            (*_stalls("some", sample.some), *_stalls("full", sample.full)),
        ),
        Metric(
            "hnctl_oom_memory_available_bytes",
            "Memory that programs can have without swapping.",
            _alone(memory.available_kib * 1024 if memory else None),
        ),
        Metric(
            "hnctl_oom_memory_total_bytes",
            "Memory of the node.",
            _alone(memory.total_kib * 1024 if memory and memory.total_kib else None),
        ),
        Metric("hnctl_oom_measured_timestamp_seconds", "When this was measured.", _alone(int(now))),
    ]


def _alone(value: float | None) -> tuple[tuple[dict[str, str], float], ...]:
    return () if value is None else (({}, value),)


def _stalls(kind: str, stall: Stall | None) -> Iterable[tuple[dict[str, str], float]]:
    if stall is not None:
        for window, percent in (("10s", stall.avg10), ("60s", stall.avg60), ("300s", stall.avg300)):
            yield {"kind": kind, "window": window}, round(percent / 100, 6)
