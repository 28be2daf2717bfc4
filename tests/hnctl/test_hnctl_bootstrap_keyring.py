"""`hnctl auth bootstrap` into a real keyring: gnome-keyring's Secret Service, in a D-Bus session of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, write_fleet

pytestmark = pytest.mark.usefixtures("openssh")

Session = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def session(nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
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


def test_a_real_secret_service_gets_the_tokens_of_a_fleet_and_gives_them_to_every_command(
    session: Session, nodes: NodesBySsh, folder: Path, clean_environment: Path
):
    write_fleet(dict.fromkeys(nodes.box.names, ""), {"modern_ssl_config_enabled": True})
    service = f"hnctl {nodes.box.url.removeprefix('http://')}"
    done = session(f"""
        hnctl auth bootstrap --all --debug && hnctl auth check --all --debug && hnctl auth list || exit 1
        hnctl apply --yes --debug || exit 2
        python -m keyring get '{service}' theeplein > {folder / "one"}
    """)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert all([node, "kept"] in lines for node in nodes.box.names)
    assert all([node, "works", "keyring"] in [line[:3] for line in lines] for node in nodes.box.names)
    assert all([node, "keyring", "true"] in lines for node in nodes.box.names)
    assert all(nodes.box.settings(node)["modern_ssl_config_enabled"] is True for node in nodes.box.names)
    assert (folder / "one").read_text().strip() == nodes.box.tokens["theeplein"]
    (folder / "one").unlink()
    tokens = nodes.box.tokens.values()
    left = [path for top in (clean_environment, folder) for path in top.rglob("*") if path.is_file()]
    assert left
    assert [path for path in left if any(token.encode() in path.read_bytes() for token in tokens)] == []
    assert not any(token in done.stdout + done.stderr + nodes.sent() for token in tokens)


def test_a_secret_service_that_is_locked_ends_it_in_time_and_keeps_nothing(
    session: Session, nodes: NodesBySsh, clean_environment: Path
):
    lock = "import secretstorage as s; s.get_default_collection(s.dbus_init()).lock()"
    done = session(f"python -c '{lock}'; hnctl auth bootstrap -n kaasshop -n theeplein")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "Error: the keyring " in done.stderr
    assert "hint: Unlock it. Or go without: Set HYPERNODE_API_TOKENS" in done.stderr
    assert not any(token in done.stderr for token in nodes.box.tokens.values())
    assert [path for path in clean_environment.rglob("*.json") if "hnctl" in str(path)] == []
