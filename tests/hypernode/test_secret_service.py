"""Tokens in a real keyring: gnome-keyring's Secret Service, in a D-Bus session of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypernode.sandbox.server import Sandbox


@pytest.fixture
def session(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Run lines of sh, in which hnctl is a command, in a D-Bus session of their own with an unlocked Secret Service."""
    missing = [name for name in ("dbus-run-session", "gnome-keyring-daemon") if shutil.which(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{' and '.join(missing)} not installed (apt-get install dbus gnome-keyring)")
    assert not missing, "CI installs dbus and gnome-keyring"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    monkeypatch.delenv("DISPLAY", raising=False)
    unlock = f"""
        set -eu
        printf 'password\\n' | gnome-keyring-daemon --unlock --components=secrets >&2
        python() {{ {sys.executable} "$@"; }}
        hnctl() {{ python -m hnctl "$@"; }}
    """

    def run(lines: str) -> str:
        done = subprocess.run(
            ["dbus-run-session", "--", "/bin/sh", "-c", unlock + lines], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    with tempfile.TemporaryDirectory(prefix="hnctl") as sockets:  # pytest's own folders are too deep for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield run


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
