"""`hnctl fpm`: what the PHP-FPM workers of nodes do right now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, nodes_through_api_options, option, output_option
from hnctl.printing import print_note
from hnctl.selection import Selection

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.api.fpm import Worker

    Workers = tuple[tuple[Worker, ...], tuple[str, ...]]
    """Those that the lines of a node tell of, and the lines that tell of none."""

_UNKNOWN = "(not told)"


@click.group()
def fpm() -> None:
    """Show what PHP-FPM does."""


@fpm.command(cls=Command)
@option("--summary", is_flag=True, help="Count workers by state, and those at work by script.")
@nodes_through_api_options
@connection_options
@output_option
def status(summary: bool, selection: Selection, **options: Any) -> Exit:
    """Show the PHP-FPM workers of nodes.

    Those at work for the longest time come first. The lines of a node hold who asked: addresses, user agents and
    queries are shown with -v only, and the paths that are shown can still name a person. A node that the API did not
    reach is a failure.

    Examples:
      hnctl fpm status -n kaasshop
      hnctl fpm status --summary --group magento
    """
    from hnctl.reading import ask_chosen, columns_for, print_rows

    link = Connection(**options)
    found, failures = ask_chosen(link, selection, _ask)
    make = _summary if summary else _rows
    rows = [
        {"node": node, **row} for node, (workers, _) in found.items() for row in make(workers, full=options["verbose"])
    ]
    columns = (
        ["by", "what", "workers", "longest_seconds"]
        if summary
        else ["pid", "state", "seconds", *(["rest"] if options["verbose"] else ["country", "request"])]
    )
    for node, (_, odd) in found.items():
        _tell_odd(node, odd, full=options["verbose"])
    kind = "summary" if summary else "workers"
    return print_rows(link, kind, columns_for(columns, found, failures), rows, failures)


def _ask(client: Client) -> Workers:
    from hypernode.api.fpm import parse_workers

    told = client.get_fpm_status()
    told.check_answered(client.node)
    return parse_workers(told.data)


def _rows(workers: Sequence[Worker], *, full: bool) -> Iterable[Mapping[str, Any]]:
    for worker in sorted(workers, key=lambda worker: (not worker.is_busy, -worker.seconds, worker.pid)):
        request = worker.request
        yield {
            "pid": worker.pid,
            "state": worker.state,
            "seconds": worker.seconds,
            "country": request and request.country,
            "request": _request(worker),
        } | ({"rest": worker.rest} if full else {})


def _summary(workers: Sequence[Worker], *, full: bool) -> Iterable[Mapping[str, Any]]:
    yield from _count("state", workers, [worker.state for worker in workers])
    busy = [worker for worker in workers if worker.is_busy]
    yield from _count("script", busy, [_request(worker) or _UNKNOWN for worker in busy])


def _count(by: str, workers: Sequence[Worker], keys: Sequence[str]) -> Iterable[Mapping[str, Any]]:
    """Yield a row for each of `keys`, which belong to `workers`, with the one that most workers have first."""
    seconds: dict[str, list[float]] = {}
    for worker, key in zip(workers, keys, strict=True):
        seconds.setdefault(key, []).append(worker.seconds)
    for key, each in sorted(seconds.items(), key=lambda item: (-len(item[1]), -max(item[1]), item[0])):
        yield {"by": by, "what": key, "workers": len(each), "longest_seconds": max(each)}


def _request(worker: Worker) -> str | None:
    request = worker.request
    return None if request is None else f"{request.method} {request.path}"


def _tell_odd(node: str, odd: Sequence[str], *, full: bool) -> None:
    """Tell of lines that could not be read; what they say may be about visitors."""
    from hypernode.printable import printable

    if odd and not full:
        print_note(f"{node}: {len(odd)} line{'s' * (len(odd) != 1)} of another form left out; -v shows what they say.")
    elif odd:
        print_note("\n".join(printable(f"{node}: {line}") for line in odd))
