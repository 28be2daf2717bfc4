"""`hnctl oom watch`: kills and shortages of memory as they happen, and a command for each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.listening import Listening, listening
from hnctl.options import option, output_option
from hnctl.printing import print_data, print_note
from hnctl.value_types import TICK, ShareOrSize

if TYPE_CHECKING:
    from hypernode.node.budget import MaxTotal
    from hypernode.node.shortage import Alarm
    from hypernode.oom.events import Event

_INTERVAL = 0.2
"""Seconds between two looks at the log."""
_SAMPLE_INTERVAL = 0.5


class _Watch(Command):
    """Takes a command after --, which click alone could not tell from FILE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:place])
        ctx.params["command"] = tuple(args[place + 1 :])
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command(cls=_Watch)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@option(
    "--pressure",
    type=click.FloatRange(0, 100),
    default=20,
    show_default=True,
    metavar="PERCENT",
    help="Tell when for this share of the last 10 seconds all work waited for memory; 0: never.",
)
@option(
    "--available",
    type=ShareOrSize(),
    default="5%",
    show_default=True,
    metavar="SHARE|SIZE",
    help="Tell when less is available: 5%, 512M; 0: never.",
)
@option(
    "--timeout",
    type=TICK,
    prefix="HNCTL_WATCH_",  # HNCTL_TIMEOUT is for an answer of the API
    default="30s",
    show_default=True,
    help="End COMMAND when one run takes longer.",
)
@output_option
def watch(
    file: Path | None,
    pressure: float,
    available: MaxTotal,
    timeout: float,
    output: str | None,
    command: tuple[str, ...],
) -> Exit:
    """Tell kills and shortages of memory as they happen.

    Follows the kernel's log from its end on, over rotations; without FILE it is /var/log/kern.log of this node. Looks
    at memory pressure, available memory and the kill counter of its cgroup too. A line for each; JSON with -o jsonl.

    COMMAND is run for each, one after the other: the event as JSON on its stdin, and HNCTL_EVENT (oom or pressure),
    HNCTL_AT, HNCTL_VICTIM, HNCTL_PID, HNCTL_SCOPE, HNCTL_MEMCG and HNCTL_TRIGGER in its environment. When it fails,
    that is told, and the watch goes on.

    Examples:
      hnctl oom watch
      hnctl oom watch --available 512M -- mail -s "out of memory" me@example.com
    """
    from hypernode.node.samples import read_sample
    from hypernode.node.shortage import Limits, Shortage
    from hypernode.oom.files import KERN_LOG
    from hypernode.oom.follow import Follower
    from hypernode.oom.tail import Tail
    from hypernode.places import on_node

    if str(file) == "-":
        raise click.UsageError("stdin cannot be followed; name a file, or leave it out for /var/log/kern.log.")
    path = file or on_node(KERN_LOG)
    teller = _Teller(Connection(output=output).value("output"), command, timeout)
    shortage = Shortage(Limits(pressure, available))
    follower = Follower(str(path), clock=time.monotonic, now=datetime.now)
    tail = Tail(path, partial(teller.tell_problem, str(path)))
    _note(f"Following {path}; Ctrl-C ends it.")
    next_sample = time.monotonic()
    with listening() as ears:
        try:
            while ears.ended is None:
                data = tail.read()
                for event in follower.read(data):
                    shortage.log(len(event.victims), time.monotonic())
                    teller.tell_event(event)
                if (now := time.monotonic()) >= next_sample:
                    next_sample = now + _SAMPLE_INTERVAL
                    for alarm in shortage.look(read_sample(teller.miss), now):
                        teller.tell_alarm(alarm)
                teller.look()
                ears.pause(0 if data else _INTERVAL)
            return ears.ended
        finally:
            teller.end(ears)
            tail.close()


class _Teller:
    """Prints what happens, and has the command run for it."""

    def __init__(self, form: str, command: Sequence[str], timeout: float) -> None:
        from hypernode.oom.hook import Hook

        self._form = form
        self._hook = Hook(command, timeout=timeout, tell=_note) if command else None
        self._missed: set[str] = set()

    def tell_event(self, event: Event) -> None:
        from hnctl.render.oom_watch import event_document, event_line, event_variables

        self._tell(event_line(event), event_document(event), event_variables(event))

    def tell_alarm(self, alarm: Alarm) -> None:
        from hnctl.render.oom_watch import alarm_document, alarm_line, alarm_variables

        at = datetime.now().astimezone()
        self._tell(alarm_line(alarm, at), alarm_document(alarm, at), alarm_variables(at))

    def tell_problem(self, path: str, why: str) -> None:
        _note(f"{path}: {why}")

    def miss(self, path: str, why: str) -> None:
        """Tell once that a file is left out."""
        if path not in self._missed:
            self._missed.add(path)
            _note(f"Left out: {path}: {why}")

    def look(self) -> None:
        """See how the command is getting on."""
        if self._hook is not None:
            self._hook.look()

    def end(self, ears: Listening) -> None:
        """End the command too."""
        if self._hook is not None:
            self._hook.end(ears.pause)

    def _tell(self, line: str, document: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        if self._hook is not None:
            self._hook.put(json.dumps(document).encode() + b"\n", variables)
            self._hook.look()  # before the line, which nobody may be reading
        print_data(_shown(line, document, self._form), follow=True)


def _shown(line: str, document: Mapping[str, Any], form: str) -> str:
    from hnctl.render.listing import render_document

    if form in ("table", "markdown"):
        return line
    if form == "yaml":
        return f"---\n{render_document(document, form)}"
    return render_document(document, "jsonl")  # what has no end is no one document


def _note(text: str) -> None:
    from hypernode.printable import printable

    print_note(printable(text))
