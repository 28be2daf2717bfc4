"""`hnctl oom advice` and `report`: what to do about a node that runs out of memory, and all of it as a page."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOTDIR
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.extras import require_extra
from hnctl.oom_fleet import Looked, choose_nodes, is_chosen, look_at, look_at_each
from hnctl.oom_logs import Logs, files_argument, named_logs
from hnctl.options import nodes_over_ssh_options, option, output_option
from hnctl.printing import print_data, print_either, print_note
from hnctl.selection import Selection
from hnctl.value_types import SECONDS
from hypernode.errors import HypernodeError, InputError
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.oom.events import Event
    from hypernode.oom.evidence import Evidence
    from hypernode.oom.incidents import Incident
    from hypernode.oom.logs import Entry
    from hypernode.oom.replay import Replaying

_MOST_LOOKED_AT = 50
"""Incidents, the youngest, beside which the other logs are laid."""

_CLOSE = 900.0
"""Seconds before and after the worst event that are shown close up."""
_window_option = option(
    "--window",
    prefix="HNCTL_ADVICE_",
    type=SECONDS,
    default="30m",
    help="How long before a kill its cause may lie.  [default: 30m]",
)


@click.command(cls=Command)
@files_argument
@_window_option
@nodes_over_ssh_options
@output_option
def advice(files: tuple[Path, ...], window: float, selection: Selection, **options: Any) -> Exit:
    """Say what to do, the cure that most speaks for first.

    Each cure comes with the log lines that it rests on, what to expect of it, its risk and the command to run. Nothing
    is run, changed or ordered. When the evidence does not decide, that is said. Of nodes that are named only the
    kernel's log is fetched; with several, the worst of them comes first.

    Examples:
      hnctl oom advice
      hnctl oom advice kern.log
      hnctl oom advice --group magento
    """
    from hnctl.render.oom_advice import advice_document, render_advice
    from hypernode.oom.advice import advise

    link = Connection(**options)
    output = link.value("output")
    if is_chosen(selection):
        nodes = choose_nodes(link, selection, files)
        if len(nodes.names) > 1:
            return _advise_nodes(output, look_at_each(link, nodes, partial(_gather, window)))
        evidence, status = look_at(link, nodes, partial(_gather, window))
    else:
        logs = named_logs(files)
        evidence, status = _gather(window, logs), logs.status()
    given = advise(evidence)
    print_either(output, partial(render_advice, evidence, given), partial(advice_document, evidence, given))
    return status


def _advise_nodes(output: str, looked: Looked[Evidence]) -> Exit:
    from hnctl.render.oom_advice import nodes_document, render_nodes
    from hypernode.oom.advice import advise
    from hypernode.oom.ranking import rank

    ranking = rank({node: evidence.history for node, evidence in looked.seen.items()})
    given = {node: advise(evidence) for node, evidence in looked.seen.items()}
    print_either(
        output,
        partial(render_nodes, ranking, given),
        partial(nodes_document, ranking, looked.seen, given, looked.documents()),
    )
    return looked.end()


@click.command(cls=Command)
@files_argument
@option(
    "-o",
    "--html",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    metavar="FILE",
    default=Path("oom-report.html"),
    show_default=True,
    help="Where to write the page; - is stdout.",
)
@_window_option
@option("--title", metavar="TEXT", help="What the page is about.  [default: the node, or the logs]")
def report(files: tuple[Path, ...], html: Path, window: float, title: str | None) -> Exit:
    """Write all that is known as one page with pictures.

    Events over time, memory by service, hours and weekdays, who held most, the worst event close up, advice and the
    replay. The page is one file that loads nothing, can be read on a phone, in the dark and on paper, and be mailed.

    Examples:
      hnctl oom report -o report.html
      hnctl oom report -o - kern.log > report.html
    """
    from datetime import datetime

    from hypernode.credentials import own_name
    from hypernode.oom.advice import advise
    from hypernode.oom.report import Subject, make_report
    from hypernode.version import __version__

    require_extra("report", "jinja2", "matplotlib")
    logs = named_logs(files)
    evidence = _gather(window, logs)
    worst = evidence.worst or next(iter(evidence.history.incidents), None)
    name = title or (", ".join(map(str, files)) if files else own_name() or "this node")
    subject = Subject(name, evidence, advise(evidence), worst, _close_up(evidence, worst), logs.missing)
    page = make_report(subject, made_at=datetime.now(), version=__version__)
    if str(html) == "-":
        print_data(page)
        return logs.status()
    _write(html, page)
    kills, incidents = evidence.history.kills, len(evidence.history.incidents)
    print_note(printable(f"{html}: {kills} kill{'s' * (kills != 1)} in {incidents} incident{'s' * (incidents != 1)}"))
    return logs.status()


def _write(path: Path, page: str) -> None:
    """Write a page for its owner only; into what is no plain file, such as a pipe, as into any other.

    Raises:
        HypernodeError: It cannot be written; what was there stays.
    """
    from hypernode.private_files import replace_file

    try:
        place = path.resolve()  # what a link points to, and not the link
        if not place.parent.is_dir():
            raise NotADirectoryError(ENOTDIR, f"there is no folder {place.parent}")
        if place.exists() and not place.is_file():
            place.write_text(page, "utf-8")
        else:
            replace_file(place, page)
    except OSError as exc:
        raise HypernodeError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def _close_up(evidence: Evidence, worst: Incident | None) -> list[Entry]:
    """Return what was told of the minutes around one incident, its own kill included."""
    from datetime import timedelta

    from hypernode.oom.clock import moment
    from hypernode.oom.timeline import event_entry

    if worst is None or worst.worst.event.at is None:
        return []
    case = worst.worst
    at = moment(str(case.event.at))
    near = [entry for entry in evidence.entries if abs(entry.at - at) <= timedelta(seconds=_CLOSE)]
    return sorted([*near, event_entry(case.number, case.event, at, chosen=True)], key=lambda entry: entry.at)


def _gather(window: float, logs: Logs) -> Evidence:
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
    if not history.incidents:
        logs.check()
    times = [one.at for one in history.incidents[-_MOST_LOOKED_AT:] if one.at is not None]
    around = Surroundings((), ())
    if not logs.is_elsewhere:
        zone = zone_of(times[-1]) if times else None
        around = look_around([*map(moment, times)], timedelta(seconds=window), zone=zone, on_problem=logs.miss)
    return Evidence(
        history,
        around.entries,
        around.limits,
        playing.result(),
        timedelta(seconds=window),
        ram_of(history) or (None if logs.is_elsewhere else _ram_here()),
        bundled(),
        all_day=around.all_day,
        kernel_only=logs.is_elsewhere,
        node=logs.of,
    )


def _watched(logs: Logs, playing: Replaying) -> Iterator[tuple[int, Event]]:
    for number, event in logs.select(keep_tasks=True):
        playing.add(event)
        yield number, event


def _ram_here() -> int | None:
    from hypernode.node.processes import find_proc, read_memory

    try:
        return read_memory(find_proc()).total_kib
    except InputError:
        return None
