"""Fetching the kernel logs of a node, its own side run for real on this machine."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hypernode.errors import ToolError, ToolTimedOut
from hypernode.node.kernel_logs import LIMIT, KernelLogs, fetch
from hypernode.node.shell import LocalShell

MARCH = 1_709_632_800
DAY = 86_400
START = b"Mar  5 10:15:30 shop1 kernel: "
UFW = (
    START
    + b"[928270.384548] [UFW BLOCK] IN=eth0 OUT= MAC=aa:bb SRC=10.0.0.1 DST=10.1.1.1 LEN=40 PROTO=TCP SPT=1 DPT=23\n"
)
odd_lines = st.lists(st.sampled_from([b"a", b"\0", b"\xff", b"\r", b" kernel: "]), max_size=8).map(b"".join)
with_folders = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Node:
    """A node that is this machine; its logs are all that is in `folder`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "var/log"
        self.folder.mkdir(parents=True)

    def write(self, name: str, text: bytes, *, days_old: int = 0, packed: bool = False) -> None:
        path = self.folder / name
        path.write_bytes(gzip.compress(text) if packed else text)
        os.utime(path, (MARCH - days_old * DAY, MARCH - days_old * DAY))

    def fetch(self, *, limit: int = LIMIT, shell: LocalShell | None = None, timeout: float = 20.0) -> Fetched:
        folder = Path(tempfile.mkdtemp(dir=self.root))
        return Fetched(fetch(shell or LocalShell(), folder, limit=limit, timeout=timeout), folder)


class Fetched:
    def __init__(self, logs: KernelLogs, folder: Path) -> None:
        self.logs, self.unread, self.cut = logs, logs.unread, logs.cut
        self.texts = {path.name: path.read_bytes() for path in logs.paths}
        assert sorted(folder.iterdir()) == sorted(logs.paths)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path / "the node"))
    return Node(tmp_path / "the node")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a script for sh before a tool of the node, which it can call as "$OWN"."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def put(tool: str, script: str) -> None:
        path = tmp_path / "bin" / tool
        path.write_text(f"#!/bin/sh\nOWN={shutil.which(tool)}\n{script}\n")
        path.chmod(0o755)

    return put


# What comes


def test_logs_come_newest_first_with_their_names_and_mtimes(node):
    node.write("kern.log.1", b"Feb\n", days_old=7)
    node.write("kern.log.2.gz", b"Jan\n", days_old=14, packed=True)
    node.write("kern.log-20231224.gz", b"Dec\n", days_old=70, packed=True)
    node.write("kern.log", b"Mar\n")
    node.write("syslog", b"no kernel log\n")
    fetched = node.fetch()
    assert list(fetched.texts.items()) == [
        ("kern.log", b"Mar\n"),
        ("kern.log.1", b"Feb\n"),
        ("kern.log.2.gz", b"Jan\n"),
        ("kern.log-20231224.gz", b"Dec\n"),
    ]
    assert [path.stat().st_mtime for path in fetched.logs.paths] == [MARCH - days * DAY for days in (0, 7, 14, 70)]
    assert (fetched.unread, fetched.cut) == ({}, {})


@pytest.mark.parametrize("packed", [False, True])
@with_folders
@given(text=st.binary())
@example(b"")
@example(bytes(range(256)) * 300 + b"\n")
@example(b"\0" * 100_000 + b"\r\n\r\n\x1b[31m")
def test_a_log_of_any_bytes_comes_as_it_is_and_ends_its_last_line(node, packed, text):
    node.write("kern.log", START + text, packed=packed)
    assert node.fetch().texts == {"kern.log": START + text.removesuffix(b"\n") + b"\n"}


def test_an_empty_log_is_one_too(node):
    node.write("kern.log", b"")
    assert node.fetch().texts == {"kern.log": b""}


def test_rotated_logs_alone_are_fetched(node):
    node.write("kern.log.1", b"Feb\n", days_old=7)
    assert node.fetch().texts == {"kern.log.1": b"Feb\n"}


@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_the_firewall_stay_there_and_no_others(node, packed):
    kept = [
        START + b"php-fpm invoked oom-killer: gfp_mask=0x1 order=0\n",
        START + b"[ 1234]  1000  1234  123456  12345  500  0  0 [UFW A] IN= OUT\n",  # the longest name of a process
        START + b"[UFW x\n",
        b"\xff\xfe no line of the kernel\n",
    ]
    others = [b"BLOCK", b"AUDIT", b"ALLOW", b"LIMIT BLOCK", b"AUDIT INVALID"]
    lines = [line for one in kept for line in (one, *(UFW.replace(b"BLOCK", other) for other in others))]
    node.write("kern.log", b"".join(lines) + UFW * 1000, packed=packed)
    assert node.fetch(limit=1000).texts == {"kern.log": b"".join(kept)}


# The bound


@with_folders
@given(
    texts=st.lists(st.lists(odd_lines), min_size=1, max_size=4),
    limit=st.integers(1, 200),
)
@example(texts=[[b"old"], [b"new"]], limit=4)
@example(texts=[[b"old"], [b"new"]], limit=5)
def test_the_newest_bytes_of_all_logs_are_fetched(node, texts, limit):
    for place, lines in enumerate(texts):  # the oldest first
        texts[place] = b"".join(b"Mar " + line + b"\n" for line in lines)
        name = f"kern.log.{len(texts) - place}.gz"
        node.write(name, texts[place], days_old=len(texts) - place, packed=bool(place % 2))
    try:
        assert b"".join(reversed(node.fetch(limit=limit).texts.values())) == b"".join(texts)[-limit:]
    finally:
        for path in node.folder.iterdir():
            path.unlink()


def test_what_is_left_out_is_told(node):
    node.write("kern.log", b"a\nb\nc\n")
    node.write("kern.log.1", b"d\ne\nf\n", days_old=7)
    node.write("kern.log.2.gz", b"g\n", days_old=14, packed=True)
    fetched = node.fetch(limit=8)
    assert fetched.texts == {"kern.log": b"a\nb\nc\n", "kern.log.1": b"f\n"}
    assert fetched.cut == {
        "kern.log.1": "its first 4 bytes were left out, as at most 8 bytes of a node are fetched",
        "kern.log.2.gz": "left out, as at most 8 bytes of a node are fetched",
    }
    assert node.fetch(limit=14).cut == {}


def test_a_bomb_is_unpacked_no_further_than_the_limit(node):
    node.write("kern.log.1.gz", b"Mar \n" * 4_000_000, packed=True)
    fetched = node.fetch(limit=1000)
    assert fetched.texts == {"kern.log.1.gz": b"Mar \n" * 200}


@pytest.mark.parametrize("magic", [gzip.compress(b"x"), b"\xfd7zXZ\0", b"BZh91"], ids=["gzip", "xz", "bzip2"])
def test_a_log_that_its_reader_would_unpack_again_is_left_out(node, magic):
    node.write("kern.log", b"Mar\n")
    node.write("kern.log.1.gz", magic, days_old=7, packed=True)
    fetched = node.fetch()
    assert fetched.texts == {"kern.log": b"Mar\n"}
    assert fetched.unread == {"kern.log.1.gz": "it is packed twice, or by another program than gzip"}


def test_a_large_log_is_not_held_in_memory(node):
    node.write("kern.log", b"Mar  5 10:15:30 shop1 kernel: a line\n" * 400_000)
    tracemalloc.start()
    try:
        node.fetch()  # its texts are read again here
        read_again = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        fetch(LocalShell(), Path(tempfile.mkdtemp(dir=node.root)), limit=LIMIT, timeout=20)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 < read_again
    finally:
        tracemalloc.stop()


def test_the_line_is_bounded_too(stand_in, node):
    node.write("kern.log", b"Mar\n")
    stand_in("gzip", '[ "$1" = -1 ] && exec yes; exec "$OWN" "$@"')
    with pytest.raises(ToolError, match="it sends more than 1,048,676 bytes, and was stopped"):
        node.fetch(limit=100)


# Logs that are none, or change


def test_nothing_is_changed_on_the_node(node, monkeypatch, tmp_path):
    def there() -> list[tuple[str, int, int]]:
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(home.rglob("*"))]

    home = node.root
    node.write("kern.log", b"a\n" * 1000)
    node.write("kern.log.1.gz", b"b\n" * 1000, packed=True)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(node.folder)
    monkeypatch.setenv("TMPDIR", str(node.folder))
    before = there()
    fetch(LocalShell(), here, limit=1500, timeout=20)
    assert there() == before


@pytest.mark.parametrize(
    "name", ["kern.log (copy)", "kern.log\n../../etc/passwd", "kern.log.é", "kern.log;id", "kern.log.*"]
)
def test_a_log_with_an_odd_name_is_left_out_and_told(node, name):
    node.write("kern.log", b"Mar\n")
    node.write(name.replace("/", "-"), b"odd\n")
    fetched = node.fetch()
    assert fetched.texts == {"kern.log": b"Mar\n"}
    assert fetched.unread == {"kern.log*": "a log with odd characters in its name was left out"}


def test_what_is_no_file_is_no_log(node):
    node.write("kern.log", b"Mar\n")
    (node.folder / "kern.log.d").mkdir()
    os.mkfifo(node.folder / "kern.log.pipe")
    (node.folder / "kern.log.gone").symlink_to("nowhere")
    fetched = node.fetch()
    assert (fetched.texts, fetched.unread) == ({"kern.log": b"Mar\n"}, {})


def test_a_damaged_log_is_read_as_far_as_it_goes_and_told(node):
    node.write("kern.log", b"Mar\n")
    whole = gzip.compress(b"".join(b"Feb %d\n" % number for number in range(10_000)))
    node.write("kern.log.1.gz", whole[: len(whole) // 2], days_old=7)
    fetched = node.fetch()
    assert fetched.texts["kern.log.1.gz"].startswith(b"Feb 0\nFeb 1\n")
    assert fetched.unread == {"kern.log.1.gz": "unexpected end of file"}


class AsNobody(LocalShell):
    """Runs commands without root's right to read everything, where the tests are run as root."""

    def save(self, argv, into, *, timeout):
        others = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        return super().save([*others, *argv], into, timeout=timeout)


@pytest.fixture
def readable_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node whose folders nobody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("HNCTL_NODE_ROOT", folder)
        yield Node(Path(folder))


def test_a_log_that_may_not_be_read_is_told_with_the_group_that_may(readable_node):
    group = readable_node.folder.group()
    readable_node.write("kern.log", b"Mar\n")
    (readable_node.folder / "kern.log").chmod(0o040)
    readable_node.write("kern.log.1", b"Feb\n", days_old=7)
    fetched = readable_node.fetch(shell=AsNobody())
    assert fetched.texts == {"kern.log.1": b"Feb\n"}
    assert fetched.unread == {"kern.log": f"only the group {group} may read it"}


def test_without_one_log_that_may_be_read_the_node_fails(readable_node):
    group = readable_node.folder.group()
    readable_node.write("kern.log", b"Mar\n")
    (readable_node.folder / "kern.log").chmod(0o040)
    with pytest.raises(ToolError) as caught:
        readable_node.fetch(shell=AsNobody())
    assert str(caught.value) == f"none of its kernel logs can be read (kern.log: only the group {group} may read it)"
    assert caught.value.hint == (
        "Is the user in the group that reads them? Another one is named in the fleet file: ssh: {user: ...}"
    )


def test_without_a_log_the_node_fails(node):
    with pytest.raises(ToolError) as caught:
        node.fetch()
    assert str(caught.value) == "there is no /var/log/kern.log on it"
    assert caught.value.hint == (
        "If its kernel logs into the journal only: ssh NODE journalctl -k | hnctl oom events -"
    )


def test_without_the_folder_the_node_fails(node):
    node.folder.rmdir()
    with pytest.raises(ToolError, match=r"^/var/log cannot be looked into: .*cd"):
        node.fetch()


def test_logs_that_are_rotated_meanwhile_are_not_mixed_up(node, stand_in):
    node.write("kern.log", b"Mar\n")
    stand_in("gzip", '[ -e kern.log.1 ] || { mv kern.log kern.log.1; : >kern.log; }; exec "$OWN" "$@"')
    with pytest.raises(ToolError) as caught:
        node.fetch()
    assert str(caught.value) == "its kernel logs were rotated while they were read"
    assert caught.value.hint == "Run the same command again"


@pytest.mark.parametrize("limit", [5, 100])
def test_a_log_that_grows_meanwhile_stays_within_the_limit(node, stand_in, limit):
    node.write("kern.log", b"Mar\n")
    stand_in("gzip", '[ "$1" = -dcf ] && echo more >>kern.log; exec "$OWN" "$@"')
    assert node.fetch(limit=limit).texts == {"kern.log": b"Mar\nmore\n"[-limit:]}


def test_a_log_that_shrinks_meanwhile_comes_as_far_as_it_goes(node, stand_in):
    node.write("kern.log", b"Mar\n" * 100)
    stand_in("gzip", '"$OWN" "$@"; [ "$1" = -dcf ] && echo new >kern.log')
    assert node.fetch().texts == {"kern.log": b"new\n"}


def test_a_node_that_hangs_is_given_up(node, stand_in):
    node.write("kern.log", b"Mar\n")
    stand_in("gzip", "exec sleep 60")
    with pytest.raises(ToolTimedOut) as caught:
        node.fetch(timeout=0.3)
    assert str(caught.value) == "its kernel logs did not come within 0.3 s"
    assert caught.value.hint == "The node may be overloaded, or the line slow; wait longer with --timeout"
