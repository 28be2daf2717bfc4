"""The SSH nodes that other tests stand on, as the system's own `ssh` sees them."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssh_nodes import SshNodes, need_ssh

Answer = tuple[int, str, str]
NAMES = ("shop1", "shop2")
CLOSED = "Connection to 127.0.0.1 closed by remote host.\n"


@pytest.fixture(autouse=True)
def openssh() -> None:
    need_ssh()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[SshNodes]:
    folder = tmp_path / "100% with blanks"
    folder.mkdir()
    with SshNodes(folder, NAMES) as nodes:
        yield nodes


@pytest.fixture
def sharing() -> Iterator[tuple[str, ...]]:
    """Options by which the commands to a node share a connection; a master ends at the latest with the nodes."""
    folder = tempfile.mkdtemp(prefix="cm")  # not below tmp_path: the path of a socket has to be short
    yield ("-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%n", "-o", "ControlPersist=30")
    shutil.rmtree(folder, ignore_errors=True)


def start(nodes: SshNodes, node: str, *options: str, command: str | None = None) -> subprocess.Popen[str]:
    argv = ["ssh", "-F", str(nodes.config), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-l", "app"]
    argv += [*options, f"{node}.hypernode.io", *([] if command is None else [command])]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8")


def ended(process: subprocess.Popen[str], stdin: str = "") -> Answer:
    with process:
        try:
            out, err = process.communicate(stdin, timeout=10)
        finally:
            process.kill()
    return process.returncode, out, err


def ssh(nodes: SshNodes, node: str, command: str, *options: str, stdin: str = "") -> Answer:
    return ended(start(nodes, node, *options, command=command), stdin)


def soon(true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(true())


def test_a_command_is_run_with_its_stdin_and_gives_stdout_stderr_and_status(nodes: SshNodes):
    assert ssh(nodes, "shop1", "cat; echo problem >&2; exit 3", stdin="täglich\n") == (3, "täglich\n", "problem\n")
    assert nodes.commands == [("shop1", "cat; echo problem >&2; exit 3")]
    assert nodes.logins == [("shop1", "app")]
    assert nodes.connections == {"shop1": 1, "shop2": 0}
    assert (nodes.folder / "id_ed25519").stat().st_mode & 0o777 == 0o600


def test_an_answer_may_be_long_and_one_stream_may_end_before_the_other(nodes: SshNodes):
    status, out, err = ssh(nodes, "shop1", "head -c 4000000 /dev/zero; exec >&-; sleep 0.1; echo late >&2")
    assert (status, len(out), err) == (0, 4_000_000, "late\n")


def test_a_command_line_arrives_exactly_as_it_was_given(nodes: SshNodes):
    command = """printf '%s|' 'a  b' "c\nd" "$(echo 'e"f')" \\* "it's"; : %n ~ 你好"""
    assert ssh(nodes, "shop1", command) == (0, "a  b|c\nd|e\"f|*|it's|", "")
    assert nodes.commands == [("shop1", command)]


def test_a_command_gets_the_variables_of_its_node_and_no_others(nodes: SshNodes):
    nodes.environment["shop2"] = {"PATH": "/nowhere", "COLOUR": "red"}
    status, out, err = ssh(nodes, "shop2", 'echo "$COLOUR $HOME"; ls')
    assert (status, out) == (127, "red \n")
    assert "not found" in err


def test_a_command_killed_by_a_signal_is_status_255_without_a_word(nodes: SshNodes):
    assert ssh(nodes, "shop1", "kill -9 $$") == (255, "", "")


def test_forty_nodes_start_within_a_second_and_answer_side_by_side(tmp_path: Path):
    names = [f"shop{number}" for number in range(40)]
    began = time.monotonic()
    with SshNodes(tmp_path, names) as nodes:
        assert time.monotonic() - began < 1
        running = [start(nodes, name, command=f"echo {name}") for name in names]
        assert [ended(process) for process in running] == [(0, f"{name}\n", "") for name in names]
        assert set(nodes.connections.values()) == {1}


def test_commands_share_one_connection(nodes: SshNodes, sharing: tuple[str, ...]):
    assert ssh(nodes, "shop1", "echo one", *sharing) == (0, "one\n", "")
    assert ssh(nodes, "shop1", "echo two", *sharing) == (0, "two\n", "")
    assert nodes.connections["shop1"] == len(nodes.logins) == 1
    assert ended(start(nodes, "shop1", *sharing, "-O", "exit")) == (0, "", "Exit request sent.\n")


def test_a_refused_key_and_another_user_are_not_let_in(nodes: SshNodes):
    assert ssh(nodes, "shop1", "true") == (0, "", "")
    nodes.refuse_key("shop1")
    denied = (255, "", "app@127.0.0.1: Permission denied (publickey).\n")
    assert ssh(nodes, "shop1", "true") == denied
    assert ssh(nodes, "shop2", "true") == (0, "", "")
    nodes.user = "root"
    assert ssh(nodes, "shop2", "true") == denied
    assert nodes.logins == [("shop1", "app"), ("shop2", "app")]


def test_a_host_key_may_be_another_one_or_unknown(nodes: SshNodes):
    nodes.change_host_key("shop1")
    status, out, err = ssh(nodes, "shop1", "true")
    assert (status, out) == (255, "")
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in err
    assert err.endswith("Host key verification failed.\n")
    nodes.forget_host_key("shop2")
    unknown = (
        f"No ED25519 host key is known for [127.0.0.1]:{nodes.ports['shop2']} and you have requested strict checking."
    )
    assert ssh(nodes, "shop2", "true") == (255, "", f"{unknown}\nHost key verification failed.\n")
    assert (nodes.commands, nodes.logins) == ([], [])


def test_a_closed_port_refuses_and_the_other_nodes_answer(nodes: SshNodes):
    nodes.refuse_connection("shop1")
    refused = f"ssh: connect to host 127.0.0.1 port {nodes.ports['shop1']}: Connection refused\n"
    assert ssh(nodes, "shop1", "true") == (255, "", refused)
    assert ssh(nodes, "shop2", "true") == (0, "", "")
    assert nodes.connections == {"shop1": 0, "shop2": 1}


def test_a_node_that_never_says_a_word_is_given_up(nodes: SshNodes):
    nodes.hang("shop1", "connect")
    silent = ssh(nodes, "shop1", "true", "-o", "ConnectTimeout=1", "-o", "LogLevel=ERROR")
    assert silent == (255, "", "Connection timed out during banner exchange\n")
    assert (nodes.connections["shop1"], nodes.logins) == (1, [])


def test_a_command_may_never_be_run_and_never_answered(nodes: SshNodes):
    nodes.hang("shop1", "command")
    with start(nodes, "shop1", command="touch ran") as process:
        assert soon(lambda: nodes.commands)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.kill()
    assert nodes.logins == [("shop1", "app")]
    assert not list(nodes.folder.rglob("ran"))


def test_the_line_may_drop_after_a_command_ran(nodes: SshNodes):
    nodes.drop_after("shop1", "touch")
    assert ssh(nodes, "shop1", "echo other") == (0, "other\n", "")
    assert ssh(nodes, "shop1", "echo done; touch ran") == (255, "", CLOSED)
    assert len(list(nodes.folder.rglob("ran"))) == 1
    assert ssh(nodes, "shop1", "echo done; touch ran") == (0, "done\n", "")


def test_the_line_may_drop_in_the_middle_of_an_answer(nodes: SshNodes):
    nodes.drop_mid_answer("shop1", "echo", times=2)
    for _ in range(2):
        assert ssh(nodes, "shop1", "echo abcdefg; echo 123 >&2; exit 1") == (255, "abcd", f"12{CLOSED}")
    assert ssh(nodes, "shop1", "echo abcdefg") == (0, "abcdefg\n", "")


def test_a_dropped_line_says_nothing_at_all_where_it_is_shared(nodes: SshNodes, sharing: tuple[str, ...]):
    nodes.drop_after("shop1", "echo", times=2)
    assert ssh(nodes, "shop1", "echo first", *sharing) == (255, "", "")
    assert ssh(nodes, "shop1", "true", *sharing) == (0, "", "")
    assert ssh(nodes, "shop1", "echo second", *sharing) == (255, "", "")
    assert ssh(nodes, "shop1", "echo third", *sharing) == (0, "third\n", "")
    assert nodes.connections["shop1"] == 3


def test_a_command_goes_on_when_its_client_is_gone(nodes: SshNodes):
    with start(nodes, "shop1", command="echo on; sleep 0.3; echo out; echo err >&2; touch ran") as process:
        assert process.stdout
        assert process.stdout.readline() == "on\n"
        process.kill()
    assert soon(lambda: list(nodes.folder.rglob("ran")))


def test_the_end_comes_at_once_and_leaves_nothing(tmp_path: Path):
    threads = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with SshNodes(tmp_path, ["busy", "silent", "mute", "closed"]) as nodes:
            os.mkfifo(tmp_path / "alive")
            alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
            nodes.hang("silent", "connect")
            nodes.hang("mute", "command")
            nodes.refuse_connection("closed")
            clients = [start(nodes, "silent"), start(nodes, "mute", command="true")]
            clients.append(start(nodes, "busy", command=f"exec 9>'{tmp_path}/alive'; echo on; sleep 60 & sleep 60"))
            assert clients[-1].stdout
            assert clients[-1].stdout.readline() == "on\n"
            assert soon(lambda: nodes.connections["silent"] and ("mute", "true") in nodes.commands)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        assert [ended(client)[0] for client in clients] == [255, 255, 255]
        with open(alive, "rb") as reader:
            assert reader.read() == b"", "a process lives on"  # it would be None while anybody could still write
        assert soon(lambda: set(threading.enumerate()) <= threads)
        nodes = None
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
