"""Waiting in a command without an end: for a while, or until it is told to end or nobody reads any more."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hnctl.exits import Exit
from hypernode.node.signals import into_pipe


class Listening:
    """Hears signals, and the reader of stdout leave.

    Args:
        pipe: Python writes the numbers of signals into its other end.
    """

    def __init__(self, pipe: int) -> None:
        self.ended: Exit | None = None
        """How the command is to end, once that is known."""
        self._pipe = pipe
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)
        # Without an event to write about, a pipe whose reader has left would be noticed in a week.
        self._poll.register(sys.stdout.fileno(), 0)

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until a signal comes, and tell whether one came that ends us."""
        heard = False
        for file, _ in self._poll.poll(seconds * 1000):
            if file != self._pipe:
                self.ended = self.ended or Exit.OK
                continue
            with suppress(BlockingIOError):
                for number in os.read(self._pipe, 4096):
                    if number != signal.SIGCHLD:
                        heard = True
                        self.ended = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
        return heard


@contextmanager
def listening() -> Iterator[Listening]:
    """Hear Ctrl-C, SIGTERM and SIGHUP, unless they are ignored, in place of being ended by them; a child's end too."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [signal.SIGCHLD, *(number for number in ending if signal.getsignal(number) is not signal.SIG_IGN)]
    with into_pipe(heard) as pipe:
        yield Listening(pipe)
