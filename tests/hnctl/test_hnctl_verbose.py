"""`-v`: which token is used when two sources disagree, told once for each node and without any token."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import keyring
import keyring.errors
import pytest
from nodes_by_ssh import NodesBySsh, write_fleet
from runs import Hnctl, Result

from fake_keyring import Memory
from hypernode.credentials import TOKEN_FILE
from hypernode.sandbox.server import Sandbox

CANARY = "canary-0f5b91ce"
"""A token that is not the node's."""
GET = ["settings", "get", "php_version", "-n", "kaasshop"]
COMMANDS = [
    GET,
    ["settings", "list", "-n", "kaasshop"],
    ["settings", "set", "php_version", "8.3", "-n", "kaasshop", "--yes"],
    ["diff", "-n", "kaasshop"],
    ["plan", "-n", "kaasshop"],
    ["apply", "--yes", "-n", "kaasshop"],
    ["auth", "check", "-n", "kaasshop"],
    ["nodes", "list", "-n", "kaasshop"],
    ["nodes", "show", "kaasshop"],
    ["flows", "list", "-n", "kaasshop"],
    ["export", "-n", "kaasshop"],
    ["explain", "kaasshop", "php_version"],
]

Keep = Callable[..., Path]


@pytest.fixture
def keep(box: Sandbox, folder: Path, clean_environment: Path) -> Keep:
    """Write the plain file of --insecure-storage; returns its path. There is a fleet file of all nodes."""
    write_fleet(dict.fromkeys(box.names, ""), {"php_version": "8.3"})
    path = clean_environment / f".config/hnctl/insecure-tokens/{box.url[7:].replace(':', '%3A')}.json"

    def write(**tokens: str) -> Path:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(json.dumps(tokens))
        path.chmod(0o600)
        return path

    return write


def notes(run: Result) -> list[str]:
    """Return the lines that tell of two tokens."""
    return [line for line in run.err.splitlines() if "another one" in line]


def silent(box: Sandbox, *runs: Result) -> bool:
    """Tell whether no run shows a token."""
    words = [CANARY, *box.tokens.values()]
    return not any(word in run.out + run.err for run in runs for word in words)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_of_two_that_disagree_the_used_one_and_the_other_are_told_once(
    command: Sequence[str], hnctl: Hnctl, box: Sandbox, keep: Keep
):
    plain = keep(kaasshop=CANARY)
    quiet, verbose, debug = hnctl(*command), hnctl(*command, "-v"), hnctl(*command, "-v", "--debug")
    assert [run.status for run in (quiet, verbose, debug)] == [0] * 3, verbose.err
    said = f"kaasshop: the token of HYPERNODE_API_TOKENS is used; there is another one in {plain}."
    assert (notes(quiet), notes(verbose), notes(debug)) == ([], [said], [said])
    assert silent(box, quiet, verbose, debug)


@pytest.mark.parametrize("command", [GET, ["diff"], ["auth", "check", "--all"]], ids=lambda words: words[0])
def test_sources_that_agree_say_nothing(command: Sequence[str], hnctl: Hnctl, box: Sandbox, keep: Keep):
    keep(**box.tokens)
    memory = Memory()
    memory.entries = {(f"hnctl {box.url[7:]}", node): f"{token}\n" for node, token in box.tokens.items()}
    keyring.set_keyring(memory)
    run = hnctl(*command, "--verbose")
    assert (run.status, notes(run)) == (0, [])
    assert silent(box, run)


@pytest.mark.parametrize("command", [["diff"], ["auth", "check", "--all"], ["apply", "--yes"]], ids=" ".join)
def test_each_node_of_a_fleet_is_told_once_and_only_those_that_differ(
    command: Sequence[str], hnctl: Hnctl, box: Sandbox, keep: Keep
):
    odd = box.names[::2]
    plain = keep(**{**box.tokens, **dict.fromkeys(odd, CANARY)})
    run = hnctl(*command, "-v", "--parallel", "12")
    assert run.status == 0, run.err
    used = "the token of HYPERNODE_API_TOKENS is used; there is another one in"
    assert sorted(notes(run)) == sorted(f"{node}: {used} {plain}." for node in odd)
    assert silent(box, run)


def test_machine_readable_output_stays_so(hnctl: Hnctl, box: Sandbox, keep: Keep):
    keep(kaasshop=CANARY)
    run = hnctl("auth", "check", "--all", "-v", "-o", "json")
    assert len(run.json["nodes"]) == len(box.names)
    assert len(notes(run)) == 1


def test_the_nodes_own_file_is_a_source_too_and_all_others_are_named(
    hnctl: Hnctl, box: Sandbox, keep: Keep, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path_factory.mktemp("node")
    (root / "etc/hypernode").mkdir(parents=True)
    (root / "etc/hypernode/app.json").write_text('{"tag": "kaasshop"}')
    own = root / TOKEN_FILE.lstrip("/")
    own.write_text(CANARY + "\n")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(root))
    for command in (GET, GET[:3], ["auth", "check", "-n", "kaasshop"], ["diff", "-n", "kaasshop"]):
        run = hnctl(*command, "-v")
        said = f"kaasshop: the token of HYPERNODE_API_TOKENS is used; there is another one in {TOKEN_FILE}."
        assert set(notes(run)) == {said}, command
        assert silent(box, run)
    plain = keep(kaasshop=CANARY)
    both = hnctl(*GET, "-v")
    assert notes(both)
    assert f"in {plain}, {TOKEN_FILE}." in notes(both)[0]
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    own.write_text(box.tokens["kaasshop"])
    wrong = hnctl(*GET, "-v")
    assert wrong.status == 4
    assert set(notes(wrong)) == {f"kaasshop: the token of {plain} is used; there is another one in {TOKEN_FILE}."}
    keep()
    assert notes(hnctl(*GET, "-v")) == []


def test_the_order_of_the_sources_is_the_order_of_what_is_told(
    hnctl: Hnctl, box: Sandbox, keep: Keep, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = keep(kaasshop=CANARY)
    memory = Memory()
    memory.entries[f"hnctl {box.url[7:]}", "kaasshop"] = "canary-in-keyring"
    keyring.set_keyring(memory)
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "canary-single")
    config = clean_environment / ".config/hnctl/config.toml"
    config.write_text('token_command = ["echo", "canary-command"]\n')
    told = notes(hnctl(*GET, "-v"))
    assert told == [
        "kaasshop: the token of HYPERNODE_API_TOKENS is used; "
        f"there is another one in HYPERNODE_API_TOKEN, token_command, {plain}, keyring."
    ]
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    monkeypatch.setenv("HYPERNODE_API_TOKEN", box.tokens["kaasshop"])
    assert notes(hnctl(*GET, "-v")) == [
        f"kaasshop: the token of HYPERNODE_API_TOKEN is used; there is another one in token_command, {plain}, keyring."
    ]


def test_a_branchers_parent_counts_as_its_source(hnctl: Hnctl, box: Sandbox, keep: Keep):
    plain = keep(kaasshop=CANARY)
    run = hnctl("auth", "check", "-n", "kaasshop-eph1", "-v")
    assert notes(run) == [f"kaasshop-eph1: the token of HYPERNODE_API_TOKENS is used; there is another one in {plain}."]
    assert silent(box, run)


@pytest.mark.parametrize("failure", [keyring.errors.KeyringLocked, keyring.errors.NoKeyringError, RuntimeError])
@pytest.mark.parametrize("command", [GET, ["diff"], ["auth", "check", "--all"]], ids=lambda words: words[0])
def test_a_keyring_that_fails_does_not_matter(
    failure: type[Exception], command: Sequence[str], hnctl: Hnctl, box: Sandbox, keep: Keep
):
    def fail() -> None:
        raise failure(CANARY)

    memory = Memory()
    memory.on = dict.fromkeys(("get", "set", "delete"), fail)
    keyring.set_keyring(memory)
    run = hnctl(*command, "-v")
    assert (run.status, notes(run)) == (0, [])
    plain = keep(kaasshop=CANARY)
    run = hnctl(*command, "-v", "--debug")
    assert run.status == 0
    assert [str(plain) in note for note in notes(run)] == [True]
    assert silent(box, run)


def test_other_sources_that_cannot_be_read_do_not_matter_either(
    hnctl: Hnctl, box: Sandbox, keep: Keep, clean_environment: Path
):
    keep(kaasshop=CANARY).chmod(0o644)
    (clean_environment / ".config/hnctl/config.toml").write_text('token_command = ["false"]\n')
    run = hnctl(*GET, "-v")
    assert (run.status, notes(run)) == (0, [])


def test_a_keyring_that_hangs_costs_its_time_once(
    hnctl: Hnctl, box: Sandbox, keep: Keep, monkeypatch: pytest.MonkeyPatch
):
    release = threading.Event()
    memory = Memory()
    memory.on = dict.fromkeys(("get", "set", "delete"), lambda: release.wait(30))
    keyring.set_keyring(memory)
    monkeypatch.setattr("hypernode.credentials._unanswered", [])
    monkeypatch.setattr("hypernode.credentials.KEYRING_TIMEOUT", 0.3)
    plain = keep(**dict.fromkeys(box.names, CANARY))
    run = hnctl("auth", "check", "--all", "-v", "--parallel", "1")
    release.set()
    assert run.status == 0
    assert len(notes(run)) == len(box.names)
    assert all(str(plain) in note for note in notes(run))


@pytest.mark.usefixtures("openssh")
@pytest.mark.parametrize(
    "command",
    [GET, GET[:3], ["settings", "list"], ["auth", "check"], ["nodes", "show", "kaasshop"], ["flows", "list"]],
    ids=" ".join,
)
def test_on_the_node_itself_it_is_told_once_though_its_way_is_looked_for_first(
    command: Sequence[str], nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    nodes.stand_on("kaasshop", monkeypatch)
    monkeypatch.setenv("HYPERNODE_API_TOKEN", nodes.box.tokens["kaasshop"])
    (nodes.root("kaasshop") / TOKEN_FILE.lstrip("/")).write_text(CANARY)
    said = f"kaasshop: the token of HYPERNODE_API_TOKEN is used; there is another one in {TOKEN_FILE}."
    run = hnctl(*command, "-v")
    assert (run.status, notes(run)) == (0, [said])
