"""`hnctl memory`: what is done on a node that runs low on memory."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.options import option, output_option
from hnctl.printing import print_data, print_note
from hnctl.value_types import SECONDS
from hypernode.credentials import own_name
from hypernode.errors import InputError
from hypernode.node.release import MOST_MB, MOST_MINUTES, Limits, Result, What, release
from hypernode.node.shell import LocalShell
from hypernode.places import state_folder

_WAIT = "2m"
_LOG_FILE = "hnctl-memory.log"


class ReleaseExit(IntEnum):
    """What the exit status of `release-mysql` means; of usage errors and signals it is that of all commands."""

    ENOUGH = 0
    FAILED = 1
    RESTARTED = 10
    COOLING_DOWN = 11
    DEFERRED = 12


class WholeNumber(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    """A number from 1 in plain digits: what a shell script would choke on, or take for less, is refused."""

    name = "number"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that `value` spells."""
        text = str(value)
        if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= self._most:
            return int(text)
        raise click.BadParameter(f"{text[:40]!r} is not a whole number from 1 to {self._most}", ctx, param)


@click.group()
def memory() -> None:
    """Release memory on the node that this runs on."""


@memory.command("release-mysql", cls=Command)
@option(
    "-m",
    "--min-available",
    metavar="MB",
    type=WholeNumber(MOST_MB),
    required=True,
    help="Restart when less than this is available.",
)
@option(
    "-c",
    "--cooldown",
    metavar="MINUTES",
    type=WholeNumber(MOST_MINUTES),
    required=True,
    help="Least time from one restart that worked to the next.",
)
@option("--dry-run", is_flag=True, help="Tell what would be done, with the same exit code, and do nothing.")
@option(
    "--install-cron", is_flag=True, help="Print the line for a crontab that runs this each minute; installs nothing."
)
@option(
    "--wait",
    type=SECONDS,
    default=_WAIT,
    show_default=True,
    help="Time for the restart, and again for MySQL to answer.",
)
@output_option
def release_mysql(
    min_available: int, cooldown: int, dry_run: bool, install_cron: bool, wait: float, output: str | None
) -> int:
    """Restart MySQL when this node is low on memory.

    For cron, on the node itself: each run prints one line. MySQL is left alone for the cooldown after a restart that
    worked, and while a dump, an import, a job of Magento or a transaction of more than a minute can be seen.

    Exit codes: 0 enough memory, 10 restarted (with --dry-run: would be), 11 cooling down, 12 deferred, 1 failed.

    Examples:
      hnctl memory release-mysql -m 1024 -c 30 --dry-run
      hnctl memory release-mysql -m 1024 -c 30
    """
    limits = Limits(min_available, cooldown, wait)
    node = own_name()
    if install_cron:
        if node is None:
            print_note("This machine is no Hypernode: the line names the hnctl that is here.")
        print_data(_cron_line(limits))
        print_note("Nothing was installed. Add the line with: crontab -e")
        return ReleaseExit.ENOUGH
    if node is None:
        raise InputError(
            "this machine is no Hypernode: it has no /etc/hypernode/app.json that names one",
            hint="Run this on the node, as app, from its crontab",
        )
    form = Connection(output=output).value("output")
    signals: list[int] = []
    result = release(
        LocalShell(),
        state_folder() / "memory",
        limits,
        node=node,
        dry_run=dry_run,
        shield=partial(_finish_first, signals),
    )
    if form in ("table", "markdown"):
        print_data(_line(result, limits))
    else:
        from hnctl.render.listing import render_document

        print_data(render_document(_document(result, limits, node, dry_run=dry_run), form))
    return 128 + signals[0] if signals else _STATUS[result.what]


_STATUS = {
    What.ENOUGH: ReleaseExit.ENOUGH,
    What.RESTARTED: ReleaseExit.RESTARTED,
    What.WOULD_RESTART: ReleaseExit.RESTARTED,
    What.COOLING_DOWN: ReleaseExit.COOLING_DOWN,
    What.DEFERRED: ReleaseExit.DEFERRED,
    What.FAILED: ReleaseExit.FAILED,
}


@contextmanager
def _finish_first(signals: list[int]) -> Iterator[None]:
    """Keep the first Ctrl-C or SIGTERM for later, and note it in `signals`; the second ends the process at once."""

    def handle(number: int, frame: object) -> None:
        if signals:
            os._exit(128 + number)
        signals.append(number)
        print_note("Interrupted: the restart of mysql is finished first. Once more to leave at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(result: Result, limits: Limits) -> str:
    """Return what happened as one line of a log."""
    from hypernode.printable import printable

    parts = [_numbers(result, limits), result.why + (f" ({hint})" if (hint := _hint(result)) else ""), *result.notes]
    if result.what in (What.RESTARTED, What.WOULD_RESTART) and result.unseen:
        parts.append(f"not seen before: {', '.join(result.unseen)}")
    at = result.at.astimezone().isoformat(timespec="seconds")
    return printable(f"{at} {result.what.value.replace('_', ' ')}: {'; '.join(part for part in parts if part)}")


def _hint(result: Result) -> str | None:
    return result.error.hint if result.error else None


def _numbers(result: Result, limits: Limits) -> str:
    """Return what was measured; empty when nothing was."""
    least = limits.min_available_mb
    if result.available_kib is None:
        return ""
    available = result.available_kib // 1024
    if result.what is What.ENOUGH:
        return f"{available} MB available, {least} wanted"
    if result.what is not What.RESTARTED:
        return f"{available} MB available are below {least}"
    parts = [f"{available} MB available were below {least}; {_now(result, limits)}"]
    parts.append("mysql answers" if result.mysql_answers else "not verified: there is no mysqladmin to ask mysql with")
    if result.mysql_kib is not None and result.mysql_after_kib is not None:
        parts.append(f"it had {result.mysql_kib // 1024} MB and has {result.mysql_after_kib // 1024}")
    return ", ".join(parts)


def _now(result: Result, limits: Limits) -> str:
    if result.available_after_kib is None:
        return "what is available now cannot be read"
    few = ", which are still too few" if result.available_after_kib < limits.min_available_kib else ""
    return f"{result.available_after_kib // 1024} MB now{few}"


def _document(result: Result, limits: Limits, node: str, *, dry_run: bool) -> dict[str, Any]:
    from hnctl.render.error import error_document
    from hnctl.render.listing import FORMAT_VERSION

    before, after = result.available_kib, result.available_after_kib
    return {
        "format_version": FORMAT_VERSION,
        "node": node,
        "at": result.at.isoformat(),
        "result": result.what.value,
        "dry_run": dry_run,
        "why": result.why or None,
        "min_available_kib": limits.min_available_kib,
        "available_kib": before,
        "available_after_kib": after,
        "won_kib": None if before is None or after is None else after - before,
        "mysql_kib": result.mysql_kib,
        "mysql_after_kib": result.mysql_after_kib,
        "mysql_answers": result.mysql_answers,
        "restarted_at": _iso(result.restarted_at),
        "unseen": list(result.unseen),
        "notes": list(result.notes),
        "error": error_document(result.error, node=node) if result.error else None,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _cron_line(limits: Limits) -> str:
    """Return the line for a crontab, where the command goes to sh and a bare percent sign would end it."""
    words = [*_own_command(), "memory", "release-mysql"]
    words += ["-m", str(limits.min_available_mb), "-c", str(limits.cooldown_minutes)]
    if limits.wait != SECONDS.convert(_WAIT, None, None):
        words += ["--wait", f"{limits.wait:g}s"]
    command = f"{shlex.join(words)} >> {shlex.quote(str(Path.home() / _LOG_FILE))} 2>&1"
    if state := os.environ.get("XDG_STATE_HOME"):  # cron does not know it, and there is the time of the last restart
        command = f"XDG_STATE_HOME={shlex.quote(state)} {command}"
    if not command.isprintable():
        raise InputError(f"{command!r} cannot stand in a crontab", hint="Install hnctl in a folder with a plain name")
    return f"* * * * * {command}".replace("%", "\\%")


def _own_command() -> list[str]:
    """Return what starts this very hnctl from anywhere."""
    if Path(sys.argv[0]).name != "__main__.py" and (found := shutil.which(sys.argv[0])):
        return [os.path.abspath(found)]
    return [sys.executable, "-m", "hnctl"]
