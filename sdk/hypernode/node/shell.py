"""How the tools of a node are run: a `Shell` takes argv and returns what the command left. Here is this machine's own.

No command line is ever put together out of texts: argv goes in, and `ssh.quote` is the one place that spells it for
a remote shell.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from hypernode.errors import ToolMissing, ToolTimedOut


@dataclass(frozen=True, slots=True)
class Output:
    """What a command left behind."""

    status: int
    out: str = field(repr=False)  # a token's, when that is what was read
    err: str = field(repr=False)

    @property
    def text(self) -> str:
        """All that it said: on which stream means nothing with these tools (CONTRACT.md 4.1)."""
        return "\n".join(part for part in (self.out.strip(), self.err.strip()) if part)


class Shell(Protocol):
    """Runs commands on one machine."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        """Run a command to its end and return what it left, whatever its exit status.

        Args:
            argv: The command and its arguments, each arriving as it is.
            timeout: Seconds, after which it is killed.
            stdin: What it may read; after that its input ends.

        Raises:
            ToolMissing: There is no such command.
            ToolTimedOut: It did not end in time; what it did until then is done.
            HypernodeError: The machine cannot be reached.
        """


class LocalShell:
    """Runs commands on this machine."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        """Run a command; see `Shell.run`."""
        try:
            return run_process(argv, timeout=timeout, stdin=stdin)
        except (FileNotFoundError, PermissionError) as exc:
            raise missing(argv[0], "on this machine") from exc


def run_process(
    argv: Sequence[str], *, timeout: float, stdin: str = "", environment: Mapping[str, str] | None = None
) -> Output:
    """Run `argv` without a shell and without a terminal, so that no question can wait for one.

    Raises:
        ToolTimedOut: It did not end in time and was killed, with all that it had started.
        OSError: It cannot be started.
    """
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if environment is None else dict(environment),
        start_new_session=True,  # Ctrl-C is ours to handle
    ) as process:
        try:
            out, err = process.communicate(stdin.encode() if stdin else None, timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise ToolTimedOut(f"{os.path.basename(argv[0])} did not end within {timeout:g} seconds") from None
        except BaseException:
            _kill(process)
            raise
    return Output(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def missing(command: str, where: str) -> ToolMissing:
    """Return the error for a command that is not there."""
    ours = command.startswith("hypernode-")
    return ToolMissing(f"there is no {command} {where}", hint="Every Hypernode has it: is this one?" if ours else None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.wait()
