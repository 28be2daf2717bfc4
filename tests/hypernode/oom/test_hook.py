"""A command for each event: it gets what it needs, and can neither stop nor hold up the watch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hypernode.oom import hook as hooks
from hypernode.oom.hook import Hook

SHOW = """\
import json, os, sys
print(json.dumps([sys.argv[1:], sys.stdin.read(), dict(os.environ)]), file=open("out", "a"))
"""


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hook]]:
    """Make hooks whose commands run in an empty folder, and do not outlive the test."""
    monkeypatch.chdir(tmp_path)
    made: list[Hook] = []

    def make(*command: str, timeout: float = 10.0) -> Hook:
        made.append(Hook(command, timeout=timeout, tell=told.append))
        return made[-1]

    yield make
    for hook in made:
        hook.end(lambda seconds: True)


def until(happened: Callable[[], object], hook: Hook | None = None) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        if hook is not None:
            hook.look()
        time.sleep(0.01)


def runs(count: int = 1) -> Sequence[list[object]] | None:
    """Return what the command was given in each run, once there were so many."""
    text = Path("out").read_text() if Path("out").exists() else ""
    return [json.loads(line) for line in text.splitlines()] if text.count("\n") >= count else None


def test_the_command_gets_its_arguments_the_event_and_the_variables_and_no_token(
    make: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "canary-1")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "canary-2"}')
    monkeypatch.setenv("SMTP_SERVER", "mail.example.com")
    hook = make(sys.executable, "-c", SHOW, "$HOME; a b")
    hook.put(b'{"a": 1}\n', {"HNCTL_EVENT": "oom"})
    until(runs, hook)
    ((arguments, text, variables),) = runs() or []
    assert (arguments, text) == (["$HOME; a b"], '{"a": 1}\n'), "there is no shell between"
    assert isinstance(variables, dict)
    assert (variables["HNCTL_EVENT"], variables["SMTP_SERVER"]) == ("oom", "mail.example.com")
    assert "canary" not in json.dumps(variables)


def test_a_text_that_nobody_reads_holds_nothing_up(make: Callable[..., Hook], told: list[str]):
    hook = make("true")
    hook.put(b"x" * 1_000_000, {})
    until(lambda: hook._running is None, hook)
    assert told == []


def test_commands_run_one_after_the_other_in_the_order_of_the_events(make: Callable[..., Hook]):
    hook = make(sys.executable, "-c", SHOW)
    for number in range(3):
        hook.put(str(number).encode(), {})
    until(lambda: runs(3), hook)
    assert [text for _, text, _ in runs() or []] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["false"], "false ended with 1"),
        (["sh", "-c", "kill -9 $$"], "sh was ended by SIGKILL"),
        (["/nosuch/command"], "command cannot be run: No such file or directory"),
        (["/etc/passwd"], "passwd cannot be run: Permission denied"),
    ],
    ids=str,
)
def test_a_command_that_fails_is_told_and_the_next_one_runs(
    command: list[str], says: str, make: Callable[..., Hook], told: list[str]
):
    hook = make(*command)
    for _ in range(2):
        hook.put(b"", {})
    until(lambda: len(told) == 2, hook)
    assert told == [says, says]


def test_a_command_that_hangs_is_ended_with_all_that_it_started(make: Callable[..., Hook], told: list[str]):
    hook = make("sh", "-c", "trap '' TERM; echo $$ >pid; sleep 300 & wait; sleep 300", timeout=0.2)
    began = time.monotonic()
    hook.put(b"", {})
    hook.look()
    assert time.monotonic() - began < 0.2, "nobody waits for it"
    until(lambda: hook._running is None, hook)
    assert told == ["sh did not end within 0.2 s, and is ended"]
    group = int(Path("pid").read_text())
    until(lambda: not _lives(group))


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(_group(entry) == group for entry in Path("/proc").glob("[0-9]*"))


def _group(entry: Path) -> int | None:
    """Return the group of a process that is more than a corpse."""
    try:
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[2]) if fields[0] != b"Z" else None


def test_of_a_storm_of_events_some_are_left_out_and_that_is_said(
    make: Callable[..., Hook], told: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hooks, "_MOST_WAITING", 3)
    hook = make("true")
    for _ in range(8):
        hook.put(b"", {})
    assert told == ["3 events wait for true: it is not run for those that come now"]
    until(lambda: len(told) == 2, hook)
    assert told[1] == "true was not run for 5 events, as too many waited for it"


def test_what_waits_at_the_end_is_counted(make: Callable[..., Hook], told: list[str]):
    hook = make("true")
    for _ in range(130):
        hook.put(b"", {})
    hook.end(lambda seconds: True)
    assert told[1:] == ["true was not run for 130 events that waited for it"]


def test_at_the_end_a_command_may_end_by_itself(make: Callable[..., Hook], told: list[str]):
    hook = make("sh", "-c", "sleep 0.2; echo >ended")
    hook.put(b"", {})
    hook.look()
    hook.end(_pause)
    assert Path("ended").exists()
    assert told == []


@pytest.mark.parametrize("at_once", [False, True])
def test_at_the_end_a_command_that_goes_on_is_ended_and_reaped(
    make: Callable[..., Hook], told: list[str], at_once: bool
):
    hook = make("sh", "-c", "trap '' TERM INT; sleep 300; sleep 300")
    hook.put(b"", {})
    hook.look()
    assert hook._running is not None
    pid = hook._running.pid
    began = time.monotonic()
    hook.end((lambda seconds: True) if at_once else _pause)
    assert time.monotonic() - began < (0.5 if at_once else 1.5)
    assert told == ["sh was still running, and is ended"]
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def test_signals_that_are_known_by_number_only_are_told(make: Callable[..., Hook], told: list[str]):
    number = signal.SIGRTMIN + 3
    hook = make("sh", "-c", f"kill -{int(number)} $$")
    hook.put(b"", {})
    until(lambda: told, hook)
    assert told[0].startswith("sh was ended by ")
