"""The kernel logs that a command of `hnctl oom` reads, and which of them could not be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hnctl.exits import Exit
from hnctl.printing import print_note
from hnctl.render.printable import printable
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.oom.events import Event

_PATH = click.Path(path_type=Path, allow_dash=True)
files_argument = click.argument("files", metavar="[FILE]...", nargs=-1, type=_PATH)
event_argument = click.argument("event", metavar="[N|last] [FILE]...", nargs=-1, type=_PATH)
"""Which event of which logs; `chosen_event` parts the two."""


def chosen_event(words: tuple[Path, ...]) -> tuple[int | None, tuple[Path, ...]]:
    """Return the number of an event, None for the last, and the files. A file with a number for a name is ./3."""
    first = str(words[0]) if words else ""
    if first == "last":
        return None, words[1:]
    if first.isdecimal() and first.isascii():
        return int(first), words[1:]
    return None, words


class Logs:
    """The logs that a command reads, and which of them could not be read."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        from hypernode.oom.files import find_logs

        self.paths = list(files) or find_logs()
        self.broken: list[str] = []

    def tell(self, path: str, text: str) -> None:
        """Tell that a log cannot be read, or not to its end."""
        self.broken.append(path)
        print_note(printable(f"{path}: {text}"))

    def miss(self, path: str, text: str) -> None:
        """Tell that another log is not there; the timeline is what the others tell."""
        print_note(printable(f"Left out: {path}: {text}"))

    def find(self, number: int | None) -> tuple[int, Event] | None:
        """Return one event with its number and its whole table; None when the logs hold no event at all.

        Raises:
            InputError: There are events, and none of that number.
        """
        from hypernode.oom.files import select

        found = None
        total = 0
        for total, event in select(self.paths, keep_tasks=True, on_problem=self.tell):
            if number in (None, total):
                found = total, event
        if found is None and (total or number is not None):
            raise InputError(f"there is no event {number}", hint=f"There are {total}: hnctl oom events")
        return found

    def status(self) -> Exit:
        """Return how the reading went."""
        if not self.broken:
            return Exit.OK
        return Exit.PARTLY if len(self.broken) < len(self.paths) else Exit.FAILED
