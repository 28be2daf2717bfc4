"""The budget of what is protected, and running a command through hypernode-oom-protect."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypernode.errors import InputError, SafetyError, ToolMissing
from hypernode.node.budget import MaxTotal, make_budget, parse_max_total
from hypernode.node.processes import Process
from hypernode.node.protect import find_tool

TOTAL_KIB = 8 << 20


def process(pid: int, rss: int | None, *, adj: int | None = -1000, pss: int | None = None, name: str = "php-fpm"):
    return Process(
        pid=pid,
        name=name,
        uid=0,
        oom_score=0,
        oom_score_adj=adj,
        rss_kib=rss,
        pss_kib=pss,
        swap_kib=0,
        page_tables_kib=0,
        cgroup="/",
        command=name,
    )


# the budget


def test_at_the_budget_it_is_let_through_and_one_byte_beyond_refused():
    held = [process(1, 2 << 20, pss=2 << 20), process(2, 5 << 20, adj=0)]
    make_budget(held, TOTAL_KIB, 2 << 30).raise_if_passed()
    with pytest.raises(SafetyError) as caught:
        make_budget(held, TOTAL_KIB, (2 << 30) - 1).raise_if_passed()
    assert str(caught.value) == (
        "1 protected process holds 2,048.0 MiB, 25.0% of the memory, and the budget is 2,048.0 MiB; the largest: "
        "php-fpm (1) 2,048.0 MiB. If all is protected, nothing is left to kill"
    )
    assert "--max-total" in str(caught.value.hint)
    assert "as root" not in str(caught.value.hint)


def test_workers_that_share_their_memory_are_counted_once_where_that_is_known():
    """A pool of 40 with 200 MiB each, of which all but 5 MiB is the same."""
    known = [process(pid, 204_800, pss=10_000) for pid in range(10, 50)]
    limit = 1 << 30
    budget = make_budget(known, TOTAL_KIB, limit)
    budget.raise_if_passed()
    assert (budget.held_kib, budget.exact, budget.count) == (400_000, True, 40)
    unknown = [process(pid, 204_800) for pid in range(10, 50)]
    with pytest.raises(SafetyError, match=r"40 protected processes hold at most 8,000\.0 MiB, 97\.7%") as caught:
        make_budget(unknown, TOTAL_KIB, limit).raise_if_passed()
    assert "run as root to count shared memory once" in str(caught.value.hint)


def test_the_largest_are_named():
    sizes = {1: 5, 2: 90, 3: 50, 4: 70}
    held = [process(pid, size << 10, name=f"p{pid}") for pid, size in sizes.items()]
    with pytest.raises(SafetyError, match=r"the largest: p2 \(2\) 90.0 MiB, p4 \(4\) 70.0 MiB, p3 \(3\) 50.0 MiB\. If"):
        make_budget(held, TOTAL_KIB, 0).raise_if_passed()


def test_what_is_not_protected_or_holds_nothing_does_not_count():
    others = [process(1, 5 << 20, adj=-999), process(2, None), process(3, 5 << 20, adj=None)]
    budget = make_budget(others, TOTAL_KIB, 0)
    budget.raise_if_passed()
    assert (budget.held_kib, budget.count, budget.largest) == (0, 0, ())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("40%", 4000 * 1024 * 4 // 10),
        ("0%", 0),
        ("100 %", 4000 * 1024),
        ("12.5%", 512_000),
        ("2G", 2 << 30),
        ("2GiB", 2 << 30),
        ("2gb", 2 << 30),
        ("512M", 512 << 20),
        ("1.5K", 1536),
        ("1T", 1 << 40),
        ("2147483647", 2_147_483_647),
        ("0", 0),
    ],
)
def test_a_share_or_a_size(text: str, size: int):
    assert parse_max_total(text).of(4000) == size


@pytest.mark.parametrize(
    "text", ["", "%", "101%", "-1", "-5%", "2X", "G", "1e9", "٤٠%", "40%%", "2 G 3", "nan", "9" * 40]
)
def test_what_is_neither(text: str):
    with pytest.raises(InputError, match="is no share such as 40%"):
        parse_max_total(text)


def test_a_share_keeps_what_was_meant():
    assert parse_max_total("40%") == MaxTotal(percent=40.0)
    assert parse_max_total("1K") == MaxTotal(size_bytes=1024)


# running


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hypernode-oom-protect that becomes the command, and can protect nothing."""
    path = tmp_path / "bin" / "hypernode-oom-protect"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nexec "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


RUN = """\
import json, sys
from dataclasses import asdict
from pathlib import Path
from hypernode.node.protect import find_tool, run
options = json.loads(sys.argv[1])
said = []
ended = run(sys.argv[2:], tool=find_tool(), proc=Path(options.pop("proc", "/proc")), tell=said.append, **options)
print(json.dumps(asdict(ended) | {"said": said}), file=sys.stderr)
"""


@contextmanager
def running(
    command: Sequence[str | Path], *, through: Sequence[str] = (), **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process that is all ours to signal; what it returned is the last line of stderr."""
    argv = [*through, sys.executable, "-c", RUN, json.dumps(options), *map(str, command)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, bufsize=0, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[bytes]) -> str:
    """Read a line of what the command says."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 10)[0], "it says nothing"
    return process.stdout.readline().decode()


def result(process: subprocess.Popen[bytes]) -> dict[str, object]:
    """Return what `run` returned, and what it said meanwhile."""
    _, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    found: dict[str, object] = json.loads(err.splitlines()[-1])
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_without_the_tool_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="there is no hypernode-oom-protect on this machine"):
        find_tool()


def test_the_end_is_told(tool: Path):
    with running(["sh", "-c", "sleep 0.2; exit 3"]) as process:
        ended = result(process)
    assert (ended["status"], ended["signal"], ended["timed_out"]) == (3, None, False)
    assert 0.2 <= float(str(ended["seconds"])) < 5


def test_the_peak_is_of_the_largest_process_below(tool: Path):
    """The largest is a grandchild, and not the last."""
    grow = f"{sys.executable} -c 'x = bytearray(80 << 20)'; true"
    with running(["sh", "-c", grow]) as process:
        assert 80 << 10 < int(str(result(process)["peak_kib"])) < 200 << 10


def test_a_group_that_ignores_sigterm_is_killed_after_the_grace_down_to_its_grandchildren(tool: Path, tmp_path: Path):
    script = (
        f"trap '' TERM; (trap '' TERM; echo $BASHPID > {tmp_path}/grandchild; while :; do sleep 0.05; done) &"
        f" echo $$ > {tmp_path}/child; while :; do sleep 0.05; done"
    )
    began = time.monotonic()
    with running(["bash", "-c", script], timeout=0.6, grace=0.5) as process:
        ended = result(process)
    assert (ended["status"], ended["timed_out"]) == (124, True)
    assert 1.1 <= time.monotonic() - began < 6
    for name in ("child", "grandchild"):
        assert not is_alive(int((tmp_path / name).read_text()))


def test_when_only_the_grandchild_ignores_sigterm_it_is_killed_too(tool: Path, tmp_path: Path):
    """The command itself is long over by then."""
    script = f"(trap '' TERM; echo $BASHPID > {tmp_path}/grandchild; while :; do sleep 0.05; done) & sleep 30"
    with running(["bash", "-c", script], timeout=0.6, grace=0.4) as process:
        ended = result(process)
    assert ended["status"] == 124
    assert not is_alive(int((tmp_path / "grandchild").read_text()))


def test_what_ends_by_itself_within_the_grace_is_not_waited_for(tool: Path):
    began = time.monotonic()
    with running(["bash", "-c", "trap 'sleep 0.3; exit 7' TERM; while :; do sleep 0.05; done"], timeout=0.6) as process:
        ended = result(process)
    assert (ended["status"], ended["timed_out"]) == (124, True)
    assert time.monotonic() - began < 6


def test_a_stopped_command_is_ended_at_the_timeout(tool: Path):
    with running(["sh", "-c", "kill -STOP $$"], timeout=0.5, grace=5) as process:
        assert result(process)["status"] == 124


def test_what_the_command_leaves_behind_is_not_touched(tool: Path, tmp_path: Path):
    script = f"sleep 20 > /dev/null 2>&1 & echo $! > {tmp_path}/left"
    with running(["sh", "-c", script], timeout=30) as process:
        assert result(process)["status"] == 0
    left = int((tmp_path / "left").read_text())
    try:
        assert is_alive(left)
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH])
def test_the_other_signals_reach_the_command_too(number: signal.Signals, tool: Path):
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.02; done"
    with running(["bash", "-c", script]) as process:
        assert line(process) == "ready\n"
        process.send_signal(number)
        assert line(process) == f"got {name}\n"
        assert result(process)["status"] == 5


def test_what_nohup_ignores_the_command_ignores(tool: Path):
    script = "echo ready; sleep 0.6; echo over"
    with running(["sh", "-c", script]) as process:  # how it goes without
        assert line(process) == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert result(process)["status"] == 129
    with running(["sh", "-c", script], through=["nohup"]) as process:
        assert line(process) == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert line(process) == "over\n"
        assert result(process)["status"] == 0


@pytest.mark.parametrize(
    ("script", "seen", "says"),
    [
        ('mkdir -p $P/$$; echo -1000 > $P/$$/oom_score_adj; exec "$@"', True, None),
        (
            'mkdir -p $P/$$; echo 0 > $P/$$/oom_score_adj; exec "$@"',
            False,
            "NOT protected: hypernode-oom-protect started",
        ),
        ('"$@"', False, "cannot be seen"),
        (
            'mkdir -p $P/7; echo -1000 > $P/7/oom_score_adj; echo "7 (a b) c) S 1 $$ 1" > $P/7/stat; "$@"',
            True,
            None,
        ),
        (
            'mkdir -p $P/7; echo -1000 > $P/7/oom_score_adj; echo "7 (a) $$ S 1 3 1" > $P/7/stat; "$@"',
            False,
            "cannot be seen",
        ),
    ],
    ids=["it becomes it", "it does not work", "it is not to be seen", "it starts it", "another one has it"],
)
def test_it_is_looked_whether_the_command_is_protected(
    script: str, seen: bool, says: str | None, tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    proc = tmp_path / "proc"
    proc.mkdir()
    monkeypatch.setenv("P", str(proc))
    tool.write_text(f"#!/bin/sh\n{script}\n")
    with running(["sleep", "0.8"], proc=str(proc), patience=0.5) as process:
        ended = result(process)
    assert ended["protected"] is seen
    assert len(ended["said"]) == (says is not None)  # type: ignore[arg-type]
    assert says is None or says in ended["said"][0]  # type: ignore[index]


def test_one_that_ends_at_once_is_not_said_to_be_protected(tool: Path):
    with running(["true"]) as process:
        ended = result(process)
    assert (ended["protected"], ended["said"]) == (None, [])


def test_a_file_that_the_caller_keeps_open_is_the_command_s_too(tool: Path, tmp_path: Path):
    """As a lock is: flock 9, and 9 handed on."""
    with open(tmp_path / "lock", "w") as lock:
        os.set_inheritable(lock.fileno(), True)
        argv = [sys.executable, "-c", RUN, "{}", "bash", "-c", f"echo held >&{lock.fileno()}"]
        subprocess.run(argv, check=True, capture_output=True, pass_fds=[lock.fileno()])
    assert (tmp_path / "lock").read_text() == "held\n"


def test_signal_handlers_are_as_before(tool: Path):
    code = (
        "import signal; from pathlib import Path; from hypernode.node.protect import find_tool, run\n"
        "before = [signal.getsignal(n) for n in range(1, 32)]\n"
        "run(['true'], tool=find_tool(), proc=Path('/proc'), tell=print)\n"
        "assert before == [signal.getsignal(n) for n in range(1, 32)]\n"
        "assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)
