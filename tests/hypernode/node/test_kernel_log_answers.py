"""Answers to the question for kernel logs, of nodes that cannot be believed and over lines that cut them."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernode.errors import ConnectionFailed, HypernodeError, ToolError
from hypernode.node.kernel_logs import fetch
from hypernode.node.shell import Output


class Answering:
    """A shell that says `out` after the mark that it was given."""

    def __init__(self, out: bytes, *, before: bytes = b"", err: str = "", status: int = 0) -> None:
        self._out, self._before, self._done = out, before, Output(status, "", err)

    def run(self, argv, *, timeout, stdin=""):
        raise AssertionError("one command is enough")

    def save(self, argv, into, *, timeout):
        into.file.write(self._before + argv[5].encode() + b"\n" + self._out)
        return self._done


def log(text: bytes, name: str = "kern.log", time: int = 1_709_632_800) -> bytes:
    return f"log {name} {time} 0\n".encode() + gzip.compress(text, mtime=0)


def answered(folder: Path, out: bytes, *, limit: int = 1000, **more: object) -> Mapping[str, bytes]:
    logs = fetch(Answering(out, **more), folder, limit=limit, timeout=1)
    return {path.name: path.read_bytes() for path in logs.paths}


@pytest.mark.parametrize(
    "noise", [b"Welcome to shop1!\n", b"no end of line", b"log kern.log 1 0\n\x1f\x8b\xff", b"\n" * 60_000]
)
def test_what_a_bashrc_prints_is_no_part_of_the_answer(tmp_path, noise):
    assert answered(tmp_path, log(b"Mar\n") + b"end\n", before=noise) == {"kern.log": b"Mar\n"}


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "kern.log/../../x",
        "kern.log.\0",
        "kern.log x",
        "syslog",
        "",
        "kern.log" + "x" * 300,
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(ToolError, match="no answer to the question for its kernel logs"):
        answered(folder, log(b"x", name) + b"end\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_log_is_written_through_a_link_or_over_another(tmp_path):
    with pytest.raises(HypernodeError, match=r"its kernel logs cannot be kept in .*: File exists"):
        answered(tmp_path, log(b"a\n") + log(b"b\n") + b"end\n")
    assert (tmp_path / "kern.log").read_bytes() == b"a\n"


@pytest.mark.parametrize(
    "out",
    [
        b"",
        b"end",
        b"hello\n",
        log(b"Mar\n"),
        log(b"Mar\n")[:-1] + b"end\n",
        log(b"Mar\n")[:30],
        b"log kern.log x 0\nend\n",
        b"log kern.log 99999999999 0\nend\n",
        b"log kern.log 1 0\nno gzip\nend\n",
        b"log\nend\n",
        b"end kern.log\n",
        b"\xff" * 1000,
        b"x" * 100_000,
    ],
)
def test_an_answer_that_is_not_whole_is_none(tmp_path, out):
    with pytest.raises(ToolError) as caught:
        answered(tmp_path, out)
    assert str(caught.value).startswith("what came is no answer to the question for its kernel logs: ")
    assert caught.value.hint == "Is this a Hypernode? Look at what it prints when you log in with ssh"
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@given(place=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_an_answer_that_is_cut_anywhere_is_none(tmp_path_factory, place):
    whole = log(b"Mar  5 x\n" * 20) + log(b"Feb  5 y\n" * 20, "kern.log.1") + b"end\n"
    with pytest.raises(ToolError):
        answered(tmp_path_factory.mktemp("cut"), whole[: place % len(whole)])


def test_a_node_that_sends_more_than_the_limit_is_not_believed(tmp_path):
    assert answered(tmp_path, log(b"x" * 1000) + b"end\n") == {"kern.log": b"x" * 1000}
    for out in (log(b"x" * 1001), log(b"x" * 50_000_000), log(b"x" * 600) + log(b"x" * 600, "kern.log.1")):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        with pytest.raises(ToolError, match=r"kern\.log(\.1)? has no end"):
            answered(folder, out + b"end\n")
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 1000


def test_what_the_tools_say_is_told_of_their_log_and_cannot_move_the_cursor(tmp_path):
    err = "\ngzip: kern.log: odd\x1b[2J words\ngzip: kern.log: again\nnice: cannot set niceness: no\n"
    logs = fetch(Answering(log(b"Mar\n") + b"end\n", err=err), tmp_path, limit=1000, timeout=1)
    assert logs.unread == {"kern.log": "odd [2J words", "kern.log*": "nice: cannot set niceness: no"}


def test_an_error_of_the_line_stays_that(tmp_path):
    class Dropping(Answering):
        def save(self, argv, into, *, timeout):
            raise ConnectionFailed("the line dropped", maybe_applied=True)

    with pytest.raises(ConnectionFailed, match="the line dropped"):
        fetch(Dropping(b""), tmp_path, limit=1000, timeout=1)
    assert list(tmp_path.iterdir()) == []
