"""The terminal as rich sees it: colours only on one, and no line folded where there is none."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_NO_TERMINAL = 100_000
_NARROWEST = 40
"""Columns below which a table would lose its letters; a narrower terminal folds its lines itself."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr. NO_COLOR is honoured by rich itself."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else None
    if width is None and not stream.isatty():
        width = _NO_TERMINAL
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False, soft_wrap=False)
    if console.width < _NARROWEST:
        console.width = _NARROWEST
    return console


def capture(renderable: RenderableType, *, stderr: bool = False, width: int | None = None) -> str:
    """Return what stdout, or stderr, would show of `renderable`, without blanks at the ends of lines.

    `width` is in columns; None: that of the terminal.
    """
    console = make_console(stderr=stderr)
    if width is not None:
        console.width = width
    # rich writes an empty text at the end of what it captures, and even that fails on a full disk.
    console.file = cast("IO[str]", _Unwritten(console.file))
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


class _Unwritten:
    """A stream as rich looks at it, to which nothing is written."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
