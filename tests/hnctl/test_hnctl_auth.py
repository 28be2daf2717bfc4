"""`hnctl auth`: tokens kept, listed, tried and forgotten, and never shown."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import keyring
import keyring.backends.null
import processes
import pytest
from runs import Hnctl, Result

import hypernode.credentials
from fake_keyring import WAYS_OUT, Memory
from hypernode.sandbox.server import Sandbox

GET = ["settings", "get", "php_version", "-n", "kaasshop"]
LOGIN = ["auth", "login", "kaasshop", "--with-token"]


@pytest.fixture
def alone(box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox, and no token of any of its nodes; we stand in an empty folder."""
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    return box


@pytest.fixture
def plain(alone: Sandbox, clean_environment: Path) -> Path:
    """Where --insecure-storage keeps the tokens for the sandbox."""
    return clean_environment / f".config/hnctl/insecure-tokens/{alone.url[7:].replace(':', '%3A')}.json"


def leaks(box: Sandbox, home: Path, *runs: Result, but: Path | None = None) -> list[object]:
    """Return what shows a token: runs, and files below `home` and here."""
    files = [path for top in (home, Path.cwd()) for path in top.rglob("*") if path.is_file() and path != but]
    shown = [(run, run.out + run.err) for run in runs] + [(path, path.read_text()) for path in files]
    return [what for what, text in shown if any(token in text for token in box.tokens.values())]


def test_a_token_is_tried_kept_listed_used_and_forgotten(
    hnctl: Hnctl, alone: Sandbox, memory: Memory, clean_environment: Path
):
    token = alone.tokens["kaasshop"]
    login = hnctl(*LOGIN, "--debug", stdin=f"\n  {token}\n")
    assert (login.status, login.out) == (0, "kaasshop: the API takes this token; it is kept in the keyring\n")
    assert memory.entries == {(f"hnctl {alone.url[7:]}", "kaasshop"): token}
    assert [(entry.method, entry.node) for entry in alone.log()] == [("GET", "kaasshop")]
    listed, as_json = hnctl("auth", "list", "--debug"), hnctl("auth", "list", "-o", "json")
    assert listed.out.split() == ["node", "source", "used", "kaasshop", "keyring", "true"]
    assert as_json.json["tokens"] == [{"node": "kaasshop", "source": "keyring", "insecure": False, "used": True}]
    got = hnctl(*GET, "--debug")
    assert got.status == 0
    logout = hnctl("auth", "logout", "kaasshop", "--debug")
    assert (logout.status, logout.out, memory.entries) == (0, "kaasshop: removed from the keyring\n", {})
    assert hnctl("auth", "logout", "kaasshop").out == "kaasshop: no token was kept\n"
    assert hnctl("auth", "list").err == "No tokens.\n"
    assert hnctl(*GET).status == 4
    assert leaks(alone, clean_environment, login, listed, as_json, got, logout) == []


@pytest.mark.parametrize("storage", [[], ["--insecure-storage"]])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda _: "canary-0f5b", "refused the token (401)"),
        (lambda box: box.tokens["theeplein"], "may not do this (403)"),
    ],
    ids=["wrong", "another's"],
)
def test_a_token_that_the_api_refuses_is_not_kept(
    given: Callable[[Sandbox], str],
    says: str,
    storage: list[str],
    hnctl: Hnctl,
    alone: Sandbox,
    memory: Memory,
    clean_environment: Path,
):
    refused = hnctl(*LOGIN, *storage, "--debug", stdin=given(alone))
    assert (refused.status, refused.out) == (4, "")
    assert says in refused.err
    assert given(alone) not in refused.err
    assert memory.entries == {}
    assert list(clean_environment.rglob("*.json")) == []


@pytest.mark.parametrize(
    ("stdin", "status", "says"),
    [
        ("", 64, "no token was given"),
        (" \n\n", 64, "no token was given"),
        ("one\ntwo\n", 4, "cannot be a token"),
        ("two words", 4, "cannot be a token"),
        ("tok\u20acn", 4, "cannot be a token"),
    ],
)
def test_what_cannot_be_a_token_is_not_sent(stdin: str, status: int, says: str, hnctl: Hnctl, alone: Sandbox):
    refused = hnctl(*LOGIN, stdin=stdin)
    assert refused.status == status
    assert says in refused.err
    assert "two" not in refused.err
    assert alone.log() == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('printf "\\377" | "$@"', "the token cannot be read from stdin: not text"),
        ('"$@" 0>/dev/null', "the token cannot be read from stdin: Bad file descriptor"),
        ('"$@" < /dev/null', "no token was given"),
        ('"$@" <&-', "nothing is piped into it"),
    ],
)
def test_an_odd_stdin_is_a_usage_error(line: str, says: str, alone: Sandbox):
    refused = processes.run_in_shell(line, *LOGIN, variables={"PYTHONIOENCODING": "utf-8:strict"})
    assert refused.status == 64, refused.err
    assert says in refused.err


def test_a_token_is_never_taken_from_the_command_line(hnctl: Hnctl, alone: Sandbox):
    assert hnctl("auth", "login", "kaasshop", "--token", "x").status == 64
    assert hnctl("auth", "login", "kaasshop", "x").status == 64
    assert hnctl(*LOGIN[:2], "-n", "x").status == 64
    silent = hnctl("auth", "login", "kaasshop", stdin="x")
    assert (silent.status, silent.err) == (
        64,
        "Error: there is no terminal to ask for the token\n  hint: Pipe it in: --with-token\n",
    )
    assert alone.log() == []


def test_at_a_terminal_the_token_is_asked_for_and_not_shown(alone: Sandbox, clean_environment: Path, plain: Path):
    token = alone.tokens["kaasshop"]
    run = processes.run_in_terminal(
        "auth", "login", "kaasshop", "--insecure-storage", "--debug", answers=[("Token of kaasshop: ", f"{token}\n")]
    )
    assert run.status == 0, run.out
    assert "Token of kaasshop: " in run.out
    assert json.loads(plain.read_text()) == {"kaasshop": token}
    assert leaks(alone, clean_environment, run, but=plain) == []


def test_a_terminal_is_not_a_pipe_and_ctrl_c_at_the_prompt_keeps_nothing(alone: Sandbox, clean_environment: Path):
    at_terminal = processes.run_in_terminal(*LOGIN)
    assert at_terminal.status == 64
    assert "nothing is piped into it" in at_terminal.out
    given_up = processes.run_in_terminal("auth", "login", "kaasshop", answers=[("Token of kaasshop: ", "\x03")])
    assert given_up.status == 130
    assert "Aborted; nothing more was done." in given_up.out
    assert alone.log() == []
    assert list(clean_environment.rglob("*")) == []


def test_insecure_storage_is_a_file_for_its_owner_and_every_list_says_so(
    hnctl: Hnctl, alone: Sandbox, plain: Path, clean_environment: Path
):
    login = processes.run_in_shell(
        f"umask 0; printf %s '{alone.tokens['kaasshop']}' | \"$@\"", *LOGIN, "--insecure-storage"
    )
    assert login.out == f"kaasshop: the API takes this token; it is kept in {plain}\n"
    assert (plain.stat().st_mode & 0o777, plain.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert hnctl(*GET).status == 0
    for form in ("table", "json", "jsonl", "yaml", "markdown"):
        listed = hnctl("auth", "list", "-o", form)
        assert f"Insecure: {plain} holds tokens in clear" in listed.err
        assert leaks(alone, clean_environment, listed, login, but=plain) == []
    assert hnctl("auth", "list", "-o", "json").json["tokens"][0]["insecure"] is True
    plain.chmod(0o640)
    for command in (GET, ["auth", "list"], ["auth", "logout", "kaasshop"]):
        refused = hnctl(*command)
        assert refused.status == 4
        assert f"{plain} can be read by others\n  hint: Take that away (chmod 600 {plain})" in refused.err
    plain.chmod(0o600)
    assert hnctl("auth", "logout", "kaasshop").out == f"kaasshop: removed from {plain}\n"
    assert leaks(alone, clean_environment) == []


def test_logins_at_once_lose_nothing(alone: Sandbox, plain: Path):
    names = list(alone.names)[:6]
    words, streams = ("--with-token", "--insecure-storage"), {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with ExitStack() as stack:
        running = [stack.enter_context(processes.start("auth", "login", name, *words, **streams)) for name in names]
        for name, process in zip(names, running, strict=True):
            assert process.stdin is not None
            process.stdin.write(alone.tokens[name].encode())
            process.stdin.close()
        assert [process.wait(20) for process in running] == [0] * len(names)
    assert json.loads(plain.read_text()) == {name: alone.tokens[name] for name in names}


@pytest.mark.parametrize("backend", ["fail", "null"])
def test_without_a_keyring_login_tells_the_three_ways_out_and_writes_no_file(
    backend: str, alone: Sandbox, clean_environment: Path
):
    refused = processes.run(
        *LOGIN,
        stdin=alone.tokens["kaasshop"].encode(),
        variables={"PYTHON_KEYRING_BACKEND": f"keyring.backends.{backend}.Keyring"},
    )
    assert (refused.status, refused.out) == (4, "")
    assert all(way in refused.err for way in WAYS_OUT)
    assert list(clean_environment.rglob("*")) == []


def test_a_keyring_that_fails_or_hangs_is_told_without_its_words(
    hnctl: Hnctl, alone: Sandbox, memory: Memory, monkeypatch: pytest.MonkeyPatch
):
    token = alone.tokens["kaasshop"]

    def fail() -> None:
        raise keyring.errors.KeyringLocked(f"no {token}")

    memory.on = dict.fromkeys(("get", "set", "delete"), fail)
    for command, done in ((LOGIN, "written"), (GET, "read"), (["auth", "logout", "kaasshop"], "read")):
        refused = hnctl(*command, stdin=token)
        assert refused.status == 4
        assert f"the keyring cannot be {done}: KeyringLocked\n  hint: Unlock it" in refused.err
        assert token not in refused.err
    release = threading.Event()
    memory.on = dict.fromkeys(("get", "set", "delete"), lambda: release.wait(30))
    monkeypatch.setattr(hypernode.credentials, "_unanswered", [])
    monkeypatch.setattr(hypernode.credentials, "KEYRING_TIMEOUT", 0.3)
    begun = time.monotonic()
    checked = hnctl("auth", "check", "--parallel", "2", *[word for name in alone.names for word in ("-n", name)])
    assert (checked.status, checked.out.count("no token")) == (4, 12)
    assert time.monotonic() - begun < 3
    release.set()


def test_a_token_in_the_plain_file_is_found_though_the_keyring_fails(hnctl: Hnctl, alone: Sandbox, memory: Memory):
    def fail() -> None:
        raise keyring.errors.KeyringLocked("locked")

    memory.on = dict.fromkeys(("get", "set", "delete"), fail)
    assert hnctl(*LOGIN, "--insecure-storage", stdin=alone.tokens["kaasshop"]).status == 0
    assert hnctl(*GET).status == 0
