"""`hnctl oom advice`: what to do about a node that runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.oom_logs import Logs, files_argument
from hnctl.options import option, output_option
from hnctl.printing import print_either
from hnctl.value_types import SECONDS
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.oom.events import Event
    from hypernode.oom.evidence import Evidence
    from hypernode.oom.replay import Replaying

_MOST_LOOKED_AT = 50
"""Incidents, the youngest, beside which the other logs are laid."""


@click.command(cls=Command)
@files_argument
@option("--window", type=SECONDS, default="30m", help="How long before a kill its cause may lie.  [default: 30m]")
@output_option
def advice(files: tuple[Path, ...], window: float, **options: Any) -> Exit:
    """Say what to do, the cure that most speaks for first.

    Each cure comes with the log lines that it rests on, what to expect of it, its risk and the command to run. Nothing
    is run, changed or ordered. When the evidence does not decide, that is said.

    Examples:
      hnctl oom advice
      hnctl oom advice -o json
    """
    from hnctl.render.oom_advice import advice_document, render_advice
    from hypernode.oom.advice import advise

    output = Connection(**options).value("output")
    logs = Logs(files)
    evidence = gather(logs, window, is_elsewhere=bool(files))
    given = advise(evidence)
    print_either(output, partial(render_advice, evidence, given), partial(advice_document, evidence, given))
    return logs.status()


def gather(logs: Logs, window: float, *, is_elsewhere: bool) -> Evidence:
    """Read all that advice is taken from; for logs from elsewhere without this node's other logs and its memory."""
    from datetime import timedelta

    from hypernode.oom.clock import moment, zone_of
    from hypernode.oom.evidence import Evidence, ram_of
    from hypernode.oom.history import look_back
    from hypernode.oom.incidents import incidents
    from hypernode.oom.replay import Replaying
    from hypernode.oom.timeline import Surroundings, look_around
    from hypernode.products import bundled

    playing = Replaying()
    history = look_back(incidents(_watched(logs, playing)))
    times = [one.at for one in history.incidents[-_MOST_LOOKED_AT:] if one.at is not None]
    around = Surroundings((), ())
    if not is_elsewhere:
        zone = zone_of(times[-1]) if times else None
        around = look_around([*map(moment, times)], timedelta(seconds=window), zone=zone, on_problem=logs.miss)
    return Evidence(
        history,
        around.entries,
        around.limits,
        playing.result(),
        timedelta(seconds=window),
        ram_of(history) or (None if is_elsewhere else _ram_here()),
        bundled(),
    )


def _watched(logs: Logs, playing: Replaying) -> Iterator[tuple[int, Event]]:
    from hypernode.oom.files import select

    for number, event in select(logs.paths, keep_tasks=True, on_problem=logs.tell):
        playing.add(event)
        yield number, event


def _ram_here() -> int | None:
    from hypernode.node.processes import find_proc, read_memory

    try:
        return read_memory(find_proc()).total_kib
    except InputError:
        return None
