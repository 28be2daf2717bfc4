"""`hnctl history`: the runs that changed nodes, out of their journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hnctl.command import Command
from hnctl.completion import complete_run
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import option, output_option
from hnctl.printing import print_data, print_either, print_file_error, print_listing
from hnctl.value_types import MOMENT
from hypernode.errors import FileError, HypernodeError
from hypernode.places import state_folder


@click.command(cls=Command)
@click.argument("run", metavar="[RUN|last]", required=False, shell_complete=complete_run)
@option("--prune", type=MOMENT, metavar="TIME", help="Remove the runs that began before TIME: 90d (ago), 2026-01-31.")
@output_option
def history(run: str | None, prune: float | None, **options: Any) -> Exit:
    """List the runs that changed nodes, or show one of them.

    The newest comes first. Of RUN every node is shown, with what was planned for it, its flows, its time and its error.
    A node that a run is changing is "under way". A run that was killed is "broken off", and a node that it was changing
    is "unknown": hnctl diff shows what it has.

    Examples:
      hnctl history
      hnctl history last
      hnctl history --prune 90d
    """
    from hypernode.fleet.history import find_run, read_run
    from hypernode.fleet.journal import is_under_way

    output = Connection(**options).value("output")
    folder = state_folder() / "runs"
    if prune is not None:
        if run is not None:
            raise click.UsageError("--prune is about all runs; leave out the one.")
        return _prune(folder, prune)
    if run is not None:
        from hnctl.render.history import render_run, run_log_document

        path = find_run(folder, run)
        log = read_run(path)
        state = log.state(under_way=is_under_way(path))
        print_either(output, lambda: render_run(log, state), lambda: run_log_document(log, state))
        return Exit.OK
    return _list(folder, output)


def _list(folder: Path, output: str) -> Exit:
    from hnctl.render.history import COLUMNS, run_row
    from hnctl.render.listing import Listing
    from hypernode.fleet.history import find_runs, read_run
    from hypernode.fleet.journal import is_under_way

    rows, status = [], Exit.OK
    for path in find_runs(folder):
        try:
            log = read_run(path)
        except FileError as exc:
            print_file_error(exc)
            status = Exit.PARTLY
        else:
            rows.append(
                run_row(log, log.state(under_way=is_under_way(path)), for_person=output in ("table", "markdown"))
            )
    print_listing(Listing("runs", COLUMNS, rows, empty="No runs."), output)
    return status


def _prune(folder: Path, before: float) -> Exit:
    from datetime import datetime

    from hypernode.fleet.history import has_begun, read_run
    from hypernode.fleet.journal import SUFFIX, is_under_way

    removed, status = 0, Exit.OK
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            begun = has_begun(path)
            at = datetime.fromisoformat(read_run(path).started_at).timestamp() if begun else path.stat().st_mtime
            if at < before and not is_under_way(path):
                path.unlink()
                removed += begun
        except FileError as exc:
            print_file_error(exc)
            status = Exit.PARTLY
        except OSError as exc:
            raise HypernodeError(f"{path} cannot be removed: {exc.strerror}") from exc
    print_data(f"{removed} run{'s' * (removed != 1)} removed")
    return status
