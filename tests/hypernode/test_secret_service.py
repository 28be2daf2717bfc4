"""Tokens in a real keyring: gnome-keyring's Secret Service, in a D-Bus session of the test's own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypernode.sandbox.server import Sandbox


@pytest.fixture
def session(secret_service: Callable[[str], subprocess.CompletedProcess[str]]) -> Callable[[str], str]:
    """Run lines of sh to their end, each of which has to work, and return what they said."""

    def run(lines: str) -> str:
        done = secret_service(f"set -eu\n{lines}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(nodes=3) as box:
        monkeypatch.setenv("HNCTL_API_URL", box.url)
        monkeypatch.setenv("TOKEN", box.tokens["kaasshop"])
        yield box


def test_a_real_secret_service_keeps_gives_and_forgets(
    session: Callable[[str], str], sandbox: Sandbox, clean_environment: Path
):
    service = f"hnctl {sandbox.url.removeprefix('http://')}"
    out = session(f"""
        printf '%s\\n' "$TOKEN" | hnctl auth login kaasshop --with-token
        hnctl auth list -o jsonl
        hnctl settings get php_version -n kaasshop >/dev/null
        test "$(python -m keyring get '{service}' kaasshop)" = "$TOKEN"
        hnctl auth logout kaasshop
        hnctl auth list -o jsonl
        python -m keyring get '{service}' kaasshop || echo gone
    """)
    told, listed, *rest = out.splitlines()
    assert told == "kaasshop: the API takes this token; it is kept in the keyring"
    assert json.loads(listed).items() >= {"node": "kaasshop", "source": "keyring", "insecure": False}.items()
    assert rest == ["kaasshop: removed from the keyring", "gone"]
    assert [path for path in clean_environment.rglob("*") if path.is_file() and token_in(path, sandbox)] == []


def test_a_real_secret_service_that_is_locked_gives_an_error_in_time(session: Callable[[str], str], sandbox: Sandbox):
    lock = "import secretstorage as s; s.get_default_collection(s.dbus_init()).lock()"
    begun = time.monotonic()
    out = session(f"""
        printf '%s\\n' "$TOKEN" | hnctl auth login kaasshop --with-token
        python -c '{lock}'
        hnctl settings get php_version -n kaasshop 2>&1 || echo "exit $?"
    """)
    assert "Error: the keyring " in out
    assert "hint: Unlock it. Or go without: Set HYPERNODE_API_TOKENS" in out
    assert out.endswith("exit 4\n")
    assert time.monotonic() - begun < 15


def token_in(path: Path, box: Sandbox) -> bool:
    return box.tokens["kaasshop"].encode() in path.read_bytes()
