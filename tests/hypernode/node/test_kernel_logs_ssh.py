"""Fetching kernel logs over a real SSH connection, whole and broken."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypernode.errors import ConnectionFailed, ToolError, ToolTimedOut, WrongNode
from hypernode.node.kernel_logs import LIMIT, KernelLogs, fetch
from hypernode.node.ssh import Ssh
from hypernode.node.target import Target
from hypernode.oom.files import select
from ssh_nodes import SshNodes, need_ssh

MARCH_2023 = 1_678_000_000
NOISE = random.Random(1).randbytes(300_000)
UFW = b"Mar  5 07:00:00 shop1 kernel: [1.0] [UFW BLOCK] IN=eth0 OUT= MAC=aa:bb SRC=10.0.0.1 DST=10.1.1.1 PROTO=TCP\n"
KILL = b"Mar  5 07:00:00 shop1 kernel: [1.0] Killed process 77 (php) total-vm:1kB, anon-rss:2kB, file-rss:3kB\n"


@pytest.fixture(autouse=True)
def openssh() -> None:
    need_ssh()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[SshNodes]:
    with SshNodes(tmp_path / "ssh", ["shop1", "shop2"]) as nodes:
        for node in ("shop1", "shop2"):
            nodes.environment[node]["HNCTL_NODE_ROOT"] = str(tmp_path / node)
        yield nodes


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where the logs are brought to."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def write(folder: Path, name: str, text: bytes, time: int = MARCH_2023) -> None:
    path = folder / "var/log" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    os.utime(path, (time, time))


def fetch_from(nodes: SshNodes, node: str, folder: Path, *, limit: int = LIMIT, timeout: float = 20.0) -> KernelLogs:
    with Ssh(config=nodes.config, connect_timeout=min(timeout, 10.0)) as ssh:
        shell = ssh.shell(Target(f"{node}.hypernode.io"), node)
        return fetch(shell, folder, limit=limit, timeout=timeout)


def test_logs_arrive_byte_by_byte_with_their_mtimes_by_one_command(nodes, here, tmp_path):
    write(tmp_path / "shop1", "kern.log", b"Mar \n" + NOISE + b"\n")
    write(tmp_path / "shop1", "kern.log.1.gz", gzip.compress(b"Feb\n"), MARCH_2023 - 700_000)
    logs = fetch_from(nodes, "shop1", here)
    assert [path.read_bytes() for path in logs.paths] == [b"Mar \n" + NOISE + b"\n", b"Feb\n"]
    assert [path.stat().st_mtime for path in logs.paths] == [MARCH_2023, MARCH_2023 - 700_000]
    assert (logs.unread, logs.cut) == ({}, {})
    assert sum("kern.log" in command for _, command in nodes.commands) == 1


def test_what_was_fetched_is_read_as_on_the_node_and_keeps_its_year(nodes, here, tmp_path):
    write(tmp_path / "shop1", "kern.log", UFW * 500 + KILL + UFW * 500)
    logs = fetch_from(nodes, "shop1", here, limit=1000)
    ((_, event),) = select(logs.paths)
    assert event.at == "2023-03-05T07:00:00"
    assert event.victims[0].name == "php"
    assert logs.cut == {}


def test_a_line_that_drops_in_the_middle_leaves_nothing(nodes, here, tmp_path):
    write(tmp_path / "shop1", "kern.log", b"Mar\n" + NOISE)
    nodes.drop_mid_answer("shop1", "kern.log")
    with pytest.raises(ConnectionFailed) as caught:
        fetch_from(nodes, "shop1", here)
    assert str(caught.value).startswith("the SSH line to shop1.hypernode.io dropped before the answer was whole")
    assert list(here.iterdir()) == []


def test_a_node_that_hangs_is_given_up(nodes, here):
    nodes.hang("shop1", "command")
    with pytest.raises(ToolTimedOut):
        fetch_from(nodes, "shop1", here, timeout=0.4)


def test_a_node_without_a_log_says_so(nodes, here, tmp_path):
    write(tmp_path / "shop1", "syslog", b"Mar\n")
    with pytest.raises(ToolError, match=r"^there is no /var/log/kern\.log on it$"):
        fetch_from(nodes, "shop1", here)


def test_another_node_than_was_named_is_not_read(nodes, here, tmp_path):
    write(tmp_path / "shop1", "kern.log", b"Mar\n")
    (tmp_path / "shop1/etc/hypernode").mkdir(parents=True)
    (tmp_path / "shop1/etc/hypernode/app.json").write_text('{"tag": "shop9"}')
    with pytest.raises(WrongNode):
        fetch_from(nodes, "shop1", here)
    assert not any("kern.log" in command for _, command in nodes.commands)


def test_many_nodes_are_read_side_by_side_and_one_that_fails_spoils_no_other(nodes, here, tmp_path):
    write(tmp_path / "shop1", "kern.log", b"Mar\n" + NOISE + b"\n")
    write(tmp_path / "shop2", "kern.log", b"Mar\n")
    nodes.drop_mid_answer("shop2", "kern.log")
    folders = {node: here / node for node in ("shop1", "shop2")}
    with (
        Ssh(config=nodes.config) as ssh,
        ThreadPoolExecutor(2) as executor,
    ):
        tasks = {}
        for node, folder in folders.items():
            folder.mkdir()
            shell = ssh.shell(Target(f"{node}.hypernode.io"))
            tasks[node] = executor.submit(fetch, shell, folder, limit=LIMIT, timeout=20)
        (path,) = tasks["shop1"].result().paths
        assert path.read_bytes() == b"Mar\n" + NOISE + b"\n"
        assert isinstance(tasks["shop2"].exception(), ConnectionFailed)
