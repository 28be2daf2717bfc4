"""Out-of-memory events: what a report of the oom-killer tells. What the log does not say is None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hypernode.oom.kernlog import Stamp

Scope = Literal["global", "memcg", "cpuset", "mempolicy", "unknown"]


Ending = Literal["panic", "no killable process"]
"""How a report ends that names no victim: a panic is a reboot."""


class Task(NamedTuple):
    """One row of a report's table of processes; sizes are in pages, mostly of 4 KiB."""

    pid: int
    name: str
    uid: int
    total_vm_pages: int
    rss_pages: int
    swap_pages: int | None
    oom_score_adj: int | None


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that was killed; sizes are in KiB."""

    pid: int
    name: str
    uid: int | None = None
    total_vm_kib: int | None = None
    anon_rss_kib: int | None = None
    file_rss_kib: int | None = None
    shmem_rss_kib: int | None = None
    oom_score_adj: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One report of the oom-killer."""

    stamp: Stamp | None
    uptime: float | None
    trigger: str | None
    """The thread that asked for memory; seldom guilty, and often not the victim."""
    trigger_oom_score_adj: int | None
    gfp_mask: str | None
    order: int | None
    scope: Scope
    memcg: str | None
    """The cgroup whose limit was hit."""
    victims: tuple[Victim, ...]
    task_count: int
    top: Task | None
    """The largest of the table by resident memory."""
    tasks: tuple[Task, ...] = ()
    """The whole table, if it was asked for."""
    gfp_names: str | None = None
    chosen_pid: int | None = None
    """Who was chosen; in old kernels a child of it was killed in its place."""
    usage_kib: int | None = None
    limit_kib: int | None = None
    """Of the cgroup; None: no limit, or not told."""
    swap_free_kib: int | None = None
    swap_total_kib: int | None = None
    ram_pages: int | None = None
    ending: Ending | None = None
    at: str | None = None
    """ISO 8601, once the year is known."""
    source: str | None = None
    turn: int = 0
    """How often the year had turned before it; for a log without years."""

    def as_json(self) -> dict[str, Any]:
        """Return the event as DESIGN 7 has it."""
        top = self.top
        return {
            "at": self.at,
            "source": self.source,
            "trigger": self.trigger,
            "trigger_oom_score_adj": self.trigger_oom_score_adj,
            "gfp_mask": self.gfp_mask,
            "order": self.order,
            "scope": self.scope,
            "memcg": self.memcg,
            "victims": [
                {name: getattr(victim, name) for name in Victim.__slots__}  # in the order of DESIGN 7
                for victim in self.victims
            ],
            "tasks": {
                "count": self.task_count,
                "top_rss": None if top is None else {"pid": top.pid, "name": top.name, "rss_pages": top.rss_pages},
            },
        }
