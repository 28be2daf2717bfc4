"""One file as it grows, like `tail -n 0 -F`: over rotations and truncations, and when it is not there yet.

Only what is appended counts; a file that came later is read from its beginning. After a rotation the program that
writes goes on with the old file until it is told, so the old one is left when the new one has something in it, and not
before its own end was read. A file that was cut off and has grown again is known by the bytes before our place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

_CHUNK = 64 * 1024
_MARK = 256
"""How many bytes before our place have to be the ones that we read there."""


class Tail:
    """What is appended to a file from now on.

    Args:
        path: It need not be there yet.
        on_problem: Told why it cannot be read; the same only once until it could be.
    """

    def __init__(self, path: Path, on_problem: Callable[[str], None]) -> None:
        self._path = path
        self._on_problem = on_problem
        self._problem: str | None = None
        self._file = -1
        self._place = 0
        self._mark = b""
        self._in_line = False
        if self._open():
            self._skip()

    def read(self) -> bytes:
        """Return some of what was appended since, or nothing when that is all for now.

        Where the file begins anew, a line that had no end yet gets one.
        """
        if self._file < 0 and not self._open():
            return b""
        try:
            return self._next()
        except OSError as exc:
            self._tell(exc.strerror or str(exc))
            return b""

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _next(self) -> bytes:
        moved = self._moved()  # first: what was written to the old file before is there now
        data = os.pread(self._file, len(self._mark) + _CHUNK, self._place - len(self._mark))
        if not data.startswith(self._mark):
            return self._begin()
        if data := data[len(self._mark) :]:
            self._place += len(data)
            self._mark = (self._mark + data)[-_MARK:]
            self._in_line = not data.endswith(b"\n")
            return data
        return self._begin() if moved and self._open() else b""

    def _begin(self) -> bytes:
        """Go to the beginning of the file."""
        self._place, self._mark = 0, b""
        if self._in_line:
            self._in_line = False
            return b"\n"
        return self._next()

    def _open(self) -> bool:
        """Open the file that has the name now, and leave the one that we had."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would hold us up
        except FileNotFoundError:
            self._tell("it is not there yet, and waited for")
            return False
        except OSError as exc:
            self._tell(exc.strerror or str(exc))
            return False
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            self._tell("it is no file that grows")
            return False
        self.close()
        self._file, self._problem = file, None
        return True

    def _skip(self) -> None:
        """Go to the end of the file, or to the beginning of a line that has no end yet."""
        size = os.fstat(self._file).st_size
        start = max(0, size - _CHUNK)
        last = os.pread(self._file, size - start, start)
        self._place = start + (last.rfind(b"\n") + 1 if b"\n" in last else len(last))
        self._mark = last[: self._place - start][-_MARK:]

    def _moved(self) -> bool:
        """Tell whether another file has the name, and something in it."""
        try:
            there, ours = os.stat(self._path), os.fstat(self._file)
        except OSError:
            return False
        return there.st_size > 0 and (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)
