"""Reports of the oom-killer, line by line, and the events that they tell of. No I/O, and no text makes it raise.

A report is a trigger, much about memory, a table of processes, a summary and a kill; every part but the last may be
missing, and the wording differs from kernel to kernel. Lines are told by their shape, never by a version. What the log
does not say is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypernode.oom.clock import in_year
from hypernode.oom.events import Ending, Event, Scope, Task, Victim
from hypernode.oom.kernlog import Line, read_lines

_LONGEST_NAME = 64
"""A process's name is 15 bytes at most, each of which may be written as four characters."""
_LONGEST_COMM = 15
_LONGEST_GAP = 60.0
"""Seconds without a line of the kernel after which a report that has not ended is given up."""
_LONGEST_TIME = 300.0
"""Seconds that a report may take, however slow the console is."""
_DISORDER = 5.0
"""Seconds that the clock may go back within a report."""
_LONGEST_REPORT = 100_000  # lines; a table has a row for each process
_MOST_AFTER_KILL = 64
"""Lines after a kill within which further kills of the same report may stand."""

_NUMBER = re.compile(r"-?[0-9]{1,20}")
# A number at the very end of a line may have lost digits.
_GFP_MASK = re.compile(r"gfp_mask=(0x[0-9a-fA-F]{1,16})(?=[(,])(?:\(([^)]{0,500})\))?")
_ORDER = re.compile(r"(?<![a-z_])order=(-?[0-9]{1,9})(?=,)")
_ADJ = re.compile(r"oom_score_adj[=:](-?[0-9]{1,9})")
_HEADER = re.compile(r"\[ *pid *\] +(.*)")
_ROW = re.compile(r"\[ *([0-9]{1,10})\] *(.*)")
_CHOSEN = re.compile(r"(?:(Memory cgroup o|O)ut of memory[^:]{0,60}: )[Kk]ill process ([0-9]{1,10}),? (.*)")
_KILLED = re.compile(r"(?:(Memory cgroup o|O)ut of memory[^:]{0,60}: )?[Kk]illed process ([0-9]{1,10})(.*)")
_UID = re.compile(r"UID[: ](-?[0-9]{1,10})(?![0-9])(?!$)")
_SIZES = re.compile(r"(total-vm|vsz|anon-rss|file-rss|shmem-rss):([0-9]{1,20})kB")
_CONSTRAINT = re.compile(r"constraint=CONSTRAINT_([A-Z_]{1,30})")
_TASK_IN = re.compile(r"Task in (.*) killed as a result of limit of (.*)")
_USAGE = re.compile(r"memory: usage ([0-9]{1,20})kB, limit ([0-9]{1,20})kB")
_SWAP = re.compile(r"(Free|Total) swap *= ([0-9]{1,20})kB")
_PAGES_RAM = re.compile(r"([0-9]{1,15}) pages RAM")
_ENDS = (
    "Out of memory and no killable processes",
    "Kernel panic - not syncing: Out of memory",
    "Kernel panic - not syncing: System is deadlocked on memory",
    "System is deadlocked on memory",
)
_NO_LIMIT = 9007199254740988


@dataclass(slots=True)
class _Report:
    """A report as far as it was read."""

    first: Line
    turn: int
    trigger: str | None = None
    words: str = ""
    """What the trigger line says after the name."""
    lead: str | None = None
    """``memcg`` or ``global``, by the words before a kill."""
    constraint: str | None = None
    global_oom: bool = False
    memcg: str | None = None
    victims: list[Victim] = field(default_factory=list)
    summary: tuple[str, int, int] | None = None
    count: int = 0
    top: Task | None = None
    by_pid: dict[int, Task] = field(default_factory=dict)
    chosen_pid: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    grouped: bool = False
    ended: bool = False
    """Whether its table and numbers are over."""
    without_victim: bool = False
    """Whether it said that nobody can be killed."""
    ending: Ending | None = None
    pids: set[int] = field(default_factory=set)
    lines: int = 0
    since_kill: int = 0


class Reader:
    """Reads lines of the kernel one after the other, and gives back each event once it is known to be whole.

    Args:
        keep_tasks: Whether events hold the whole table.
    """

    def __init__(self, *, keep_tasks: bool = False) -> None:
        self._keep_tasks = keep_tasks
        self._open: _Report | None = None
        self._last: Line | None = None
        self._columns: list[str] | None = None
        self._turn = 0

    @property
    def idle(self) -> bool:
        """Whether no report is open."""
        return self._open is None

    @property
    def outcomes(self) -> int:
        """How often the open report has said who was killed, or that nobody could be; 0 when none is open."""
        return 0 if self._open is None else len(self._open.victims) + self._open.without_victim

    def read(self, line: Line, turn: int = 0) -> Iterator[Event]:
        """Read one line, and yield the event that it ends, if it ends one; `turn` as in `Event`."""
        self._turn = turn
        report, text = self._open, line.text
        if report is not None:
            report.lines += 1
            report.since_kill += bool(report.victims or report.ended)
            if self._jumped(line) or report.lines > _LONGEST_REPORT or report.since_kill > _MOST_AFTER_KILL:
                yield from self.end()
        if " invoked oom-killer: " in text[: _LONGEST_NAME + 40]:
            name, _, words = text.partition(" invoked oom-killer: ")
            if len(name) > _LONGEST_COMM:  # the rest of a prefix that was cut off
                name = re.split(r"\] |ernel: ", name)[-1]
            if "gfp_mask=" in words and len(name) <= _LONGEST_NAME:
                yield from self.end()
                self._open = _Report(line, turn, trigger=name, words=words)
        elif text.startswith("["):
            self._table(line)
        elif text.startswith("oom-kill:constraint="):
            if self._open is not None and (self._open.victims or self._open.summary):
                yield from self.end()
            self._summary(self._report(line), text)
        elif "rocess " in text and (match := _CHOSEN.fullmatch(text)):
            if self._open is not None and (self._open.victims or self._open.without_victim):
                yield from self.end()
            self._chosen(self._report(line), match)
        elif "rocess " in text and (match := _KILLED.fullmatch(text)):
            yield from self._killed(line, match)
        elif self._open is not None:
            self._other(self._open, text)
        if self._open is not None:
            self._last = line

    def end(self) -> Iterator[Event]:
        """Give up waiting for more, and yield the event that was open."""
        report, self._open, self._last = self._open, None, None
        if report is not None and (report.trigger is not None or report.victims or report.summary or report.chosen_pid):
            yield self._event(report)

    def _report(self, line: Line) -> _Report:
        if self._open is None:
            self._open = _Report(line, self._turn)
        return self._open

    def _jumped(self, line: Line) -> bool:
        """Tell whether the clock went back, or on by so much that `line` can be no part of the open report."""
        assert self._open is not None  # noqa: S101  # the caller has looked
        return _apart(self._last, line, _LONGEST_GAP) or _apart(self._open.first, line, _LONGEST_TIME)

    def _table(self, line: Line) -> None:
        if match := _HEADER.fullmatch(line.text):
            columns = match[1].split()
            if columns[-1:] == ["name"] and "rss" in columns:
                self._report(line)
                self._columns = columns[:-1]
            return
        report = self._open
        if report is None or report.victims or report.ended:
            return
        if (match := _ROW.fullmatch(line.text)) and (task := _task(match, self._columns)):
            report.count += 1
            if report.top is None or task.rss_pages > report.top.rss_pages:
                report.top = task
            report.by_pid[task.pid] = task

    def _summary(self, report: _Report, text: str) -> None:
        if match := _CONSTRAINT.search(text):
            report.constraint = match[1]
        where = text.partition(",task=")[0]  # a name may hold any of these words
        report.global_oom = ",global_oom" in where
        if ",oom_memcg=" in where and ",task_memcg=" in where:
            report.memcg = where.partition(",oom_memcg=")[2].partition(",task_memcg=")[0]
        rest, _, uid = text.rpartition(",uid=")
        rest, _, pid = rest.rpartition(",pid=")
        if _NUMBER.fullmatch(uid) and _NUMBER.fullmatch(pid) and ",task=" in rest:
            report.summary = (rest.partition(",task=")[2], int(pid), int(uid))
        report.ended = report.ended or report.summary is None

    def _chosen(self, report: _Report, match: re.Match[str]) -> None:
        report.lead = "memcg" if match[1].startswith("Memory") else "global"
        report.chosen_pid = int(match[2])

    def _killed(self, line: Line, match: re.Match[str]) -> Iterator[Event]:
        victim = _victim(int(match[2]), match[3])
        if victim is None:
            return
        if (open_ := self._open) is not None and open_.victims and not open_.grouped:
            if victim.pid in open_.pids:
                return  # printed once more
            yield from self.end()
        elif open_ is not None and open_.without_victim and not open_.victims:
            yield from self.end()
        report = self._report(line)
        if match[1]:
            report.lead = "memcg" if match[1].startswith("Memory") else "global"
        report.since_kill = 0
        if victim.pid not in report.pids:
            report.pids.add(victim.pid)
            report.victims.append(victim)

    def _other(self, report: _Report, text: str) -> None:
        if text.startswith("Tasks in ") and "memory.oom.group set" in text:
            report.grouped = True
        elif report.victims:
            return
        elif match := _TASK_IN.fullmatch(text):
            report.memcg = match[2]
        elif match := _USAGE.match(text):
            report.sizes["usage"], report.sizes["limit"] = int(match[1]), int(match[2])
        elif match := _SWAP.match(text):
            report.sizes[match[1]] = int(match[2])
        elif match := _PAGES_RAM.match(text):
            report.sizes["ram"] = int(match[1])
        elif text.startswith(_ENDS):
            report.ended = report.without_victim = True
            report.ending = "no killable process" if "killable" in text else "panic"
            report.lead = report.lead or ("memcg" if "usage" in report.sizes else "global")

    def _event(self, report: _Report) -> Event:
        words = report.words
        mask, order, adj = _GFP_MASK.search(words), _ORDER.search(words), _ADJ.search(words)
        sizes = report.sizes
        limit = sizes.get("limit")
        return Event(
            stamp=report.first.stamp,
            uptime=report.first.uptime,
            trigger=report.trigger,
            trigger_oom_score_adj=int(adj[1]) if adj else None,
            gfp_mask=mask[1] if mask else None,
            order=int(order[1]) if order else None,
            scope=_scope(report),
            memcg=report.memcg,
            victims=tuple(_completed(victim, report) for victim in report.victims),
            task_count=report.count,
            top=report.top,
            tasks=tuple(report.by_pid.values()) if self._keep_tasks else (),
            gfp_names=mask[2] if mask else None,
            chosen_pid=report.chosen_pid,
            usage_kib=sizes.get("usage"),
            limit_kib=None if limit is None or limit >= _NO_LIMIT else limit,
            swap_free_kib=sizes.get("Free"),
            swap_total_kib=sizes.get("Total"),
            ram_pages=sizes.get("ram"),
            ending=report.ending,
            turn=report.turn,
        )


def read_events(lines: Iterable[bytes], *, keep_tasks: bool = False) -> Iterator[Event]:
    """Yield the events of a log, line by line; `scan.scan` is the quick way through a large one."""
    reader = Reader(keep_tasks=keep_tasks)
    for raw in lines:
        for line in read_lines(raw):
            yield from reader.read(line)
    yield from reader.end()


def _task(match: re.Match[str], columns: list[str] | None) -> Task | None:
    """Read a row. Without a header the count of its numbers tells the columns; a damaged row is None."""
    words = [word for word in match[2].split(" ") if word]
    numbers = next((place for place, word in enumerate(words) if not _NUMBER.fullmatch(word)), len(words))
    count = len(columns) if columns else next((known for known in (10, 8, 7, 6) if known <= numbers), 0)
    if not 6 <= count <= numbers:
        return None
    values = [int(word) for word in words[:count]]
    behind = re.match(rf"(?: *[^ ]+){{{count}}} ?(.*)", match[2])
    name = behind[1] if behind else ""
    swap = adj = None
    if columns:
        swap = values[columns.index("swapents")] if "swapents" in columns else None
        adj = values[columns.index("oom_score_adj")] if "oom_score_adj" in columns else None
    elif count > 6:
        adj = values[-1]
        swap = values[-2] if count > 7 else None
    return Task(int(match[1]), name, values[0], values[2], values[3], swap, adj)


def _victim(pid: int, rest: str) -> Victim | None:
    """Read what follows the pid of a kill line: the name in brackets, which may hold any sign, and sizes."""
    start = -1 if rest.endswith(")") else max(rest.rfind(" total-vm:"), rest.rfind(" vsz:"))
    head, tail = (rest, "") if start < 0 else (rest[:start], rest[start:])
    uid = _UID.search(tail)
    head = head.rstrip(" ,")
    if behind := re.search(r", UID (-?[0-9]{1,10})$", head):  # late el7
        uid, head = behind, head[: behind.start()]
    if before := re.match(r", UID (-?[0-9]{1,10}), ", head):  # el6
        uid, head = before, f" {head[before.end() :]}"
    if not head.startswith(" (") or not head.endswith(")"):
        return None
    sizes = {match[1]: int(match[2]) for match in _SIZES.finditer(tail)}
    adj = _ADJ.search(tail)
    return Victim(
        pid,
        head[2:-1],
        int(uid[1]) if uid else None,
        sizes.get("total-vm", sizes.get("vsz")),
        sizes.get("anon-rss"),
        sizes.get("file-rss"),
        sizes.get("shmem-rss"),
        int(adj[1]) if adj else None,
    )


def _completed(victim: Victim, report: _Report) -> Victim:
    """Return `victim` with what its row in the table says, and else the summary."""
    row = report.by_pid.get(victim.pid)
    uid, adj = victim.uid, victim.oom_score_adj
    if uid is None:
        uid = row.uid if row else report.summary[2] if report.summary and report.summary[1] == victim.pid else None
    if adj is None and row:
        adj = row.oom_score_adj
    return replace(victim, uid=uid, oom_score_adj=adj)


def _scope(report: _Report) -> Scope:
    """Return whose memory it was, by the best evidence first."""
    if report.memcg is not None or report.lead == "memcg" or report.constraint == "MEMCG":
        return "memcg"
    if report.constraint == "CPUSET":
        return "cpuset"
    if report.constraint == "MEMORY_POLICY":
        return "mempolicy"
    return "global" if report.global_oom or report.lead == "global" else "unknown"


def _apart(earlier: Line | None, line: Line, most: float) -> bool:
    """Tell whether two lines are more than `most` seconds apart, or in the wrong order; unknown counts as no."""
    if earlier is None:
        return False
    if earlier.uptime is not None and line.uptime is not None:
        return not -1.0 <= line.uptime - earlier.uptime <= most
    if earlier.stamp is None or line.stamp is None:
        return False
    first = in_year(earlier.stamp, earlier.stamp.year or 2000)
    second = in_year(line.stamp, line.stamp.year or 2000)
    if first is None or second is None:
        return False
    if line.stamp.year is None and second < first - timedelta(days=180):
        second = in_year(line.stamp, 2001) or second  # New Year
    return not -_DISORDER <= (second - first).total_seconds() <= most
