"""Which token is used, and what is said when there is none or a wrong one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

GET = ["settings", "get", "php_version"]
CANARY = "canary-0f5b91ce"


@pytest.fixture
def alone(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox, and no token of any of its nodes."""
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    return box


@pytest.fixture
def config(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = clean_environment / "config.toml"
    monkeypatch.setenv("HNCTL_CONFIG", str(path))
    return path


def test_without_a_token_all_ways_out_are_told_and_nothing_is_sent(hnctl: Hnctl, alone: Sandbox):
    refused = hnctl(*GET, "-n", "kaasshop")
    assert (refused.status, refused.out) == (4, "")
    assert refused.err.startswith("Error: there is no API token for kaasshop\n")
    for way in (
        "HYPERNODE_API_TOKEN ",
        "HYPERNODE_API_TOKENS=",
        "token_command in",
        "hnctl auth login kaasshop",
        "hypernode_api_token",
    ):
        assert way in refused.err
    assert alone.log() == []


@pytest.mark.parametrize(
    "command",
    [
        [*GET, "-n", "kaasshop"],
        ["settings", "list", "-n", "kaasshop"],
        ["settings", "set", "php_version", "8.4", "-n", "kaasshop"],
        ["nodes", "show", "kaasshop"],
        ["nodes", "list", "-n", "kaasshop"],
        ["flows", "list", "-n", "kaasshop"],
        ["flows", "watch", "-n", "kaasshop"],
        ["explain", "kaasshop", "php_version"],
        ["export", "-n", "kaasshop"],
        ["diff"],
        ["plan"],
        ["apply", "--yes"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("token", [None, CANARY], ids=["none", "refused"])
def test_every_command_ends_with_4_without_a_good_token(
    token: str | None, command: list[str], hnctl: Hnctl, alone: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.0}}}\n")
    if token is not None:
        monkeypatch.setenv("HYPERNODE_API_TOKEN", token)
    refused = hnctl(*command)
    assert refused.status == 4, refused.err
    said = "there is no API token for kaasshop" if token is None else "the API refused the token (401): Invalid token."
    assert said in refused.out + refused.err
    assert CANARY not in refused.out + refused.err


def test_a_token_of_another_node_is_refused_with_a_question_that_helps(
    hnctl: Hnctl, alone: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", alone.tokens["theeplein"])
    refused = hnctl(*GET, "-n", "kaasshop")
    assert refused.status == 4
    assert "kaasshop: the token may not do this (403)" in refused.err
    assert "is this the token of that node?" in refused.err
    assert alone.tokens["theeplein"] not in refused.err


def test_a_token_that_may_not_change_settings_is_told_who_can_turn_that_on(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3")
    box.set_faults({"api_use_off": ["kaasshop"]})
    refused = hnctl("settings", "set", "php_version", "8.4", "-n", "kaasshop")
    assert refused.status == 4
    assert "An owner or admin turns it on in the control panel" in refused.err


def test_an_unnamed_token_counts_for_a_single_node_only(hnctl: Hnctl, alone: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", alone.tokens["kaasshop"])
    assert hnctl(*GET, "-n", "kaasshop").status == 0
    assert hnctl(*GET, "-n", "kaasshop", "-o", "json").status == 0
    alone.clear_log()
    both = hnctl(*GET, "-n", "kaasshop", "-n", "theeplein")
    assert both.status == 4
    assert alone.log() == [], "the token of one node is not tried on another"


def test_a_named_token_counts_for_its_node_only(hnctl: Hnctl, alone: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", alone.tokens["kaasshop"])
    monkeypatch.setenv("HYPERNODE_APP_NAME", "kaasshop")
    assert hnctl(*GET).status == 0
    assert hnctl(*GET, "-n", "theeplein").status == 4
    both = hnctl(*GET, "-n", "kaasshop", "-n", "theeplein", "-o", "json")
    assert both.status == 3
    assert [row["node"] for row in both.json["settings"]] == ["kaasshop"]
    assert {entry.node for entry in alone.log()} == {"kaasshop"}


def test_a_token_among_many_outranks_the_single_one(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "wrong")
    assert hnctl(*GET, "-n", "kaasshop").status == 0


@pytest.mark.parametrize(
    "text", ["nonsense", "[]", '{"kaasshop": 5}', '"canary-0f5b91ce"', "{'kaasshop': 'canary-0f5b91ce'}"]
)
def test_tokens_that_are_no_json_object_are_told_without_their_content(
    text: str, hnctl: Hnctl, alone: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", text)
    for words in ([*GET, "-n", "kaasshop"], [*GET, "--all"]):
        refused = hnctl(*words)
        assert refused.status == 4
        assert "HYPERNODE_API_TOKENS is not a JSON object from node to token" in refused.err
        assert CANARY not in refused.err
    assert alone.log() == []


@pytest.mark.parametrize("token", ["two words", "line\nline", "tok\u20acn", "\x1b[31m"])
def test_what_cannot_be_a_token_is_not_sent(token: str, hnctl: Hnctl, alone: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop": token}))
    refused = hnctl(*GET, "-n", "kaasshop")
    assert refused.status == 4
    assert "cannot be a token" in refused.err
    assert token not in refused.err
    assert alone.log() == []


def test_a_command_of_the_config_gives_the_token_of_each_node(hnctl: Hnctl, alone: Sandbox, config: Path, folder: Path):
    (folder / "tokens.json").write_text(json.dumps(dict(alone.tokens)))
    script = f"import json, os; print(json.load(open({str(folder / 'tokens.json')!r}))[os.environ['HNCTL_NODE']])"
    config.write_text(f"token_command = {json.dumps([sys.executable, '-c', script])}\n")
    rows = hnctl(*GET, "-n", "kaasshop", "-n", "theeplein", "-o", "json")
    assert rows.status == 0, rows.err
    assert len(rows.json["settings"]) == 2


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["false"], "token_command ended with 1"),
        (["/not/there"], "token_command cannot be run"),
        (["sh", "-c", "echo out of order >&2; exit 3"], "token_command ended with 3: out of order"),
        (["printf", "\\377"], "token_command did not print UTF-8 text"),
        (["echo", "two words"], "cannot be a token"),
    ],
)
def test_a_command_that_gives_no_token_is_told(argv: list[str], says: str, hnctl: Hnctl, alone: Sandbox, config: Path):
    config.write_text(f"token_command = {json.dumps(argv)}\n")
    refused = hnctl(*GET, "-n", "kaasshop")
    assert refused.status == 4
    assert says in refused.err
    assert alone.log() == []


def test_on_the_node_itself_its_own_file_is_enough(
    hnctl: Hnctl, alone: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "etc" / "hypernode").mkdir(parents=True)
    (folder / "etc" / "hypernode" / "app.json").write_text('{"tag": "kaasshop"}')
    (folder / "etc" / "hypernode" / "hypernode_api_token").write_text(alone.tokens["kaasshop"] + "\n")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    assert hnctl(*GET).status == 0
    assert hnctl(*GET, "-n", "theeplein").status == 4
