"""Progress on stderr: a live bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hnctl.printing import print_note
from hypernode.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from hypernode.api.models import Flow


class Progress:
    """How far a piece of work is. `look` may be called by any thread."""

    def __init__(self, bar: RichProgress | None, task: TaskID | None) -> None:
        self._bar = bar
        self._task = task
        self._looks: dict[str, str] = {}
        """Node to what the last look saw of it, the newest look last."""
        self._lock = threading.Lock()

    def step(self, node: str) -> None:
        """Count `node` as worked on."""
        if self._bar is not None and self._task is not None:
            with self._lock:
                self._looks.pop(node, None)
                self._bar.update(self._task, advance=1, look=self._newest())

    def look(self, node: str, flows: Sequence[Flow]) -> None:
        """Show on the bar what a look at the flows of `node` saw."""
        if self._bar is not None and self._task is not None:
            with self._lock:
                self._looks.pop(node, None)
                self._looks[node] = seen(node, flows)
                self._bar.update(self._task, look=self._newest())

    def _newest(self) -> str:
        return next(reversed(self._looks.values()), "")

    @property
    def is_live(self) -> bool:
        """Whether a bar is drawn, over and over, on the last line."""
        return self._bar is not None and self._bar.console.is_interactive

    def interject(self, line: str) -> None:
        """Write a line that stays, after somebody has typed Ctrl-C and the terminal has shown that."""
        self.tell(line if self.is_live or not sys.stderr.isatty() else f"\n{line}")

    def end(self) -> None:
        """Take the bar away; what is written next begins on a line of its own, and the cursor is to be seen."""
        if self._bar is not None and self.is_live:
            self._bar.stop()
        elif sys.stderr.isatty():
            print_note("")

    def tell(self, line: str) -> None:
        """Write a line that stays."""
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text.from_ansi(line))
        else:
            print_note(line)


def seen(node: str, flows: Sequence[Flow]) -> str:
    """Return what a look at the flows of `node` saw, in a few words: of several the first that has not ended."""
    if not flows:
        return f"{node}: its flow is not in the logbook yet"
    flow = next((flow for flow in flows if not flow.is_over), flows[0])
    return printable(
        f"{node}: {flow.name} {flow.state or 'not started'} {flow.progress.completed}/{flow.progress.total}"
    )


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Show what is waited for: on a terminal on one line, with the time that has passed; elsewhere a line for each."""
    if not sys.stderr.isatty():
        told = ""

        def tell(text: str) -> None:
            nonlocal told
            if text != told:
                told = text
                print_note(printable(text))

        yield tell
        return
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    from hnctl.render.console import make_console

    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1))
    columns = (SpinnerColumn(), TimeElapsedColumn(), text)
    with RichProgress(*columns, console=make_console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text: bar.update(task, description=printable(text))


@contextmanager
def progress(what: str, total: int, *, least: int = 2) -> Iterator[Progress]:
    """Show how far `total` nodes are; a bar appears only on a terminal, and for `least` nodes or more."""
    if total < least or not sys.stderr.isatty():
        yield Progress(None, None)
        return
    from rich.console import RenderableType
    from rich.constrain import Constrain
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    from hnctl.render.console import make_console

    console = make_console(stderr=True)

    class Narrower(RichProgress):
        def get_renderable(self) -> RenderableType:
            # A bar of the whole width would leave no room for the ^C of the terminal, which would begin a new line.
            return Constrain(super().get_renderable(), max(1, console.width - len("^C^C ")))

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[look]}", markup=False),
    )
    with Narrower(*columns, console=console, transient=True) as bar:
        yield Progress(bar, bar.add_task(what, total=total, look=""))
