"""The files beside config.toml: the plain one with tokens in clear, and the names of those in the keyring."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypernode import kept_tokens
from hypernode.errors import CredentialsError
from hypernode.kept_tokens import keep_plain, names_in_keyring, note_in_keyring, plain_file, plain_tokens
from hypernode.secrets import Secret

HOST = "api.hypernode.com"
CANARY = "canary-7c21d0"

nodes = st.sampled_from(["kaasshop", "bigshop", "kaasshop-eph7h2k9q"])
tokens = st.text(st.characters(codec="utf-8"), max_size=8)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def revealed(host: str = HOST) -> dict[str, str]:
    return {node: token.reveal() for node, token in plain_tokens(host).items()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def everything_below(home: Path) -> list[Path]:
    return list(home.rglob("*"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(steps=st.lists(st.tuples(nodes, st.none() | tokens, st.booleans()), max_size=8))
def test_any_sequence_of_keeping_and_forgetting_leaves_what_a_dict_would_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None, bool]]
):
    """Looked at in between or not: what was read once is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        expected: dict[str, str] = {}
        for node, token, look in steps:
            keep_plain(HOST, node, None if token is None else Secret(token))
            expected.pop(node, None)
            if token is not None:
                expected[node] = token
            if look:
                assert revealed() == expected
        assert revealed() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(steps=st.lists(st.tuples(st.sampled_from([HOST, "127.0.0.1:8080"]), nodes, st.booleans()), max_size=8))
def test_any_sequence_of_notes_leaves_what_a_set_for_each_host_would_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bool]]
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        expected: dict[str, set[str]] = {HOST: set(), "127.0.0.1:8080": set()}
        for host, node, kept in steps:
            note_in_keyring(host, node, kept=kept)
            (expected[host].add if kept else expected[host].discard)(node)
        assert {host: names_in_keyring(host) for host in expected} == {
            host: tuple(sorted(names)) for host, names in expected.items()
        }


def test_where_nothing_was_kept_there_is_nothing_and_looking_makes_no_file(clean_environment: Path):
    assert (revealed(), names_in_keyring(HOST)) == ({}, ())
    assert everything_below(clean_environment) == []


@pytest.mark.usefixtures("no_umask")
def test_files_are_their_owners_alone_and_so_are_all_folders_even_without_a_umask(clean_environment: Path):
    keep_plain(HOST, "kaasshop", Secret(CANARY))
    note_in_keyring(HOST, "kaasshop", kept=True)
    made = {path: mode(path) for path in everything_below(clean_environment)}
    assert plain_file(HOST) in made
    assert {made[path] for path in made if path.is_file()} == {0o600}
    assert {made[path] for path in made if path.is_dir()} == {0o700}


def test_a_folder_that_others_can_enter_is_closed_to_them_by_the_next_change():
    keep_plain(HOST, "kaasshop", Secret(CANARY))
    plain_file(HOST).parent.chmod(0o777)
    keep_plain(HOST, "bigshop", Secret(CANARY))
    assert mode(plain_file(HOST).parent) == 0o700


@pytest.mark.parametrize("bits", [0o040, 0o004, 0o020, 0o002, 0o644])
def test_a_plain_file_that_others_can_read_is_neither_used_nor_quietly_mended(bits: int):
    """A new file with mode 0600 would hide that its tokens are known to others."""
    keep_plain(HOST, "kaasshop", Secret(CANARY))
    plain_file(HOST).chmod(0o600 | bits)
    for act in (
        lambda: plain_tokens(HOST),
        lambda: keep_plain(HOST, "bigshop", Secret("new")),
        lambda: keep_plain(HOST, "kaasshop", None),
    ):
        with pytest.raises(CredentialsError) as caught:
            act()
        assert str(caught.value) == f"{plain_file(HOST)} can be read by others"
        assert f"chmod 600 {plain_file(HOST)}" in (caught.value.hint or "")
    assert CANARY in plain_file(HOST).read_text()
    plain_file(HOST).chmod(0o600)
    assert revealed() == {"kaasshop": CANARY}


@pytest.mark.parametrize("content", [b"", b"[]", b'"x"', b"\xff", b'{"kaasshop": "canary-7c21d0"', b"[" * 100_000])
def test_a_damaged_file_is_told_by_name_and_its_content_is_not_shown(content: bytes):
    for path in (plain_file(HOST), kept_tokens._names_file(HOST)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
    for look, path in ((plain_tokens, plain_file(HOST)), (names_in_keyring, kept_tokens._names_file(HOST))):
        with pytest.raises(CredentialsError) as caught:
            look(HOST)
        assert str(caught.value) == f"{path} is damaged"
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(CredentialsError, match="is damaged"):
        keep_plain(HOST, "bigshop", Secret("new"))
    assert plain_file(HOST).read_bytes() == content


def test_entries_of_another_type_are_passed_over_and_outlive_a_change():
    keep_plain(HOST, "kaasshop", Secret(CANARY))
    plain_file(HOST).write_text(json.dumps({"kaasshop": CANARY, "later": {"token": 3}}))
    assert revealed() == {"kaasshop": CANARY}
    keep_plain(HOST, "kaasshop", None)
    assert json.loads(plain_file(HOST).read_text()) == {"later": {"token": 3}}


def test_a_folder_in_place_of_the_file_is_told_and_one_in_place_of_the_config_folder_too(clean_environment: Path):
    plain_file(HOST).mkdir(parents=True, mode=0o700)
    with pytest.raises(CredentialsError, match="cannot be read: Is a directory"):
        plain_tokens(HOST)
    (clean_environment / "file").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(clean_environment / "file"))
        assert (revealed(), names_in_keyring(HOST)) == ({}, ())
        with pytest.raises(CredentialsError, match="cannot be written: Not a directory"):
            keep_plain(HOST, "kaasshop", Secret(CANARY))


def test_what_another_process_changed_is_seen_even_at_the_same_time_of_the_clock():
    keep_plain(HOST, "kaasshop", Secret("old-token"))
    assert revealed() == {"kaasshop": "old-token"}
    times = plain_file(HOST).stat()
    other = plain_file(HOST).with_name("other")
    other.write_text('{\n "kaasshop": "new-token"\n}')
    other.chmod(0o600)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(plain_file(HOST))
    assert plain_file(HOST).stat().st_mtime_ns == times.st_mtime_ns
    assert revealed() == {"kaasshop": "new-token"}


def test_hosts_that_look_alike_do_not_share_a_file(clean_environment: Path):
    for host in ("localhost:8080", "localhost_8080", "localhost%3A8080", "[::1]:8080", "../up"):
        keep_plain(host, "kaasshop", Secret(host))
    assert revealed("localhost:8080") == {"kaasshop": "localhost:8080"}
    assert revealed("localhost_8080") == {"kaasshop": "localhost_8080"}
    folder = clean_environment / ".config/hnctl/insecure-tokens"
    assert {path.parent for path in clean_environment.rglob("*.json")} == {folder}
    assert len(list(folder.glob("*.json"))) == 5


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_on_the_way_leaves_the_old_file_and_nothing_beside_it(monkeypatch: pytest.MonkeyPatch, failing: str):
    keep_plain(HOST, "kaasshop", Secret("old"))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(CredentialsError, match="cannot be written: No space left on device"):
            keep_plain(HOST, "kaasshop", Secret(CANARY))
    assert revealed() == {"kaasshop": "old"}
    assert sorted(path.name for path in plain_file(HOST).parent.iterdir()) == [".lock", f"{HOST}.json"]


def test_a_kill_on_the_way_leaves_the_old_file_and_what_it_left_is_taken_away_by_the_next_change():
    keep_plain(HOST, "kaasshop", Secret("old"))
    script = (
        "import os; from hypernode.kept_tokens import *; from hypernode.secrets import Secret\n"
        f"os.replace = lambda *_: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        f"keep_plain({HOST!r}, 'kaasshop', Secret({CANARY!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", script], timeout=20, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert revealed() == {"kaasshop": "old"}
    keep_plain(HOST, "kaasshop", None)
    assert all(CANARY not in path.read_text() for path in plain_file(HOST).parent.iterdir())


def test_a_reader_sees_the_old_or_the_new_file_and_never_half_of_one():
    long = "x" * 50_000
    keep_plain(HOST, "kaasshop", Secret("a" + long))
    done = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not done.is_set():
            seen.append(json.loads(plain_file(HOST).read_text())["kaasshop"])

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for letter in "bcdefghij":
            keep_plain(HOST, "kaasshop", Secret(letter + long))
        done.set()
        reading.result(20)
    assert seen
    assert {text[1:] for text in seen} == {long}


def test_many_changes_at_once_lose_none():
    names = [f"node{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: keep_plain(HOST, name, Secret(f"token-{name}")), names))
        list(pool.map(lambda name: note_in_keyring(HOST, name, kept=True), names))
        list(pool.map(lambda name: keep_plain(HOST, name, None), names[:12]))
    assert revealed() == {name: f"token-{name}" for name in names[12:]}
    assert names_in_keyring(HOST) == tuple(sorted(names))


def test_who_waits_too_long_for_another_change_is_told(monkeypatch: pytest.MonkeyPatch):
    keep_plain(HOST, "kaasshop", Secret("old"))
    waiting = filelock.FileLock
    monkeypatch.setattr(filelock, "FileLock", lambda path, timeout, mode: waiting(path, timeout=0.1, mode=mode))
    with waiting(plain_file(HOST).parent / ".lock"), pytest.raises(CredentialsError, match="another hnctl is changing"):
        keep_plain(HOST, "kaasshop", Secret(CANARY))
    assert revealed() == {"kaasshop": "old"}
