"""Fleet files and plans that cannot be used: told in words with their place, and nothing is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND
from runs import Hnctl, Result

from hypernode.sandbox.server import Sandbox

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
GOOD = "version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4}}}\n"
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ":1:1: the file is empty"),
    "only a comment": (b"# nothing\n", ":1:1: the file is empty"),
    "no yaml": (b"nodes: [\n", ": the file is not YAML"),
    "a tab": (b"version: 1\nnodes:\n\tkaasshop: {}\n", ":3:1: the file is not YAML"),
    "a text": (b"version 1", ":1:1: the file must be a mapping"),
    "a list": (b"- version: 1\n", ":1:1: the file must be a mapping"),
    "no version": (b"nodes: {}\n", ":1:1: there is no version"),
    "another version": (b"version: 2\n", ":1:10: this hnctl reads version 1"),
    "two documents": (GOOD.encode() + b"---\nversion: 1\n", ":3:1: a second document begins here"),
    "a node twice": (b"version: 1\nnodes:\n  kaasshop: {}\n  kaasshop: {}\n", ":4:3: kaasshop stands twice in nodes"),
    "a node outside": (b"version: 1\nnodes:\n  ../x: {}\n", ":3:3: '../x' cannot be the name of a node"),
    "capitals": (b"version: 1\nnodes: {KaasShop: {}}\n", ":2:9: 'KaasShop' cannot be the name of a node"),
    "17 letters": (b"version: 1\nnodes: {abcdefghijklmnopq: {}}\n", ":2:9: 'abcdefghijklmnopq' cannot be"),
    "an unknown setting": (GOOD.replace("php_", "ph_").encode(), ":2:31: there is no setting ph_version"),
    "a wrong type": (GOOD.replace("8.4", "[8.4]").encode(), ":2:44: php_version must have a single value"),
    "a wrong value": (GOOD.replace("8.4", "8.44").encode(), ":2:44: php_version cannot be 8.44"),
    "a literal secret": (
        GOOD.replace("php_version: 8.4", "new_relic_secret: hush-hush").encode(),
        ":2:49: new_relic_secret is secret and may not stand in the file",
    ),
    "a missing variable": (
        GOOD.replace("php_version: 8.4", "new_relic_secret: 'env:NOT_SET_ANYWHERE'").encode(),
        ":2:49: new_relic_secret: environment variable NOT_SET_ANYWHERE is not set",
    ),
    "an alias bomb": (f"version: 1\n{BOMB}".encode(), "the file has aliases that expand to more than"),
    "a circle": (b"version: 1\nnodes: &n {kaasshop: *n}\n", "the file has aliases that form a circle"),
    "deep": (b"version: " + b"[" * 5000, ":1:"),
    "garbage of 50 MB": (b"\xa5" * 50_000_000, ":1:1: the file is larger than 16 MiB"),
    "binary": (bytes(range(256)) * 4, ":1:1: the file is not UTF-8 text"),
    "another encoding": (b"version: 1\n# caf\xe9\n", ":2:6: the file is not UTF-8 text"),
    "terminal escapes": (b'version: 1\n"\\e[2Jnodes": {}\n', r":2:1: unknown key \x1b[2Jnodes"),
}
COMMANDS = {"validate": ["validate"], "diff": ["diff"], "apply": ["apply", "--yes"]}


def check(bad: Result, says: str) -> None:
    assert bad.status == 65
    assert bad.out == ""
    assert says in bad.err
    assert bad.err.startswith("fleet.yaml:")
    assert "\x1b" not in bad.err
    assert "hush-hush" not in bad.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used_is_told_with_its_place(
    name: str, command: str, hnctl: Hnctl, box: Sandbox, folder: Path
):
    content, says = FILES[name]
    (folder / "fleet.yaml").write_bytes(content)
    check(hnctl(*COMMANDS[command]), says)
    assert box.log() == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "fleet.yaml:1:1: the file cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "fleet.yaml:1:1: this is a folder, not a file"),
        (lambda path: path.symlink_to(path), "fleet.yaml:1:1: the file cannot be read"),
    ],
    ids=["missing", "a folder", "a link to itself"],
)
def test_what_is_no_file_is_told(
    make: Callable[[Path], None], says: str, command: str, hnctl: Hnctl, box: Sandbox, folder: Path
):
    make(folder / "fleet.yaml")
    check(hnctl(*COMMANDS[command]), says)
    assert box.log() == []


# Root may read everything, so as root hnctl is run without the two capabilities that allow it (linux/capability.h).
AS_ANYBODY = """\
import ctypes, os, sys
drop = ctypes.CDLL(None).prctl
sys.exit("cannot drop capabilities") if drop(24, 1, 0, 0, 0) or drop(24, 2, 0, 0, 0) else None
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_without_permission_is_told(command: str, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(GOOD)
    (folder / "fleet.yaml").chmod(0)
    argv = [*COMMAND, *COMMANDS[command]]
    if os.geteuid() == 0:
        argv = [sys.executable, "-c", AS_ANYBODY, *argv]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.stderr == "cannot drop capabilities\n":
        pytest.skip("this root cannot give up reading everything")
    check(Result(done.returncode, done.stdout, done.stderr), ":1:1: the file cannot be read: Permission denied")
    assert box.log() == []


PLAN = {
    "format_version": 1,
    "kind": "hnctl-plan",
    "api_url": "http://127.0.0.1:1",
    "checksum": "",
    "fleet_size": 1,
    "compared": ["kaasshop"],
    "limits": {"max_nodes": None, "max_changes": None},
    "groups": {},
    "changes": [],
}
CHANGE = {
    "node": "kaasshop",
    "setting": "php_version",
    "current": "8.3",
    "desired": "8.4",
    "secret": False,
    "reference": None,
    "hazards": [],
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        GOOD.encode(),
        bytes(range(256)),
        b"[" * 100_000,
        json.dumps({**PLAN, "kind": "another"}).encode(),
        json.dumps({**PLAN, "format_version": 2}).encode(),
        json.dumps({**PLAN, "changes": {}, "compared": ["../x"]}).encode(),
        json.dumps({**PLAN, "limits": {"max_nodes": None, "max_changes": "many"}}).encode(),
        json.dumps({**PLAN, "groups": {"magento": 5}}).encode(),
        json.dumps({**PLAN, "changes": [{**CHANGE, "setting": "nosuch"}]}).encode(),
        json.dumps({**PLAN, "changes": [{**CHANGE, "node": "../x"}]}).encode(),
        json.dumps({**PLAN, "changes": [{**CHANGE, "secret": True}]}).encode(),
        json.dumps({**PLAN, "changes": [{"node": "kaasshop"}]}).encode(),
    ],
    ids=lambda content: content[:60].decode(errors="replace"),
)
def test_a_plan_that_is_none_is_told(content: bytes, hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "plan.json").write_bytes(content)
    bad = hnctl("apply", "plan.json", "--yes")
    assert (bad.status, bad.out) == (65, "")
    assert bad.err.startswith("plan.json:1:1: the file is not a plan that can be applied: ")
    assert "hnctl plan -o json > plan.json" in bad.err
    assert box.log() == []


def test_a_plan_that_was_edited_is_refused(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set("kaasshop", php_version="8.3")
    (folder / "fleet.yaml").write_text(GOOD)
    made = hnctl("plan", "-o", "json").json
    made["changes"][0]["desired"] = "8.0"
    (folder / "plan.json").write_text(json.dumps(made))
    box.clear_log()
    refused = hnctl("apply", "plan.json", "--yes")
    assert refused.status == 5
    assert "the changes are not those that the checksum was made of" in refused.err
    assert box.log() == []


def test_a_plan_for_another_api_is_refused(hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "fleet.yaml").write_text(GOOD)
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    monkeypatch.setenv("HNCTL_API_URL", "https://api.example.com")
    refused = hnctl("apply", "plan.json", "--yes")
    assert refused.status == 5
    assert f"was made against {box.url}, not https://api.example.com" in refused.err


@pytest.mark.parametrize("options", [["-n", "kaasshop"], ["--group", "x"], ["--where", "varnish_enabled"], ["-f", "x"]])
def test_a_plan_takes_no_selection(options: list[str], hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "plan.json").write_text(json.dumps(PLAN))
    refused = hnctl("apply", "plan.json", "--yes", *options)
    assert refused.status == 64
    assert "of the selection only --exclude goes with it" in refused.err
