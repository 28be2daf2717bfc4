"""What commands say poured into files, on this machine and through an `ssh` that runs the line here."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ssh import FakeSsh
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypernode.errors import ConnectionFailed, HypernodeError, ToolError, ToolMissing, ToolTimedOut
from hypernode.node.shell import LocalShell, Output, Shell
from hypernode.node.sink import Sink
from hypernode.node.ssh import Ssh
from hypernode.node.target import Target

SHOP1 = Target("shop1.hypernode.io")


@pytest.fixture(params=["local", "ssh"])
def shell(request: pytest.FixtureRequest, fake: FakeSsh) -> Iterator[Shell]:
    """This machine's own shell, or that of a node."""
    with Ssh(connect_timeout=0.1) as ssh:
        yield LocalShell() if request.param == "local" else ssh.shell(SHOP1)


def save(shell: Shell, script: str, *more: str, limit: int = 10_000_000, timeout: float = 20.0) -> tuple[Output, bytes]:
    file = io.BytesIO()
    done = shell.save(["/bin/sh", "-c", script, "sh", *more], Sink(file, limit), timeout=timeout)
    return done, file.getvalue()


@settings(max_examples=20, deadline=None)
@given(st.binary())
@example(bytes(range(256)) * 2)
def test_every_byte_arrives_as_it_is(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("said") / "said"
    path.write_bytes(data)
    assert save(LocalShell(), 'cat "$1"', str(path)) == (Output(0, "", ""), data)


def test_both_streams_and_the_status_come_apart(shell):
    assert save(shell, r"printf 'a\377\000\r\n'; echo err >&2; exit 3") == (Output(3, "", "err\n"), b"a\xff\0\r\n")


def test_long_answers_on_both_streams_arrive_whole(shell):
    done, out = save(shell, "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero | tr '\\0' e >&2; printf end")
    assert out == b"\0" * 3_000_000 + b"end"
    assert done.err == "e" * 1_000_000


def test_it_is_given_nothing_to_read(shell):
    assert save(shell, "cat; read answer; echo $?")[1] == b"1\n"


def test_as_much_as_the_limit_is_taken_and_no_byte_more():
    assert len(save(LocalShell(), "head -c 100000 /dev/zero", limit=100_000)[1]) == 100_000
    with pytest.raises(ToolError) as caught:
        save(LocalShell(), "head -c 100001 /dev/zero", limit=100_000)
    assert str(caught.value) == "it sends more than 100,000 bytes, and was stopped"


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_command_without_an_end_is_stopped_at_the_limit(shell, tmp_path, stream):
    with pytest.raises(ToolError, match="it sends more than 1,000,000 bytes"):
        save(shell, f'echo $$ >"$1"; exec yes >&{stream}', str(tmp_path / "pid"), limit=1_000_000)
    assert _is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("script", ["exec sleep 60", "exec yes"], ids=["silent", "never silent"])
def test_at_the_time_limit_it_is_killed(shell, script):
    started = time.monotonic()
    with open("/dev/null", "wb") as file, pytest.raises(ToolTimedOut):
        shell.save(["/bin/sh", "-c", script], Sink(file, 1 << 50), timeout=0.3)
    assert time.monotonic() - started < 5


def test_a_file_that_cannot_be_written_is_not_taken_for_a_missing_command(shell):
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(HypernodeError) as caught:
        shell.save(["echo", "x"], Sink(full, 1000), timeout=20)
    assert type(caught.value) is HypernodeError
    assert str(caught.value) == "what it sends cannot be kept on this machine: No space left on device"


def test_a_command_that_is_not_there_is_missing(shell):
    with pytest.raises(ToolMissing):
        shell.save(["no-such-tool"], Sink(io.BytesIO(), 1000), timeout=20)


@pytest.mark.parametrize("missing", [1, 20, 25, 45])
def test_an_answer_that_is_cut_is_never_taken_for_a_whole_one(fake, tmp_path, missing):
    fake.answers(
        f'/bin/sh -c "$line" >{tmp_path}/out 2>{tmp_path}/err\n'
        f"cat {tmp_path}/out; head -c -{missing} {tmp_path}/err >&2; exit 255"
    )
    with Ssh() as ssh, pytest.raises(ConnectionFailed, match="dropped before the answer was whole"):
        save(ssh.shell(SHOP1), "echo out")


def _is_gone(pid: int) -> bool:
    """Tell whether a process ends within some seconds."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False
