"""Tokens kept in a keyring: one that works, and ones that fail, hang or keep nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backends.null
import keyring.errors
import pytest

import hypernode.credentials
from fake_keyring import WAYS_OUT, Memory
from hypernode.config import Config
from hypernode.credentials import find_token, forget_token, keep_token, known_tokens
from hypernode.errors import CredentialsError, NoKeyring
from hypernode.kept_tokens import keep_plain, names_in_keyring, plain_file
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
HOST = "api.hypernode.com"
SERVICE = "hnctl api.hypernode.com"
CANARY = "canary-4be1a9"


@pytest.fixture
def hanging(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    """A keyring that waits for somebody who does not come."""
    monkeypatch.setattr(hypernode.credentials, "KEYRING_TIMEOUT", 0.2)
    monkeypatch.setattr(hypernode.credentials, "_unanswered", [])
    release = threading.Event()
    memory.on = dict.fromkeys(("get", "set", "delete"), lambda: release.wait(30))
    yield memory
    release.set()


def raising(exception: BaseException) -> Callable[[], object]:
    def act() -> object:
        raise exception

    return act


def shown(error: CredentialsError) -> str:
    return "".join(traceback.format_exception(error)) + str(error.hint)


def found(tmp_path: Path, node: str = "kaasshop") -> tuple[str, str]:
    token = find_token(node, api_url=API, config=Config(tmp_path / "config.toml", {}), only_node=True)
    return token.secret.reveal(), token.source


def written_below(home: Path) -> str:
    return "".join(path.read_text() for path in home.rglob("*") if path.is_file())


def test_a_kept_token_is_found_and_listed_and_is_gone_once_it_is_forgotten(
    memory: Memory, tmp_path: Path, clean_environment: Path
):
    assert keep_token("kaasshop", Secret(CANARY), API) == "keyring"
    assert memory.entries == {(SERVICE, "kaasshop"): CANARY}
    assert found(tmp_path) == (CANARY, "keyring")
    assert [(known.node, known.source, known.insecure) for known in known_tokens(API)] == [
        ("kaasshop", "keyring", False)
    ]
    assert "kaasshop" in written_below(clean_environment)
    assert CANARY not in written_below(clean_environment), "the names only"
    assert forget_token("kaasshop", API) == ("keyring",)
    assert (memory.entries, known_tokens(API)) == ({}, [])
    assert forget_token("kaasshop", API) == ()


def test_a_token_is_kept_for_one_api_host_only(memory: Memory):
    keep_token("kaasshop", Secret(CANARY), API)
    assert known_tokens("http://127.0.0.1:8080") == []
    assert forget_token("kaasshop", "http://127.0.0.1:8080") == ()
    assert memory.entries == {(SERVICE, "kaasshop"): CANARY}


def test_a_new_token_takes_the_place_of_the_old(memory: Memory, tmp_path: Path):
    keep_token("kaasshop", Secret("old"), API)
    keep_token("kaasshop", Secret(CANARY), API)
    assert found(tmp_path) == (CANARY, "keyring")
    assert names_in_keyring(HOST) == ("kaasshop",)


def test_what_somebody_else_put_into_the_keyring_is_found_and_forgotten_too(
    memory: Memory, tmp_path: Path, clean_environment: Path
):
    memory.entries[SERVICE, "kaasshop"] = CANARY
    assert found(tmp_path) == (CANARY, "keyring")
    assert forget_token("kaasshop", API) == ("keyring",)
    assert memory.entries == {}
    assert list(clean_environment.rglob("*")) == [], "nothing was noted of it, and nothing has to be"


def test_a_token_kept_in_both_places_is_forgotten_in_both(memory: Memory):
    keep_token("kaasshop", Secret("one"), API)
    path = keep_token("kaasshop", Secret("two"), API, insecurely=True)
    assert [(known.source, known.insecure, known.used) for known in known_tokens(API)] == [
        ("keyring", False, True),
        (path, True, False),
    ]
    assert forget_token("kaasshop", API) == ("keyring", path)
    assert known_tokens(API) == []


def test_keeping_it_in_the_plain_file_asks_no_keyring(memory: Memory):
    assert keep_token("kaasshop", Secret(CANARY), API, insecurely=True) == str(plain_file(HOST))
    assert memory.calls == []


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (None, "this machine has no keyring"),
        (keyring.backends.null.Keyring, "kaasshop: the keyring of this machine keeps nothing"),
    ],
)
def test_a_machine_without_a_keyring_refuses_to_keep_and_tells_the_three_ways_out(
    backend: Callable[[], keyring.backend.KeyringBackend] | None, says: str, clean_environment: Path
):
    """The keyring of the tests is `fail`, as on a machine without any."""
    if backend is not None:
        keyring.set_keyring(backend())
    with pytest.raises(NoKeyring) as caught:
        keep_token("kaasshop", Secret(CANARY), API)
    assert str(caught.value) == says
    assert all(way in (caught.value.hint or "") for way in WAYS_OUT)
    assert list(clean_environment.rglob("*")) == []
    assert forget_token("kaasshop", API) == ()


@pytest.mark.parametrize(
    "exception",
    [
        keyring.errors.KeyringLocked(CANARY),
        keyring.errors.PasswordSetError(CANARY),
        OSError(CANARY),
        SystemExit(CANARY),
    ],
    ids=repr,
)
@pytest.mark.parametrize("what", ["get", "set"])
def test_a_keyring_that_fails_is_told_without_its_words_and_nothing_is_noted(
    memory: Memory, what: str, exception: BaseException
):
    memory.on[what] = raising(exception)
    with pytest.raises(CredentialsError) as caught:
        keep_token("kaasshop", Secret("token"), API)
    done = {"get": "read", "set": "written"}[what]
    assert str(caught.value) == f"the keyring cannot be {done}: {type(exception).__name__}"
    assert CANARY not in shown(caught.value)
    assert names_in_keyring(HOST) == ()


def test_a_keyring_that_gives_back_something_else_is_none(memory: Memory):
    memory.on["get"] = lambda: memory.entries.update({(SERVICE, "kaasshop"): "other"})
    with pytest.raises(NoKeyring):
        keep_token("kaasshop", Secret(CANARY), API)
    assert names_in_keyring(HOST) == ()


def test_a_keyring_that_does_not_let_go_of_a_token_keeps_its_name(memory: Memory):
    keep_token("kaasshop", Secret(CANARY), API)
    memory.on["delete"] = raising(keyring.errors.PasswordDeleteError(CANARY))
    with pytest.raises(CredentialsError, match="the keyring cannot be written: PasswordDeleteError") as caught:
        forget_token("kaasshop", API)
    assert CANARY not in shown(caught.value)
    assert names_in_keyring(HOST) == ("kaasshop",)


def test_the_plain_file_is_emptied_even_where_the_keyring_fails(memory: Memory):
    """It was written because of such a keyring."""
    path = keep_token("kaasshop", Secret(CANARY), API, insecurely=True)
    memory.on["get"] = raising(keyring.errors.KeyringLocked())
    assert forget_token("kaasshop", API) == (path,)
    assert CANARY not in Path(path).read_text()
    with pytest.raises(CredentialsError, match="KeyringLocked"):
        forget_token("kaasshop", API)


def test_a_token_that_a_failing_keyring_holds_is_not_called_forgotten(memory: Memory):
    keep_token("kaasshop", Secret(CANARY), API)
    keep_plain(HOST, "kaasshop", Secret(CANARY))
    memory.on["get"] = raising(keyring.errors.KeyringLocked())
    with pytest.raises(CredentialsError, match="KeyringLocked"):
        forget_token("kaasshop", API)
    assert [known.source for known in known_tokens(API)] == ["keyring"]


@pytest.mark.parametrize("act", [lambda: keep_token("kaasshop", Secret(CANARY), API), lambda: forget_token("a", API)])
def test_a_keyring_that_hangs_is_left_alone(hanging: Memory, act: Callable[[], object]):
    begun = time.monotonic()
    with pytest.raises(CredentialsError, match="the keyring did not answer within 0 seconds"):
        act()
    assert time.monotonic() - begun < 2


def test_a_keyring_that_hangs_is_waited_for_once_and_not_for_every_node(hanging: Memory, tmp_path: Path):
    begun = time.monotonic()
    for number in range(50):
        with pytest.raises(CredentialsError, match="the keyring did not answer within 0 seconds"):
            found(tmp_path, f"node{number}")
    assert time.monotonic() - begun < 2
    assert hanging.calls == ["get"]


@pytest.mark.parametrize("tokens", [True, False])
def test_keyring_is_imported_only_when_it_is_asked(tmp_path: Path, tokens: bool):
    script = (
        "import sys; from hypernode.credentials import *; from hypernode.config import load_config\n"
        "try: find_token('kaasshop', api_url='https://api.hypernode.com', config=load_config(), only_node=True)\n"
        "except NoToken: pass\n"
        "print('keyring' in sys.modules)"
    )
    env = {**os.environ, **({"HYPERNODE_API_TOKENS": '{"kaasshop": "x"}'} if tokens else {})}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=20)
    assert done.stdout == f"{not tokens}\n", done.stderr
