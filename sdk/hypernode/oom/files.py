"""Kernel logs in files: kern.log, its rotated and compressed forms, and what is piped in, in order of time."""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from hypernode.errors import InputError
from hypernode.oom.clock import Years, iso, moment
from hypernode.oom.events import Event
from hypernode.oom.kernlog import LONGEST_LINE, Stamp
from hypernode.oom.scan import scan
from hypernode.places import on_node

KERN_LOG = "/var/log/kern.log"
_COMPRESSED_CHUNK = 1 << 17
_MOST_HELD = 5_000
"""Events whose year is not known yet; more than these get the year that the log had until then."""

Problem = Callable[[str, str], None]


def find_logs() -> list[Path]:
    """Return kern.log and its rotated forms on this node.

    Raises:
        InputError: There is none.
    """
    log = on_node(KERN_LOG)
    found = sorted(path for path in log.parent.glob(f"{log.name}*") if path.is_file())
    if not found:
        raise InputError(f"there is no {log}", hint="Name a file, or pipe one in: journalctl -k | hnctl oom events -")
    return found


def read_logs(
    paths: Sequence[Path], *, keep_tasks: bool = False, on_problem: Problem = lambda path, text: None
) -> Iterator[Event]:
    """Yield the events of several logs in order of time; those without a time come where their file has them.

    Args:
        paths: Files, plain or compressed.
        keep_tasks: See `reports.Reader`.
        on_problem: Told the path and why a file cannot be read, or not to its end; the others are read.
    """
    logs = [_timed(read_log(path, keep_tasks=keep_tasks, on_problem=on_problem)) for path in paths]
    yield from (event for _, event in heapq.merge(*logs, key=lambda pair: pair[0]))


def select(
    paths: Sequence[Path],
    *,
    since: float | None = None,
    until: float | None = None,
    last: int | None = None,
    keep_tasks: bool = False,
    on_problem: Problem = lambda path, text: None,
) -> Iterator[tuple[int, Event]]:
    """Yield those events of several logs that are asked for, in order of time, each with its number among all.

    Args:
        paths: See `read_logs`; ``-`` is stdin.
        since: Unix time; an event without a time is left out when either bound is given.
        until: Unix time, the first that is too late.
        last: Only so many, the youngest.
        keep_tasks: See `reports.Reader`.
        on_problem: See `read_logs`.
    """
    found: Iterator[tuple[int, Event]] = enumerate(
        read_logs(paths, keep_tasks=keep_tasks, on_problem=on_problem), start=1
    )
    if since is not None or until is not None:
        low, high = since if since is not None else float("-inf"), until if until is not None else float("inf")
        found = (one for one in found if one[1].at is not None and low <= moment(one[1].at).timestamp() < high)
    return found if last is None else iter(deque(found, maxlen=last))


def read_log(path: Path, *, keep_tasks: bool = False, on_problem: Problem = lambda path, text: None) -> Iterator[Event]:
    """Yield the events of one file; see `read_logs`."""
    try:
        with _opened(path) as (file, latest):
            source = "stdin" if str(path) == "-" else str(path)
            read = _to_the_end(getattr(file, "read1", file.read), lambda text: on_problem(source, text))
            yield from read_stream(read, latest=latest, source=source, keep_tasks=keep_tasks)
    except OSError as exc:
        on_problem(str(path), exc.strerror or str(exc))


def text_lines(path: Path, *, on_problem: Problem = lambda path, text: None) -> Iterator[str]:
    """Yield the lines of another log, plain or compressed, none of them longer than `LONGEST_LINE`."""
    try:
        with _opened(path) as (file, _):
            read = _to_the_end(file.read, lambda text: on_problem(str(path), text))
            tail = b""
            cut = False
            """Whether we are in the rest of a line whose first part stood for all of it."""
            while chunk := read(_COMPRESSED_CHUNK):
                *lines, tail = (tail + chunk).split(b"\n")
                for line in lines:
                    if not cut:
                        yield _text(line)
                    cut = False
                if len(tail) > LONGEST_LINE and not cut:
                    yield _text(tail)
                    cut = True
                tail = b"" if cut else tail
            if tail:
                yield _text(tail)
    except OSError as exc:
        on_problem(str(path), exc.strerror or str(exc))


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE].rstrip(b"\r").decode("utf-8", "backslashreplace")


def read_stream(
    read: Callable[[int], bytes], *, latest: datetime, source: str, keep_tasks: bool = False
) -> Iterator[Event]:
    """Yield the events of an open log.

    Args:
        read: As `scan.scan` wants it.
        latest: No line was written after this; it tells the year of a log that has none.
        source: What the events name as theirs.
        keep_tasks: See `reports.Reader`.
    """
    years = Years()
    held: list[Event] = []

    def release() -> Iterator[Event]:
        first = years.first_year(latest)
        for event in held:
            yield event if event.stamp is None else replace(event, at=iso(event.stamp, first + event.turn))
        held.clear()

    for event in scan(read, keep_tasks=keep_tasks, on_stamp=years.see):
        event = replace(event, source=source)
        stamp: Stamp | None = event.stamp
        if stamp is not None and stamp.year is None and stamp.month is not None:
            held.append(event)
        elif stamp is None and held:
            held.append(event)  # it comes where its log has it
        else:
            yield from release()
            yield replace(event, at=None if stamp is None else iso(stamp))
        if len(held) > _MOST_HELD:
            yield from release()
    yield from release()


def _timed(events: Iterator[Event]) -> Iterator[tuple[float, Event]]:
    last = float("-inf")
    for event in events:
        if event.at is not None:
            last = moment(event.at).timestamp()
        yield last, event


def _to_the_end(read: Callable[[int], bytes], tell: Callable[[str], None]) -> Callable[[int], bytes]:
    """Return `read` such that a file that is damaged or cut off ends where it cannot be read any more."""

    def reading(size: int) -> bytes:
        try:
            return read(size)
        except Exception as exc:  # noqa: BLE001  # each kind of compression raises what it likes
            tell(f"it is damaged or cut off ({exc}); what could be read of it counts")
            return b""

    return reading


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, datetime]]:
    """Open a log, compressed or not, and tell when it was written last."""
    if str(path) == "-":
        yield sys.stdin.buffer, datetime.now()
        return
    with path.open("rb") as file:
        latest = datetime.fromtimestamp(path.stat().st_mtime)
        yield _decompressed(file, file.peek(6)[:6]), latest  # what is piped in cannot be wound back


class _Gunzip:
    """Reads a gzip file, and gives all that is there of one that is cut off: libraries throw its last part away."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            from isal import isal_zlib as zlib  # three times as fast as the standard library's
        except ImportError:
            import zlib  # type: ignore[no-redef]  # the fallback, with the same functions
        self._new: Callable[[], Any] = partial(zlib.decompressobj, 31)
        self._file = file
        self._member: Any = None
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            EOFError: The file is cut off.
        """
        while True:
            data = self._rest or self._file.read(_COMPRESSED_CHUNK)
            if self._member is None:
                data = data.lstrip(b"\0")  # padding after a member
                if not data:
                    return b""
                self._member = self._new()
            if not data:
                raise EOFError("the end is missing")
            found: bytes = self._member.decompress(data, size)
            self._rest = self._member.unconsumed_tail
            if self._member.eof:
                self._rest, self._member = self._member.unused_data, None
            if found:
                return found


def _decompressed(file: BinaryIO, magic: bytes) -> BinaryIO:
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, _Gunzip(file))
    if magic.startswith(b"\xfd7zXZ"):
        import lzma

        return cast(BinaryIO, lzma.LZMAFile(file))
    if magic.startswith(b"BZh"):
        import bz2

        return cast(BinaryIO, bz2.BZ2File(file))
    return file
