"""The processes of a node out of /proc, and whom the kernel would kill next if memory ran out now.

How the kernel chooses (mm/oom_kill.c, `oom_badness`, the same from 4.17 on): each process that may be killed gets

    pages of resident memory + of swap + of its page tables + oom_score_adj * (pages at stake / 1000)

and the highest dies; of equal ones the youngest. At stake is RAM and swap when the machine ran out, and the limit of
the cgroup, with the swap that it may use, when that was reached; then only its members can die. Not to be killed are
pid 1, the kernel's own threads, what has no memory left, and oom_score_adj -1000. /proc/PID/oom_score is this number
for the machine: since 5.8 as (1000 + 1000 * points / at stake) * 2 / 3, so 0 to 2000, and 667 for a small process with
no adjustment; before that 0 to 1000. It is rounded to a thousandth of memory, so here the pages decide between equals.

What cannot be known before: who takes memory in between, as a process that grows fast often dies although another was
the largest a moment ago; whether the shortage is of one memory node or cpuset; whether `memory.oom.group` has a whole
cgroup die with its member; what a daemon of the platform ends first; and a parent of vfork, which is passed over.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hypernode.command_lines import parse_command
from hypernode.errors import InputError
from hypernode.places import on_node

PROTECTED = -1000
_LONGEST_COMMAND = 4096
_LONGEST_FILE = 65_536
_NO_LIMIT_KIB = 1 << 50
"""Beyond any machine; cgroup v1 spells "no limit" as 9223372036854771712 bytes."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment; None is what could not be read, for lack of a right or because it was ending."""

    pid: int
    name: str | None
    """At most 15 bytes, and chosen by the process itself."""
    uid: int | None
    oom_score: int | None
    """The kernel's own number for the whole machine."""
    oom_score_adj: int | None
    rss_kib: int | None
    """Resident memory, with what it shares counted in full; None too for a thread of the kernel."""
    pss_kib: int | None
    """Resident memory, with what it shares divided by those who share it; None unless it was asked for."""
    swap_kib: int | None
    page_tables_kib: int | None
    cgroup: str | None
    """The one that its memory is counted in."""
    command: str | None
    """At most 4096 bytes of its command line, secrets masked; None too for a thread of the kernel."""

    @property
    def held_kib(self) -> int:
        """What it holds: its pss where that was read, else its resident memory."""
        return (self.rss_kib or 0) if self.pss_kib is None else self.pss_kib

    @property
    def killable(self) -> bool:
        """Whether the kernel's choice can fall on it."""
        return self.pid != 1 and self.rss_kib is not None and (self.oom_score_adj or 0) > PROTECTED

    @property
    def protected(self) -> bool:
        """Whether it holds memory, and the kernel never chooses it for its oom_score_adj."""
        return self.rss_kib is not None and self.oom_score_adj == PROTECTED


@dataclass(frozen=True, slots=True)
class Memory:
    """What the machine has."""

    total_kib: int
    swap_kib: int


@dataclass(frozen=True, slots=True)
class Limit:
    """What a cgroup may use, with the memory that an oom_score_adj is a share of."""

    limit_kib: int | None
    """None: as much as there is."""
    at_stake_kib: int | None
    """With the swap that it may use besides; None without a limit."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process that may be killed."""

    process: Process
    score: int
    """0 to 2000; see the top of this file."""


def find_proc() -> Path:
    """Return the node's /proc. A root that has none, as the sandbox's, belongs to this machine's processes."""
    moved = on_node("/proc")
    return moved if moved.is_dir() else Path("/proc")


def read_processes(proc: Path) -> list[Process]:
    """Read all processes that can be seen, by pid; those that end meanwhile are left out.

    Raises:
        InputError: `proc` is no such folder.
    """
    try:
        pids = list_pids(proc)
    except OSError as exc:
        raise _no_proc(proc, exc.strerror) from None
    return [process for pid in pids if (process := read_process(proc, pid)) is not None]


def list_pids(proc: Path) -> list[int]:
    """Return the pids of all processes that can be seen, sorted.

    Raises:
        OSError: `proc` cannot be listed.
    """
    return sorted(int(name) for name in os.listdir(proc) if name.isascii() and name.isdecimal())


def read_process(proc: Path, pid: int) -> Process | None:
    """Read one process; None when it is no longer there."""
    folder = proc / str(pid)
    status, adj = _read(folder / "status"), read_adj(proc, pid)
    if (status is None or adj is None) and not folder.exists():
        return None
    fields = parse_fields(_text(status))
    return Process(
        pid=pid,
        name=fields.get("Name"),
        uid=_number(fields.get("Uid")),
        oom_score=_number(_text(_read(folder / "oom_score"))),
        oom_score_adj=adj,
        rss_kib=_number(fields.get("VmRSS")),
        pss_kib=None,
        swap_kib=_number(fields.get("VmSwap")),
        page_tables_kib=_number(fields.get("VmPTE")),
        cgroup=parse_cgroup(_text(_read(folder / "cgroup"))),
        command=parse_command(_read(folder / "cmdline", _LONGEST_COMMAND) or b""),
    )


def read_adj(proc: Path, pid: int) -> int | None:
    """Read the oom_score_adj of a process; None when it cannot be read."""
    return _number(_text(_read(proc / str(pid) / "oom_score_adj")))


def with_pss(proc: Path, processes: Iterable[Process]) -> list[Process]:
    """Return the processes with their pss, as far as we may read it: our own, and as root all.

    The kernel walks all pages of the process for it, which takes about 10 ms for each GiB: ask for those that matter.
    """
    return [
        replace(each, pss_kib=_number(parse_fields(_text(_read(proc / str(each.pid) / "smaps_rollup"))).get("Pss")))
        for each in processes
    ]


def read_memory(proc: Path) -> Memory:
    """Read how much memory there is.

    Raises:
        InputError: `proc` does not tell.
    """
    fields = parse_fields(_text(_read(proc / "meminfo")))
    total = _number(fields.get("MemTotal"))
    if not total:
        raise _no_proc(proc, "it does not tell how much memory there is")
    return Memory(total, _number(fields.get("SwapTotal")) or 0)


def read_limit(path: str, swap_kib: int) -> Limit | None:
    """Read the limit of a cgroup, of either version.

    Args:
        path: As in /proc/PID/cgroup.
        swap_kib: The machine's.

    Returns:
        None when there is no such cgroup.
    """
    mounted = on_node("/sys/fs/cgroup")
    inside = path.lstrip("/")
    v1 = mounted / "memory" / inside
    if (limit := _bytes(v1 / "memory.limit_in_bytes")) is not None:
        both = _bytes(v1 / "memory.memsw.limit_in_bytes")
        swap = swap_kib if both is None else max(0, both - limit)
        return _limit(limit, min(swap, swap_kib))
    for v2 in (mounted / inside, mounted / "unified" / inside):
        if (limit := _bytes(v2 / "memory.max")) is not None:
            most = _bytes(v2 / "memory.swap.max")
            return _limit(limit, swap_kib if most is None else min(most, swap_kib))
    there = any((each / "cgroup.procs").exists() for each in (v1, mounted / inside, mounted / "unified" / inside))
    return Limit(None, None) if there else None


def _limit(limit_kib: int, swap_kib: int) -> Limit:
    return Limit(None, None) if limit_kib >= _NO_LIMIT_KIB else Limit(limit_kib, limit_kib + swap_kib)


def tidy_cgroup(path: str) -> str:
    """Return the path of a cgroup as the kernel spells it, from what a person typed or copied out of /sys."""
    path = posixpath.normpath("/" + path.strip().lstrip("/"))
    for mounted in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if path == mounted or path.startswith(f"{mounted}/"):
            return path.removeprefix(mounted) or "/"
    return path


def is_in_cgroup(process: Process, path: str) -> bool:
    """Tell whether the memory of `process` counts for the cgroup at `path`, itself or through one below it."""
    return process.cgroup is not None and (process.cgroup == path or process.cgroup.startswith(path.rstrip("/") + "/"))


def rank(processes: Iterable[Process], at_stake_kib: int, *, by_kernel: bool) -> list[Candidate]:
    """Return who can be killed, the next to die first. No I/O.

    Args:
        processes: All that share the memory that ran out: of the machine, or of one cgroup.
        at_stake_kib: That memory, with swap.
        by_kernel: Whether the kernel's own number counts: it is for the whole machine, so not for a cgroup.
    """
    ranked = []
    for process in processes:
        if process.killable:
            points = count_points(process, at_stake_kib)
            own = process.oom_score if by_kernel else None
            score = scale(points, at_stake_kib) if own is None else own
            ranked.append((score, points, process.pid, Candidate(process, score)))
    return [candidate for *_, candidate in sorted(ranked, key=lambda each: each[:3], reverse=True)]


def count_points(process: Process, at_stake_kib: int) -> int:
    """Return the kernel's points for `process`, in KiB instead of pages; below 0 for one that is spared."""
    held = (process.rss_kib or 0) + (process.swap_kib or 0) + (process.page_tables_kib or 0)
    return held + (process.oom_score_adj or 0) * (at_stake_kib // 1000)


def scale(points: int, at_stake_kib: int) -> int:
    """Return points as /proc/PID/oom_score shows them since 5.8."""
    share = abs(points) * 1000 // max(1, at_stake_kib)  # C divides towards zero
    return max(0, (1000 + (share if points >= 0 else -share)) * 2 // 3)


def held_kib(processes: Iterable[Process]) -> tuple[int, bool]:
    """Return what the processes hold together, and whether that is exact: without pss it is at most that."""
    processes = list(processes)
    return sum(each.held_kib for each in processes), all(each.pss_kib is not None for each in processes)


def parse_fields(text: str) -> dict[str, str]:
    """Return the lines ``Name: value`` of a file of /proc; other lines are passed over."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name, value.strip())
    return fields


def parse_cgroup(text: str) -> str | None:
    """Return where memory is counted, out of /proc/PID/cgroup: version 1 has a line for it, version 2 one for all."""
    found = None
    for line in text.split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            if "memory" in parts[1].split(","):
                return parts[2]
            if parts[:2] == ["0", ""]:
                found = parts[2]
    return found


def _read(path: Path, most: int = _LONGEST_FILE) -> bytes | None:
    """Read a file of /proc; None when it cannot be: its process has ended, or it is not ours to read."""
    try:
        with open(path, "rb", buffering=0) as file:
            parts = []
            while most > 0 and (part := file.read(most)):
                parts.append(part)
                most -= len(part)
            return b"".join(parts)
    except OSError:
        return None


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "backslashreplace")


def _number(text: str | None) -> int | None:
    """Return the number that `text` begins with."""
    match = re.match(r"\s*(-?[0-9]{1,20})\b", text or "")
    return int(match[1]) if match else None


def _bytes(path: Path) -> int | None:
    """Read a limit, and return it in KiB; None when there is no such file."""
    text = _text(_read(path)).strip()
    if text == "max":
        return _NO_LIMIT_KIB
    number = _number(text)
    return None if number is None else number // 1024


def _no_proc(proc: Path, why: str | None) -> InputError:
    return InputError(
        f"{proc} cannot be used: {why}", hint="Processes can be seen on Linux only: run it on the node itself"
    )
