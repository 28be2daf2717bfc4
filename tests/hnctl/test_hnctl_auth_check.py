"""`hnctl auth check` and `auth list`: which tokens work, and which of several is used."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import Hnctl, Result

from hypernode.api.transport import Transport
from hypernode.sandbox.server import Sandbox

CANARY = "canary-0f5b91ce"


@pytest.fixture(autouse=True)
def alone(box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token of any node of the sandbox, and an empty folder."""
    monkeypatch.delenv("HYPERNODE_API_TOKENS")


def login(hnctl: Hnctl, box: Sandbox, *nodes: str) -> None:
    for node in nodes:
        assert hnctl("auth", "login", node, "--with-token", "--insecure-storage", stdin=box.tokens[node]).status == 0


def give(monkeypatch: pytest.MonkeyPatch, **tokens: str) -> None:
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(tokens))


def results(run: Result) -> dict[str, str]:
    return {row["node"]: row["result"] for row in run.json["nodes"]}


def test_each_node_is_told_apart_in_the_table_and_in_json(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    box.set("theeplein", allow_api_token_usage=False)
    a, b, c, d = [name for name in box.names if name not in ("kaasshop", "theeplein")][:4]
    give(
        monkeypatch, kaasshop=box.tokens["kaasshop"], theeplein=box.tokens["theeplein"], **{a: CANARY, b: box.tokens[c]}
    )
    nodes = [word for name in ("kaasshop", "theeplein", a, b, d) for word in ("-n", name)]
    checked = hnctl("auth", "check", *nodes, "-o", "json")
    assert checked.status == 4
    rows = {row["node"]: row for row in checked.json["nodes"]}
    assert list(rows) == sorted(rows)
    source = "HYPERNODE_API_TOKENS"
    assert rows["kaasshop"] == {"node": "kaasshop", "result": "works", "source": source, "reason": None}
    assert rows["theeplein"]["result"] == "works, API use switched off"
    assert (rows[a]["result"], rows[a]["source"]) == ("refused", source)
    assert "refused the token (401)" in rows[a]["reason"]
    assert rows[b]["result"] == "refused"
    assert "may not do this (403)" in rows[b]["reason"]
    assert (rows[d]["result"], rows[d]["source"]) == ("no token", None)
    table = hnctl("auth", "check", *nodes, "--debug")
    assert table.status == 4
    told = {line.split()[0]: line for line in table.out.splitlines()}
    assert all(row["result"].split(",")[0] in told[node] for node, row in rows.items())
    shown = checked.out + table.out + checked.err + table.err
    assert not any(token in shown for token in (CANARY, *box.tokens.values()))


def test_a_token_with_api_use_switched_off_is_no_failure(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    box.set("kaasshop", allow_api_token_usage=False)
    give(monkeypatch, kaasshop=box.tokens["kaasshop"])
    checked = hnctl("auth", "check", "-o", "json")
    assert (checked.status, results(checked)) == (0, {"kaasshop": "works, API use switched off"})


def test_an_api_that_cannot_be_reached_ends_with_1_and_a_missing_token_outranks_it(
    hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    give(monkeypatch, kaasshop=CANARY)
    monkeypatch.setenv("HNCTL_TIMEOUT", "200ms")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HNCTL_API_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        checked = hnctl("auth", "check", "-o", "json")
        assert (checked.status, results(checked)) == (1, {"kaasshop": "unreachable"})
        assert checked.json["nodes"][0]["reason"]
        both = hnctl("auth", "check", "-n", "kaasshop", "-n", "theeplein", "-o", "json")
        assert (both.status, results(both)) == (4, {"kaasshop": "unreachable", "theeplein": "no token"})


def test_nodes_are_tried_side_by_side_and_one_that_hangs_does_not_keep_the_others(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    give(monkeypatch, **box.tokens)
    monkeypatch.setenv("HNCTL_TIMEOUT", "300ms")
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "deadline", 0.5)  # else it tries again for 90 seconds
    box.set_faults({"hang": list(box.names)})
    begun = time.monotonic()
    hung = hnctl("auth", "check", "--all", "--parallel", "12", "-o", "json")
    assert time.monotonic() - begun < 12 * 0.3, "one after the other would take as long"
    assert (hung.status, list(results(hung).values())) == (1, ["unreachable"] * 12)
    box.set_faults({"hang": ["kaasshop"]})
    one = hnctl("auth", "check", "--all", "-o", "json")
    assert one.status == 1
    assert [node for node, result in results(one).items() if result != "works"] == ["kaasshop"]


def test_all_are_the_nodes_with_a_token_kept_ones_included(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    login(hnctl, box, "kaasshop")
    give(monkeypatch, theeplein=box.tokens["theeplein"])
    for words in (["--all"], []):
        checked = hnctl("auth", "check", *words, "-o", "json")
        assert (checked.status, results(checked)) == (0, {"kaasshop": "works", "theeplein": "works"})
    assert {row["source"] for row in checked.json["nodes"]} >= {"HYPERNODE_API_TOKENS"}


def test_with_a_fleet_file_all_are_its_nodes(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {theeplein: {}, kaasshop: {}}\n")
    login(hnctl, box, "kaasshop", box.names[5])
    checked = hnctl("auth", "check", "--all", "-o", "json")
    assert (checked.status, results(checked)) == (4, {"kaasshop": "works", "theeplein": "no token"})
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {}}\n")
    assert hnctl("auth", "check").status == 0


def test_where_leaves_out_nodes_that_are_otherwise(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    give(monkeypatch, kaasshop=box.tokens["kaasshop"], theeplein=box.tokens["theeplein"])
    box.set("kaasshop", php_version="8.4")
    box.set("theeplein", php_version="8.1")
    checked = hnctl("auth", "check", "--all", "--where", "php_version < 8.2", "-o", "json")
    assert results(checked) == {"theeplein": "works"}


def test_without_any_token_check_asks_which_nodes(hnctl: Hnctl, box: Sandbox):
    refused = hnctl("auth", "check", "--all")
    assert refused.status == 64
    assert "which nodes?" in refused.err
    assert box.log() == []


def test_of_sources_that_disagree_the_first_is_used_and_list_says_which(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    login(hnctl, box, "kaasshop", "theeplein")
    give(monkeypatch, kaasshop=CANARY)
    rows = hnctl("auth", "list", "-o", "json").json["tokens"]
    assert [(row["node"], row["used"], row["insecure"]) for row in rows] == [
        ("kaasshop", True, False),
        ("kaasshop", False, True),
        ("theeplein", True, True),
    ]
    assert rows[0]["source"] == "HYPERNODE_API_TOKENS"
    assert hnctl("settings", "get", "php_version", "-n", "kaasshop").status == 4, "the first is wrong, and is used"
    assert box.log()[-1].status == 401
    checked = hnctl("auth", "check", "-o", "json")
    assert results(checked) == {"kaasshop": "refused", "theeplein": "works"}


def test_login_tells_that_another_source_comes_before(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    give(monkeypatch, kaasshop=CANARY)
    kept = hnctl("auth", "login", "kaasshop", "--with-token", "--insecure-storage", stdin=box.tokens["kaasshop"])
    assert kept.status == 0
    assert kept.err == "It is not used as long as there is a token of kaasshop from HYPERNODE_API_TOKENS.\n"
    monkeypatch.setenv("HYPERNODE_API_TOKENS", CANARY)
    kept = hnctl("auth", "login", "kaasshop", "--with-token", "--insecure-storage", stdin=box.tokens["kaasshop"])
    assert kept.status == 0
    assert kept.err == (
        "It is not used as long as this is so: HYPERNODE_API_TOKENS is not a JSON object from node to token\n"
    )


def test_with_tokens_in_the_environment_a_command_does_not_even_import_keyring(box: Sandbox):
    script = (
        "import atexit, sys; from hnctl import main\n"
        "sys.argv = ['hnctl', 'settings', 'get', 'php_version', '-n', 'kaasshop']\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith('keyring')]))\n"
        "main.run()"
    )
    env = {**os.environ, "HYPERNODE_API_TOKENS": json.dumps(dict(box.tokens))}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n[]\n")


def test_what_to_do_about_a_missing_token_is_told(hnctl: Hnctl, box: Sandbox):
    checked = hnctl("auth", "check", "-n", "kaasshop", "-n", "theeplein")
    assert checked.status == 4
    for way_out in ("HYPERNODE_API_TOKENS", "token_command", "--insecure-storage"):
        assert checked.err.count(way_out) == 1
