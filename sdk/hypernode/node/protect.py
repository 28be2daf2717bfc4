"""hypernode-oom-protect with a budget, a time limit and an honest answer (CONTRACT.md 4.2).

The command runs in a process group of its own, so that at the time limit all of it can be ended. On a terminal that
group gets the foreground, as a shell's job does: Ctrl-C then goes from the terminal to the command alone, and is not
sent once more by us. Where others may need the terminal too, as in a pipe, the command gets it when it first reads
from it; until then Ctrl-C comes to us, and we hand it to the group. Ctrl-Z stops the command and then us, so that the
shell sees one job.

What must stay true: the command's streams are ours, untouched; nothing is waited for without a signal being heard; at
the end the terminal is ours again. Not reached by the time limit is what leaves the group, as `setsid` does; and if we
are killed ourselves, which nothing protects us from, the command goes on without a time limit.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hypernode.errors import InputError, ToolError
from hypernode.node.processes import PROTECTED, read_adj
from hypernode.node.shell import missing
from hypernode.node.signals import hear, into_pipe

TOOL = "hypernode-oom-protect"
TIMED_OUT = 124
"""The exit status of timeout(1)."""

_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH)
"""What a terminal sends to its whole foreground group."""
_GRACE = 10.0
_TIME_TO_BE_PROTECTED = 2.0
_LOOK_INTERVAL = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    """Its exit status; 128 and more: ended by a signal, as a shell says it; 124: by the time limit."""
    signal: int | None
    """The one that ended it, or None."""
    timed_out: bool
    seconds: float
    peak_kib: int
    """The most memory that the largest of its processes ever had, and at least what we had when we started it: the
    kernel counts from the fork (getrusage(2), ru_maxrss)."""
    protected: bool | None
    """Whether it was seen with oom_score_adj -1000; None: it ended before that could be seen."""


def find_tool() -> str:
    """Return the path of hypernode-oom-protect.

    Raises:
        ToolMissing: There is none, so that nothing could be protected.
    """
    path = shutil.which(TOOL)
    if path is None:
        raise missing(TOOL, "on this machine")
    return path


def run(
    command: Sequence[str],
    *,
    tool: str,
    proc: Path,
    timeout: float | None = None,
    tell: Callable[[str], None],
    grace: float = _GRACE,
    patience: float = _TIME_TO_BE_PROTECTED,
) -> Ended:
    """Run a command through the tool to its end, on our own streams; signals that reach us reach it.

    Args:
        command: The command and its arguments.
        tool: Path of hypernode-oom-protect.
        proc: Where the processes are.
        timeout: Seconds, after which its whole group gets SIGTERM; None: no limit.
        tell: Is told once when the command turns out not to be protected.
        grace: Seconds from SIGTERM to SIGKILL.
        patience: Seconds within which the command has to be protected.

    Raises:
        ToolError: The tool cannot be started.
        InputError: The command line is too long.
    """
    terminal = _open_terminal()
    try:
        with _listening(with_terminal=terminal is not None) as signals:
            began = time.monotonic()
            child = _Child(_start([tool, *command]), terminal, signals)
            # From the background, naming the foreground and (with `stty tostop`) writing would stop us.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
            try:
                return child.wait(proc, tell, began=began, timeout=timeout, grace=grace, patience=patience)
            finally:
                child.take_terminal()
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        if terminal is not None:
            os.close(terminal)


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        # What the caller handed us besides the three streams, as a lock, is the command's too.
        return subprocess.Popen(argv, process_group=0, close_fds=False)
    except OSError as exc:
        if exc.errno == errno.E2BIG:
            raise InputError("the command line is too long") from None
        raise ToolError(f"{argv[0]} cannot be started: {exc.strerror}") from exc


def _open_terminal() -> int | None:
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None


class _Signals:
    """Signals that reached us, in their order.

    Args:
        pipe: Python writes their numbers into its other end.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def wait(self, seconds: float | None) -> list[int]:
        """Wait for signals, at most so long, and return them."""
        if select.select([self._pipe], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                return list(os.read(self._pipe, 4096))
        return []


@contextmanager
def _listening(*, with_terminal: bool) -> Iterator[_Signals]:
    """Catch signals from here on. What was ignored stays so, for the command too: nohup is to keep its meaning."""
    wanted = [*_PASSED_ON, *([signal.SIGTSTP, signal.SIGCONT] if with_terminal else [])]
    caught = [number for number in wanted if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    # SIGCHLD in any case: ignored, it would lose us the exit status.
    with into_pipe([signal.SIGCHLD, *caught]) as pipe:
        yield _Signals(pipe)


class _Child:
    """The running command.

    Args:
        process: Leader of a group of its own.
        terminal: The terminal that we belong to, open; None: there is none.
        signals: What reaches us.
    """

    def __init__(self, process: subprocess.Popen[bytes], terminal: int | None, signals: _Signals) -> None:
        self._process = process
        self._pid = process.pid
        self._terminal = terminal
        self._signals = signals
        self._ended: tuple[int, int] | None = None  # the wait status and the peak
        self._holds_terminal = False
        self._wants_terminal = os.isatty(0) and os.isatty(1)
        if self._wants_terminal and self._is_foreground():
            self._give_terminal()
            self._to_group(signal.SIGCONT)  # it may have been stopped for reading too early

    def wait(
        self,
        proc: Path,
        tell: Callable[[str], None],
        *,
        began: float,
        timeout: float | None,
        grace: float,
        patience: float,
    ) -> Ended:
        """Wait for the end; see `run`."""
        deadline = began + timeout if timeout else None
        look_until = began + patience
        protected: bool | None = None
        timed_out = False
        self._reap()
        while self._ended is None:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                timed_out = True
                self._end_group(grace)
                break
            if protected is None:
                protected = self._is_protected(proc, last=now >= look_until)
                if protected is False:
                    tell(_unprotected(read_adj(proc, self._pid)))
            left = None if deadline is None else deadline - now
            step = _LOOK_INTERVAL if protected is None else left
            self._pass_on(self._signals.wait(step if left is None else max(0.0, min(left, step or 0.0))))
            self._reap()
        status, peak_kib = self._ended or (0, 0)
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            status=TIMED_OUT if timed_out else code if code >= 0 else 128 - code,
            signal=-code if code < 0 else None,
            timed_out=timed_out,
            seconds=time.monotonic() - began,
            peak_kib=peak_kib,
            protected=protected,
        )

    def take_terminal(self) -> None:
        """Make the terminal ours again, if the command has it from us."""
        if self._holds_terminal and self._terminal is not None:
            self._holds_terminal = False
            self._set_foreground(os.getpgrp())

    def _is_protected(self, proc: Path, *, last: bool) -> bool | None:
        """Look whether the command has the adjustment; None: not yet.

        The tool may become the command, or start it; then one that it started has it.
        """
        if read_adj(proc, self._pid) == PROTECTED:
            return True
        if not last:
            return None
        return any(read_adj(proc, pid) == PROTECTED for pid in _members(proc, self._pid))

    def _pass_on(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if number == signal.SIGCONT:
                self._resume()
            elif number == signal.SIGTSTP or (number in _OF_TERMINAL and self._is_foreground()):
                self._to_group(number)
            elif number != signal.SIGCHLD and self._ended is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self._pid, number)

    def _reap(self) -> None:
        if self._ended is not None:
            return
        flags = os.WNOHANG | (os.WUNTRACED if self._terminal is not None else 0)
        pid, status, usage = os.wait4(self._pid, flags)
        if pid == 0:
            return
        if os.WIFSTOPPED(status):
            self._stop(os.WSTOPSIG(status))
            return
        self._ended = status, usage.ru_maxrss
        self._process.returncode = os.waitstatus_to_exitcode(status)

    def _end_group(self, grace: float) -> None:
        """End the command and all that it started, with SIGTERM and then with SIGKILL."""
        until = time.monotonic() + grace
        self._to_group(signal.SIGTERM)
        self._to_group(signal.SIGCONT)  # what is stopped hears nothing
        while self._to_group(0) and time.monotonic() < until:
            self._pass_on(self._signals.wait(_LOOK_INTERVAL))
            self._reap()
        self._to_group(signal.SIGKILL)
        while self._ended is None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)
            self._signals.wait(_LOOK_INTERVAL)
            self._reap()

    def _to_group(self, number: int) -> bool:
        """Send a signal to the group, and return whether there is one. 0 only asks."""
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # there is one, of another user
            return True
        return True

    def _stop(self, number: int) -> None:
        """Do what a stop of the command by `number` asks for: lend it the terminal, or stop with it."""
        for_terminal = number in (signal.SIGTTIN, signal.SIGTTOU)
        if for_terminal and self._is_foreground():
            self._wants_terminal = True
            self._resume()
            return
        if signal.getsignal(signal.SIGTSTP) is not hear:
            return
        self.take_terminal()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # here we stand until somebody continues us
        signal.signal(signal.SIGTSTP, hear)
        heard = self._signals.wait(0)
        if signal.SIGCONT not in heard and not for_terminal:
            self._resume()  # nobody could have continued us, so the kernel stopped neither of us (an orphaned group)
        self._pass_on([each for each in heard if each != signal.SIGTSTP])

    def _resume(self) -> None:
        """Let the command go on, in the foreground if that is where we are."""
        if self._wants_terminal and self._is_foreground():
            self._give_terminal()
        self._to_group(signal.SIGCONT)

    def _is_foreground(self) -> bool:
        if self._terminal is None:
            return False
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:  # it has gone
            return False

    def _give_terminal(self) -> None:
        self._holds_terminal = True
        self._set_foreground(self._pid)

    def _set_foreground(self, group: int) -> None:
        with suppress(OSError):  # the terminal or the group has gone
            os.tcsetpgrp(self._terminal if self._terminal is not None else -1, group)


def _members(proc: Path, group: int) -> Iterator[int]:
    """Yield the processes of a group."""
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything; after it come state, parent and group.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                yield int(folder.name)


def _unprotected(adj: int | None) -> str:
    if adj is None:
        return "Warning: whether the command is protected cannot be seen."
    return f"Warning: the command is NOT protected: {TOOL} started it, and its oom_score_adj is {adj}, not {PROTECTED}."
