"""Ctrl-C and its like while a run goes on: the first starts no more nodes, the second leaves at once.

A handler runs in the middle of whatever the main thread was doing, and may wait for no lock that it holds. So another
thread does the talking, and who leaves at once waits for that only so long.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hnctl.printing import print_note
from hnctl.render.progress import Progress
from hypernode.fleet.journal import Journal, NoJournal

if TYPE_CHECKING:
    from hypernode.fleet.probes import Probes

_PATIENCE = 0.5
"""Seconds for the last words."""


class Interruption:
    """What signals have asked for so far."""

    def __init__(self, journal: Journal | NoJournal, prober: Probes | None, bar: Progress) -> None:
        self.stop = threading.Event()
        """Set by the first: no more nodes are begun."""
        self.signals: list[int] = []
        self.under_way: Callable[[], int] = lambda: 0
        """Returns how many nodes are being changed at the moment."""
        self._journal = journal
        self._prober = prober
        self._bar = bar
        self._to_tell: SimpleQueue[tuple[str, bool] | None] = SimpleQueue()
        """Texts, and whether each is the last one. Unlike others this queue may be filled by a handler."""
        self._told = threading.Event()

    def handle(self, number: int, frame: object) -> None:
        """Take a signal."""
        if self._prober is not None:
            self._prober.end()  # nobody waits for what gates find now, and what runs for them would outlive us
        if self.signals:
            self._leave(128 + number)
        # Whoever's line drops (SIGHUP) is not there any more; the run ends as one that was asked to.
        self.signals.append(signal.SIGTERM if number == signal.SIGHUP else number)
        self.stop.set()
        self._to_tell.put(("Interrupted: no more nodes are started. Once more to leave at once.", False))

    def _leave(self, status: int) -> None:
        text = _last_words(self._journal.run, self.under_way())
        self._to_tell.put((text, True))
        if not self._told.wait(_PATIENCE) and self._bar.is_live:  # a pipe that nobody reads would hold us up as well
            with suppress(OSError):
                os.write(2, f"\r\x1b[2K\x1b[?25h{text}\n".encode())
        os._exit(status)

    def tell_all(self) -> None:
        """Tell what there is to tell, until None."""
        while (said := self._to_tell.get()) is not None:
            text, last = said
            if last:
                self._bar.end()
                print_note(text)
                self._told.set()
            else:
                self._bar.interject(text)


def _last_words(run: str | None, under_way: int) -> str:
    lines = ["Left at once, between two nodes."]
    if under_way:
        nodes = f"{under_way} node{'s' * (under_way != 1)}"
        lines = [f"Left at once, with {nodes} under way: what was sent goes on."]
        if run is not None:
            lines += [f"What is known of {'it' if under_way == 1 else 'them'}: hnctl history {run}"]
    if run is not None:
        lines += [f"Go on with the run: hnctl resume {run}"]
    return "\n".join(lines)


@contextmanager
def interruptible(journal: Journal | NoJournal, prober: Probes | None, bar: Progress) -> Iterator[Interruption]:
    """Let the first Ctrl-C, SIGTERM or SIGHUP stop the start of further nodes, and the second end all at once."""
    interruption = Interruption(journal, prober, bar)
    teller = threading.Thread(target=interruption.tell_all, name="interruptions", daemon=True)
    teller.start()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interruption.handle) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interruption._to_tell.put(None)
        teller.join()
