"""On the node itself, and what a command line of the node's tool must never do to a value or with a secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nodes_by_ssh import WHEN_CHANGED, NodesBySsh, give_tokens, write_fleet
from runs import Hnctl, Result

from ssh_nodes import need_ssh

NAME = "permissive_memory_management"
CANARY = "CANARY-a1b2c3d4e5f6"


@pytest.fixture
def here(nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand on a node with no configuration at all and return its name."""
    node = nodes.box.names[1]
    nodes.stand_on(node, monkeypatch)
    for name in set(os.environ) - {"PATH", "HOME", "HNCTL_NODE_ROOT", "HNCTL_API_URL", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    nodes.box.set(node, permissive_memory_management=False)
    return node


@pytest.fixture(params=["ssh", "local"])
def node(request: pytest.FixtureRequest, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch) -> str:
    """A node that is reached through its tool, over SSH or here."""
    if request.param == "ssh":
        need_ssh()
    return nodes.only(request.param, monkeypatch)


def canaries_in(results: list[Result], nodes: NodesBySsh) -> list[str]:
    """Return the secrets that were printed, or sent over SSH as part of a command line."""
    text = "".join(result.out + result.err for result in results) + nodes.sent()
    return [secret for secret in (CANARY, CANARY[:8], *nodes.box.tokens.values()) if secret in text]


# On the node itself


@pytest.mark.parametrize("words", [["true"], ["True", "--poll-interval", "50ms"]], ids=lambda words: words[0])
def test_on_the_node_itself_nothing_has_to_be_configured(words: list[str], hnctl: Hnctl, nodes: NodesBySsh, here: str):
    assert hnctl("settings", "get", NAME) == (0, "false\n", "")
    done = hnctl("settings", "set", NAME, *words)
    assert done.status == 0, done.err
    assert f"{here}: done in " in done.err
    assert nodes.box.settings(here)[NAME] is True
    assert hnctl("settings", "get", NAME) == (0, "true\n", "")
    assert nodes.log() == [(here, NAME, "hnctl")]


@pytest.mark.parametrize(
    ("instead", "why"),
    [
        ("a folder", "{token} cannot be read: Is a directory"),
        ("nothing", "there is no API token for {node}"),
        (
            "two words",
            "what /etc/hypernode/hypernode_api_token gives for {node} cannot be a token: it is empty or holds",
        ),
    ],
)
def test_on_a_node_whose_token_we_cannot_use_its_tool_is_used_and_that_is_said(
    instead: str, why: str, hnctl: Hnctl, nodes: NodesBySsh, here: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its own tool can: it is given another root here."""
    etc = folder / "etc/hypernode"
    etc.mkdir(parents=True)
    (etc / "app.json").write_bytes((nodes.root(here) / "etc/hypernode/app.json").read_bytes())
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    token = etc / "hypernode_api_token"
    if instead == "a folder":
        token.mkdir()
    elif instead != "nothing":
        token.write_text(instead)
    said = f"{here}: {why.format(node=here, token=token)}"

    got = hnctl("settings", "get", NAME)
    assert (got.status, got.out) == (0, "false\n"), got.err
    assert got.err.startswith(said)
    assert got.err.endswith(", so hypernode-systemctl is used.\n")
    done = hnctl("settings", "set", NAME, "True")
    assert done.status == 0, done.err
    assert done.err.startswith(said)
    assert nodes.log() == [(here, NAME, "tool")]
    assert nodes.box.settings(here)[NAME] is True


def test_a_node_that_is_said_to_be_here_and_is_not_is_named_with_the_reason(
    hnctl: Hnctl, nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = nodes.box.names[:2]
    write_fleet({first: "via: local", second: "via: api"}, {NAME: True})
    give_tokens(nodes.box, monkeypatch, first, second)
    nodes.box.set(second, permissive_memory_management=False)
    hint = "Run hnctl there, or use via: ssh"
    for here, why in ((None, "this machine is no node"), (second, f"this machine is {second}")):
        if here:
            nodes.stand_on(here, monkeypatch)
        why = f"it is reached via: local, and {why}"
        got = hnctl("settings", "get", NAME, "-n", first)
        assert got == (64, "", f"Error: {first}: {why}\n  hint: {hint}\n")
        assert f"  {first}: {why}\n" in hnctl("diff").out
    applied = hnctl("apply", "--yes")
    assert applied.status == 3
    assert f"{first}: failed: {why}\n    hint: {hint}\n" in applied.err
    assert nodes.log() == [(second, NAME, "hnctl")]


def test_a_node_may_be_reached_here_by_its_tool_though_there_is_a_token(
    hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only("local", monkeypatch)
    give_tokens(nodes.box, monkeypatch, node)
    nodes.box.set(node, permissive_memory_management=False)
    assert hnctl("settings", "set", NAME, "true", "-n", node).status == 0
    assert nodes.log() == [(node, NAME, "tool")]


def test_a_node_without_its_tool_is_told_so(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch):
    node = nodes.only("local", monkeypatch)
    nodes.remove(node)
    got = hnctl("settings", "get", NAME, "-n", node)
    assert (got.status, got.out) == (69, "")
    assert got.err.startswith("Error: there is no hypernode-systemctl on this machine\n  hint: ")


def test_a_tool_that_waits_for_ever_is_ended(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch):
    node = nodes.only("local", monkeypatch)
    nodes.box.set(node, permissive_memory_management=False)
    nodes.stand_in(node, f'{WHEN_CHANGED}\necho $$ > "$HNCTL_NODE_ROOT/pid"\nsleep 60')
    unknown = hnctl("settings", "set", NAME, "true", "-n", node, "--wait", "1s")
    assert unknown.status == 6
    assert f"{node}: outcome unknown: hypernode-systemctl did not end within 1 s" in unknown.err
    assert f"read back, the node has {NAME} false" in unknown.err
    with pytest.raises(ProcessLookupError):
        os.kill(int((nodes.root(node) / "pid").read_text()), 0)


# Values and secrets on the command line of a tool


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("override_sendmail_return_path", " it's \"quoted\"  'twice' \\ "),
        ("override_sendmail_return_path", "two\nlines\n\nand one\tmore"),
        ("blackfire_server_id", "$(touch x)`touch x`; touch x && touch x | touch x > x"),
        ("blackfire_server_id", "* ~ $HOME %s \\n ! # é \x1b[31m"),
    ],
    ids=["quotes", "lines", "commands", "expansions"],
)
def test_a_value_arrives_exactly_as_it_is(
    name: str, value: str, hnctl: Hnctl, nodes: NodesBySsh, node: str, folder: Path, clean_environment: Path
):
    done = hnctl("settings", "set", name, value, "-n", node)
    assert done.status == 0, done.err
    assert nodes.box.settings(node)[name] == value
    got = hnctl("settings", "get", name, "-n", node, "-o", "json")
    assert [row["value"] for row in got.json["settings"]] == [value]
    assert [path for where in (folder, nodes.folder, clean_environment) for path in where.rglob("x")] == []


@pytest.mark.parametrize("value", ["None", "a line\n", "a line\r\n", "--value", "-x"])
def test_a_value_that_the_tool_cannot_tell_from_another_is_refused_before_anything_is_sent(
    value: str, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    """Else each run would change it again, and call that a failure."""
    node = nodes.only("local", monkeypatch)
    nodes.box.set(node, blackfire_server_id="before")
    refused = hnctl("settings", "set", "-n", node, "--", "blackfire_server_id", value)
    assert nodes.log() == [], refused.err
    assert refused.status in (5, 64)
    assert "use via: api" in refused.err.lower()


def test_a_secret_is_not_put_on_a_command_line(
    hnctl: Hnctl, nodes: NodesBySsh, node: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NR_KEY", CANARY)
    command = ("settings", "set", "new_relic_secret", "env:NR_KEY", "-n", node, "--yes", "--debug")
    results = [hnctl(*command), hnctl(*command, "-o", "json")]
    for refused in results:
        assert refused.status == 5
        assert "new_relic_secret is secret, and hypernode-systemctl takes values from its command line" in refused.err
    assert nodes.log() == []
    assert nodes.box.settings(node)["new_relic_secret"] is None
    assert canaries_in(results, nodes) == []


def test_a_fleet_file_that_wishes_a_secret_for_such_a_node_is_refused(
    hnctl: Hnctl, nodes: NodesBySsh, node: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NR_KEY", CANARY)
    file = folder / "fleet.yaml"
    file.write_text(file.read_text().replace("{settings: {}}", "{settings: {new_relic_secret: env:NR_KEY}}"))
    results = [hnctl("validate"), hnctl("apply", "--yes", "--debug")]
    for refused in results:
        assert refused.status == 65
        assert f"new_relic_secret is secret and cannot be set on {node}, which is reached via: " in refused.err
    assert nodes.log() == []
    assert canaries_in(results, nodes) == []


def test_a_secret_that_is_read_is_never_shown(
    hnctl: Hnctl, nodes: NodesBySsh, node: str, monkeypatch: pytest.MonkeyPatch
):
    nodes.box.set(node, new_relic_secret=CANARY)
    command = ("settings", "get", "new_relic_secret", "-n", node, "--debug")
    results = [hnctl(*command)]
    assert results[0][:2] == (0, "***\n")
    nodes.stand_in(node, f"echo 'The secret is {CANARY}.'")
    results.append(hnctl(*command))
    assert "(not shown, as it may hold the secret)" in results[1].err
    nodes.stand_in(node, f"echo 'new_relic_secret is set to value {CANARY}{'x' * 200}' >&2")
    nodes.ssh.drop_mid_answer(node, "new_relic_secret")
    results.append(hnctl(*command))
    assert canaries_in(results, nodes) == []
