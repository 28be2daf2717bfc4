"""Processes that run now and ran at some moment before: a kernel's report knows their names only, we their commands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from hypernode.node.processes import list_pids, read_process

_BOOT = re.compile(r"^btime ([0-9]{1,12})$", re.MULTILINE)
_STARTED = 19
"""The place of starttime among the fields behind the name: field 22 of /proc/PID/stat, see proc_pid_stat(5)."""


def find_survivors(proc: Path, moment: float) -> Mapping[tuple[int, str], str]:
    """Return the command lines, secrets masked, of the processes that ran at `moment` already, by pid and name.

    A pid that was given anew since is told by its start; `moment` is Unix time. What cannot be read is left out.
    """
    try:
        boot = _BOOT.search((proc / "stat").read_text("utf-8", "replace"))
        pids = list_pids(proc)
    except OSError:
        return {}
    if boot is None:
        return {}
    found = {}
    for pid in pids:
        started = _started(proc, pid)
        if started is None or int(boot[1]) + started > moment:
            continue
        process = read_process(proc, pid)
        if process is not None and process.name is not None and process.command is not None:
            found[pid, process.name] = process.command
    return found


def _started(proc: Path, pid: int) -> float | None:
    """Return how many seconds after the machine's start a process began."""
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[_STARTED]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
