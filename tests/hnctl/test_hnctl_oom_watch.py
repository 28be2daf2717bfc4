"""`hnctl oom watch`, as a process of its own: told within a second, whatever happens to the log and to the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import start
from runs import Hnctl
from test_hnctl_oom import NOISE, report

SECOND = 1.0
"""How far behind it may be."""
_SLACK = 0.5
"""For a machine that is busy with other tests."""
_LONGEST = 10.0
SHOW = """\
import json, os, sys
event = json.loads(sys.stdin.read())
told = {name: value for name, value in os.environ.items() if name.startswith(("HNCTL_", "HYPERNODE_"))}
print(json.dumps([sys.argv[1:], event, told]), file=open("out", "a"))
"""


def until(happened: Callable[[], object], seconds: float = _LONGEST) -> float:
    """Wait until it has happened, and return how long that took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


class Watch:
    """A watch that runs, with its streams in files."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def out(self) -> str:
        return (self._folder / "stdout").read_text()

    @property
    def err(self) -> str:
        return (self._folder / "stderr").read_text()

    def tells(self, text: str) -> None:
        """Check that `text` is on stdout within the second."""
        until(lambda: text in self.out, SECOND + _SLACK)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(_LONGEST)


@contextmanager
def watching(folder: Path, *arguments: str | Path, variables: dict[str, str] | None = None) -> Iterator[Watch]:
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out.fileno(), "stderr": err.fileno()}
        node = {"HNCTL_NODE_ROOT": str(folder / "root"), **(variables or {})}
        with start("oom", "watch", *arguments, variables=node, **streams) as process:
            watch = Watch(process, folder)
            until(lambda: "Following" in watch.err)
            yield watch


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def log(folder: Path) -> Path:
    """A log in which somebody was killed before, on a node that has no files else."""
    path = folder / "kern.log"
    path.write_text(NOISE.format(second=1) + report(1, "before"))
    return path


def test_an_event_is_told_within_a_second_over_a_rotation_and_over_a_truncation(log: Path, folder: Path):
    with watching(folder, log) as watch:
        append(log, report(2, "appended"))
        watch.tells("killed appended (200) with 195 MiB; php8.3 asked; global\n")
        old = log.rename(folder / "kern.log.1")
        append(old, report(3, "last-of-old"))
        append(log, report(4, "rotated"))
        watch.tells("killed last-of-old")
        watch.tells("killed rotated")
        log.write_text("")
        append(log, report(5, "truncated"))
        watch.tells("killed truncated")
        log.write_text(report(6, "and-at-once-as-long"))
        watch.tells("killed and-at-once-as-long")
        assert "before" not in watch.out, "what was there at the start does not count"
        assert watch.out.count("\n") == 5, "each is told once"
        assert watch.end() == 143


def test_the_log_of_the_node_is_followed_before_it_is_there(folder: Path):
    with watching(folder) as watch:
        path = folder / "root" / "var" / "log" / "kern.log"
        assert f"{path}: it is not there yet, and waited for\n" in watch.err
        path.parent.mkdir(parents=True)
        path.write_text(report(1, "first"))
        watch.tells("killed first")
        assert watch.err.count("not there yet") == 1


def test_a_line_that_comes_in_two_parts_is_one(log: Path, folder: Path):
    whole = report(2, "slowly")
    with watching(folder, log) as watch:
        append(log, whole[:-40])
        time.sleep(0.5)
        assert watch.out == ""
        append(log, whole[-40:])
        watch.tells("killed slowly")


def test_as_json_each_event_is_a_line_of_its_own(log: Path, folder: Path):
    with watching(folder, log, "-o", "jsonl") as watch:
        append(log, report(2, "one") + report(3, "two"))
        until(lambda: watch.out.count("\n") == 2)
        events = [json.loads(line) for line in watch.out.splitlines()]
    assert [event["victims"][0]["name"] for event in events] == ["one", "two"]
    assert [(event["format_version"], event["event"], event["scope"]) for event in events] == [(1, "oom", "global")] * 2


def test_the_command_gets_the_event_and_never_a_token_nor_what_a_name_could_break(log: Path, folder: Path):
    tokens = {"HYPERNODE_API_TOKEN": "canary", "HYPERNODE_API_TOKENS": '{"shop": "canary"}'}
    with watching(folder, log, "--", sys.executable, "-c", SHOW, "a b", "$HOME", "--", variables=tokens) as watch:
        append(log, report(2, "\0\x1b[2J$(id)"))
        until(lambda: (folder / "out").exists() and (folder / "out").read_text().endswith("\n"))
        arguments, event, variables = json.loads((folder / "out").read_text())
        watch.tells("killed \\x00\\x1b[2J$(id) (200)")
    assert arguments == ["a b", "$HOME", "--"]
    assert event["victims"][0]["name"] == "\0\x1b[2J$(id)"
    assert {name: value for name, value in variables.items() if name != "HNCTL_NODE_ROOT"} == {
        "HNCTL_EVENT": "oom",
        "HNCTL_AT": event["at"],
        "HNCTL_VICTIM": "\\x00\\x1b[2J$(id)",
        "HNCTL_PID": "200",
        "HNCTL_SCOPE": "global",
        "HNCTL_MEMCG": "",
        "HNCTL_TRIGGER": "php8.3",
    }


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["false"], "false ended with 1"),
        (["nosuch"], "nosuch cannot be run: No such file or directory"),
        (["sleep", "300"], "sleep did not end within 0.2 s, and is ended"),
    ],
    ids=["fails", "is missing", "hangs"],
)
def test_a_command_that_does_not_work_is_told_and_the_watch_goes_on(
    command: list[str], says: str, log: Path, folder: Path
):
    with watching(folder, log, "--timeout", "200ms", "--", *command) as watch:
        append(log, report(2, "one"))
        until(lambda: says in watch.err)
        append(log, report(3, "two"))
        watch.tells("killed two")
        until(lambda: watch.err.count(says) == 2)


def test_what_the_command_prints_stays_out_of_the_data(log: Path, folder: Path):
    with watching(folder, log, "-o", "jsonl", "--", "echo", "hello") as watch:
        append(log, report(2))
        until(lambda: "hello" in watch.err)
        assert "hello" not in watch.out


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
def test_a_signal_ends_it_at_once_and_quietly(number: signal.Signals, status: int, log: Path, folder: Path):
    with watching(folder, log) as watch:
        began = time.monotonic()
        assert watch.end(number) == status
        assert time.monotonic() - began < 0.5 + _SLACK
        assert "Traceback" not in watch.err
        assert watch.out == ""


def test_a_command_that_runs_at_the_end_is_given_a_second_and_leaves_nothing_behind(log: Path, folder: Path):
    with watching(folder, log, "--", "sh", "-c", "echo $$ >pid; trap '' TERM; sleep 300; sleep 300") as watch:
        append(log, report(2))
        until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
        began = time.monotonic()
        assert watch.end() == 143
        assert 0.9 < time.monotonic() - began < 2 + _SLACK
        assert "sh was still running, and is ended" in watch.err
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_it_ends_quietly_when_nobody_reads_any_more_although_nothing_happens(log: Path, folder: Path):
    reading, writing = os.pipe()
    with (folder / "stderr").open("wb") as err:
        node = {"HNCTL_NODE_ROOT": str(folder)}
        with start("oom", "watch", log, variables=node, stdout=writing, stderr=err.fileno()) as process:
            os.close(writing)
            until(lambda: "Following" in (folder / "stderr").read_text())
            os.close(reading)
            assert process.wait(_LONGEST) == 0
    assert "Error" not in (folder / "stderr").read_text()


def test_it_needs_little_memory_and_next_to_no_time(log: Path, folder: Path):
    with watching(folder, log, "--", "true") as watch:
        proc = Path(f"/proc/{watch.process.pid}")
        append(log, NOISE.format(second=2) * 100_000 + report(2, "many-lines"))
        until(lambda: "many-lines" in watch.out)
        peak = int((proc / "status").read_text().partition("VmHWM:")[2].split()[0])
        before = _seconds_of_cpu(proc)
        time.sleep(1.5)
        assert _seconds_of_cpu(proc) - before < 0.15
    assert peak < 30_000


def _seconds_of_cpu(proc: Path) -> float:
    fields = (proc / "stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Node:
    """The files of a node that tell how short of memory it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.set(full=0, available=4000, kills=0)
        self._put("proc/self/cgroup", "0::/app\n")

    def set(self, *, full: float | None = None, available: int | None = None, kills: int | None = None) -> None:
        if full is not None:
            text = "{} avg10={} avg60=0.00 avg300=0.00 total=1\n"
            self._put("proc/pressure/memory", text.format("some", full) + text.format("full", full))
        if available is not None:
            self._put("proc/meminfo", f"MemTotal: 8000 kB\nMemAvailable: {available} kB\n")
        if kills is not None:
            self._put("sys/fs/cgroup/app/memory.events", f"oom {kills}\noom_kill {kills}\n")

    def _put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)  # the kernel's are never half written


def test_a_shortage_is_told_as_it_begins_and_as_it_is_over(log: Path, folder: Path):
    node = Node(folder / "root")
    with watching(folder, log, "--pressure", "30", "--available", "10%", "--", sys.executable, "-c", SHOW) as watch:
        node.set(full=31.5)
        watch.tells("memory pressure: for 31.5% of the last 10 s all work waited for memory (limit 30%)\n")
        node.set(full=29)
        node.set(available=700)
        watch.tells("low memory: 700 KiB of 7.8 MiB available (limit 800 KiB)\n")
        node.set(full=1, available=4000)
        watch.tells("memory pressure is over: for 1% of the last 10 s all work waited for memory\n")
        watch.tells("low memory is over: 3.9 MiB of 7.8 MiB available\n")
        assert watch.out.count("\n") == 4
        until(lambda: (folder / "out").exists() and (folder / "out").read_text().count("\n") == 4)
        assert "Left out" not in watch.err
    _, document, variables = json.loads((folder / "out").read_text().splitlines()[0])
    assert (document["event"], document["kind"], document["state"]) == ("pressure", "pressure", "begins")
    assert (document["full"]["avg10"], document["limit_percent"], document["total_kib"]) == (31.5, 30, 8000)
    assert (variables["HNCTL_EVENT"], variables["HNCTL_AT"]) == ("pressure", document["at"])
    assert variables["HNCTL_VICTIM"] == variables["HNCTL_PID"] == variables["HNCTL_SCOPE"] == ""


def test_kills_that_the_log_does_not_tell_of_are_told(log: Path, folder: Path):
    node = Node(folder / "root")
    with watching(folder, log) as watch:
        node.set(kills=3)
        append(log, report(2, "in-the-log"))
        until(lambda: "2 kills in our cgroup of which the log does not tell\n" in watch.out)


def test_files_that_an_old_kernel_lacks_are_named_once_and_left_out(log: Path, folder: Path):
    with watching(folder, log) as watch:
        until(lambda: "/proc/self/cgroup" in watch.err)
        time.sleep(1.1)
        left_out = [line for line in watch.err.splitlines() if line.startswith("Left out: ")]
        assert left_out == [
            f"Left out: {name}: No such file or directory"
            for name in ("/proc/pressure/memory", "/proc/meminfo", "/proc/self/cgroup")
        ]
        append(log, report(2, "all-the-same"))
        watch.tells("killed all-the-same")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-"], "stdin cannot be followed; name a file"),
        (["."], "is a directory"),
        (["kern.log", "mail"], "Got unexpected extra argument (mail)"),
        (["--available", "lots"], "'lots' is no share such as 40%"),
        (["--pressure", "200"], "200.0 is not in the range 0<=x<=100"),
    ],
    ids=str,
)
def test_what_cannot_be_watched_is_refused(arguments: list[str], says: str, log: Path, hnctl: Hnctl):
    refused = hnctl("oom", "watch", *arguments)
    assert (refused.status, refused.out) == (64, "")
    assert says in refused.err
