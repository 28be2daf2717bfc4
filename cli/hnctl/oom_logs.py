"""The kernel logs that a command of `hnctl oom` reads, and which of them could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.exits import Exit
from hnctl.printing import print_note
from hypernode.errors import HypernodeError, InputError
from hypernode.printable import printable

if TYPE_CHECKING:
    from datetime import datetime

    from hnctl.connection import Connection
    from hypernode.oom.events import Event
    from hypernode.oom.logs import Entry

_PATIENCE = 5.0
_MOST_FLOWS = 500
_MOST_DIGITS = 9
files_argument = click.argument(
    "files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, allow_dash=True)
)
event_argument = click.argument("event", metavar="[N|last] [FILE]...", nargs=-1, type=click.Path(allow_dash=True))
"""Which event of which logs, as it was typed; `chosen_event` parts the two."""


def chosen_event(words: tuple[str, ...]) -> tuple[int | None, tuple[Path, ...]]:
    """Return the number of an event, None for the last, and the files. A file with a number for a name is ./3.

    Raises:
        InputError: It is no number that an event can have.
    """
    first, files = (words[0], tuple(map(Path, words[1:]))) if words else ("", ())
    if first == "last":
        return None, files
    if first.isdecimal() and first.isascii():
        if len(first) > _MOST_DIGITS:
            raise InputError(f"there is no event {first[:_MOST_DIGITS]}...", hint="hnctl oom events shows the numbers")
        return int(first), files
    for word in words[1:]:
        if (word == "last" or word.isdecimal()) and not Path(word).exists():
            raise InputError(f"{word} is no file", hint=f"The number comes first: hnctl oom explain {word} {words[0]}")
    return None, tuple(map(Path, words))


class Logs:
    """The logs that a command reads, and which of them could not be read.

    Args:
        paths: Where they are.
        of: The node that they were fetched from; None: they are the user's own.
        is_elsewhere: Whether they tell of another machine, of which nothing else is known here.
        say: Tells a person.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        of: str | None = None,
        is_elsewhere: bool = True,
        say: Callable[[str], None] = print_note,
    ) -> None:
        self.paths = paths
        self.is_elsewhere = is_elsewhere
        self.broken: list[str] = []
        self.missing: list[str] = []
        """What could not be looked into, a line each."""
        self.of = of
        self._say = say

    def select(self, **which: Any) -> Iterator[tuple[int, Event]]:
        """Yield numbered events; see `hypernode.oom.files.select`."""
        from dataclasses import replace

        from hypernode.oom.files import select

        for number, event in select(self.paths, on_problem=self.tell, **which):
            yield number, event if self.of is None else replace(event, source=self._name(str(event.source)))

    def tell(self, path: str, text: str) -> None:
        """Tell that a log cannot be read, or not to its end."""
        if path not in self.broken:
            self.broken.append(path)
        self.missing.append(f"{self._name(path)}: {text}")
        self._say(printable(self.missing[-1]))

    def miss(self, path: str, text: str) -> None:
        """Tell that another log is not there; what is shown is what the others tell."""
        self.missing.append(f"{path}: {text}")
        self._say(printable(f"Left out: {self.missing[-1]}"))

    def find(self, number: int | None) -> tuple[int, Event] | None:
        """Return one event with its number and its whole table; None when the logs hold no event at all.

        Raises:
            InputError: There are events, and none of that number.
        """
        found = None
        total = 0
        for total, event in self.select(keep_tasks=True):
            if number in (None, total):
                found = total, event
        if found is None and (total or number is not None):
            raise InputError(f"there is no event {number}", hint=f"There are {total}: hnctl oom events")
        return found

    def check(self) -> None:
        """Make sure that something could be read.

        Raises:
            HypernodeError: Nothing could, so nothing is known.
        """
        if self.status() is Exit.FAILED:
            raise HypernodeError("nothing is known: none of these logs can be read")

    def status(self) -> Exit:
        """Return how the reading went."""
        if not self.broken:
            return Exit.OK
        return Exit.PARTLY if len(self.broken) < len(self.paths) else Exit.FAILED

    def _name(self, path: str) -> str:
        return path if self.of is None else f"{self.of}:{Path(path).name}"


def named_logs(files: tuple[Path, ...]) -> Logs:
    """Return the logs that were named; without any, those of the node that we stand on.

    Raises:
        InputError: It has none.
    """
    from hypernode.oom.files import find_logs

    return Logs(list(files) or find_logs(), is_elsewhere=bool(files))


def flow_entries(link: Connection, since: datetime, until: datetime, miss: Callable[[str, str], None]) -> list[Entry]:
    """Return the flows of the node that we stand on, when there is a token for it; `miss` is told why there are none.

    The API is asked once and for a few seconds only: an explanation must not wait for it.
    """
    from hypernode.api.flows import Flows
    from hypernode.credentials import own_name
    from hypernode.names import check_node
    from hypernode.oom.logs import Entry

    node = own_name()
    if node is None:
        miss("the logbook", "this machine does not tell which node it is")
        return []
    found = []
    try:
        link.address([check_node(node)])
        token = link.token(node)
        with link.make_transport(timeout=_PATIENCE, deadline=0.0) as transport:
            for flow in Flows(transport, node, token).iter(_MOST_FLOWS):
                if flow.created_at is not None and flow.created_at < since:
                    break
                if flow.created_at is not None and flow.created_at <= until:
                    text = f"{flow.name} {flow.state or 'not started'}"
                    found.append(Entry(flow.created_at.astimezone(), "flow", text, "when it was ordered"))
    except HypernodeError as exc:
        miss(f"the logbook of {node}", exc.message)
    return found
