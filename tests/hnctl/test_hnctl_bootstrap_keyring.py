"""`hnctl auth bootstrap` into a real keyring: gnome-keyring's Secret Service, in a D-Bus session of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, write_fleet

pytestmark = pytest.mark.usefixtures("openssh")

Session = Callable[[str], subprocess.CompletedProcess[str]]


def test_a_real_secret_service_gets_the_tokens_of_a_fleet_and_gives_them_to_every_command(
    nodes: NodesBySsh, secret_service: Session, folder: Path, clean_environment: Path
):
    write_fleet(dict.fromkeys(nodes.box.names, ""), {"modern_ssl_config_enabled": True})
    service = f"hnctl {nodes.box.url.removeprefix('http://')}"
    done = secret_service(f"""
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
    nodes: NodesBySsh, secret_service: Session, clean_environment: Path
):
    lock = "import secretstorage as s; s.get_default_collection(s.dbus_init()).lock()"
    done = secret_service(f"python -c '{lock}'; hnctl auth bootstrap -n kaasshop -n theeplein")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "Error: the keyring " in done.stderr
    assert "hint: Unlock it. Or go without: Set HYPERNODE_API_TOKENS" in done.stderr
    assert not any(token in done.stderr for token in nodes.box.tokens.values())
    assert [path for path in clean_environment.rglob("*.json") if "hnctl" in str(path)] == []
