"""Commands on this machine, run for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernode.errors import HypernodeError, ToolMissing, ToolTimedOut
from hypernode.node.shell import LocalShell, Output

SHELL = LocalShell()
PRINT_ARGV = [sys.executable, "-I", "-S", "-X", "utf8", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def sh(script: str, *, timeout: float = 20.0, stdin: str = "") -> Output:
    return SHELL.run(["/bin/sh", "-c", script], timeout=timeout, stdin=stdin)


@settings(max_examples=20, deadline=None)
@given(st.lists(words, max_size=5))
def test_every_word_arrives_as_it_is(argv):
    argv = ["", " ", "$HOME `id` ; *", "'\"\\", "-x", "--", *argv]
    assert json.loads(SHELL.run([*PRINT_ARGV, *argv], timeout=20).out) == argv


def test_both_streams_come_apart_and_as_they_are():
    done = sh("printf ' out\\r\\n\\n'; printf 'err ' >&2")
    assert (done.out, done.err) == (" out\r\n\n", "err ")


@pytest.mark.parametrize("status", [0, 1, 2, 126, 127, 255])
def test_any_exit_status_is_an_answer(status):
    assert sh(f"echo said; exit {status}") == Output(status, "said\n", "")


def test_a_command_that_a_signal_ended_is_an_answer_too():
    assert sh("echo said; kill -9 $$") == Output(-9, "said\n", "")


@settings(max_examples=15, deadline=None)
@given(words.filter(bool))
def test_what_it_may_read_arrives_and_then_ends(text):
    assert SHELL.run(["cat"], timeout=20, stdin=text).out.encode() == text.encode()


def test_with_nothing_to_read_the_input_ends_at_once():
    assert sh("read answer; echo $?").out == "1\n"


def test_what_we_ourselves_could_read_is_not_for_the_command():
    ours = os.dup(0)
    reader, writer = os.pipe()
    os.write(writer, b"ours\n")
    os.close(writer)
    os.dup2(reader, 0)
    try:
        assert SHELL.run(["cat"], timeout=20).out == ""
        assert os.read(reader, 10) == b"ours\n"
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(reader)


def test_a_command_need_not_read_what_it_is_given():
    assert sh("exit 3", stdin="y\n" * 500_000).status == 3


def test_long_answers_on_both_streams_arrive_whole():
    done = sh("head -c 1000000 /dev/zero | tr '\\0' o; head -c 1000000 /dev/zero | tr '\\0' e >&2")
    assert (done.out, done.err) == ("o" * 1_000_000, "e" * 1_000_000)


def test_odd_bytes_are_no_error():
    done = sh(r"printf 'a\377\000\303z'; printf '\200' >&2")
    assert (done.out, done.err) == ("a\ufffd\0\ufffdz", "\ufffd")


def test_a_command_that_asks_on_the_terminal_fails_rather_than_waits():
    in_a_terminal = (
        "import json; from hypernode.node.shell import LocalShell\n"
        "open('/dev/tty').close()\n"  # so this process has a terminal
        "done = LocalShell().run(['/bin/sh', '-c', 'read answer </dev/tty'], timeout=10)\n"
        "print(json.dumps([done.status, done.err]))\n"
    )
    spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, '-c', sys.argv[1]])))"
    done = subprocess.run(
        [sys.executable, "-c", spawn, in_a_terminal], stdin=subprocess.DEVNULL, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done
    status, complaint = json.loads(done.stdout.splitlines()[-1])
    assert status != 0
    assert "/dev/tty" in complaint


def test_a_command_is_in_a_session_of_its_own_so_that_ctrl_c_is_ours():
    done = SHELL.run([sys.executable, "-I", "-S", "-c", "import os; print(os.getsid(0), os.getpid())"], timeout=20)
    session, process = done.out.split()
    assert session == process


def test_at_the_time_limit_it_is_killed_with_all_that_it_started(tmp_path):
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        started = time.monotonic()
        with pytest.raises(ToolTimedOut) as caught:
            sh(f"exec 3>'{held}'; (printf x >&3; sleep 60) & sleep 60", timeout=0.5)
        assert time.monotonic() - started < 10
        assert str(caught.value) == "sh did not end within 0.5 s"
        assert os.read(reader, 1) == b"x"
        assert _ends(reader), "a child still holds the pipe"
    finally:
        os.close(reader)


def _ends(reader: int) -> bool:
    """Tell whether all who could write to `reader` are gone, or go soon."""
    for _ in range(100):
        try:
            return os.read(reader, 1) == b""
        except BlockingIOError:
            time.sleep(0.05)
    return False


def _not_executable(folder: Path) -> str:
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o644)
    return str(folder / "tool")


def _below_a_file(folder: Path) -> str:
    (folder / "file").write_text("")
    return str(folder / "file" / "tool")


@pytest.mark.parametrize(
    "place",
    [
        lambda folder: "hypernode-no-such-tool",
        lambda folder: str(folder / "no-such-tool"),
        lambda folder: str(folder),
        _not_executable,
        _below_a_file,
    ],
    ids=["not in PATH", "not there", "a folder", "not executable", "below a file"],
)
def test_what_cannot_be_run_is_missing(tmp_path, place):
    command = place(tmp_path)
    with pytest.raises(ToolMissing) as caught:
        SHELL.run([command], timeout=5)
    assert str(caught.value) == f"there is no {command} on this machine"


@pytest.mark.parametrize(
    "argv", [["no-program"], ["true", "x" * 200_000], ["true", "a\0b"]], ids=lambda argv: argv[-1][:9]
)
def test_what_the_system_will_not_start_is_an_error_of_ours(tmp_path, monkeypatch, argv):
    (tmp_path / "no-program").write_bytes(b"\0\1\2\3")
    (tmp_path / "no-program").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HypernodeError):
        SHELL.run(argv, timeout=5)


def test_only_a_tool_of_hypernode_is_said_to_belong_to_one():
    with pytest.raises(ToolMissing) as caught:
        SHELL.run(["hypernode-no-such-tool"], timeout=5)
    assert caught.value.hint == "Every Hypernode has it: is this one?"
    with pytest.raises(ToolMissing) as caught:
        SHELL.run(["no-such-tool"], timeout=5)
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("out", "err", "text"),
    [("", "", ""), (" a\n", "", "a"), ("", "b\r\n", "b"), ("a\n", "b\n", "a\nb"), ("\n", "  b", "b")],
)
def test_the_text_is_all_that_was_said_on_whichever_stream(out, err, text):
    assert Output(0, out, err).text == text


def test_what_was_said_does_not_print_by_accident():
    assert "canary" not in repr(Output(0, "canary", "canary"))
