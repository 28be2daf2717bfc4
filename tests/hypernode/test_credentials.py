"""Which token for which node: the order of the sources, and that no source's content is ever shown."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hypernode.credentials
import hypernode.secrets
from hypernode.config import Config, load_config
from hypernode.credentials import (
    explicit,
    find_token,
    keyring_service,
    own_name,
    read_keyring,
    tokens_in_environment,
)
from hypernode.errors import CredentialsError, HypernodeError, InputError, NoToken
from hypernode.secrets import Secret

API = "https://api.hypernode.com"
CANARY = "canary-5e3f0b"


class FakeKeyring(keyring.backend.KeyringBackend):
    """Answers from a dict, or with what it is told to do."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self, entries: dict[tuple[str, str], str] | None = None) -> None:
        super().__init__()
        self.entries = entries or {}
        self.asked: list[tuple[str, str]] = []
        self.act: Callable[[], None] = lambda: None

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        self.act()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing here writes to the keyring")


@pytest.fixture
def backend() -> FakeKeyring:
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    return fake


@pytest.fixture
def node_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder as on a node, so far without files."""
    (tmp_path / "root/etc/hypernode").mkdir(parents=True)
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path / "root"))
    return tmp_path / "root/etc/hypernode"


def stand_on(etc: Path, name: str, token: str | None) -> None:
    (etc / "app.json").write_text(json.dumps({"tag": name, "app_type": "persistent"}))
    if token is not None:
        (etc / "hypernode_api_token").write_text(token + "\n")


def config(tmp_path: Path, *argv: str) -> Config:
    return Config(tmp_path / "config.toml", {"token_command": list(argv)} if argv else {})


def printing(tmp_path: Path, body: str) -> Config:
    script = tmp_path / "tell-token"
    script.write_text(f"#!{sys.executable}\n{body}\n")
    script.chmod(0o755)
    return config(tmp_path, str(script), "--raw")


def found(node: str, given: Config, *, only_node: bool = True, api_url: str = API) -> tuple[str, str]:
    token = find_token(node, api_url=api_url, config=given, only_node=only_node)
    assert token.secret.reveal() not in repr(token)
    return token.secret.reveal(), token.source


def failure(node: str, given: Config, *, only_node: bool = True) -> HypernodeError:
    """Return the error, after a look at all that it shows."""
    with pytest.raises(CredentialsError) as caught:
        find_token(node, api_url=API, config=given, only_node=only_node)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.hint)
    assert CANARY not in shown
    return caught.value


def test_the_sources_are_asked_in_their_order(
    tmp_path: Path, node_root: Path, backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
):
    """DESIGN 5: each source is taken away once it has won."""
    stand_on(node_root, "kaasshop", "from-file")
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = "from-keyring"
    command = printing(tmp_path, "print('from-command')")
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "from-variable")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "from-variables"}')
    assert found("kaasshop", command) == ("from-variables", "HYPERNODE_API_TOKENS")
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    assert found("kaasshop", command) == ("from-variable", "HYPERNODE_API_TOKEN")
    monkeypatch.delenv("HYPERNODE_API_TOKEN")
    assert found("kaasshop", command) == ("from-command", "token_command")
    nothing = config(tmp_path)
    assert found("kaasshop", nothing) == ("from-keyring", "keyring")
    backend.entries.clear()
    assert found("kaasshop", nothing) == ("from-file", "/etc/hypernode/hypernode_api_token")


def test_without_any_source_the_error_names_all_ways_out(tmp_path: Path):
    """The keyring of the tests is the one that fails: a machine without a keyring."""
    error = failure("kaasshop", config(tmp_path))
    assert isinstance(error, NoToken)
    assert str(error) == "there is no API token for kaasshop"
    assert error.hint == (
        'Give one: HYPERNODE_API_TOKEN (one node) or HYPERNODE_API_TOKENS=\'{"NODE": "TOKEN"}\'; '
        f"token_command in {tmp_path}/config.toml; or keep it: hnctl auth login kaasshop (in the keyring; without one "
        "--insecure-storage). On the node itself it is in /etc/hypernode/hypernode_api_token"
    )


def test_the_hint_for_a_brancher_names_its_parent(tmp_path: Path):
    hint = failure("kaasshop-eph7h2k9q", config(tmp_path)).hint or ""
    assert "hnctl auth login kaasshop (" in hint


@pytest.mark.parametrize(
    ("owner", "only_node", "serves"),
    [
        ("kaasshop", True, True),
        ("kaasshop", False, True),
        (None, True, True),
        (None, False, False),
        ("", True, True),
        ("bigshop", True, False),
        ("bigshop", False, False),
    ],
)
def test_the_one_variable_serves_its_owner_or_the_only_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str | None, only_node: bool, serves: bool
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", f" {CANARY}\n")
    if owner is not None:
        monkeypatch.setenv("HYPERNODE_APP_NAME", owner)
    if serves:
        assert found("kaasshop", config(tmp_path), only_node=only_node) == (CANARY, "HYPERNODE_API_TOKEN")
    else:
        assert isinstance(failure("kaasshop", config(tmp_path), only_node=only_node), NoToken)


def test_a_brancher_uses_the_token_of_its_parent(
    tmp_path: Path, node_root: Path, backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
):
    brancher, nothing = "kaasshop-eph7h2k9q", config(tmp_path)
    stand_on(node_root, "kaasshop", "from-file")
    assert found(brancher, nothing)[0] == "from-file"
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = "from-keyring"
    assert found(brancher, nothing)[0] == "from-keyring"
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "from-variable")
    monkeypatch.setenv("HYPERNODE_APP_NAME", "kaasshop")
    assert found(brancher, nothing, only_node=False)[0] == "from-variable"
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "from-variables"}')
    assert found(brancher, nothing)[0] == "from-variables"


def test_a_token_of_the_brancher_itself_comes_before_that_of_its_parent(
    tmp_path: Path, backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
):
    brancher, service = "kaasshop-eph7h2k9q", "hnctl api.hypernode.com"
    backend.entries = {(service, "kaasshop"): "parent", (service, brancher): "own"}
    assert found(brancher, config(tmp_path)) == ("own", "keyring")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop": "parent", brancher: "own"}))
    assert found(brancher, config(tmp_path))[0] == "own"


def test_a_parent_does_not_use_the_token_of_its_brancher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop-eph7h2k9q": CANARY, "kaasshop2": CANARY}))
    assert isinstance(failure("kaasshop", config(tmp_path)), NoToken)


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f'["{CANARY}"]',
        f'"{CANARY}"',
        "3",
        "null",
        f'{{"kaasshop": ["{CANARY}"]}}',
        '{"kaasshop": null}',
        f'{{"kaasshop": "{CANARY}"',
        '{"kaasshop": 3}',
        "[" * 100_000,
    ],
)
def test_odd_tokens_in_the_environment_are_refused_without_showing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", text)
    error = failure("kaasshop", config(tmp_path))
    assert str(error) == "HYPERNODE_API_TOKENS is not a JSON object from node to token"
    assert error.hint == 'It must read like {"kaasshop": "...", "bigshop": "..."}'


def test_tokens_in_the_environment_are_trimmed_and_secret(monkeypatch: pytest.MonkeyPatch):
    assert tokens_in_environment() == {}
    monkeypatch.setenv("HYPERNODE_API_TOKENS", f'{{"kaasshop": " {CANARY}\\n"}}')
    tokens = tokens_in_environment()
    assert tokens == {"kaasshop": Secret(CANARY)}
    assert CANARY not in repr(tokens)


@pytest.mark.parametrize(
    "token", ["", " ", f"{CANARY} x", f"{CANARY}\r\nX-Other: 1", f"{CANARY}é", f"{CANARY}\x7f", "\x00"]
)
def test_what_cannot_be_a_header_is_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop": token}))
    error = failure("kaasshop", config(tmp_path))
    assert str(error) == (
        "what HYPERNODE_API_TOKENS gives for kaasshop cannot be a token: it is empty or holds blanks or odd characters"
    )
    assert error.node == "kaasshop"


@given(st.text())
def test_a_given_token_is_one_line_of_plain_characters_or_refused(text: str):
    try:
        token = explicit(text, "kaasshop")
    except CredentialsError:
        return
    revealed = token.secret.reveal()
    assert revealed == text.strip()
    assert all("!" <= letter <= "~" for letter in revealed)
    assert token.source == "given"


def test_a_given_secret_is_taken_as_it_is():
    assert explicit(Secret(CANARY), "kaasshop").secret == Secret(CANARY)
    assert explicit(f"{CANARY}\n", "kaasshop").secret == Secret(CANARY)
    with pytest.raises(CredentialsError):
        explicit(Secret(f"{CANARY}\n"), "kaasshop")


@pytest.mark.parametrize("node", ["kaasshop", "kaasshop-eph1"])
def test_the_command_is_told_the_node_or_a_branchers_parent_and_its_arguments(tmp_path: Path, node: str):
    told = printing(tmp_path, "import os, sys; print(os.environ['HNCTL_NODE'] + ''.join(sys.argv[1:]) + '\\n')")
    assert found(node, told) == ("kaasshop--raw", "token_command")


def test_a_command_that_prints_nothing_leaves_it_to_the_next_source(tmp_path: Path, backend: FakeKeyring):
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = "from-keyring"
    assert found("kaasshop", printing(tmp_path, "print()"))[1] == "keyring"


def test_a_command_that_fails_stops_the_search(tmp_path: Path, backend: FakeKeyring):
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = "from-keyring"
    body = f"import sys; print({CANARY!r}); print('vault is sealed', file=sys.stderr); sys.exit(2)"
    error = failure("kaasshop", printing(tmp_path, body))
    assert str(error) == "kaasshop: token_command ended with 2: vault is sealed"
    assert error.hint == f"It is set in {tmp_path}/config.toml"
    assert backend.asked == []


def test_a_command_that_is_missing_or_hangs_stops_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    error = failure("kaasshop", config(tmp_path, "/no/such"))
    assert str(error).startswith("kaasshop: token_command cannot be run: ")
    monkeypatch.setattr(hypernode.secrets, "COMMAND_TIMEOUT", 0.2)
    error = failure("kaasshop", printing(tmp_path, "import time; time.sleep(60)"))
    assert str(error) == "kaasshop: token_command took longer than 0 seconds"


def test_the_command_of_the_config_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    argv = printing(tmp_path, "print('from-command')").values["token_command"]
    (tmp_path / "config.toml").write_text(f"token_command = {json.dumps(argv)}\n")
    monkeypatch.setenv("HNCTL_CONFIG", str(tmp_path / "config.toml"))
    assert found("kaasshop", load_config())[0] == "from-command"


def test_the_keyring_keeps_tokens_by_api_host(tmp_path: Path, backend: FakeKeyring):
    """A token is never sent to another API than it was kept for."""
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = CANARY
    assert keyring_service("https://api.hypernode.com/") == "hnctl api.hypernode.com"
    assert keyring_service("http://127.0.0.1:8080") == "hnctl 127.0.0.1:8080"
    assert found("kaasshop", config(tmp_path))[0] == CANARY
    with pytest.raises(NoToken):
        find_token("kaasshop", api_url="http://127.0.0.1:8080", config=config(tmp_path), only_node=True)
    assert backend.asked[-1] == ("hnctl 127.0.0.1:8080", "kaasshop")


def test_no_keyring_is_asked_for_what_is_no_address(tmp_path: Path, backend: FakeKeyring):
    with pytest.raises(InputError, match="the API address must read like"):
        find_token("kaasshop", api_url="https://[bad", config=config(tmp_path), only_node=True)
    assert backend.asked == []


def test_an_empty_keyring_entry_is_none(tmp_path: Path, backend: FakeKeyring):
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = " \n"
    assert isinstance(failure("kaasshop", config(tmp_path)), NoToken)


def test_a_machine_without_a_keyring_holds_nothing():
    assert read_keyring("hnctl api.hypernode.com", "kaasshop") is None


@pytest.mark.parametrize(
    "exception",
    [keyring.errors.KeyringLocked(CANARY), keyring.errors.InitError(CANARY), RuntimeError(CANARY), OSError(CANARY)],
)
def test_a_keyring_that_fails_is_told_without_its_words(tmp_path: Path, backend: FakeKeyring, exception: Exception):
    def fail() -> None:
        raise exception

    backend.act = fail
    error = failure("kaasshop", config(tmp_path))
    assert str(error) == f"the keyring cannot be read: {type(exception).__name__}"
    assert (error.hint or "").startswith("Unlock it. Or go without: Set HYPERNODE_API_TOKENS in the environment; or ")


def test_a_keyring_that_hangs_is_left_alone(tmp_path: Path, backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hypernode.credentials, "KEYRING_TIMEOUT", 0.2)
    release = threading.Event()
    backend.act = lambda: (release.wait(30), None)[1]
    try:
        error = failure("kaasshop", config(tmp_path))
        assert str(error) == "the keyring did not answer within 0 seconds"
        assert (error.hint or "").startswith(
            "Unlock it. Or go without: Set HYPERNODE_API_TOKENS in the environment; or "
        )
    finally:
        release.set()


def test_the_keyring_is_not_asked_when_an_earlier_source_has_the_token(
    tmp_path: Path, backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", CANARY)
    assert found("kaasshop", config(tmp_path))[0] == CANARY
    assert backend.asked == []


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"tag": 3}', '{"tag": null}', "{", "\xff", "[" * 100_000])
def test_an_odd_app_file_is_no_node(node_root: Path, text: str):
    (node_root / "app.json").write_bytes(text.encode("latin-1"))
    assert own_name() is None


def test_the_own_file_serves_the_node_that_we_stand_on_only(tmp_path: Path, node_root: Path):
    assert own_name() is None
    stand_on(node_root, "bigshop", CANARY)
    assert own_name() == "bigshop"
    assert found("bigshop", config(tmp_path)) == (CANARY, "/etc/hypernode/hypernode_api_token")
    assert isinstance(failure("kaasshop", config(tmp_path)), NoToken)


def test_an_own_file_that_gives_nothing_is_told_or_passed_over(tmp_path: Path, node_root: Path):
    stand_on(node_root, "kaasshop", None)
    assert isinstance(failure("kaasshop", config(tmp_path)), NoToken)
    (node_root / "hypernode_api_token").write_text("\n")
    assert str(failure("kaasshop", config(tmp_path))) == f"{node_root}/hypernode_api_token is empty"
    (node_root / "hypernode_api_token").write_bytes(CANARY.encode() + b"\xff")
    assert str(failure("kaasshop", config(tmp_path))) == f"{node_root}/hypernode_api_token cannot be read: not text"
    (node_root / "hypernode_api_token").unlink()
    (node_root / "hypernode_api_token").mkdir()
    assert str(failure("kaasshop", config(tmp_path))) == (
        f"{node_root}/hypernode_api_token cannot be read: Is a directory"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_no_content_of_the_variable_brings_anything_but_tokens_or_our_error(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", text)
    try:
        tokens = tokens_in_environment()
    except CredentialsError:
        return
    assert all(isinstance(token, Secret) for token in tokens.values())


def test_looking_for_a_token_logs_no_token(
    tmp_path: Path, backend: FakeKeyring, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.DEBUG)
    backend.entries[("hnctl api.hypernode.com", "kaasshop")] = CANARY
    assert found("kaasshop", printing(tmp_path, "print()"))[0] == CANARY
    assert CANARY not in caplog.text
