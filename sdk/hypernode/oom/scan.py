"""Events out of gigabytes of log: most of it is passed over by single signs, and only reports are read line by line.

Memory is bounded whatever the log holds: a chunk, one report, and no line beyond its first 64 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hypernode.oom.events import Event
from hypernode.oom.kernlog import LONGEST_LINE, Stamp, read_lines, read_stamp
from hypernode.oom.reports import Reader

_CHUNK = 1 << 20
_QUIET = 1 << 17
_BLOCK = 1 << 16
# Every line that a report can begin with has one of these signs, a trigger in gfp_mask and a kill around the name. A
# firewall's lines have neither, and single signs are found five times as fast as words.
_SIGNS = (b"(", b"_")
_WORDS = re.compile(b"oom-kill| process ")
_LONGEST_WORDS = 128
"""From the beginning of a word to the sign after it."""
_TRIGGER = b"invoked oom-killer"
_HEADER = b" total_vm "
_BACK = 256 * 1024
"""How far before a report without a trigger its table may begin."""


def scan(
    read: Callable[[int], bytes], *, keep_tasks: bool = False, on_stamp: Callable[[Stamp], int] | None = None
) -> Iterator[Event]:
    """Yield the events of a log.

    Args:
        read: Returns up to so many bytes, and none at the end.
        keep_tasks: See `Reader`.
        on_stamp: Told when lines were written that stand close enough together to see each turn of a year, in their
            order; what it returns is the `turn` of the events that begin there.
    """
    scanner = Scanner(keep_tasks=keep_tasks, on_stamp=on_stamp)
    while chunk := read(_CHUNK):
        yield from scanner.feed(chunk)
    yield from scanner.end_line()
    yield from scanner.reader.end()


class Scanner:
    """The same for a caller who has the log part by part, as while it is written; see `scan`.

    An event is given back once its report is known to be over, which only the next one may tell: `reader` has what is
    open still.
    """

    def __init__(self, *, keep_tasks: bool = False, on_stamp: Callable[[Stamp], int] | None = None) -> None:
        self.reader = Reader(keep_tasks=keep_tasks)
        self._on_stamp = on_stamp
        self._turn = 0
        self._tail = b""
        """A line whose end is still to come."""
        self._cut = False
        """Whether we are in the rest of a line whose first part stood for all of it."""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Read the next part of the log, as far as it holds whole lines."""
        first = chunk.find(b"\n") + 1
        if not first:
            self._tail += b"" if self._cut else chunk
            if len(self._tail) > LONGEST_LINE:
                yield from self._read(self._tail[:LONGEST_LINE], 0, LONGEST_LINE)
                self._tail, self._cut = b"", True
            return
        if not self._cut:
            line = self._tail + chunk[:first]
            yield from self._read(line, 0, len(line))
        # The months of a quiet log are looked at line by line, as years may lie between them.
        step = 1 if len(chunk) < _QUIET else _BLOCK
        end = chunk.rfind(b"\n") + 1
        yield from self._read(chunk, first, end, step=step)
        self._tail, self._cut = chunk[end:], False

    def end_line(self) -> Iterator[Event]:
        """Read what has come of a line of which there is no more to come."""
        tail, self._tail, self._cut = self._tail, b"", False
        yield from self._read(tail, 0, len(tail))

    def _read(self, buffer: bytes, start: int, end: int, *, step: int = _CHUNK) -> Iterator[Event]:
        """Read the lines of `buffer[start:end]`, and tell when they were written, about each `step` bytes."""
        floor = start  # what lies before has been read
        while start < end:
            stop = buffer.find(b"\n", min(start + step, end) - 1, end) + 1 or end
            self._see(read_stamp(buffer[start : min(start + 300, stop)]))
            while start < stop:
                if self.reader.idle:
                    place = _next(buffer, start, stop, floor)
                    if place < 0:
                        break
                    start = place
                after = buffer.find(b"\n", start, end) + 1 or end
                for line in read_lines(buffer[start : min(after, start + LONGEST_LINE)]):
                    self._see(line.stamp)
                    yield from self.reader.read(line, self._turn)
                start = floor = after
            start = max(start, stop)

    def _see(self, stamp: Stamp | None) -> None:
        if stamp is not None and self._on_stamp is not None:
            self._turn = self._on_stamp(stamp)


def _next(buffer: bytes, start: int, end: int, floor: int) -> int:
    """Return where the line begins with which to go on reading, or -1."""
    block = start
    while block < end:
        stop = min(block + _BLOCK, end)
        beyond = min(stop + _LONGEST_WORDS, end)  # a word may begin in this block, and its sign stand in the next
        signed = any(buffer.find(sign, block, beyond) >= 0 for sign in _SIGNS)
        if signed and (word := _WORDS.search(buffer, block, beyond)):
            return _begin(buffer, start, word.start(), end, floor)
        block = stop
    return -1


def _begin(buffer: bytes, start: int, place: int, end: int, floor: int) -> int:
    """Return where the report begins that has a word at `place`: with that line, or its table if the head is lost."""
    line = buffer.rfind(b"\n", start, place) + 1 or start
    if buffer.find(_TRIGGER, line, min(place + len(_TRIGGER), end)) < 0:
        header = buffer.rfind(_HEADER, max(floor, line - _BACK), line)
        if header >= 0:
            return buffer.rfind(b"\n", floor, header) + 1 or floor
    return line
