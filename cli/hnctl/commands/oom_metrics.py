"""`hnctl oom metrics`: what is known of kills and memory, for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hnctl.command import Command
from hnctl.exits import Exit
from hnctl.oom_logs import files_argument, named_logs
from hnctl.options import option
from hnctl.printing import print_data
from hypernode.errors import HypernodeError

_FOR_ALL = 0o644
"""The node exporter runs as a user of its own."""


@click.command(cls=Command)
@files_argument
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

    logs = named_logs(files)
    tally = count_kills(event for _, event in logs.select())
    sample = read_sample()  # what this kernel does not have is no news each minute
    text = render_metrics(oom_metrics(tally, sample, unread=len(logs.broken), now=time.time()))
    if write is None:
        print_data(text.removesuffix("\n"))
    else:
        _replace(write, text)
    return logs.status()


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
