"""`hnctl oom`: what the kernel killed when memory ran out, and what to do about it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.commands.oom_advice import advice, report
from hnctl.commands.oom_metrics import metrics
from hnctl.commands.oom_node import protect, scores
from hnctl.commands.oom_watch import watch
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.oom_fleet import Looked, Nodes, choose_nodes, is_chosen, look_at, look_at_each
from hnctl.oom_logs import Logs, chosen_event, event_argument, files_argument, flow_entries, named_logs
from hnctl.options import nodes_over_ssh_options, option, output_option
from hnctl.printing import print_either, print_listing, print_note, print_stream
from hnctl.selection import Selection
from hnctl.value_types import MOMENT, SECONDS, TICK
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.oom.events import Event
    from hypernode.oom.history import History
    from hypernode.oom.services import Commands


@click.group()
def oom() -> None:
    """Out of memory: what was killed, when and why."""


oom.add_command(advice)
oom.add_command(report)
oom.add_command(scores)
oom.add_command(protect)
oom.add_command(watch)
oom.add_command(metrics)

_NONE = "No out-of-memory events."
_MOST_ROWS = 1_000
"""Of a table for a person, and of a node among several."""


@oom.command(cls=Command)
@files_argument
@option("--since", type=MOMENT, metavar="TIME", help="Only from TIME on: 2024-03-05, 2024-03-05T10:15, or 24h ago.")
@option("--until", type=MOMENT, metavar="TIME", help="Only before TIME.")
@option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N events of each node.")
@nodes_over_ssh_options
@output_option
def events(
    files: tuple[Path, ...],
    since: float | None,
    until: float | None,
    last: int | None,
    selection: Selection,
    **options: Any,
) -> Exit:
    """List the kills of the kernel's oom-killer.

    Reads kernel logs of any kind, rotated and compressed ones too, in order of time; - is stdin. Without a file it is
    /var/log/kern.log* of this node, or of the nodes that are named: those are fetched over SSH, and the worst of them
    comes first.

    Examples:
      hnctl oom events
      hnctl oom events kern.log.2.gz kern.log --last 5
      journalctl -k | hnctl oom events -
      hnctl oom events --group magento --since 24h
    """
    from hnctl.render.listing import Listing
    from hnctl.render.oom import COLUMNS, event_row

    link = Connection(**options)
    output = link.value("output")
    for_person = output in ("table", "markdown")
    chosen = {"since": since, "until": until, "last": last}

    def row(number: int, event: Event) -> dict[str, Any]:
        return event_row(number, event) if for_person else event.as_json()

    if is_chosen(selection):
        looked = look_at_each(link, choose_nodes(link, selection, files), partial(_look_at_events, chosen))
        return _print_events_of_nodes(link, looked, row)
    logs = named_logs(files)
    found = (row(*one) for one in logs.select(**chosen))
    if not for_person:
        print_stream("events", found, output)
        return logs.status()
    youngest: deque[dict[str, Any]] = deque(maxlen=_MOST_ROWS)
    total = 0
    for one in found:
        youngest.append(one)
        total += 1
    print_listing(Listing("events", COLUMNS, list(youngest), empty="" if logs.broken else _NONE), output)
    if total > _MOST_ROWS:
        print_note(f"These are the last {_MOST_ROWS:,} of {total:,}; -o jsonl has all, --since and --until choose.")
    return logs.status()


def _look_at_events(chosen: Mapping[str, Any], logs: Logs) -> tuple[list[tuple[int, Event]], History]:
    """Return the chosen events of a node, and what they have in common; both without tables."""
    from hypernode.oom.history import look_back
    from hypernode.oom.incidents import incidents

    found: deque[tuple[int, Event]] = deque(maxlen=_MOST_ROWS + 1)

    def noted() -> Iterator[tuple[int, Event]]:
        for number, event in logs.select(keep_tasks=True, **chosen):
            found.append((number, replace(event, tasks=())))
            yield number, event

    history = look_back(incidents(noted()))
    if len(found) > _MOST_ROWS:
        found.popleft()
        logs.miss(f"older events of {logs.of}", f"only the last {_MOST_ROWS:,} are shown")
    return list(found), history


def _print_events_of_nodes(
    link: Connection,
    looked: Looked[tuple[list[tuple[int, Event]], History]],
    row: Callable[[int, Event], dict[str, Any]],
) -> Exit:
    from hnctl.render.listing import Listing
    from hnctl.render.oom import COLUMNS
    from hypernode.oom.ranking import rank

    worst_first = rank({node: history for node, (_, history) in looked.seen.items()}).nodes
    rows = [{"node": node, **row(*one)} for node in worst_first for one in looked.seen[node][0]]
    empty = "" if looked.failures else _NONE
    print_listing(Listing("events", ("node", *COLUMNS), rows, looked.documents(), empty), link.value("output"))
    return looked.end()


@oom.command(cls=Command)
@event_argument
@option(
    "--all",
    "everything",
    prefix="HNCTL_EXPLAIN_",
    is_flag=True,
    help="All events together: a one-off, a pattern, or structural.",
)
@nodes_over_ssh_options
@output_option
def explain(event: tuple[str, ...], everything: bool, selection: Selection, **options: Any) -> Exit:
    """Explain one event: who was hurt, and who held the memory.

    N is its number in hnctl oom events. The memory of each service comes from the report's own table, and how sure the
    verdict is goes with it. --all tells what the events have in common. Of several nodes it tells which is worst off,
    and what the nodes have in common.

    Examples:
      hnctl oom explain
      hnctl oom explain 3 kern.log
      hnctl oom explain --all
      hnctl oom explain --group magento
    """
    link = Connection(**options)
    number, files = chosen_event(event)
    if everything and number is not None:
        raise click.UsageError(f"--all is about all events; leave out {number}")
    if is_chosen(selection):
        return _explain_nodes(link, choose_nodes(link, selection, files), number, everything=everything)
    logs = named_logs(files)
    if everything:
        history = _history_of(logs)
        if history.incidents:
            _print_history(link, history)
            return logs.status()
    elif (found := logs.find(number)) is not None:
        _print_event(link, found, {} if logs.is_elsewhere else _commands_of(found[1]))
        return logs.status()
    logs.check()
    _print_none(link, None if logs.is_elsewhere else logs, is_whole=not logs.broken)
    return logs.status()


def _explain_nodes(link: Connection, nodes: Nodes, number: int | None, *, everything: bool) -> Exit:
    from hnctl.render.oom_history import ranking_document, render_ranking
    from hypernode.oom.ranking import rank

    if len(nodes.names) > 1 and number is not None:
        raise click.UsageError(f"event {number} of which node? Name one, or leave out the number.")
    if len(nodes.names) == 1 and not everything:
        found, status = look_at(link, nodes, lambda logs: logs.find(number))
        if found is not None:
            _print_event(link, found, {})
        else:
            _print_none(link, None, is_whole=status is Exit.OK)
        return status
    if len(nodes.names) == 1:
        history, status = look_at(link, nodes, _history_of)
        _print_history(link, history)
        return status
    looked = look_at_each(link, nodes, _history_of)
    ranking = rank(looked.seen)
    print_either(
        link.value("output"),
        partial(render_ranking, ranking, looked.seen),
        partial(ranking_document, ranking, looked.seen, looked.documents()),
    )
    return looked.end()


def _history_of(logs: Logs) -> History:
    from hypernode.oom.history import look_back
    from hypernode.oom.incidents import incidents

    history = look_back(incidents(logs.select(keep_tasks=True)))
    if not history.incidents:
        logs.check()
    return history


def _commands_of(event: Event) -> Commands:
    """Return the command lines of those processes of an event that still run on this node."""
    from hypernode.node.processes import find_proc
    from hypernode.node.survivors import find_survivors
    from hypernode.oom.clock import moment

    return {} if event.at is None else find_survivors(find_proc(), moment(event.at).timestamp())


def _print_event(link: Connection, found: tuple[int, Event], commands: Commands) -> None:
    from hnctl.render.oom import render_verdict, verdict_document
    from hypernode.oom.verdict import judge

    verdict = judge(found[1], commands)
    print_either(
        link.value("output"),
        partial(render_verdict, *found, verdict, commands),
        partial(verdict_document, *found, verdict, commands),
    )


def _print_history(link: Connection, history: History) -> None:
    from hnctl.render.oom_history import history_document, render_history

    print_either(link.value("output"), partial(render_history, history), partial(history_document, history))


def _print_none(link: Connection, here: Logs | None, *, is_whole: bool) -> None:
    """Tell that the kernel killed nothing; and of the logs of this node, what else may have been taken for it."""
    from hnctl.render.oom_advice import quiet_document, render_quiet
    from hypernode.oom.cures import for_limit
    from hypernode.oom.timeline import search_limits

    limits = () if here is None else search_limits(on_problem=here.miss)
    cures = tuple(map(for_limit, limits))
    text = partial(render_quiet, cures, is_whole=is_whole)
    print_either(link.value("output"), text, partial(quiet_document, cures, is_whole=is_whole))


@oom.command(cls=Command)
@event_argument
@option(
    "--window",
    prefix="HNCTL_TIMELINE_",
    type=SECONDS,
    default="10m",
    help="How long before and after the event.  [default: 10m]",
)
@option("--raw", is_flag=True, help="Show SQL and messages as they are, with customers' data.")
@output_option
def timeline(event: tuple[str, ...], window: float, raw: bool, **options: Any) -> Exit:
    """Show what else happened around one event.

    Slow queries and restarts of MySQL, slow and killed php-fpm, Magento's errors, PHP's and Redis' own limits, cron
    jobs and, with a token, the flows of this node, all on this machine's clock. Logs that are missing are named.

    Examples:
      hnctl oom timeline
      hnctl oom timeline 3 --window 30m
    """
    from datetime import timedelta

    from hnctl.render.listing import Listing
    from hnctl.render.oom import TIMELINE_COLUMNS, timeline_row
    from hypernode.oom.clock import moment, zone_of
    from hypernode.oom.timeline import event_entry, look_around, nearest

    link = Connection(**options)
    wanted, files = chosen_event(event)
    logs = named_logs(files)
    found = logs.find(wanted)
    if found is None:
        raise InputError(
            "there are no out-of-memory events", hint="Is this the right log? hnctl oom explain tells of other limits"
        )
    number, center = found
    if center.at is None:
        raise InputError(f"event {number} has no time in its log, so nothing can be laid beside it")
    at = moment(center.at)
    kills = logs.select(since=at.timestamp() - window, until=at.timestamp() + window)
    told = (event_entry(n, one, moment(one.at), chosen=n == number) for n, one in kills if one.at is not None)
    entries = nearest(told, lambda entry: abs(entry.at - at), partial(logs.miss, "other events"))
    around = look_around([at], timedelta(seconds=window), zone=zone_of(center.at), raw=raw, on_problem=logs.miss)
    entries += around.entries
    if not logs.is_elsewhere:
        entries += flow_entries(link, at - timedelta(seconds=window), at + timedelta(seconds=window), logs.miss)
    entries.sort(key=lambda entry: entry.at)
    print_listing(
        Listing("entries", TIMELINE_COLUMNS, [timeline_row(entry, at) for entry in entries]), link.value("output")
    )
    return logs.status()


@oom.command(cls=Command)
@files_argument
@option("--threshold", type=click.IntRange(2, 1000), default=5, show_default=True, help="Kills that set it off.")
@option("--window", prefix="HNCTL_REPLAY_", type=TICK, default="1s", help="Time within which they come.  [default: 1s]")
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
    from hypernode.oom.replay import replay as play

    output = Connection(**options).value("output")
    logs = named_logs(files)
    found = play((event for _, event in logs.select()), threshold=threshold, window=window)
    if not found.incidents:
        logs.check()
    print_either(output, partial(render_replay, found), partial(replay_document, found))
    return logs.status()
