"""Who was guilty of an event, who was hurt, and how sure that is. Pure.

The victim is seldom the culprit: the kernel takes whoever it may take, and the processes that hold most are often those
it must spare. What the report does not show is said to be unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypernode.oom.events import Event, Task
from hypernode.oom.services import (
    NO_COMMANDS,
    PAGE_KIB,
    PROTECTED,
    Commands,
    Usage,
    grouped,
    service_of,
    usage_by_service,
)
from hypernode.oom.sizes import size

Confidence = Literal["high", "medium", "low", "none"]
_HALF, _THIRD = 0.5, 1 / 3
BY_HAND = -1
"""The order of a request that nobody made: sysrq (OOM_FORMATS.md 1)."""
_KILLED_FIRST = 900
"""From this adjustment on a process is meant to die first: shells, crons and idle workers have about 1000."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of looking at one event."""

    sentence: str
    confidence: Confidence
    reasons: tuple[str, ...]
    culprit: str | None
    """The service that held most; None when the report does not tell."""
    victim_is_culprit: bool | None
    """None when either is not known."""
    usages: tuple[Usage, ...]
    victim_place: int | None
    """The victim's place in the table by resident memory, 1 for the largest; None when it has no row."""


def judge(event: Event, commands: Commands = NO_COMMANDS) -> Verdict:
    """Return the verdict on an event that was read with its whole table.

    `commands` are of those of its processes that still run, where that is known.
    """
    groups = grouped(event.tasks, commands)
    usages = tuple(usage_by_service(groups, _most_kib(event)))
    places = {
        task.pid: place for place, task in enumerate(sorted(event.tasks, key=lambda task: -task.rss_pages), start=1)
    }
    victim = event.victims[0] if event.victims else None
    place = places.get(victim.pid) if victim else None
    row = next((task for task in event.tasks if victim and task.pid == victim.pid), None)
    who = f"{victim.name} was killed" if victim else _nobody(event)
    if event.order == BY_HAND:
        return Verdict(
            f"Somebody started the oom-killer by hand (sysrq); {who}",
            "high",
            ("It says nothing of how much memory there was.",),
            None,
            None,
            usages,
            place,
        )
    if not usages:
        return Verdict(
            f"{_scope(event)}, {who}; the report holds no table of processes, so who used the memory is not known",
            "none",
            ("The table is missing: the log was cut, or the kernel left it out in a storm of kills.",),
            None,
            None,
            (),
            None,
        )
    total = sum(usage.at_most_kib for usage in usages)
    first = usages[0]
    share = first.at_most_kib / total if total else 0.0
    sure = first.at_least_kib >= (usages[1].at_most_kib if len(usages) > 1 else 0)
    confidence: Confidence = "high" if share >= _HALF and sure else "medium" if share >= _THIRD else "low"
    reasons = [_share(first, share, sure)]
    victim_service = next((name for name, tasks in groups.items() if row in tasks), None) or (
        service_of(victim.name) if victim else None
    )
    guilty = None if victim_service is None else victim_service == first.service
    if victim is None:
        sentence = f"{_scope(event)}; {first.service} held most, and {who}"
    elif guilty:
        sentence = f"{_scope(event)}; {victim.name} was killed, and its service, {first.service}, held most"
    else:
        sentence = (
            f"{_scope(event)}; {victim.name} was killed, but {first.service} held most: the victim is not the culprit"
        )
        reasons += _why_chosen(event, row, first, place)
    if event.scope == "memcg":
        reasons.append("The limit of a cgroup was hit, so the free memory of the whole machine says nothing.")
        if event.usage_kib is not None and event.limit_kib is not None:
            reasons.append(f"The cgroup used {size(event.usage_kib)} of {size(event.limit_kib)}.")
    if event.scope == "unknown" and confidence == "high":
        confidence = "medium"
    return Verdict(sentence, confidence, tuple(reasons), first.service, guilty, usages, place)


def _most_kib(event: Event) -> int | None:
    """Return what all processes of the report had together at most, where it tells."""
    if event.scope == "memcg":
        return event.usage_kib
    return event.ram_pages * PAGE_KIB if event.ram_pages else None


def _nobody(event: Event) -> str:
    match event.ending:
        case "panic":
            return "the kernel gave up (panic): the machine went down, and started again"
        case "no killable process":
            return "the kernel found nobody that it may kill"
        case _:
            return "nobody is shown to have been killed"


def _scope(event: Event) -> str:
    match event.scope:
        case "memcg":
            return f"The cgroup {event.memcg} ran out of memory" if event.memcg else "A cgroup ran out of memory"
        case "global":
            return "The machine ran out of memory"
        case "cpuset" | "mempolicy":
            return "A part of the machine's memory ran out"
        case _:
            return "Memory ran out (whose is not told)"


def _share(usage: Usage, share: float, sure: bool) -> str:
    counted = size(usage.at_most_kib)
    if usage.at_least_kib != usage.at_most_kib:
        counted = f"between {size(usage.at_least_kib)} and {size(usage.at_most_kib)}"
    certain = "" if sure else ", though with shared pages counted once another could be ahead of it"
    return (
        f"{usage.service} held {counted} in {usage.processes} process{'es' * (usage.processes != 1)}, "
        f"{share:.0%} of what the table counts{certain}."
    )


def _why_chosen(event: Event, row: Task | None, first: Usage, place: int | None) -> list[str]:
    victim = event.victims[0]
    adj = victim.oom_score_adj if victim.oom_score_adj is not None else row.oom_score_adj if row else None
    reasons = []
    if adj is not None and adj >= _KILLED_FIRST:
        reasons.append(f"{victim.name} was chosen because it is meant to die first (oom_score_adj {adj}).")
    elif place == 1:
        reasons.append(f"{victim.name} was chosen because it was the largest single process.")
    if first.protected_kib and first.largest.oom_score_adj == PROTECTED:
        reasons.append(f"{first.service} could not be chosen: it is protected (oom_score_adj {PROTECTED}).")
    if event.chosen_pid is not None and event.chosen_pid != victim.pid:
        reasons.append(f"Process {event.chosen_pid} was chosen, and this kernel killed a child of it in its place.")
    return reasons
