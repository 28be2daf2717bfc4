"""How short of memory a node is, by the kernel's own numbers. No I/O.

/proc/pressure/memory (Documentation/accounting/psi.rst) tells for which share of the time some of the work waited for
memory, or all of it (full), lately. memory.events of a cgroup (cgroup-v2.rst), and memory.oom_control of version 1,
count the kills in it and below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypernode.errors import HypernodeError
from hypernode.node.meminfo import Memory
from hypernode.node.processes import parse_cgroup
from hypernode.refusals import tidy

PATH = "/proc/pressure/memory"
_LINE = re.compile(r"(some|full) avg10=([0-9.]{1,9}) avg60=([0-9.]{1,9}) avg300=([0-9.]{1,9})\b.*", re.ASCII)
_KILLS = re.compile(r"^oom_kill ([0-9]{1,18})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stall:
    """Shares of the time in which work waited for memory, in percent."""

    avg10: float
    """Over the last 10 seconds, the youngest counting most; the others likewise."""
    avg60: float
    avg300: float


@dataclass(frozen=True, slots=True)
class Sample:
    """How it is at one moment; None is what could not be read."""

    some: Stall | None = None
    """At least one task waited."""
    full: Stall | None = None
    """All tasks that could have run waited."""
    memory: Memory | None = None
    kills: int | None = None
    """In our own cgroup and below, since it was made."""


def parse_pressure(text: str) -> tuple[Stall, Stall]:
    """Return what the lines ``some`` and ``full`` of /proc/pressure/memory say.

    Raises:
        HypernodeError: One of them is not there.
    """
    found = {
        match[1]: Stall(*(_percent(match[number]) for number in (2, 3, 4)))
        for line in text.split("\n")
        if (match := _LINE.fullmatch(line))
    }
    if len(found) < 2:
        raise HypernodeError(f"{PATH} is {tidy(text, 60)!r}, which does not tell some and full")
    return found["some"], found["full"]


def parse_kills(text: str) -> int | None:
    """Return the kills that memory.events or memory.oom_control counts; None when it counts none (before 4.13)."""
    match = _KILLS.search(text)
    return None if match is None else int(match[1])


def list_counters(text: str) -> tuple[str, ...]:
    """Return where the kills of a process's own cgroup may be counted, from the text of its /proc/PID/cgroup."""
    path = (parse_cgroup(text) or "/").rstrip("/")
    return (
        f"/sys/fs/cgroup{path}/memory.events",
        f"/sys/fs/cgroup/unified{path}/memory.events",
        f"/sys/fs/cgroup/memory{path}/memory.oom_control",
    )


def _percent(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
