"""The other tools of a node, and the folder that they are written into."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from hypernode.errors import InputError, InvalidNode
from hypernode.sandbox.node_tools import write_node_tools
from hypernode.sandbox.server import Sandbox

SHOP, TWO_FLOWS, WITH_HISTORY = "kaasshop", "bloemenhuis", "boekenhal"
TOOLS = ["hypernode-log", "hypernode-oom-protect", "hypernode-servicectl", "hypernode-systemctl"]
HEADING = ["ACTION", "START", "END", "STATE", "TASKS", "RUNNING"]


def write(folder: Path, box: Sandbox, node: str = SHOP) -> Path:
    write_node_tools(folder, node=node, token=box.tokens[node], api_url=box.url)
    return folder


def run(folder: Path, tool: str, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [str(folder / "bin" / tool), *arguments], input=stdin, capture_output=True, text=True, timeout=20
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def log(folder: Path) -> list[list[str]]:
    """Return the words of each line of hypernode-log below its heading."""
    code, out, err = run(folder, "hypernode-log")
    heading, *lines = [line.split() for line in out.splitlines()]
    assert (code, err, heading) == (0, "", HEADING)
    assert all(len(line) == len(HEADING) for line in lines)
    return lines


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def folder(box: Sandbox, tmp_path: Path) -> Path:
    return write(tmp_path / "node", box)


def test_a_node_without_a_logbook_has_nothing_but_the_heading(folder: Path):
    assert log(folder) == []


def test_the_log_lists_the_newest_first_with_state_and_tasks(box: Sandbox, folder: Path):
    start = f"{box.url}/_sandbox/nodes/{SHOP}/flows"
    for name, seconds, ending in [
        ("create_backup", 0.001, "success"),
        ("create_backup", 0.001, "reverted"),
        ("update_node", 0.001, "reverted"),
        ("xgrade_app", 600, "success"),
    ]:
        requests.post(start, json={"name": name, "seconds": seconds, "ending": ending}, timeout=5).raise_for_status()
    lines = log(folder)
    assert [line[0] for line in lines] == ["xgrade_app", "update_node", "create_backup", "create_backup"]
    assert [line[3:] for line in lines] == [
        ["running", "0/8", "nginx_update_node_to_update_flow"],
        ["reverted", "8/8", "finished"],
        ["background", "8/8", "finished"],
        ["success", "8/8", "finished"],
    ]
    date = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert all(date.fullmatch(line[1]) and date.fullmatch(line[2]) for line in lines)


def test_a_flow_that_has_not_started_has_no_state_and_no_end(tmp_path: Path):
    with Sandbox(nodes=3, flow_time=2.0) as box:  # the second flow of this node waits from 0.2 s to 1.2 s
        folder = write(tmp_path, box, TWO_FLOWS)
        run(folder, "hypernode-systemctl", "settings", "php_version", "8.5")
        seen = next(line for _ in range(100) if (line := log(folder)[0])[2] == "None")
    assert (seen[0], seen[2:]) == ("update_node", ["None", "None", "0/0", "finished"])


def test_the_log_shows_the_newest_fifty(box: Sandbox, tmp_path: Path):
    lines = log(write(tmp_path, box, WITH_HISTORY))
    assert len(lines) == 50  # of 120
    starts = [line[1] for line in lines]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["restart", "mysql"], ["restart mysql"]),
        (
            ["reload", "supervisor", "techaro-botstopper@default"],
            ["reload supervisor", "reload techaro-botstopper@default"],
        ),
        (["restart"], ["restart"]),
    ],
    ids=str,
)
def test_services_are_noted_without_a_word(words: list[str], lines: list[str], folder: Path):
    assert run(folder, "hypernode-servicectl", *words) == (0, "", "")
    assert run(folder, "hypernode-servicectl", "restart", "nginx") == (0, "", "")
    noted = (folder / "root/var/log/hypernode-servicectl.log").read_text().splitlines()
    assert noted == [*lines, "restart nginx"]


@pytest.mark.parametrize("words", [[], ["stop", "mysql"], ["--force", "restart"]], ids=str)
def test_another_action_is_a_usage_error(words: list[str], folder: Path):
    code, out, err = run(folder, "hypernode-servicectl", *words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: hypernode-servicectl [-h] [--version] ACTION [SERVICE ...]\n")
    assert not (folder / "root/var/log/hypernode-servicectl.log").exists()


def test_oom_protect_becomes_the_command(folder: Path):
    script = 'read line; echo "$1 $line"; echo oops >&2; exit 7'
    words = ["sh", "-c", script, "sh", "-h --debug 'x'"]
    assert run(folder, "hypernode-oom-protect", *words, stdin="hello\n") == (7, "-h --debug 'x' hello\n", "oops\n")


def test_oom_protect_lowers_the_score_if_it_may(folder: Path):
    before = Path("/proc/self/oom_score_adj").read_text()
    code, out, _ = run(folder, "hypernode-oom-protect", "cat", "/proc/self/oom_score_adj")
    assert code == 0
    assert out in ("-1000\n", before)


def test_oom_protect_ignores_no_signal_for_the_command(folder: Path):
    """Python by itself ignores SIGPIPE and SIGXFSZ; what else is ignored is so because of who started the tests."""
    _, out, _ = run(folder, "hypernode-oom-protect", "grep", "SigIgn", "/proc/self/status")
    ours = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert int(out.split()[1], 16) & ours == 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], (2, "", "usage: hypernode-oom-protect COMMAND [ARGS]\n")),
        (["--help"], (0, "usage: hypernode-oom-protect COMMAND [ARGS]\n", "")),
        (["nosuch"], (127, "", "hypernode-oom-protect: nosuch: command not found\n")),
        (["/"], (126, "", "hypernode-oom-protect: /: Permission denied\n")),
    ],
    ids=str,
)
def test_oom_protect_without_a_command_that_can_run(words: list[str], answer: tuple[int, str, str], folder: Path):
    assert run(folder, "hypernode-oom-protect", *words) == answer


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x"', "$HOME`id`", "two\nlines", "wiénn", "-n", "x" * 200])
def test_any_folder_will_do(name: str, box: Sandbox, tmp_path: Path):
    box.set(SHOP, php_version="8.4")
    folder = write(tmp_path / name, box)
    answer = (0, "", "php_version is set to value 8.4\n")
    assert run(folder, "hypernode-systemctl", "settings", "php_version") == answer
    assert run(folder, "hypernode-servicectl", "restart", "x y") == (0, "", "")
    assert (folder / "root/var/log/hypernode-servicectl.log").read_text() == "restart x y\n"


def test_the_token_is_in_one_file_that_only_its_owner_can_read(box: Sandbox, folder: Path):
    holding = [path for path in folder.rglob("*") if path.is_file() and box.tokens[SHOP] in path.read_text()]
    assert holding == [folder / "root/etc/hypernode/hypernode_api_token"]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    assert holding[0].read_text() == f"{box.tokens[SHOP]}\n"


def test_the_files_are_those_of_a_node(folder: Path):
    assert sorted(os.listdir(folder / "bin")) == TOOLS
    assert {(folder / "bin" / tool).stat().st_mode & 0o777 for tool in TOOLS} == {0o755}
    assert json.loads((folder / "root/etc/hypernode/app.json").read_text()) == {
        "tag": SHOP,
        "hn_fqdn": "kaasshop.hypernode.io",
        "hn_domain": "hypernode.io",
        "php_version": "8.3",
        "app_type": "persistent",
    }


def test_writing_again_makes_it_another_node_and_keeps_the_log(box: Sandbox, folder: Path):
    run(folder, "hypernode-servicectl", "restart", "mysql")
    before = tree(folder)
    write(folder, box, WITH_HISTORY)
    assert tree(folder) == before
    assert log(folder)
    assert {entry.node for entry in box.log()} == {WITH_HISTORY}
    assert (folder / "root/var/log/hypernode-servicectl.log").read_text() == "restart mysql\n"


@pytest.mark.parametrize(
    "url", ["https://api.hypernode.com", "http://example.com", "https://127.0.0.1:8443", "nothing"]
)
def test_a_token_that_may_be_a_real_one_is_written_nowhere(url: str, tmp_path: Path):
    with pytest.raises(InputError):
        write_node_tools(tmp_path, node=SHOP, token="real", api_url=url)
    assert tree(tmp_path) == []


def test_a_name_that_no_node_can_have_is_refused(tmp_path: Path):
    with pytest.raises(InvalidNode):
        write_node_tools(tmp_path, node="../x", token="t", api_url="http://127.0.0.1:1")
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("there", "folder", "says"),
    [
        ("node", "node", "/node is no folder"),
        ("node", "node/below", "/node is no folder"),
        ("bin", ".", "/bin is no folder"),
        ("root", ".", "/root is no folder"),
        ("root/etc/hypernode", ".", "/root/etc/hypernode is no folder"),
        ("bin/hypernode-systemctl", ".", "/bin/hypernode-systemctl is there already and is not ours"),
        ("x", "a:b", "/a:b has a colon in its name, which PATH cannot take"),
        ("x", "\udcff", "has a name that is not UTF-8"),
    ],
    ids=ascii,
)
def test_a_folder_that_will_not_do_is_left_as_it_is(there: str, folder: str, says: str, tmp_path: Path):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("somebody's own\n")
    before = tree(tmp_path)
    with pytest.raises(InputError) as caught:
        write_node_tools(tmp_path / folder, node=SHOP, token="t", api_url="http://127.0.0.1:1")
    assert str(caught.value).endswith(says)
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]
):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with as_nobody(), pytest.raises(InputError) as caught:
        write_node_tools(locked / "node", node=SHOP, token="t", api_url="http://127.0.0.1:1")
    assert str(caught.value).endswith(" cannot be written: Permission denied")
    assert tree(locked) == []


def test_a_folder_of_somebody_else_is_left_alone(box: Sandbox, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is not empty, and nothing in it is ours"):
        write(tmp_path, box)
    assert tree(tmp_path) == ["thesis.txt"]
