"""What every test stands on: an empty home, no keyring, no network but the loopback, no token from outside."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import keyring
import keyring.backends.fail
import pytest

from fake_keyring import Memory

_OURS = ("HNCTL_", "HYPERNODE_", "XDG_")
_FOREIGN = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC")


# Tests that say nothing of their own try so many examples. HYPOTHESIS_PROFILE=thorough takes minutes and tries more.
hypothesis.settings.register_profile("suite", max_examples=50)
hypothesis.settings.register_profile("thorough", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# What a shell starts in the background ignores these, and so would every hnctl that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Let `-n auto` run one process more than there are cores: a good part of the tests wait for others."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, and no variable that hnctl reads. Returns the home."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(_OURS) or name.upper() in _FOREIGN:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    keyring.set_keyring(keyring.backends.fail.Keyring())
    return home


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a connection to anything but this machine raise, so that no test can reach the world by accident."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(("127.", "::1")):
            raise RuntimeError(f"a test tried to reach {address[0]}")
        connect(self, address)

    def looked_up(host: Any, *others: Any, **more: Any) -> Any:
        # .invalid is the name that nobody can have, for tests of a name without an address.
        if not str(host).startswith(("127.", "::1", "localhost")) and not str(host).endswith(".invalid"):
            raise RuntimeError(f"a test asked for the address of {host}")
        return look_up(host, *others, **more)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Act without root's right to read everything, where the tests are run as root."""

    @contextmanager
    def acting() -> Iterator[None]:
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return acting


@pytest.fixture
def memory() -> Memory:
    """Let this process keep its tokens in a keyring in memory."""
    backend = Memory()
    keyring.set_keyring(backend)
    return backend


@pytest.fixture
def secret_service(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """Run lines of sh, in which hnctl is a command, in a D-Bus session of their own with an unlocked Secret Service."""
    missing = [name for name in ("dbus-run-session", "gnome-keyring-daemon") if shutil.which(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{' and '.join(missing)} not installed (apt-get install dbus gnome-keyring)")
    assert not missing, "CI installs dbus and gnome-keyring"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    monkeypatch.delenv("DISPLAY", raising=False)
    before = f"""
        printf 'password\\n' | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 99
        python() {{ {sys.executable} "$@"; }}
        hnctl() {{ python -m hnctl "$@"; }}
    """

    def run(lines: str) -> subprocess.CompletedProcess[str]:
        argv = ["dbus-run-session", "--", "/bin/sh", "-c", before + lines]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert "Traceback" not in done.stderr
        return done

    with tempfile.TemporaryDirectory(prefix="hn") as sockets:  # pytest's own folders are too deep for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield run
