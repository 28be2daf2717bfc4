"""Secrets on the command line: by reference and from stdin, never as they are, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

KEY = "s3cr3t-k3y"
SET = ["settings", "set", "new_relic_secret"]


def secret_of(box: Sandbox, node: str = "kaasshop") -> object:
    return box.settings(node)["new_relic_secret"]


def test_a_secret_as_it_is_is_refused_and_not_repeated(hnctl: Hnctl, box: Sandbox):
    refused = hnctl(*SET, KEY, "-n", "kaasshop")
    assert refused.status == 64
    assert "its value must not stand on the command line" in refused.err
    assert "env:..., file:..., keyring:..., cmd:..." in refused.err
    assert KEY not in refused.out + refused.err
    assert box.log() == []


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:NOT_THERE", "environment variable NOT_THERE is not set"),
        ("file:not-there", "file:not-there cannot be read: No such file or directory"),
        ("file:.", "is a folder"),
        ("cmd:false", "command 'false' ended with 1"),
        ("cmd:not-there-at-all", "cannot be run"),
        ("keyring:shop", "must read keyring:SERVICE/USER"),
        ("keyring:shop/key", "the keyring has nothing for shop/key"),
        ("cmd:true", "is empty"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named_and_nothing_is_sent(
    reference: str, says: str, hnctl: Hnctl, box: Sandbox
):
    refused = hnctl(*SET, reference, "-n", "kaasshop")
    assert refused.status == 64
    assert says in refused.err
    assert box.log() == []


@pytest.mark.parametrize("reference", ["env:NR_KEY", "file:key.txt", "cmd:cat key.txt"])
def test_a_secret_is_fetched_from_where_the_reference_points(
    reference: str, hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NR_KEY", KEY)
    (folder / "key.txt").write_text(KEY + "\n")
    done = hnctl(*SET, reference, "-n", "kaasshop")
    assert done.status == 0, done.err
    assert secret_of(box) == KEY
    assert f"new_relic_secret not set -> (secret {reference})" in done.err
    assert KEY not in done.out + done.err


def test_the_same_secret_again_changes_nothing(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NR_KEY", KEY)
    box.set("kaasshop", new_relic_secret=KEY)
    done = hnctl(*SET, "env:NR_KEY", "-n", "kaasshop")
    assert done.out == "0 done, 1 unchanged, 0 failed, 0 outcome unknown, 0 not attempted\n"
    assert writes(box) == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_a_secret_is_the_first_line_of_stdin(end: str, hnctl: Hnctl, box: Sandbox):
    done = hnctl(*SET, "-", "-n", "kaasshop", stdin=KEY + end)
    assert done.status == 0, done.err
    assert secret_of(box) == KEY
    assert KEY not in done.out + done.err


@pytest.mark.parametrize("typed", ["", "\n", "  \n"])
def test_an_empty_stdin_gives_no_secret(typed: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl(*SET, "-", "-n", "kaasshop", stdin=typed)
    assert refused.status == 64
    assert "stdin gave no value for new_relic_secret" in refused.err
    assert box.log() == []


def test_a_run_with_a_secret_that_was_typed_in_is_gone_on_with_by_typing_it_again(hnctl: Hnctl, box: Sandbox):
    nodes = ["-n", "kaasshop", "-n", "theeplein"]
    box.set_faults({"reject": ["theeplein"]})
    first = hnctl(*SET, "-", *nodes, "--yes", stdin=f"{KEY}\n")
    assert first.status == 3
    assert "To go on, new_relic_secret is read from stdin again: it was not kept.\nGo on: hnctl resume " in first.err
    box.set_faults({})
    for typed, told in (("", "stdin gave no value for new_relic_secret"), ("other\n", "to another value so far")):
        refused = hnctl("resume", "last", "--yes", stdin=typed)
        assert (refused.status, told in refused.err) == (64, True)
    assert secret_of(box, "theeplein") is None
    rest = hnctl("resume", "last", "--yes", stdin=f"{KEY}\n")
    assert rest.status == 0
    assert secret_of(box, "theeplein") == KEY
    assert KEY not in first.out + first.err + rest.out + rest.err


def test_stdin_that_is_no_text_gives_no_secret(box: Sandbox, folder: Path):
    refused = run(*SET, "-", "-n", "kaasshop", stdin=b"\xff\xfe\n")
    assert (refused.status, refused.out) == (64, "")
    assert "what stdin gave is not UTF-8 text" in refused.err
    assert box.log() == []


def test_a_secret_from_stdin_is_the_same_in_every_locale(box: Sandbox, folder: Path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*SET, "-", "-n", "kaasshop", stdin="clé-€\n".encode(), variables=plain)
    assert done.status == 0, done.err
    assert secret_of(box) == "clé-€"


def test_a_secret_can_be_cleared(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_secret=KEY)
    done = hnctl(*SET, "--clear", "-n", "kaasshop")
    assert done.status == 0
    assert "new_relic_secret (secret) -> not set" in done.err
    assert secret_of(box) is None


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
def test_a_secret_is_masked_in_every_format(output: str, hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_secret=KEY)
    for command in (["get", "new_relic_secret"], ["list"]):
        got = hnctl("settings", *command, "-n", "kaasshop", "-o", output)
        assert "***" in got.out
        assert KEY not in got.out


@pytest.mark.parametrize(
    "command",
    [
        ["settings", "get", "php_version", "--all"],
        ["nodes", "list"],
        ["explain", "kaasshop", "php_version"],
        ["settings", "list", "--group", "profiled"],
    ],
    ids=" ".join,
)
def test_a_reader_of_a_fleet_needs_none_of_its_secrets(command: list[str], hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(
        "version: 1\n"
        "groups: {profiled: {settings: {new_relic_secret: 'env:NOT_THERE'}}}\n"
        "nodes: {kaasshop: {groups: [profiled]}}\n"
    )
    assert hnctl(*command).status == 0
    refused = hnctl("diff")
    assert refused.status == 65
    assert "fleet.yaml:2:50: new_relic_secret: environment variable NOT_THERE is not set" in refused.err
