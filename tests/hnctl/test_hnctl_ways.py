"""Nodes through the API, over SSH and here: each by the way that the fleet file says, and all to the same end."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from nodes_by_ssh import WHEN_CHANGED, NodesBySsh, give_tokens, soon, write_fleet
from processes import run_in_terminal
from runs import Hnctl

pytestmark = pytest.mark.usefixtures("openssh")

WISHES: dict[str, Any] = {"php_version": "8.0", "permissive_memory_management": True}
SOME_SETTINGS = (
    r'[ "$*" = settings ] && exec printf "%s\t[]\n" php_version mysql_long_query_time varnish_secret not_known'
)
"""All settings, for a stand-in: reading each of some eighty takes a while."""


@pytest.fixture
def mixed(nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch) -> NodesBySsh:
    """A fleet file of three nodes, one for each way; only the one through the API has a token in the environment."""
    by_api, by_ssh, here, _ = nodes.box.names
    give_tokens(nodes.box, monkeypatch, by_api)
    nodes.stand_on(here, monkeypatch)
    write_fleet({by_api: "via: api", by_ssh: "via: ssh", here: "via: local"}, WISHES)
    for node in nodes.box.names:
        nodes.box.set(node, php_version="8.3", permissive_memory_management=False)
    return nodes


def test_a_fleet_is_brought_to_its_file_each_node_by_its_own_way(hnctl: Hnctl, mixed: NodesBySsh):
    by_api, by_ssh, here, other = mixed.box.names
    seen = hnctl("diff", "--detailed-exitcode")
    assert (seen.status, seen.err) == (2, "")
    assert "6 changes on 3 of 3 nodes" in seen.out
    assert mixed.log() == []

    applied = hnctl("apply", "--yes")
    assert applied.status == 0, applied.err
    assert applied.out.endswith("3 done, 0 unchanged, 0 failed, 0 outcome unknown, 0 not attempted\n")
    assert mixed.log() == sorted(
        [
            (by_api, "permissive_memory_management, php_version", "hnctl"),
            *((node, name, "tool") for node in (by_ssh, here) for name in WISHES),
        ]
    )
    assert {node for node, _ in mixed.ssh.commands} == {by_ssh}
    assert mixed.ssh.logins == [(by_ssh, "app")] * 2, "a run has one connection to a node"
    for node in (by_api, by_ssh, here):
        assert WISHES.items() <= mixed.box.settings(node).items()
    assert mixed.box.settings(other)["php_version"] == "8.3"

    after = hnctl("diff", "--detailed-exitcode")
    assert (after.status, after.out) == (0, "In sync: 3 nodes compared, no difference\n")


def test_the_outcome_over_mixed_ways_as_json(hnctl: Hnctl, mixed: NodesBySsh):
    by_api, by_ssh, here, _ = mixed.box.names
    mixed.ssh.refuse_key(by_ssh)
    ran = hnctl("apply", "--yes", "-o", "json")
    document = ran.json
    assert (ran.status, document["exit_code"], document["kind"]) == (3, 3, "hnctl-run")
    assert document["totals"] == {"done": 2, "unchanged": 0, "failed": 1, "unknown": 0, "not_attempted": 0}
    rows = {row["node"]: row for row in document["nodes"]}
    assert {node: row["state"] for node, row in rows.items()} == {by_api: "done", by_ssh: "failed", here: "done"}
    assert rows[by_ssh]["error"]["code"] == "key_refused"
    assert rows[by_api]["changes"] == rows[here]["changes"]
    assert (len(rows[by_api]["flows"]), rows[here]["flows"]) == (1, [])


def test_all_commands_for_settings_go_the_way_that_the_fleet_file_says(hnctl: Hnctl, mixed: NodesBySsh):
    for node in mixed.box.names[1:3]:
        mixed.stand_in(node, f'{SOME_SETTINGS}\nexec "$OWN" "$@"')
        mixed.box.set(node, mysql_long_query_time=5)
        assert hnctl("settings", "get", "php_version", "-n", node) == (0, "8.3\n", "")
        listed = hnctl("settings", "list", "-n", node, "-o", "json")
        assert [(row["setting"], row["value"]) for row in listed.json["settings"]] == [
            ("mysql_long_query_time", 5),
            ("php_version", "8.3"),
            ("varnish_secret", "***"),
        ]
        explained = hnctl("explain", node, "php_version", "-o", "json")
        assert (explained.status, explained.json["live"], explained.json["desired"]) == (0, "8.3", "8.0")
        assert hnctl("settings", "set", "php_version", "8.4", "-n", node).status == 0
    got = hnctl("settings", "get", "php_version", "--all", "-o", "json")
    assert [row["value"] for row in got.json["settings"]] == ["8.3", "8.4", "8.4"]
    agents = {entry.agent for entry in mixed.box.log() if entry.node in mixed.box.names[1:3]}
    assert agents == {"hypernode-systemctl", "hypernode-log"}


def test_where_asks_a_tool_for_settings_and_names_what_it_does_not_tell(hnctl: Hnctl, mixed: NodesBySsh):
    by_api, by_ssh, here, _ = mixed.box.names
    mixed.box.set(here, php_version="8.4")
    test = "php_version == 8.3 and name != nothing"
    assert hnctl("settings", "get", "php_version", "--all", "--where", test, "-o", "json").json["settings"] == [
        {"node": node, "setting": "php_version", "value": "8.3", "default": "8.3", "secret": False}
        for node in (by_api, by_ssh)
    ]
    product = hnctl("diff", "--where", "product ~ FALCON")
    assert product.status == 3
    why = "--where asks for product, and hypernode-systemctl does not tell that"
    assert f"  {by_ssh}: {why}\n  {here}: {why}\n" in product.out
    alone = hnctl("settings", "set", "php_version", "8.4", "-n", by_ssh, "--where", "product ~ FALCON")
    assert alone.status == 64
    assert f"{by_ssh}: failed: {why}\n    hint: Ask for settings, name or group only, or use via: api" in alone.err
    assert mixed.log() == []


def test_a_plan_is_the_same_by_every_way(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch):
    wishes = {
        **WISHES,
        "mysql_long_query_time": 10,
        "mysql_ft_min_word_len": "2",
        "mysql_version": "8.0",
        "override_sendmail_return_path": 'it\'s\n"a" $text',
        "varnish_http_max_hdr": 64,
    }
    nodes.box.set(nodes.box.names[0], mysql_version="5.7")
    texts = {}
    for way in ("api", "ssh", "local"):
        with monkeypatch.context() as scope:
            nodes.only(way, scope, wishes)
            planned = hnctl("plan", "-o", "json")
            assert planned.status == 0, planned.out
            assert [said["via"] for said in planned.json["ways"].values()] == ([] if way == "api" else [way])
            texts[way] = re.sub(r'"ways": \{.*?\n  \}', '"ways": {}', planned.out, flags=re.DOTALL)
    assert texts["ssh"] == texts["api"]
    assert texts["local"] == texts["api"]
    assert len(json.loads(texts["api"])["changes"]) > 5


def test_a_plan_goes_the_way_that_it_says_without_the_fleet_file(
    hnctl: Hnctl, nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """The address too: here the node has another name for SSH, and another user."""
    node = nodes.box.names[0]
    config = nodes.ssh.config.read_text()
    (folder / "ssh_config").write_text(config.replace(f"{node}.hypernode.io", f"{node}.example"))
    monkeypatch.setenv("HNCTL_SSH_CONFIG", str(folder / "ssh_config"))
    nodes.ssh.user = "deploy"
    write_fleet({node: "via: ssh, ssh: {host: '{node}.example', user: deploy}"}, {"php_version": "8.0"})
    planned = hnctl("plan", "-o", "json")
    (folder / "plan.json").write_text(planned.out)
    (folder / "fleet.yaml").unlink()
    applied = hnctl("apply", "plan.json", "--yes", "-o", "json")
    assert applied.status == 0, applied.err
    assert applied.json["checksum"] == planned.json["checksum"]
    assert nodes.log() == [(node, "php_version", "tool")]
    assert set(nodes.ssh.logins) == {(node, "deploy")}


@pytest.mark.parametrize("way", ["api", "ssh", "local"])
def test_what_locks_out_or_cannot_be_undone_needs_more_than_yes_by_every_way(
    way: str, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only(way, monkeypatch)
    nodes.box.set(node, mysql_version="8.0", password_auth=True)
    for name, value in (("password_auth", "false"), ("mysql_version", "8.4")):
        refused = hnctl("settings", "set", name, value, "-n", node, "--yes")
        assert refused.status == 5
        assert f"--confirm {node}:{name} allows it" in refused.err
    assert nodes.log() == []
    assert not re.search("settings (password_auth|mysql_version) [^;]", nodes.sent())


@pytest.mark.parametrize("way", ["api", "ssh", "local"])
def test_a_node_on_which_a_flow_is_running_is_left_alone_by_every_way(
    way: str, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only(way, monkeypatch)
    nodes.box.set(node, php_version="8.3")
    nodes.box.start_flow(node, "xgrade_app", 30)
    refused = hnctl("settings", "set", "php_version", "8.4", "-n", node)
    assert refused.status == 5
    assert "the flow xgrade_app is" in refused.err
    assert nodes.log() == []


@pytest.mark.parametrize(("name", "value"), [("varnish_version", "6.0"), ("elasticsearch_enabled", "true")])
def test_what_the_tool_asks_about_is_asked_here_first_and_yes_answers_it(
    name: str, value: str, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only("ssh", monkeypatch)
    nodes.box.set(node, varnish_version="7.x", elasticsearch_enabled=False)
    refused = hnctl("settings", "set", name, value, "-n", node)
    assert (refused.status, refused.err.splitlines()[-3:]) == (
        5,
        [
            f"hypernode-systemctl asks before it changes {name}; a yes here answers it.",
            "Error: nobody is there to say yes; nothing was changed",
            "  hint: Add --yes",
        ],
    )
    assert f"settings {name} {value}" not in nodes.sent().lower()
    done = hnctl("settings", "set", name, value, "-n", node, "--yes")
    assert done.status == 0, done.err
    assert nodes.log() == [(node, name, "tool")]


def test_a_yes_at_the_terminal_answers_the_tool(hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch):
    node = nodes.only("ssh", monkeypatch)
    nodes.box.set(node, varnish_version="7.x")
    command = ("settings", "set", "varnish_version", "6.0", "-n", node)
    assert run_in_terminal(*command, answers=[("Change 1 node?", "n\n")]).status == 5
    assert nodes.log() == []
    assert run_in_terminal(*command, answers=[("Change 1 node?", "y\n")]).status == 0
    assert nodes.box.settings(node)["varnish_version"] == "6.0"


@pytest.mark.parametrize("way", ["ssh", "local"])
def test_a_question_that_nobody_knew_of_is_shown_and_not_answered(
    way: str, hnctl: Hnctl, nodes: NodesBySsh, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only(way, monkeypatch)
    nodes.box.set(node, php_version="8.3")
    nodes.stand_in(
        node,
        f"{WHEN_CHANGED}\nprintf 'Are you sure? [y/N] '\nread -r answer\n"
        'echo "status $?, read <$answer>" >> "$HNCTL_NODE_ROOT/answer"\n'
        'cat >> "$HNCTL_NODE_ROOT/answer"\necho Aborted.',
    )
    failed = hnctl("settings", "set", "php_version", "8.4", "-n", node, "--yes", stdin="y\ny\n")
    assert failed.status == 1
    assert f"{node}: failed: hypernode-systemctl asked about php_version and was not answered" in failed.err
    assert "it said: Are you sure? [y/N] Aborted.\n    hint: If it is to be done, answer it by hand" in failed.err
    assert (nodes.root(node) / "answer").read_text() == "status 1, read <>\n"


def test_no_connection_outlives_its_command(hnctl: Hnctl, mixed: NodesBySsh):
    by_ssh = mixed.box.names[1]
    for status, *command in (
        (0, "diff"),
        (0, "settings", "get", "php_version", "-n", by_ssh),
        (5, "settings", "set", "password_auth", "false", "-n", by_ssh),
        (64, "settings", "set", "php_version", "8.0", "-n", by_ssh, "--where", "product == x"),
        (0, "apply", "--yes"),
    ):
        assert hnctl(*command).status == status
        assert list(mixed.runtime.iterdir()) == []
        assert soon(lambda: not mixed.left_behind()), command
    assert mixed.ssh.logins != []


def test_without_a_folder_for_it_a_connection_is_kept_in_tmp_where_nobody_else_can_use_it(
    hnctl: Hnctl, nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    node = nodes.only("ssh", monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "a name too long for the path of a socket"))
    (folder / "bin").mkdir()
    log = 'for word; do [ "$before" = -S ] && ls -ld "${word%/*}" >> seen; before=$word; done'
    (folder / "bin/ssh").write_text(f'#!/bin/sh\n{log}\nexec {shutil.which("ssh")} "$@"\n')
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    assert hnctl("settings", "get", "php_version", "-n", node).status == 0
    lines = (folder / "seen").read_text().splitlines()
    kept = Path(lines[0].split()[-1])
    assert all(line.startswith("drwx------") for line in lines)
    assert (kept.parent, kept.name[:6]) == (Path("/tmp"), "hnctl-")
    assert not kept.exists()


def test_a_machine_that_is_another_node_than_was_named_is_left_alone(
    nodes: NodesBySsh, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    wrong = "{via: ssh, ssh: {host: kaasshop.hypernode.io}}"
    Path("fleet.yaml").write_text(
        f"version: 1\nnodes:\n  theeplein: {wrong}\ndefaults: {{settings: {{php_version: '8.1'}}}}\n"
    )
    refused = hnctl("apply", "--yes")
    assert refused.status == 1
    assert "theeplein: failed: kaasshop.hypernode.io is the node kaasshop; nothing was done on it" in refused.err
    monkeypatch.setenv("HNCTL_SSH_HOST", "kaasshop.hypernode.io")
    assert "is the node kaasshop" in hnctl("services", "reload", "nginx", "-n", "fietsenwinkel").err
    assert "hypernode-s" not in nodes.sent()


def test_two_nodes_cannot_be_one_machine(hnctl: Hnctl, folder: Path):
    Path("fleet.yaml").write_text(
        "version: 1\ndefaults: {via: ssh, ssh: {host: one.example.com}}\n"
        "nodes:\n  a: {}\n  b: {}\n  c: {ssh: {port: 2222}}\n  d: {ssh: {host: '{node}.example.com'}}\n"
        "  e: {via: local}\n  f: {via: local}\n"
    )
    assert [line for line in hnctl("validate").err.splitlines() if "cannot both" in line] == [
        "fleet.yaml:5:3: b and a cannot both be reached as the same host",
        "fleet.yaml:9:3: f and e cannot both be reached as this machine",
    ]


def test_a_plan_shows_by_which_way_each_node_is_changed(nodes: NodesBySsh, hnctl: Hnctl):
    for node in ("kaasshop", "theeplein"):
        nodes.box.set(node, php_version="8.1")
    port = nodes.ssh.ports["kaasshop"]
    write_fleet({"kaasshop": f"via: ssh, ssh: {{port: {port}}}", "theeplein": "via: ssh"}, {"php_version": "8.3"})
    shown = hnctl("diff")
    assert f"via ssh (port {port}): kaasshop" in shown.out
    assert "via ssh: theeplein" in shown.out
    assert "| via ssh | theeplein |" in hnctl("plan", "-o", "markdown").out


def test_what_to_do_about_a_node_that_cannot_be_read_is_told_by_diff_too(nodes: NodesBySsh, hnctl: Hnctl):
    nodes.ssh.refuse_key("kaasshop")
    write_fleet({"kaasshop": "via: ssh", "theeplein": "via: ssh"}, {"php_version": "8.3"})
    shown = hnctl("diff")
    assert shown.status == 3
    assert "hint: Is your key on the node, and is it in your agent (ssh-add -l)?" in shown.err


def test_a_damaged_fleet_file_nearby_keeps_nodes_from_being_changed(nodes: NodesBySsh, hnctl: Hnctl):
    Path("fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {via: ssh, ssh: {port: 0}}}\n")
    assert hnctl("settings", "set", "php_version", "8.1", "-n", "kaasshop").status == 65
    assert nodes.sent() == ""
