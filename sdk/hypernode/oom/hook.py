"""A command for each event, one after the other, and nobody ever waits for it.

A command that hangs gets SIGTERM with all of its session, and a second later SIGKILL. It is not reaped before that, so
that its number cannot be another process's by then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

_MOST_WAITING = 100
_GRACE = 1.0
"""Seconds from SIGTERM to SIGKILL, and for a command to end by itself when we end."""
_SECRETS = ("HYPERNODE_API_TOKEN", "HYPERNODE_API_TOKENS")


class Hook:
    """Runs a command for each event.

    Args:
        command: The command and its arguments; no shell is between. Its output goes to stderr.
        timeout: Seconds that one run may take.
        tell: Told what went wrong, in a sentence.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._name = os.path.basename(command[0])
        self._timeout = timeout
        self._tell = tell
        self._clock = clock
        self._waiting: deque[tuple[bytes, Mapping[str, str]]] = deque()
        self._dropped = 0
        self._running: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0
        self._timed_out = False

    def put(self, text: bytes, variables: Mapping[str, str]) -> None:
        """Let the command run once with `text` on its stdin and more `variables`, when it is its turn."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((text, variables))
            return
        if not self._dropped:
            self._tell(f"{_MOST_WAITING} events wait for {self._name}: it is not run for those that come now")
        self._dropped += 1

    def look(self) -> None:
        """See whether the command has ended or its time is over, and start the next one."""
        if self._running is not None and not self._over(self._running):
            return
        self._running = None
        while self._waiting and self._running is None:
            self._start(*self._waiting.popleft())
        if self._dropped and not self._waiting:
            self._tell(f"{self._name} was not run for {self._dropped} events, as too many waited for it")
            self._dropped = 0

    def end(self, pause: Callable[[float], bool]) -> None:
        """Let a running command end, for a second at most, and start no more.

        Args:
            pause: Waits so many seconds, and tells whether to wait no longer.
        """
        if left := len(self._waiting) + self._dropped:
            self._tell(f"{self._name} was not run for {left} events that waited for it")
            self._waiting.clear()
            self._dropped = 0
        process, self._running = self._running, None
        if process is None:
            return
        until = self._clock() + _GRACE
        while process.poll() is None:
            if self._clock() >= until or pause(0.05):
                self._tell(f"{self._name} was still running, and is ended")
                _signal(process, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
                return

    def _start(self, text: bytes, variables: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        try:
            with tempfile.TemporaryFile() as stdin:  # unlike a pipe it takes all of the text at once
                stdin.write(text)
                stdin.seek(0)
                self._running = subprocess.Popen(
                    self._command, stdin=stdin, stdout=2, env={**inherited, **variables}, start_new_session=True
                )
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            self._tell(f"{self._name} cannot be run: {why}")
            return
        self._deadline, self._timed_out = self._clock() + self._timeout, False

    def _over(self, process: subprocess.Popen[bytes]) -> bool:
        """Tell whether `process` has ended, or end it."""
        late = self._clock() >= self._deadline
        if self._timed_out:
            if not late:
                return False
            _signal(process, signal.SIGKILL)
            return process.poll() is not None  # not yet, or never: it may be another user's, as with sudo
        if process.poll() is not None:
            if process.returncode:
                self._tell(f"{self._name} {_told(process.returncode)}")
            return True
        if late:
            self._tell(f"{self._name} did not end within {self._timeout:g} s, and is ended")
            _signal(process, signal.SIGTERM)
            self._deadline, self._timed_out = self._clock() + _GRACE, True
        return False


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to `process` and all of its session, before it was reaped."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _told(status: int) -> str:
    if status > 0:
        return f"ended with {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
