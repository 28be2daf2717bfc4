"""`hnctl oom`: what the kernel killed when memory ran out, and what to do about it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from hnctl.command import Command
from hnctl.commands.oom_advice import advice, report
from hnctl.commands.oom_node import protect, scores
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.oom_logs import Logs, chosen_event, event_argument, files_argument, flow_entries
from hnctl.options import option, output_option
from hnctl.printing import print_either
from hnctl.value_types import MOMENT, SECONDS, TICK
from hypernode.errors import InputError


@click.group()
def oom() -> None:
    """Out of memory: what was killed, when and why."""


oom.add_command(advice)
oom.add_command(report)
oom.add_command(scores)
oom.add_command(protect)


@oom.command(cls=Command)
@files_argument
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
    logs = Logs(files)
    found = select(logs.paths, since=since, until=until, last=last, on_problem=logs.tell)
    if output in ("table", "markdown"):
        rows = [event_row(number, event) for number, event in found]
    else:
        rows = [event.as_json() for _, event in found]
    empty = "" if logs.broken else "No out-of-memory events."
    print_listing(Listing("events", COLUMNS, rows, empty=empty), output)
    return logs.status()


@oom.command(cls=Command)
@event_argument
@option("--all", "everything", is_flag=True, help="All events together: a one-off, a pattern, or structural.")
@output_option
def explain(event: tuple[Path, ...], everything: bool, **options: Any) -> Exit:
    """Explain one event: who was hurt, and who held the memory.

    N is its number in hnctl oom events. The memory of each service comes from the report's own table, and how sure the
    verdict is goes with it. --all tells what the events have in common.

    Examples:
      hnctl oom explain
      hnctl oom explain 3 kern.log
      hnctl oom explain --all
    """
    from hnctl.render.oom import render_verdict, verdict_document
    from hypernode.oom.verdict import judge

    output = Connection(**options).value("output")
    number, files = chosen_event(event)
    logs = Logs(files)
    if everything:
        if number is not None:
            raise click.UsageError(f"--all is about all events; leave out {number}")
        return _explain_all(logs, output)
    found = logs.find(number)
    if found is None:
        return _explain_none(logs, output, is_elsewhere=bool(files))
    verdict = judge(found[1])
    print_either(output, partial(render_verdict, *found, verdict), partial(verdict_document, *found, verdict))
    return logs.status()


def _explain_all(logs: Logs, output: str) -> Exit:
    from hnctl.render.oom_history import history_document, render_history
    from hypernode.oom.files import select
    from hypernode.oom.history import look_back
    from hypernode.oom.incidents import incidents

    history = look_back(incidents(select(logs.paths, keep_tasks=True, on_problem=logs.tell)))
    print_either(output, partial(render_history, history), partial(history_document, history))
    return logs.status()


def _explain_none(logs: Logs, output: str, *, is_elsewhere: bool) -> Exit:
    """Tell that the kernel killed nothing, and, of this node, what else may have been taken for it."""
    from hnctl.render.oom_advice import quiet_document, render_quiet
    from hypernode.oom.cures import for_limit
    from hypernode.oom.timeline import search_limits

    limits = () if is_elsewhere else search_limits(on_problem=logs.miss)
    cures = tuple(map(for_limit, limits))
    print_either(output, partial(render_quiet, cures), partial(quiet_document, cures))
    return logs.status()


@oom.command(cls=Command)
@event_argument
@option("--window", type=SECONDS, default="10m", help="How long before and after the event.  [default: 10m]")
@option("--raw", is_flag=True, help="Show SQL with its literals, which hold customers' data.")
@output_option
def timeline(event: tuple[Path, ...], window: float, raw: bool, **options: Any) -> Exit:
    """Show what else happened around one event.

    Slow queries and restarts of MySQL, slow and killed php-fpm, Magento's errors, PHP's and Redis' own limits, cron
    jobs and, with a token, the flows of this node, all on this machine's clock. Logs that are missing are named.

    Examples:
      hnctl oom timeline
      hnctl oom timeline 3 --window 30m
    """
    from datetime import timedelta

    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hnctl.render.oom import TIMELINE_COLUMNS, timeline_row
    from hypernode.oom.clock import moment, zone_of
    from hypernode.oom.files import select
    from hypernode.oom.timeline import event_entry, look_around

    link = Connection(**options)
    wanted, files = chosen_event(event)
    logs = Logs(files)
    found = logs.find(wanted)
    if found is None:
        raise InputError("there are no out-of-memory events", hint="Is this the right log?")
    number, center = found
    if center.at is None:
        raise InputError(f"event {number} has no time in its log, so nothing can be laid beside it")
    at = moment(center.at)
    kills = select(logs.paths, since=at.timestamp() - window, until=at.timestamp() + window)
    entries = [event_entry(n, one, moment(one.at), chosen=n == number) for n, one in kills if one.at is not None]
    around = look_around([at], timedelta(seconds=window), zone=zone_of(center.at), raw=raw, on_problem=logs.miss)
    entries += around.entries
    if not files:
        entries += flow_entries(link, at - timedelta(seconds=window), at + timedelta(seconds=window), logs.miss)
    entries.sort(key=lambda entry: entry.at)
    print_listing(
        Listing("entries", TIMELINE_COLUMNS, [timeline_row(entry, at) for entry in entries]), link.value("output")
    )
    return logs.status()


@oom.command(cls=Command)
@files_argument
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
    from hnctl.render.oom import render_replay, replay_document
    from hypernode.oom.files import select
    from hypernode.oom.replay import replay as play

    output = Connection(**options).value("output")
    logs = Logs(files)
    found = play((event for _, event in select(logs.paths, on_problem=logs.tell)), threshold=threshold, window=window)
    print_either(output, partial(render_replay, found), partial(replay_document, found))
    return logs.status()
