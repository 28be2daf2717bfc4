"""Events out of gigabytes of log: most of it is passed over by single signs, and only reports are read line by line.

Memory is bounded whatever the log holds: a chunk, one report, and no line beyond its first 64 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hypernode.oom.events import Event, Reader
from hypernode.oom.kernlog import LONGEST_LINE, Stamp, read_lines, read_stamp

_CHUNK = 1 << 20
_BLOCK = 1 << 16
# Every line that a report can begin with has one of these signs, a trigger in gfp_mask and a kill around the name. A
# firewall's lines have neither, and single signs are found five times as fast as words.
_SIGNS = (b"(", b"_")
_WORDS = (b"oom-kill", b" process ")
_LONGEST_WORDS = 128
"""From the beginning of a word to the sign after it."""
_TRIGGER = b"invoked oom-killer"
_HEADER = b" total_vm "
_BACK = 256 * 1024
"""How far before a report without a trigger its table may begin."""


def scan(
    read: Callable[[int], bytes], *, keep_tasks: bool = False, on_stamp: Callable[[Stamp], object] | None = None
) -> Iterator[Event]:
    """Yield the events of a log.

    Args:
        read: Returns up to so many bytes, and none at the end.
        keep_tasks: See `Reader`.
        on_stamp: Told when the first line of each chunk and the last line of the log were written, in their order
            among the events: who looks for the turn of a year needs no more.
    """
    reader = Reader(keep_tasks=keep_tasks)
    tail = last = b""
    cut = False
    """Whether we are in the rest of a line whose first part stood for all of it."""
    while chunk := read(_CHUNK):
        first = chunk.find(b"\n") + 1
        if not first:
            tail += b"" if cut else chunk
            if len(tail) > LONGEST_LINE:
                yield from _scan_lines(tail[:LONGEST_LINE], 0, LONGEST_LINE, reader)
                tail, cut = b"", True
            continue
        line = b"" if cut else tail + chunk[:first]
        if on_stamp is not None and (stamp := read_stamp(line) or read_stamp(chunk[first : first + 300])):
            on_stamp(stamp)
        yield from _scan_lines(line, 0, len(line), reader)
        end = chunk.rfind(b"\n") + 1
        yield from _scan_lines(chunk, first, end, reader)
        last = chunk[chunk.rfind(b"\n", first, end - 1) + 1 :][:300] if end > first else line[:300] or last
        tail, cut = chunk[end:], False
    yield from _scan_lines(tail, 0, len(tail), reader)
    if on_stamp is not None and (stamp := read_stamp(tail or last)):
        on_stamp(stamp)
    yield from reader.end()


def _scan_lines(buffer: bytes, start: int, end: int, reader: Reader) -> Iterator[Event]:
    """Read what is of interest in the lines of `buffer[start:end]`."""
    while start < end:
        if reader.idle:
            start = _next(buffer, start, end)
            if start < 0:
                return
        stop = buffer.find(b"\n", start, end)
        stop = end if stop < 0 else stop + 1
        for line in read_lines(buffer[start : min(stop, start + LONGEST_LINE)]):
            yield from reader.read(line)
        start = stop


def _next(buffer: bytes, start: int, end: int) -> int:
    """Return where the line begins with which to go on reading, or -1."""
    block = start
    while block < end:
        stop = min(block + _BLOCK, end)
        beyond = min(stop + _LONGEST_WORDS, end)  # a word may begin in this block, and its sign stand in the next
        if any(buffer.find(sign, block, beyond) >= 0 for sign in _SIGNS):
            places = [place for word in _WORDS if (place := buffer.find(word, block, beyond)) >= 0]
            if places:
                return _begin(buffer, start, min(places), end)
        block = stop
    return -1


def _begin(buffer: bytes, start: int, place: int, end: int) -> int:
    """Return where the report begins that has a word at `place`: with that line, or its table if the head is lost."""
    line = buffer.rfind(b"\n", start, place) + 1 or start
    if buffer.find(_TRIGGER, line, min(place + len(_TRIGGER), end)) < 0:
        header = buffer.rfind(_HEADER, max(start, line - _BACK), line)
        if header >= 0:
            return buffer.rfind(b"\n", start, header) + 1 or start
    return line
