"""`hnctl auth bootstrap`: the tokens of a fleet, fetched over real SSH, tried, and kept without ever being shown."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from subprocess import PIPE
from typing import Any, Literal

import keyring
import keyring.backends.null
import keyring.errors
import pytest
from nodes_by_ssh import NodesBySsh, soon, write_fleet
from processes import start
from runs import Hnctl, Result

from fake_keyring import WAYS_OUT, Memory

pytestmark = pytest.mark.usefixtures("openssh")

TOKEN = "etc/hypernode/hypernode_api_token"
SETTINGS = {"php_version": "8.3", "modern_ssl_config_enabled": True}


@pytest.fixture
def plain(nodes: NodesBySsh, clean_environment: Path) -> Path:
    """Where --insecure-storage keeps the tokens for the sandbox."""
    return clean_environment / f".config/hnctl/insecure-tokens/{nodes.box.url[7:].replace(':', '%3A')}.json"


@pytest.fixture
def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of every process that is started from here on: hnctl's, and those of the SSH server."""
    words: list[str] = []

    class Recorded(subprocess.Popen[Any]):
        def __init__(self, argv: Any, *more: Any, **others: Any) -> None:
            words.append(" ".join(map(str, argv)))
            super().__init__(argv, *more, **others)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return words


def log_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an ssh first in PATH that notes its arguments, and return where it does."""
    log, wrapper = folder / "argv.log", folder / "first" / "ssh"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{log}'\nexec {shutil.which('ssh')} \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    return log


def results(run: Result) -> dict[str, str]:
    """Return what a table of two columns says of each node."""
    return {node: result.strip() for node, _, result in (line.partition(" ") for line in run.out.splitlines()[1:])}


def leaks(nodes: NodesBySsh, texts: dict[object, str]) -> list[object]:
    """Return which of `texts` hold a token of any node."""
    return [what for what, text in texts.items() if any(token in text for token in nodes.box.tokens.values())]


def files(*folders: Path) -> dict[object, str]:
    """Return the content of all files below `folders`, by path."""
    return {path: path.read_text() for top in folders for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize("nodes", [40], indirect=True)
@pytest.mark.parametrize("storage", ["keyring", "file"])
def test_a_fleet_gets_its_tokens_and_works_without_any_in_the_environment(
    storage: str,
    nodes: NodesBySsh,
    hnctl: Hnctl,
    memory: Memory,
    plain: Path,
    started: list[str],
    folder: Path,
    clean_environment: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("HNCTL_SSH_CONFIG", "HNCTL_POLL_INTERVAL", "HNCTL_TIMEOUT"):
        monkeypatch.delenv(name)  # HNCTL_API_URL stays, and nothing else
    config = clean_environment / ".config/hnctl/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'ssh_config = "{nodes.ssh.config}"\npoll_interval = 0.05\n')
    log = log_ssh(tmp_path_factory.mktemp("argv"), monkeypatch)
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    insecurely = ["--insecure-storage"] if storage == "file" else []

    fetched = hnctl("auth", "bootstrap", "--all", "--debug", *insecurely)
    assert fetched.status == 0, fetched.err
    assert results(fetched) == dict.fromkeys(nodes.box.names, "kept")
    in_keyring = {(f"hnctl {nodes.box.url[7:]}", node): token for node, token in nodes.box.tokens.items()}
    assert memory.entries == ({} if insecurely else in_keyring)
    assert plain.exists() == bool(insecurely)

    checked = hnctl("auth", "check", "--all", "-o", "json", "--debug")
    assert checked.status == 0, checked.err
    source = str(plain) if insecurely else "keyring"
    assert [(row["node"], row["result"], row["source"]) for row in checked.json["nodes"]] == [
        (node, "works", source) for node in sorted(nodes.box.names)
    ]
    runs = [fetched, checked, hnctl("auth", "list"), hnctl("diff", "--debug"), hnctl("apply", "--yes", "--debug")]
    assert [run.status for run in runs] == [0] * 5
    assert hnctl("diff", "--detailed-exitcode").status == 0
    assert all(nodes.box.settings(node)["modern_ssl_config_enabled"] is True for node in nodes.box.names)

    shown = {("run", number): run.out + run.err for number, run in enumerate(runs)}
    assert len(nodes.ssh.commands) == 40
    assert log.read_text().count("hypernode_api_token") == 40
    assert len([words for words in started if words.startswith("ssh ") and "hypernode_api_token" in words]) == 40
    spoken = {"sent": nodes.sent(), "argv": log.read_text(), "popen": "\n".join(started)}
    kept = files(clean_environment, folder)
    kept.pop(plain, None)
    assert kept
    assert leaks(nodes, {**shown, **spoken, **kept}) == []


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_without_a_keyring_the_three_ways_out_are_told_and_nothing_is_kept(
    backend: Any, nodes: NodesBySsh, hnctl: Hnctl, clean_environment: Path
):
    keyring.set_keyring(backend())
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    refused = hnctl("auth", "bootstrap", "--all", "--debug")
    assert (refused.status, refused.out) == (4, "")
    assert all(way in refused.err for way in WAYS_OUT)
    assert [path for path in clean_environment.rglob("*") if path.is_file()] == []
    assert leaks(nodes, {"run": refused.err}) == []


def test_insecure_storage_is_a_file_for_its_owner_and_the_list_says_so(
    nodes: NodesBySsh, hnctl: Hnctl, memory: Memory, plain: Path
):
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    fetched = hnctl("auth", "bootstrap", "--all", "--insecure-storage", "-o", "json")
    assert {row["node"]: row["kept_in"] for row in fetched.json["nodes"]} == dict.fromkeys(nodes.box.names, str(plain))
    assert (plain.stat().st_mode & 0o777, plain.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    listed = hnctl("auth", "list")
    assert listed.out.count(str(plain)) == len(nodes.box.names)
    assert f"Insecure: {plain} holds tokens in clear" in listed.err
    assert memory.entries == {}
    assert leaks(nodes, {"fetched": fetched.out + fetched.err, "listed": listed.out + listed.err}) == []


@pytest.mark.parametrize("nodes", [13], indirect=True)
def test_each_node_that_goes_wrong_is_told_with_its_reason_and_the_others_are_kept(
    nodes: NodesBySsh, hnctl: Hnctl, memory: Memory
):
    names = list(nodes.box.names)
    key, connect, command, gone, empty, blank, spaced, broken, unreadable, folder, another, *good = names
    nodes.ssh.refuse_key(key)
    nodes.ssh.hang(connect, "connect")
    nodes.ssh.hang(command, "command")
    file = {node: nodes.root(node) / TOKEN for node in names}
    file[gone].unlink()
    file[empty].write_text("")
    file[blank].write_text(" \n\t\n")
    file[spaced].write_text(f"\n\t {nodes.box.tokens[spaced]} \r\n\n")
    file[broken].write_text(nodes.box.tokens[broken][:9] + "\n" + nodes.box.tokens[broken][9:])
    nodes.stand_in(unreadable, 'echo "cat: $1: Permission denied" >&2; exit 1', tool="cat")  # we may be root
    file[folder].unlink()
    file[folder].mkdir()
    file[another].write_text(nodes.box.tokens[good[0]])
    write_fleet(dict.fromkeys(names, ""), SETTINGS)

    fetched = hnctl("auth", "bootstrap", "--all", "--timeout", "2s", "--debug")
    assert fetched.status == 3, fetched.err
    kept = {spaced, *good}
    assert results(fetched) == {node: "kept" if node in kept else "failed" for node in names}
    assert {node for _, node in memory.entries} == kept
    assert {memory.entries[service, node] == nodes.box.tokens[node] for service, node in memory.entries} == {True}
    path = "/" + TOKEN
    for node, reason in {
        key: f"{key}.hypernode.io takes none of your SSH keys for the user app; nothing was sent",
        connect: f"{connect}.hypernode.io did not answer over SSH in time; nothing was sent",
        command: f"sh on {command}.hypernode.io gave no answer within 4 s",
        gone: f"{path} cannot be read: No such file or directory",
        empty: f"{path} is empty",
        blank: f"{path} is empty",
        broken: f"the token given for {broken} cannot be a token: it is empty or holds blanks or odd characters",
        unreadable: f"{path} cannot be read: Permission denied",
        folder: f"{path} cannot be read: Is a directory",
        another: "the token may not do this (403)",
    }.items():
        told = [line for line in fetched.err.splitlines() if line.startswith(f"{node}: ")]
        assert len(told) == 1, fetched.err
        assert told[0].startswith(f"{node}: {reason}"), told
    assert leaks(nodes, {"run": fetched.out + fetched.err}) == []
    assert nodes.box.tokens[broken][:9] not in fetched.out + fetched.err


def test_when_all_fail_for_one_reason_the_exit_is_that_reasons(nodes: NodesBySsh, hnctl: Hnctl, memory: Memory):
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    all_of_them = ["auth", "bootstrap", "--all", "--timeout", "1s"]
    away = hnctl(*all_of_them, "--api-url", "http://127.0.0.1:9")
    assert away.status == 1, away.err
    assert away.err.count("127.0.0.1:9") >= 4
    for node in nodes.box.names:
        (nodes.root(node) / TOKEN).write_text("canary-0f5b\n")
    unknown = hnctl(*all_of_them)
    assert (unknown.status, unknown.err.count("refused the token (401)")) == (4, 4)
    assert "canary-0f5b" not in unknown.out + unknown.err
    for node in nodes.box.names:
        (nodes.root(node) / TOKEN).write_text("\n")
    assert hnctl(*all_of_them).status == 4
    for node in nodes.box.names:
        nodes.ssh.refuse_key(node)
    refused = hnctl(*all_of_them)
    assert (refused.status, refused.err.count("takes none of your SSH keys")) == (4, 4)
    for node in nodes.box.names:
        nodes.ssh.refuse_connection(node)
    closed = hnctl(*all_of_them)
    assert (closed.status, closed.err.count("refuses SSH connections")) == (1, 4)
    for run in (away, unknown, refused, closed):
        assert results(run) == dict.fromkeys(nodes.box.names, "failed")
    assert memory.entries == {}


def test_a_keyring_that_fails_half_way_does_not_hide_what_was_kept(nodes: NodesBySsh, hnctl: Hnctl, memory: Memory):
    def fail_for_the_third() -> None:
        if len(memory.entries) == 2:
            raise keyring.errors.KeyringLocked("locked")

    memory.on = dict.fromkeys(("get", "set", "delete"), fail_for_the_third)
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    fetched = hnctl("auth", "bootstrap", "--all", "--parallel", "1")
    memory.on = {}
    kept = [node for _, node in memory.entries]
    assert len(kept) == 2
    assert "the keyring cannot be " in fetched.err
    assert fetched.status in (3, 4)
    assert all(node in fetched.out + fetched.err for node in kept)


@pytest.mark.parametrize("hangs", ["connect", "command"])
def test_ctrl_c_ends_it_at_once_and_leaves_nothing_running(
    hangs: Literal["connect", "command"], nodes: NodesBySsh, folder: Path
):
    write_fleet(dict.fromkeys(nodes.box.names, ""), SETTINGS)
    nodes.ssh.hang("theeplein", hangs)
    words, streams = ["auth", "bootstrap", "--all", "--export", "env"], {"stdout": PIPE, "stderr": PIPE}
    with start(*words, variables={"HNCTL_TIMEOUT": "8s"}, **streams) as process:
        assert soon(lambda: nodes.ssh.connections["theeplein"] and len(nodes.ssh.commands) == 3 + (hangs == "command"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=3)
    assert (process.returncode, out) == (130, b""), err
    assert [path.name for path in folder.iterdir()] == ["fleet.yaml"]
    assert leaks(nodes, {"err": err.decode()}) == []
    assert soon(lambda: not nodes.left_behind()), nodes.left_behind()


@pytest.mark.parametrize(
    "chosen", [["--all"], ["-n", "kaasshop-eph12345"], ["-n", "kaasshop-eph12345", "-n", "kaasshop-eph7"]]
)
def test_a_branchers_parent_is_asked_once(chosen: list[str], nodes: NodesBySsh, hnctl: Hnctl, memory: Memory):
    write_fleet(dict.fromkeys(["kaasshop-eph12345", "kaasshop", "kaasshop-eph7"], ""), SETTINGS)
    fetched = hnctl("auth", "bootstrap", *chosen)
    assert fetched.status == 0, fetched.err
    assert results(fetched) == {"kaasshop": "kept"}
    assert [node for node, _ in nodes.ssh.commands] == ["kaasshop"]
    assert [node for _, node in memory.entries] == ["kaasshop"]
    assert hnctl("auth", "check", "-n", "kaasshop").status == 0


@pytest.mark.parametrize("way", [["-n", "kaasshop"], ["--all"], ["--export", "env"]])
def test_where_is_refused_as_it_asks_the_api(way: list[str], nodes: NodesBySsh, hnctl: Hnctl):
    refused = hnctl("auth", "bootstrap", *way, "--where", "php_version < 8.2")
    assert refused.status == 64
    assert "--where asks the API, for which the tokens are needed first" in refused.err
    assert nodes.ssh.commands == []


def test_names_typed_without_an_option_are_refused_before_anything_is_run(nodes: NodesBySsh, hnctl: Hnctl):
    refused = hnctl("auth", "bootstrap", "kaasshop")
    assert refused.status == 64
    assert "Nodes are named with -n" in refused.err
    assert hnctl("auth", "bootstrap", "-n", "kaasshop", "--", "touch", "made").status == 64
    assert not Path("made").exists()
    assert nodes.ssh.commands == []
