"""`hnctl oom metrics`: what is known of kills and memory, for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hnctl.command import Command
from hnctl.exits import Exit
from hnctl.options import option
from hnctl.printing import print_data, print_note
from hypernode.errors import HypernodeError

_FOR_ALL = 0o644
"""The node exporter runs as a user of its own."""


@click.command(cls=Command)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@option(
    "--write",
    metavar="FILE.prom",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Replace this file, in one step and readable for all, in place of printing.",
)
def metrics(files: tuple[Path, ...], write: Path | None) -> Exit:
    """Print kills and memory pressure for Prometheus.

    For the textfile collector of the node exporter, from cron: kills by service and scope and the last one, by the
    kernel logs that are kept, and memory pressure and available memory now. Without a file it is /var/log/kern.log* of
    this node. When a log cannot be read, the exit code is 3 (of several) or 1, and hnctl_oom_logs_unread counts it.

    Examples:
      hnctl oom metrics
      hnctl oom metrics --write /var/lib/node_exporter/hnctl_oom.prom
    """
    from hnctl.render.exposition import render_metrics
    from hnctl.render.oom_metrics import count_kills, oom_metrics
    from hypernode.node.samples import read_sample
    from hypernode.oom.files import find_logs, select
    from hypernode.printable import printable

    paths = list(files) or find_logs()
    broken: set[str] = set()

    def miss(path: str, why: str) -> None:
        broken.add(path)
        print_note(printable(f"{path}: {why}"))

    tally = count_kills(event for _, event in select(paths, on_problem=miss))
    sample = read_sample()  # what this kernel does not have is no news each minute
    text = render_metrics(oom_metrics(tally, sample, unread=len(broken), now=time.time()))
    if write is None:
        print_data(text.removesuffix("\n"))
    else:
        _replace(write, text)
    if not broken:
        return Exit.OK
    return Exit.PARTLY if len(broken) < len(paths) else Exit.FAILED


def _replace(path: Path, text: str) -> None:
    from hypernode.private_files import replace_file

    folder = path.parent
    if not folder.is_dir():  # one that we made would be for us alone
        raise HypernodeError(
            f"{path} cannot be written: there is no folder {folder}",
            hint="It is the --collector.textfile.directory of the node exporter",
        )
    try:
        replace_file(path, text, mode=_FOR_ALL)
    except OSError as exc:
        raise HypernodeError(
            f"{path} cannot be written: {exc.strerror}", hint=f"We need the right to make files in {folder}"
        ) from exc
