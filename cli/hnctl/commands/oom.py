"""`hnctl oom`: what the kernel killed when memory ran out, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.commands.oom_node import protect, scores
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import option, output_option
from hnctl.value_types import MOMENT, SECONDS, TICK
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.oom.events import Event


@click.group()
def oom() -> None:
    """Out of memory: what was killed, when and why."""


oom.add_command(scores)
oom.add_command(protect)

_files_argument = click.argument(
    "files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, allow_dash=True)
)


class _Which(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    """The number of an event, or last."""

    name = "event"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if isinstance(value, int):
            return value
        if value == "last":
            return "last"
        if not str(value).isdecimal() or not int(value):
            self.fail(f"{value!r} is no number of an event (hnctl oom events shows them); write last, or 3", param, ctx)
        return int(value)


@oom.command(cls=Command)
@_files_argument
@option("--since", type=MOMENT, metavar="TIME", help="Only from TIME on: 2024-03-05, 2024-03-05T10:15, or 24h ago.")
@option("--until", type=MOMENT, metavar="TIME", help="Only before TIME.")
@option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N events.")
@output_option
def events(files: tuple[Path, ...], since: float | None, until: float | None, last: int | None, **options: Any) -> Exit:
    """List the kills of the kernel's oom-killer.

    Reads kernel logs of any kind, rotated and compressed ones too, in order of time; - is stdin. Without a file it is
    /var/log/kern.log* of this node. Nothing is sent anywhere.

    Examples:
      hnctl oom events
      hnctl oom events kern.log.2.gz kern.log --last 5
      journalctl -k | hnctl oom events -
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hnctl.render.oom import COLUMNS, event_row
    from hypernode.oom.files import select

    output = Connection(**options).value("output")
    logs = _Logs(files)
    found = select(logs.paths, since=since, until=until, last=last, on_problem=logs.tell)
    if output in ("table", "markdown"):
        rows = [event_row(number, event) for number, event in found]
    else:
        rows = [event.as_json() for _, event in found]
    empty = "" if logs.broken else "No out-of-memory events."
    print_listing(Listing("events", COLUMNS, rows, empty=empty), output)
    return logs.status()


@oom.command(cls=Command)
@click.argument("which", metavar="[N|last]", type=_Which(), default="last")
@_files_argument
@output_option
def explain(which: int | str, files: tuple[Path, ...], **options: Any) -> Exit:
    """Explain one event: who was hurt, and who held the memory.

    N is its number in hnctl oom events. The memory of each service comes from the report's own table, and how sure the
    verdict is goes with it.

    Examples:
      hnctl oom explain
      hnctl oom explain 3 kern.log
    """
    from hnctl.printing import print_data
    from hnctl.render.listing import render_document
    from hnctl.render.oom import render_verdict, verdict_document
    from hypernode.oom.verdict import judge

    output = Connection(**options).value("output")
    logs = _Logs(files)
    chosen = logs.choose(which)
    verdict = judge(chosen[1])
    if output in ("table", "markdown"):
        print_data(render_verdict(*chosen, verdict))
    else:
        print_data(render_document(verdict_document(*chosen, verdict), output))
    return logs.status()


@oom.command(cls=Command)
@click.argument("which", metavar="[N|last]", type=_Which(), default="last")
@_files_argument
@option("--window", type=SECONDS, default="10m", help="How long before and after the event.  [default: 10m]")
@option("--raw", is_flag=True, help="Show SQL with its literals, which hold customers' data.")
@output_option
def timeline(which: int | str, files: tuple[Path, ...], window: float, raw: bool, **options: Any) -> Exit:
    """Show what else happened around one event.

    Slow queries and restarts of MySQL, slow and killed php-fpm, Magento's errors, PHP's and Redis' own limits, and cron
    jobs of this node, all on this machine's clock. Logs that are missing are named.

    Examples:
      hnctl oom timeline
      hnctl oom timeline 3 --window 30m
    """
    from datetime import timedelta

    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hnctl.render.oom import TIMELINE_COLUMNS, event_entry, timeline_row
    from hypernode.oom.clock import moment
    from hypernode.oom.files import select
    from hypernode.oom.timeline import around

    output = Connection(**options).value("output")
    logs = _Logs(files)
    number, event = logs.choose(which)
    if event.at is None:
        raise InputError(f"event {number} has no time in its log, so nothing can be laid beside it")
    at = moment(event.at)
    low, high = at.timestamp() - window, at.timestamp() + window
    kills = select(logs.paths, since=low, until=high)
    entries = [event_entry(n, one, moment(one.at), chosen=n == number) for n, one in kills if one.at is not None]
    entries += around(at, timedelta(seconds=window), raw=raw, on_problem=logs.miss)
    entries.sort(key=lambda entry: entry.at)
    rows = [timeline_row(entry, at) for entry in entries]
    print_listing(Listing("entries", TIMELINE_COLUMNS, rows), output)
    return logs.status()


@oom.command(cls=Command)
@_files_argument
@option("--threshold", type=click.IntRange(2, 1000), default=5, show_default=True, help="Kills that set it off.")
@option("--window", type=TICK, default="1s", help="Time within which they come.  [default: 1s]")
@output_option
def replay(files: tuple[Path, ...], threshold: int, window: float, **options: Any) -> Exit:
    """Tell whether permissive_memory_management would have mattered.

    The platform has a killer of its own: when the kernel kills five times within a second in a cgroup, it ends
    non-essential processes before more is lost. Permissive makes it slower to do so. This replays the log against that.

    Examples:
      hnctl oom replay
      hnctl oom replay --threshold 2 kern.log*
    """
    from hnctl.printing import print_data
    from hnctl.render.listing import render_document
    from hnctl.render.oom import render_replay, replay_document
    from hypernode.oom.files import select
    from hypernode.oom.replay import replay as play

    output = Connection(**options).value("output")
    logs = _Logs(files)
    found = play((event for _, event in select(logs.paths, on_problem=logs.tell)), threshold=threshold, window=window)
    if output in ("table", "markdown"):
        print_data(render_replay(found))
    else:
        print_data(render_document(replay_document(found), output))
    return logs.status()


class _Logs:
    """The logs that a command reads, and which of them could not be read."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        from hypernode.oom.files import find_logs

        self.paths = list(files) or find_logs()
        self.broken: list[str] = []

    def tell(self, path: str, text: str) -> None:
        """Tell that a log cannot be read, or not to its end."""
        from hnctl.printing import print_note
        from hnctl.render.printable import printable

        self.broken.append(path)
        print_note(printable(f"{path}: {text}"))

    def miss(self, path: str, text: str) -> None:
        """Tell that another log is not there; the timeline is what the others tell."""
        from hnctl.printing import print_note
        from hnctl.render.printable import printable

        print_note(printable(f"Left out: {path}: {text}"))

    def choose(self, which: int | str) -> tuple[int, Event]:
        """Return event number `which`, or the last one, with its number and its whole table.

        Raises:
            InputError: There is none.
        """
        from hypernode.oom.files import select

        chosen = None
        total = 0
        for total, event in select(self.paths, keep_tasks=True, on_problem=self.tell):
            if which in ("last", total):
                chosen = total, event
        if chosen is None:
            raise InputError(
                f"there is no event {which}" if total else "there are no out-of-memory events",
                hint=f"There are {total}: hnctl oom events" if total else "Is this the right log?",
            )
        return chosen

    def status(self) -> Exit:
        """Return how the reading went."""
        if not self.broken:
            return Exit.OK
        return Exit.PARTLY if len(self.broken) < len(self.paths) else Exit.FAILED
