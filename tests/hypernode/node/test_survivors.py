"""Processes that ran at a moment in the past, and still do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypernode.node.survivors import find_survivors

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine that started at 1,000,000 Unix time."""
    (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1000000\nprocesses 7\n")
    return tmp_path


def run(proc: Path, pid: int, name: str, command: str, *, started: float) -> None:
    """Let a process run since so many seconds after the start of the machine."""
    folder = proc / str(pid)
    folder.mkdir()
    fields = ["S", *["0"] * 18, str(round(started * TICKS)), *["0"] * 30]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "status").write_text(f"Name:\t{name}\nUid:\t1000\t0\t0\t0\nVmRSS:\t4 kB\n")
    (folder / "oom_score_adj").write_text("0\n")
    (folder / "cmdline").write_text(command.replace(" ", "\0"))


def test_those_that_had_started_are_told_with_their_commands(proc: Path):
    run(proc, 7, "php8.3", "php queue:consumers:start --password=canary-5c1", started=50)
    run(proc, 8, "a) b (c", "odd", started=50)
    run(proc, 9, "later", "php import.php", started=200)
    found = find_survivors(proc, 1_000_100)
    assert found == {(7, "php8.3"): "php queue:consumers:start --password=***", (8, "a) b (c"): "odd"}


def test_what_cannot_be_read_is_left_out(proc: Path):
    run(proc, 7, "php", "php x", started=50)
    (proc / "7" / "stat").write_text("7 (php) S 1\n")
    (proc / "8").mkdir()
    assert find_survivors(proc, 1_000_100) == {}
    (proc / "stat").write_text("cpu 1\n")
    assert find_survivors(proc, 1_000_100) == {}
    assert find_survivors(proc / "missing", 1_000_100) == {}


def test_on_a_real_machine_a_process_is_found_once_it_runs():
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "canary-argument"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        now, before = (
            {pid: text for (pid, _), text in find_survivors(Path("/proc"), time.time() + shift).items()}
            for shift in (2, -3600)
        )
        process.kill()
    assert "canary-argument" in now[process.pid]
    assert process.pid not in before
