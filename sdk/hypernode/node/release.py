"""Restarting MySQL when a node is low on memory: the vendor's release_mysql_cached_memory made safe (CONTRACT.md 4.3).

It is meant for cron, each minute, so what must stay true whenever it is cut off is that MySQL is not restarted minute
after minute. Before a restart its begin is written down, and afterwards its end: that it worked, which starts the
cooldown, or that it failed, which does not. A begin without an end (kill -9, the oom-killer) counts as a restart, as it
may have been one. What cannot be written down is not begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from hypernode.errors import HypernodeError, InputError
from hypernode.node.meminfo import PATH, Memory, parse_meminfo
from hypernode.node.mysql_work import ages_of, look_at_processes, open_transactions
from hypernode.node.release_state import State, check_folder, locked, read_state, write_state
from hypernode.node.servicectl import Servicectl
from hypernode.node.shell import Shell
from hypernode.places import on_node

MOST_MB = 16 * 1024 * 1024  # 16 TiB; no product comes near
MOST_MINUTES = 366 * 24 * 60
_LONG_SECONDS = 60
"""A transaction or query of MySQL that is older is not cut off: shorter ones a client repeats, as after any restart."""


class What(StrEnum):
    """How a run ended."""

    ENOUGH = "enough"
    RESTARTED = "restarted"
    WOULD_RESTART = "would_restart"
    COOLING_DOWN = "cooling_down"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Limits:
    """When MySQL is to be restarted.

    Raises:
        InputError: A number is out of bounds.
    """

    min_available_mb: int
    """MiB; with less available, the node is low on memory."""
    cooldown_minutes: int
    """Least minutes from one restart that worked to the next."""
    wait: float
    """Seconds that the restart may take, and again that MySQL may take to answer."""

    def __post_init__(self) -> None:
        for name, value, most in (
            ("the memory in MB", self.min_available_mb, MOST_MB),
            ("the cooldown in minutes", self.cooldown_minutes, MOST_MINUTES),
        ):
            if not 1 <= value <= most:
                raise InputError(f"{name} must be a whole number from 1 to {most}, not {value}")

    @property
    def min_available_kib(self) -> int:
        """The same in KiB."""
        return self.min_available_mb * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found and did."""

    what: What
    at: datetime
    """When it was known."""
    why: str = ""
    """The reason in words, where the numbers are not all there is to say."""
    available_kib: int | None = None
    """None when it was not looked at."""
    available_after_kib: int | None = None
    """After a restart; None without one, and when it cannot be read."""
    mysql_kib: int | None = None
    """What the servers of MySQL have in memory (resident); None when they cannot be seen."""
    mysql_after_kib: int | None = None
    mysql_answers: bool | None = None
    """After a restart; None without one, and when there is nothing to ask with."""
    restarted_at: datetime | None = None
    """The last restart that worked, as far as known."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at before the restart."""
    notes: tuple[str, ...] = ()
    """What else the reader is to know, such as a damaged state file."""
    error: HypernodeError | None = None
    """Why it failed."""


def release(
    shell: Shell,
    folder: Path,
    limits: Limits,
    *,
    node: str | None = None,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
    servicectl: Servicectl | None = None,
    shield: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Result:
    """Restart MySQL on the node that we stand on, if its memory is low and nothing speaks against it.

    Args:
        shell: Runs commands on this node.
        folder: Of ours alone, for the state and the lock; made when it is missing.
        limits: When and for how long.
        node: Its name, for errors.
        dry_run: Tell what would be done, and write nothing.
        clock: Seconds since 1970.
        servicectl: Restarts MySQL; made of `shell` when it is None.
        shield: Entered for the time from the begin of a restart to its record, which should not be cut in two.

    Raises:
        InputError: The limits ask for more memory than the node has.
    """
    run = _Run(shell, folder, limits, clock, servicectl or Servicectl(shell, node=node), shield)
    try:
        if dry_run:
            check_folder(folder)
            return run.decide() or run.end(What.WOULD_RESTART)
        with locked(folder) as alone:
            if not alone:
                return run.end(What.DEFERRED, "another run is at it")
            return run.decide() or run.restart()
    except InputError:
        raise
    except HypernodeError as exc:
        return run.fail(exc)


class _Run:
    """One run; what it has found so far is in `found`, for whichever way it ends."""

    def __init__(
        self,
        shell: Shell,
        folder: Path,
        limits: Limits,
        clock: Callable[[], float],
        servicectl: Servicectl,
        shield: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self.shell, self.limits, self.clock = shell, limits, clock
        self.servicectl, self.shield = servicectl, shield
        self.folder = folder
        self.state = State()
        self.found = Result(What.FAILED, self.now())

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def end(self, what: What, why: str = "") -> Result:
        return replace(self.found, what=what, why=why, at=self.now())

    def fail(self, error: HypernodeError) -> Result:
        return replace(self.end(What.FAILED, error.message), error=error)

    def note(self, *notes: str) -> None:
        self.found = replace(self.found, notes=(*self.found.notes, *notes))

    def decide(self) -> Result | None:
        """Return why MySQL is not to be restarted now; None when it is."""
        memory = read_memory()
        self.found = replace(self.found, available_kib=memory.available_kib)
        least = self.limits.min_available_kib
        if memory.total_kib is not None and least >= memory.total_kib:
            raise InputError(
                f"{self.limits.min_available_mb} MB can never be available: the node has {memory.total_kib // 1024}",
                hint="Ask for less: MySQL would be restarted after every cooldown",
            )
        if memory.available_kib >= least:
            return self.end(What.ENOUGH)
        if cooling := self._cooling_down():
            return self.end(What.COOLING_DOWN, cooling)
        return self._busy()

    def _cooling_down(self) -> str:
        """Return why it is too soon for a restart; empty when it is not."""
        now = self.now()
        self.state, notes = read_state(self.folder, now)
        self.note(*notes)
        self.found = replace(self.found, restarted_at=self.state.restarted_at)
        times = [at for at in (self.state.restarted_at, self.state.begun_at) if at is not None]
        if not times:
            return ""
        last = max(times)
        left = self.limits.cooldown_minutes * 60 - (now - last).total_seconds()
        if left <= 0:
            return ""
        at = last.astimezone().isoformat(timespec="seconds")
        told = f"mysql was restarted at {at}"
        if last != self.state.restarted_at:
            told = f"a restart that began at {at} was cut off and may have been done"
        return f"{told}; the next one can be in {_duration(left)}"

    def _busy(self) -> Result | None:
        """Return what a restart would break or why it is of no use; None when there is nothing of it to be seen."""
        seen = look_at_processes(on_node("/proc"))
        unseen = list(seen.unseen) if seen.mysql_kib is not None else [*seen.unseen, "the memory of mysql"]
        self.found = replace(self.found, mysql_kib=seen.mysql_kib, unseen=tuple(unseen))
        if seen.busy:
            verb = "is" if len(seen.busy) == 1 else "are"
            return self.end(What.DEFERRED, f"{', '.join(seen.busy)} {verb} running")
        if seen.mysql_kib is not None:
            most = (self.found.available_kib or 0) + seen.mysql_kib
            if most < self.limits.min_available_kib:
                return self.end(
                    What.DEFERRED,
                    f"a restart cannot help: mysql has {seen.mysql_kib // 1024} MB, and {most // 1024} with all of it "
                    "are too few; something else takes the memory",
                )
        for things, one, ages in (
            ("transactions", "a transaction", open_transactions(self.shell)),
            ("queries", "a query", ages_of(self.servicectl.running_queries())),
        ):
            if ages is None:
                self.found = replace(self.found, unseen=(*self.found.unseen, things))
            elif ages and max(ages) > _LONG_SECONDS:
                return self.end(What.DEFERRED, f"{one} of mysql has been running for {_duration(max(ages))}")
        return None

    def restart(self) -> Result:
        """Restart MySQL, write down what came of it, and return what was won."""
        with self.shield():
            try:
                write_state(self.folder, replace(self.state, begun_at=self.now()))
            except OSError as exc:
                raise HypernodeError(
                    f"{self.folder} cannot be written: {exc.strerror}; nothing was restarted",
                    hint="Without it MySQL would be restarted each minute",
                ) from None
            try:
                seen = self.servicectl.restart(["mysql"], timeout=self.limits.wait, wait=self.limits.wait)
            except HypernodeError as exc:
                if self._record(State(self.state.restarted_at)):
                    self.note("it does not count, so the next run tries again")
                return self.fail(exc)
            self._record(State(restarted_at=self.now()))
        self._look_afterwards()
        self.found = replace(self.found, mysql_answers=seen or None, restarted_at=self.state.restarted_at)
        return self.end(What.RESTARTED)

    def _record(self, state: State) -> bool:
        """Write down how the restart ended; if that fails, its begin is still there and counts."""
        self.state = state
        try:
            write_state(self.folder, state)
        except OSError as exc:
            self.note(f"how the restart ended could not be written down ({exc.strerror}), so it counts as done")
            return False
        return True

    def _look_afterwards(self) -> None:
        with suppress(HypernodeError):  # it was restarted, whatever is to be seen now
            self.found = replace(self.found, available_after_kib=read_memory().available_kib)
        self.found = replace(self.found, mysql_after_kib=look_at_processes(on_node("/proc")).mysql_kib)


def read_memory() -> Memory:
    """Read the memory of the node that we stand on.

    Raises:
        HypernodeError: It cannot be read.
    """
    path = on_node(PATH)
    try:
        return parse_meminfo(path.read_text("utf-8", "replace"))
    except OSError as exc:
        raise HypernodeError(f"{path} cannot be read: {exc.strerror}", hint="Is this a Linux machine?") from None


def _duration(seconds: float) -> str:
    """Return a time in the largest unit that says enough, rounded up."""
    whole = int(-(-seconds // 1))
    return f"{whole} s" if whole < 120 else f"{-(-whole // 60)} minutes"
