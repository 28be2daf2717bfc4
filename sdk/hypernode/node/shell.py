"""How the tools of a node are run: a `Shell` takes argv and returns what the command left. Here is this machine's own.

No command line is ever put together out of texts: argv goes in, and `ssh.quote` is the one place that spells it for
a remote shell.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from hypernode.errors import InputError, ToolMissing, ToolTimedOut
from hypernode.node.sink import Sink, pour


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

    def save(self, argv: Sequence[str], into: Sink, *, timeout: float) -> Output:
        """Run a command as `run` does, its stdout going into a file byte by byte; `Output.out` is empty.

        Raises:
            ToolError: It says more than `into` takes, and was ended.
            HypernodeError: As for `run`, or the file cannot be written. What the file then holds counts for nothing.
        """


class LocalShell:
    """Runs commands on this machine."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        """Run a command; see `Shell.run`."""
        try:
            return run_process(argv, timeout=timeout, stdin=stdin)
        except OSError as exc:
            raise missing(argv[0], "on this machine") from exc

    def save(self, argv: Sequence[str], into: Sink, *, timeout: float) -> Output:
        """Run a command; see `Shell.save`."""
        try:
            return run_process(argv, timeout=timeout, into=into)
        except OSError as exc:
            raise missing(argv[0], "on this machine") from exc


def run_process(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: str = "",
    into: Sink | None = None,
    environment: Mapping[str, str] | None = None,
    running: set[subprocess.Popen[bytes]] | None = None,
) -> Output:
    """Run `argv` without a shell and without a terminal, so that no question can wait for one.

    Args:
        argv: The command and its arguments.
        timeout: Seconds, after which it is killed.
        stdin: What it may read; nothing with `into`.
        into: See `Shell.save`; None: its stdout is text.
        environment: None: ours.
        running: Holds the process as long as it runs, for another thread to `kill`.

    Raises:
        ToolTimedOut: It did not end in time and was killed, with all that it had started.
        InputError: No command line can hold it.
        HypernodeError: See `Shell.save`.
        OSError: There is no such command, or it cannot be started.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            start_new_session=True,  # Ctrl-C is ours to handle
        )
    except ValueError:
        raise InputError("a value with a NUL character cannot be handed to a command") from None
    except OSError as exc:
        if exc.errno == errno.E2BIG:
            raise InputError("a value is too long to be handed to a command") from None
        raise
    running = set() if running is None else running
    running.add(process)
    with process:
        try:
            if into is None:
                out, err = process.communicate(stdin.encode() if stdin else None, timeout=timeout)
            else:
                out, err = b"", pour(process, into, timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            raise ToolTimedOut(f"{os.path.basename(argv[0])} did not end within {timeout:.3g} s") from None
        except BaseException:
            kill(process)
            raise
        finally:
            running.discard(process)
    return Output(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def missing(command: str, where: str) -> ToolMissing:
    """Return the error for a command that is not there."""
    ours = command.startswith("hypernode-")
    return ToolMissing(f"there is no {command} {where}", hint="Every Hypernode has it: is this one?" if ours else None)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
