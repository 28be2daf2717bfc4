"""hnctl as a process of its own: with real pipes, on a real terminal, in any environment."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

from runs import Result

Cue = str | Callable[[], object]
"""What to type something after: a text that is to be seen, or whatever has happened."""
COMMAND = (sys.executable, "-m", "hnctl")
_AT_THE_TERMINAL = (
    sys.executable,
    "-IS",
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
)
"""Makes stdin the terminal whose Ctrl-C reaches the process, and goes on as the command that follows."""
_LONGEST = 20.0


@contextmanager
def start(
    *arguments: str | Path,
    through: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    **streams: int,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `hnctl ARGUMENTS` in the environment of the test, with more `variables`; it does not outlive the block."""
    argv = [*through, *COMMAND, *map(str, arguments)]
    with subprocess.Popen(argv, env={**os.environ, **(variables or {})}, start_new_session=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str | Path, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Result:
    """Run `hnctl ARGUMENTS` with pipes for its streams."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(*arguments, variables=variables, **pipes) as process:
        out, err = process.communicate(stdin, timeout=_LONGEST)
    return _ended(process, out, err)


def run_in_shell(command: str, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> Result:
    """Run a line of sh in which "$@" is `hnctl ARGUMENTS`, so that it can redirect as it likes."""
    done = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *COMMAND, *map(str, arguments)],
        env={**os.environ, **(variables or {})},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_LONGEST,
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def run_in_terminal(
    *arguments: str | Path,
    answers: Iterable[tuple[Cue, str]] = (),
    columns: int = 80,
    variables: Mapping[str, str] | None = None,
) -> Result:
    """Run `hnctl ARGUMENTS` on a terminal of its own; all that it shows is in `out`.

    Args:
        arguments: Of the command.
        answers: (question, answer) pairs: once the question is to be seen, or has happened, the answer is typed.
        columns: Width of the terminal.
        variables: More variables.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    terminal = {"TERM": "xterm-256color", "NO_COLOR": "", "COLUMNS": "", **(variables or {})}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with start(*arguments, through=_AT_THE_TERMINAL, variables=terminal, **streams) as process:
        os.close(theirs)
        try:
            out = _talk(ours, list(answers))
            process.wait(_LONGEST)
        finally:
            os.close(ours)
    return _ended(process, out, b"")


def _talk(terminal: int, answers: list[tuple[Cue, str]]) -> bytes:
    """Read until the end, and answer a question once the other side is waiting, as a person would."""
    out, seen = b"", 0
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                read = os.read(terminal, 65536)
            except OSError:  # Linux says so when the other side is closed
                read = b""
            if not read:
                return out
            out += read
        elif answers and (place := _place_of(answers[0][0], out, seen)) >= 0:
            seen = place + 1
            os.write(terminal, answers.pop(0)[1].encode())
    raise AssertionError(f"it did not end; so far it said {out!r}")


def _place_of(cue: Cue, out: bytes, seen: int) -> int:
    """Return where a text is to be seen after `seen`, or where we are once it has happened; -1: not yet."""
    if isinstance(cue, str):
        return out.find(cue.encode(), seen)
    return len(out) if cue() else -1


def _ended(process: subprocess.Popen[bytes], out: bytes, err: bytes) -> Result:
    return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
