"""Where `hnctl auth bootstrap` and `hnctl services` look for a node: the fleet file, config.toml, variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, write_fleet
from runs import Hnctl

from fake_keyring import Memory

pytestmark = pytest.mark.usefixtures("openssh")

BOOTSTRAP = ["auth", "bootstrap", "-n", "kaasshop"]
NOWHERE = 1
"""A port on which nobody listens."""


pytestmark = pytest.mark.usefixtures("memory")


@pytest.fixture
def config(nodes: NodesBySsh, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """config.toml; ssh is given keys, and knows nothing of where a node is."""
    path = nodes.ssh.folder / "no-hosts"
    path.write_text(
        f'IdentityFile "{nodes.ssh.folder / "id_ed25519"}"\nIdentitiesOnly yes\nIdentityAgent none\n'
        f'UserKnownHostsFile "{nodes.ssh.known_hosts}"\nGlobalKnownHostsFile /dev/null\n'
    )
    monkeypatch.setenv("HNCTL_SSH_CONFIG", str(path))
    file = clean_environment / ".config/hnctl/config.toml"
    file.parent.mkdir(parents=True)
    return file


def right(nodes: NodesBySsh, node: str = "kaasshop") -> dict[str, str | int]:
    """Return where the node really is."""
    return {"host": "127.0.0.1", "port": nodes.ssh.ports[node], "user": nodes.ssh.user}


def in_fleet(way: dict[str, str | int]) -> str:
    return "ssh: {" + ", ".join(f"{key}: {value}" for key, value in way.items()) + "}"


def in_config(way: dict[str, str | int]) -> str:
    return "".join(f"ssh_{key} = {value!r}\n".replace("'", '"') for key, value in way.items())


@pytest.mark.parametrize("named", [[], ["-f", "other.yaml"]], ids=["at hand", "named"])
def test_a_node_that_is_named_is_reached_where_the_fleet_file_says(
    named: list[str], nodes: NodesBySsh, config: Path, hnctl: Hnctl
):
    nodes.ssh.user = "deploy"
    path = Path(named[1] if named else "fleet.yaml")
    write_fleet({"kaasshop": in_fleet(right(nodes)), "theeplein": ""}, {}, path)
    fetched = hnctl(*BOOTSTRAP, *named)
    assert fetched.status == 0, fetched.err
    assert hnctl("services", "restart", "nginx", "-n", "kaasshop", *named).status == 0
    assert nodes.ssh.logins == [("kaasshop", "deploy")] * 2


@pytest.mark.parametrize("place", ["config.toml", "variables", "variables over config.toml"])
def test_a_node_is_reached_where_the_configuration_says(
    place: str, nodes: NodesBySsh, config: Path, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    nodes.ssh.user = "deploy"
    if place == "config.toml":
        config.write_text(in_config(right(nodes)) + f'ssh_config = "{nodes.ssh.folder / "no-hosts"}"\n')
        monkeypatch.delenv("HNCTL_SSH_CONFIG")
    else:
        for key, value in right(nodes).items():
            monkeypatch.setenv(f"HNCTL_SSH_{key.upper()}", str(value))
    if place == "variables over config.toml":
        config.write_text(f'ssh_host = "127.0.0.2"\nssh_port = {NOWHERE}\nssh_user = "nobody"\nssh_config = "none"\n')
    fetched = hnctl(*BOOTSTRAP)
    assert fetched.status == 0, fetched.err
    assert hnctl("services", "reload", "nginx", "-n", "kaasshop").status == 0
    assert nodes.ssh.logins == [("kaasshop", "deploy")] * 2


def test_the_place_of_the_name_is_filled_in(nodes: NodesBySsh, config: Path, hnctl: Hnctl, memory: Memory):
    text = (nodes.ssh.folder / "no-hosts").read_text()
    hosts = "".join(
        f"Host {node}.inside\n HostName 127.0.0.1\n Port {nodes.ssh.ports[node]}\n" for node in nodes.box.names
    )
    (nodes.ssh.folder / "no-hosts").write_text(text + hosts)
    config.write_text('ssh_host = "{node}.inside"\n')
    write_fleet(dict.fromkeys(nodes.box.names, ""), {})
    fetched = hnctl("auth", "bootstrap", "--all")
    assert fetched.status == 0, fetched.err
    assert sorted(node for _, node in memory.entries) == sorted(nodes.box.names)


@pytest.mark.parametrize("wrong", ["host", "port", "user"])
def test_the_fleet_file_wins_over_config_and_variables(
    wrong: str, nodes: NodesBySsh, config: Path, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    bad = {"host": "127.0.0.2", "port": NOWHERE, "user": "nobody"}[wrong]
    config.write_text(in_config({**right(nodes), wrong: bad}))
    assert hnctl(*BOOTSTRAP).status in (1, 4)
    write_fleet({"kaasshop": in_fleet({wrong: right(nodes)[wrong]}), "theeplein": ""}, {})
    fetched = hnctl(*BOOTSTRAP)
    assert fetched.status == 0, fetched.err
    config.write_text("")
    for key, value in {**right(nodes), wrong: bad}.items():
        monkeypatch.setenv(f"HNCTL_SSH_{key.upper()}", str(value))
    assert hnctl(*BOOTSTRAP).status == 0
    Path("fleet.yaml").unlink()
    assert hnctl(*BOOTSTRAP).status in (1, 4)


BAD = [
    ("port", "0"),
    ("port", "65536"),
    ("port", "-1"),
    ("host", "-oProxyCommand=touch made"),
    ("host", "{node} x"),
    ("host", "a;touch made"),
    ("user", "-lroot"),
    ("user", "app x"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_what_cannot_be_a_host_port_or_user_is_told_with_its_source(
    key: str, value: str, nodes: NodesBySsh, config: Path, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    config.write_text(f"ssh_{key} = {value}\n" if key == "port" else f'ssh_{key} = "{value}"\n')
    services = ["services", "restart", "nginx", "-n", "kaasshop"]
    for command in (BOOTSTRAP, services):
        in_file = hnctl(*command)
        assert in_file.status == 64, in_file.err
        assert f"ssh_{key} from {config}: " in in_file.err
    monkeypatch.setenv(f"HNCTL_SSH_{key.upper()}", value)
    for command in (BOOTSTRAP, services):
        in_variable = hnctl(*command)
        assert in_variable.status == 64, in_variable.err
        assert f"ssh_{key} from HNCTL_SSH_{key.upper()}: " in in_variable.err
    assert not Path("made").exists()
    assert sum(nodes.ssh.connections.values()) == 0


@pytest.mark.parametrize(("key", "value"), [*BAD, ("port", "x")])
def test_what_the_fleet_file_cannot_say_is_told_with_its_line(key: str, value: str, nodes: NodesBySsh, hnctl: Hnctl):
    write_fleet({"theeplein": "", "kaasshop": f'ssh: {{{key}: "{value}"}}'}, {})
    for command in (["auth", "bootstrap", "--all"], [*BOOTSTRAP, "-f", "fleet.yaml"]):
        refused = hnctl(*command)
        assert refused.status == 65, refused.err
        assert "fleet.yaml:5:" in refused.err
    assert not Path("made").exists()
    assert sum(nodes.ssh.connections.values()) == 0


@pytest.mark.parametrize("line", ['ssh_port = "22"', "ssh_user = 1", "ssh_host = []", "ssh_prot = 22"])
def test_a_wrong_type_in_config_is_told_with_its_line(line: str, nodes: NodesBySsh, config: Path, hnctl: Hnctl):
    config.write_text(f"parallel = 2\n{line}\n")
    refused = hnctl(*BOOTSTRAP)
    assert refused.status == 65
    assert f"{config}:2:1: " in refused.err
    assert sum(nodes.ssh.connections.values()) == 0


def test_a_damaged_fleet_file_nearby_is_not_used_and_that_is_said(nodes: NodesBySsh, hnctl: Hnctl):
    Path("fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {ssh: {port: 0}}}\n")
    fetched = hnctl(*BOOTSTRAP)
    assert fetched.status == 0, fetched.err
    assert "fleet.yaml has problems (hnctl validate)" in fetched.err


def test_on_the_node_itself_its_own_token_is_read_without_ssh(
    nodes: NodesBySsh, hnctl: Hnctl, memory: Memory, monkeypatch: pytest.MonkeyPatch
):
    nodes.stand_on("theeplein", monkeypatch)
    write_fleet({"theeplein": "", "kaasshop": ""}, {})
    assert hnctl("auth", "bootstrap", "-n", "theeplein").status == 0
    assert [*memory.entries.values()] == [nodes.box.tokens["theeplein"]]
    assert sum(nodes.ssh.connections.values()) == 0
    assert hnctl("auth", "bootstrap", "--all").out.count("kept") == 2
    assert [node for node, _ in nodes.ssh.commands] == ["kaasshop"]


def test_all_nodes_are_those_of_the_fleet_file_and_without_one_they_have_to_be_named(nodes: NodesBySsh, hnctl: Hnctl):
    for chosen in ([], ["--all"], ["--group", "magento"]):
        refused = hnctl("auth", "bootstrap", *chosen)
        assert (refused.status, refused.out) == (65, "")
        assert "fleet.yaml:1:1: the file cannot be read: No such file or directory" in refused.err
    assert nodes.ssh.commands == []
