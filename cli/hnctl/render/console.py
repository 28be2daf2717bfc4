"""The terminal as rich sees it: colours only on one, and no line folded where there is none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_NO_TERMINAL = 100_000


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console for stdout or stderr. NO_COLOR and COLUMNS are honoured by rich itself."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if width is None and not stream.isatty() and not os.environ.get("COLUMNS"):
        width = _NO_TERMINAL
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False, soft_wrap=False)


def capture(renderable: RenderableType) -> str:
    """Return what stdout would show of `renderable`, without blanks at the ends of lines."""
    console = make_console()
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
