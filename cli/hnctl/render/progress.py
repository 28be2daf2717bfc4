"""Progress on stderr: a live bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hnctl.printing import print_note

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress:
    """How far a piece of work is."""

    def __init__(self, bar: RichProgress | None, task: TaskID | None) -> None:
        self._bar = bar
        self._task = task

    def step(self) -> None:
        """Count one node as worked on."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def tell(self, line: str) -> None:
        """Write a line that stays."""
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text.from_ansi(line))
        else:
            print_note(line)


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show how far `total` nodes are; a bar appears only for several nodes on a terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield Progress(None, None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    from hnctl.render.console import make_console

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=make_console(stderr=True), transient=True) as bar:
        yield Progress(bar, bar.add_task(what, total=total))
