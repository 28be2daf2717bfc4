"""Reports of the oom-killer as twenty years of kernels write them, and what of each a log can tell.

Written from OOM_FORMATS.md, not from the parser. A record that holds line breaks is one message of the kernel; what a
log makes of it is told in `log_styles`. Text holds bytes that are no UTF-8 as surrogates (PEP 383).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

NO_LIMIT = 9007199254740988


@dataclass(frozen=True, slots=True)
class Era:
    """A kernel that words its reports in a way of its own."""

    version: tuple[int, ...]
    vendor: str = ""

    def __str__(self) -> str:
        return self.vendor or ".".join(map(str, self.version))

    @property
    def has_table(self) -> bool:
        return self.version > (2, 6, 18)

    @property
    def has_sizes(self) -> bool:
        return self.version >= (2, 6, 33)

    @property
    def has_shmem(self) -> bool:
        return self.version >= (4, 5) or self.vendor == "el7"

    @property
    def has_uid(self) -> bool:
        return self.version >= (5, 4) or self.vendor in ("el6", "el7")

    @property
    def has_summary(self) -> bool:
        return self.version >= (5, 0)

    @property
    def has_groups(self) -> bool:
        return self.version >= (4, 19)

    @property
    def columns(self) -> tuple[str, ...]:
        if self.version < (2, 6, 36):
            own: tuple[str, ...] = ("cpu", "oom_adj")
        elif self.version < (3, 6):
            own = ("cpu", "oom_adj", "oom_score_adj")
        elif self.version < (4, 0):
            own = ("nr_ptes", "swapents", "oom_score_adj")
        elif self.version < (4, 15):
            own = ("nr_ptes", "nr_pmds", "swapents", "oom_score_adj")
        else:
            own = ("pgtables_bytes", "swapents", "oom_score_adj")
            if self.version >= (6, 8):
                own = ("rss_anon", "rss_file", "rss_shmem", *own)
        return ("uid", "tgid", "total_vm", "rss", *own)


ERAS = (
    *(Era(version) for version in ((2, 6, 18), (2, 6, 32), (2, 6, 33), (2, 6, 34), (2, 6, 36))),
    Era((2, 6, 36), "el6"),
    Era((3, 10), "el7"),
    *(Era(version) for version in ((3, 5), (3, 10), (4, 0), (4, 5), (4, 6), (4, 9), (4, 15), (4, 20))),
    *(Era(version) for version in ((5, 0), (5, 1), (5, 4), (5, 15), (6, 1), (6, 8), (6, 11))),
)


@dataclass(frozen=True, slots=True)
class Process:
    """A process; sizes are in pages of 4 KiB."""

    pid: int
    name: str
    uid: int = 1000
    total_vm: int = 100_000
    anon: int = 20_000
    file: int = 300
    shmem: int = 40
    swap: int = 0
    adj: int = 0

    @property
    def rss(self) -> int:
        return self.anon + self.file + self.shmem


Ending = Literal["kill", "nobody", "panic", "deadlock", "lost"]


@dataclass(frozen=True, slots=True)
class Report:
    """What the kernel had to tell."""

    trigger: str = "nginx"
    trigger_adj: int = 0
    mask: int = 0x24201CA
    mask_names: str = "GFP_HIGHUSER_MOVABLE|__GFP_ZERO"
    order: int = 0
    scope: Literal["global", "memcg", "cpuset", "mempolicy"] = "global"
    memcg: str = "/"
    processes: tuple[Process, ...] = (Process(4528, "mysqld", uid=112),)
    victims: tuple[int, ...] = (0,)
    """Places in `processes`; several are killed as a group."""
    chosen: int = 0
    """Its place in `processes`; older kernels kill a child of it."""
    dump_tasks: bool = True
    ending: Ending = "kill"
    by_hand: bool = False
    reaped: bool = True
    usage_kib: int = 4_000_000
    limit_kib: int = 4_000_000
    swap_free_kib: int = 84
    swap_total_kib: int = 999
    ram_pages: int = 524_185

    def in_era(self, era: Era) -> Report:
        """Return the report as far as a kernel of that era could have had it."""
        report = self
        if len(report.victims) > 1 and not (era.has_groups and report.scope == "memcg"):
            report = replace(report, victims=report.victims[:1])
        if report.scope == "memcg" and era.version == (2, 6, 18):
            report = replace(report, scope="global")
        if report.scope == "memcg" and report.ending not in ("kill", "lost"):
            report = replace(report, ending="lost")
        return report


def seen(text: str) -> str:
    """Return `text` as a parser has it that decodes UTF-8 and shows other bytes as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def told(report: Report, era: Era) -> dict[str, Any]:
    """Return the JSON of DESIGN 7 for a whole report, without time and source; what this era does not say is None."""
    report = report.in_era(era)
    shown = report.processes if report.dump_tasks and era.has_table else ()
    victims = [report.processes[place] for place in report.victims] if report.ending == "kill" else []
    top = max(shown, key=lambda process: process.rss, default=None)
    return {
        "trigger": seen(report.trigger),
        "trigger_oom_score_adj": report.trigger_adj if era.version >= (2, 6, 36) else None,
        "gfp_mask": f"0x{report.mask:x}",
        "order": report.order,
        "scope": _scope(report, era),
        "memcg": report.memcg if _names_memcg(report, era) else None,
        "victims": [_victim(process, era, process in shown, first=not n) for n, process in enumerate(victims)],
        "tasks": {
            "count": len(shown),
            "top_rss": top and {"pid": top.pid, "name": seen(top.name), "rss_pages": top.rss},
        },
    }


def told_beside(report: Report, era: Era) -> dict[str, Any]:
    """Return what an event has beyond that JSON."""
    report = report.in_era(era)
    memcg = report.scope == "memcg"
    return {
        "gfp_names": report.mask_names if era.version >= (4, 6) else None,
        "chosen_pid": report.processes[report.chosen].pid if report.ending == "kill" and era.version < (5, 1) else None,
        "usage_kib": report.usage_kib if memcg else None,
        "limit_kib": report.limit_kib if memcg and report.limit_kib < NO_LIMIT else None,
        "swap_free_kib": None if memcg else report.swap_free_kib,
        "swap_total_kib": None if memcg else report.swap_total_kib,
        "ram_pages": None if memcg else report.ram_pages,
    }


def _scope(report: Report, era: Era) -> str:
    if report.scope == "memcg":
        return "memcg" if report.ending == "kill" or _names_memcg(report, era) else "unknown"
    if report.ending == "lost":
        return "unknown"
    # In 5.0 the constraint is always NONE, and without a victim there is no summary.
    return report.scope if era.version >= (5, 1) and report.ending == "kill" else "global"


def _names_memcg(report: Report, era: Era) -> bool:
    return report.scope == "memcg" and (not era.has_summary or report.ending == "kill")


def _victim(process: Process, era: Era, in_table: bool, *, first: bool) -> dict[str, Any]:
    sized = era.has_sizes
    has_adj = era.version >= (5, 4) or (in_table and "oom_score_adj" in era.columns)
    return {
        "pid": process.pid,
        "name": seen(process.name),
        "uid": process.uid if era.has_uid or in_table or (era.has_summary and first) else None,
        "total_vm_kib": process.total_vm * 4 if sized else None,
        "anon_rss_kib": process.anon * 4 if sized else None,
        "file_rss_kib": (process.file + (0 if era.has_shmem else process.shmem)) * 4 if sized else None,
        "shmem_rss_kib": process.shmem * 4 if era.has_shmem else None,
        "oom_score_adj": process.adj if has_adj else None,
    }
