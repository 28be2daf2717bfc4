"""`hnctl sandbox node-tools`: a folder, and the lines that make this machine a node."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from processes import run_in_shell
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

NODE_TOOLS = ["sandbox", "node-tools"]


def name_in(folder: Path) -> str:
    return str(json.loads((folder / "root/etc/hypernode/app.json").read_text())["tag"])


def test_it_prints_the_lines_to_source_and_nothing_else(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl(*NODE_TOOLS, "node") == (
        0,
        f'export PATH={folder}/node/bin:"$PATH"\nexport HNCTL_NODE_ROOT={folder}/node/root\n',
        "",
    )
    assert box.log() == []


@pytest.mark.parametrize(
    ("words", "variables", "node"),
    [
        ([], {}, "kaasshop"),
        ([], {"HYPERNODE_APP_NAME": "theeplein"}, "theeplein"),
        ([], {"HYPERNODE_APP_NAME": "theeplein", "HNCTL_SANDBOX_NODE": "boekenhal"}, "boekenhal"),
        (["--node", "bloemenhuis"], {"HYPERNODE_APP_NAME": "theeplein"}, "bloemenhuis"),
    ],
    ids=str,
)
def test_which_node_it_is(
    words: list[str],
    variables: dict[str, str],
    node: str,
    hnctl: Hnctl,
    box: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hnctl(*NODE_TOOLS, ".", *words).status == 0
    assert name_in(folder) == node
    assert (folder / "root/etc/hypernode/hypernode_api_token").read_text().strip() == box.tokens[node]


@pytest.mark.parametrize("name", ["node", "a b", "it's $HOME", "two\nlines", "wiénn"])
@pytest.mark.parametrize("shell", ['eval "$("$@")"', '"$@" > node.sh && . ./node.sh'])
def test_the_lines_work_in_a_shell(name: str, shell: str, box: Sandbox, folder: Path):
    box.set("kaasshop", php_version="8.4")
    odd_path = 'PATH="$PATH:/with blank"; '
    ran = run_in_shell(
        odd_path + shell + ' && hypernode-systemctl settings php_version && echo "$HNCTL_NODE_ROOT"', *NODE_TOOLS, name
    )
    assert ran == (0, f"{folder}/{name}/root\n", "php_version is set to value 8.4\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_lines_work_in_bash_without_a_file(box: Sandbox, folder: Path):
    command = shlex.join([sys.executable, "-m", "hnctl", *NODE_TOOLS, "node"])
    script = f". <({command}) && hypernode-log"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ACTION", "START", "END", "STATE", "TASKS", "RUNNING"]


def test_hnctl_finds_the_node_and_its_token_there(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    box.set("theeplein", php_version="8.4")
    hnctl(*NODE_TOOLS, "node", "--node", "theeplein")
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder / "node/root"))
    assert hnctl("settings", "get", "php_version") == (0, "8.4\n", "")


def test_the_log_tells_a_write_of_the_tool_from_one_of_hnctl(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set("kaasshop", php_version="8.1")
    hnctl(*NODE_TOOLS, "node")
    tool = folder / "node/bin/hypernode-systemctl"
    subprocess.run([tool, "settings", "php_version", "8.4", "--block"], check=True, capture_output=True, timeout=20)
    hnctl("settings", "set", "php_version", "8.3", "-n", "kaasshop", "--yes")
    by_tool, by_us = writes(box)
    assert by_tool.agent == "hypernode-systemctl"
    assert by_us.agent.startswith("hnctl")


def test_the_token_is_never_shown(hnctl: Hnctl, box: Sandbox):
    ran = hnctl(*NODE_TOOLS, "node", "--debug")
    assert ran.status == 0
    assert not any(token in ran.out + ran.err for token in box.tokens.values())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://api.hypernode.com", "https://api.hypernode.com is no sandbox on this machine, and a real token"),
        (None, "https://api.hypernode.com is no sandbox on this machine, and a real token"),
        ("https://localhost:8800", "https://localhost:8800 is no sandbox on this machine"),
        ("http://192.0.2.1:8800", "plain http to 192.0.2.1 would show the token to the network"),
    ],
)
def test_an_api_elsewhere_is_refused(
    url: str | None, says: str, hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "a-real-token"}')
    if url:
        monkeypatch.setenv("HNCTL_API_URL", url)
    refused = hnctl(*NODE_TOOLS, "node")
    assert (refused.status, refused.out) == (64, "")
    assert says in refused.err
    assert "a-real-token" not in refused.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("tokens", "words", "says"),
    [
        (None, [], "HYPERNODE_API_TOKENS has no token\n"),
        ("{}", [], "HYPERNODE_API_TOKENS has no token\n"),
        (None, ["--node", "kaasshop"], "HYPERNODE_API_TOKENS has no token for kaasshop\n"),
        ('{"kaasshop": "x"}', ["--node", "theeplein"], "HYPERNODE_API_TOKENS has no token for theeplein\n"),
        ('{"kaasshop": "x y"}', [], "the token given for kaasshop cannot be a token"),
        ("{", [], "HYPERNODE_API_TOKENS is not a JSON object"),
    ],
    ids=str,
)
def test_without_a_token_of_the_sandbox_nothing_is_written(
    tokens: str | None,
    words: list[str],
    says: str,
    hnctl: Hnctl,
    box: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    clean_environment: Path,
):
    """A token from anywhere else could be a real one: none is fetched, and none is looked up."""
    config = clean_environment / "config.toml"
    config.write_text('token_command = ["echo", "a-real-token"]')
    monkeypatch.setenv("HNCTL_CONFIG", str(config))
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "a-real-token")
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    if tokens is not None:
        monkeypatch.setenv("HYPERNODE_API_TOKENS", tokens)
    refused = hnctl(*NODE_TOOLS, "node", *words)
    assert (refused.status, refused.out) == (4, "")
    assert says in refused.err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "node").write_text("mine\n")
    assert hnctl(*NODE_TOOLS, "node") == (64, "", f"Error: {folder}/node is no folder\n")
    assert (folder / "node").read_text() == "mine\n"


def test_a_folder_that_cannot_be_written_is_refused(
    hnctl: Hnctl,
    box: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_nobody: Callable[[], AbstractContextManager[None]],
):
    monkeypatch.setenv("HNCTL_CONFIG", "/nowhere/config.toml")  # a home of root's is closed to nobody
    (folder / "node").mkdir(mode=0o500)
    with as_nobody():
        refused = hnctl(*NODE_TOOLS, folder / "node")
    assert (refused.status, refused.out) == (64, "")
    assert refused.err.endswith(" cannot be written: Permission denied\n")
    assert list((folder / "node").iterdir()) == []
