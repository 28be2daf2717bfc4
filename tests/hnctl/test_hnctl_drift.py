"""`hnctl drift` and `apply --only-drift`: what differs, and what the history and the logbooks tell of why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh
from odd_servers import by_path, serving
from runs import Hnctl, boxed, writes

from hypernode.api.client import Client
from hypernode.fleet.journal import Journal
from hypernode.sandbox.server import Sandbox
from hypernode.secrets import Secret

START = {"php_version": "8.3", "mysql_version": "8.0", "varnish_enabled": False}


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Two nodes; the state of this test's own."""
    with boxed(folder, monkeypatch, nodes=2, settings=START) as running:
        yield running


def runs_folder(folder: Path) -> Path:
    return folder / "state" / "hnctl" / "runs"


def applied(api_url: str, folder: Path, node: str, flows: tuple[str, ...] = (), **values: object) -> str:
    """Write down a run of now that set `values` on `node`, as `apply` would; returns its name."""
    journal = Journal(runs_folder(folder))
    changes = [
        {"node": node, "setting": name, "current": None, "desired": None, "secret": isinstance(value, Secret)}
        for name, value in values.items()
    ]
    plan = {"checksum": "", "api_url": api_url, "changes": changes, "compared": [], "unread": []}
    about = {
        "host": "laptop",
        "job": None,
        "message": None,
        "folder": "/",
        "file": None,
        "digest": None,
        "rolls_back": None,
    }
    journal.begin(who="jan@laptop", pid=1, plan=plan, **about)
    journal.announce("node begun", node=node)
    journal.announce("sending", node=node, settings=journal.values(values))
    journal.note("flows", node=node, flows=list(flows))
    journal.note("node ended", node=node, state="done", error=None, reason=None, seconds=1.0, flows=list(flows))
    journal.note("run ended", state="done")
    journal.close()
    return journal.run


def write_file(folder: Path, nodes: dict[str, dict[str, object]], more: str = "") -> None:
    layers = {node: {"settings": values} for node, values in nodes.items()}
    (folder / "fleet.yaml").write_text(f"version: 1\nnodes: {json.dumps(layers)}\n{more}")


def change_by_hand(box: Sandbox, node: str, **values: object) -> str:
    """Change settings as somebody else would, through the API; returns the uuid of the flow."""
    with Client(node, token=box.tokens[node], api_url=box.url) as client:
        (flow,) = client.settings.set(**values).wait(timeout=10, interval=0.02)
    box.clear_log()
    return flow.uuid


@pytest.fixture
def three(box: Sandbox, folder: Path) -> str:
    """One value changed by hand on the API, one line changed in the file, one setting never managed."""
    node = box.names[0]
    applied(box.url, folder, node, php_version="8.3", mysql_version="8.0")
    box.set(node, php_version="8.1")
    write_file(folder, {node: {"php_version": "8.3", "mysql_version": "8.4", "varnish_enabled": True}})
    box.clear_log()
    return node


def test_three_causes_have_three_words_and_the_status_is_2(hnctl: Hnctl, box: Sandbox, three: str):
    found = hnctl("drift", "-o", "json")
    assert found.status == 2
    assert {row["setting"]: row["cause"] for row in found.json["drift"]} == {
        "php_version": "changed there",
        "mysql_version": "not applied yet",
        "varnish_enabled": "never managed",
    }
    shown = hnctl("drift")
    assert shown.status == 2
    assert "3 values on 1 of 1 node are not as the file says" in shown.out
    assert "changed there: 1 value" in shown.out
    assert f"{three}  php_version  8.3 -> 8.1" in shown.out
    assert "applied by jan@laptop on 20" in shown.out
    assert f"not applied yet: 1 value\n  mysql_version  8.0 -> 8.4  {three}" in shown.out
    assert f"never managed: 1 value\n  varnish_enabled  false -> true  {three}" in shown.out
    assert not writes(box)


def test_only_drift_puts_back_what_was_changed_there_and_nothing_else(hnctl: Hnctl, box: Sandbox, three: str):
    healed = hnctl("apply", "--only-drift", "--yes")
    assert healed.status == 0
    assert "2 other changes are left out" in healed.err
    assert [entry.settings for entry in writes(box)] == [("php_version",)]
    assert box.settings(three).items() >= START.items()
    after = hnctl("drift", "-o", "json")
    assert after.status == 2
    assert [(row["setting"], row["cause"]) for row in after.json["drift"]] == [
        ("mysql_version", "not applied yet"),
        ("varnish_enabled", "never managed"),
    ]
    assert hnctl("drift", "--fail-on", "changed").status == 0
    again = hnctl("apply", "--only-drift", "--yes")
    assert (again.status, len(writes(box))) == (0, 1)
    assert again.out == "Nothing to put back\n"


def test_only_drift_leaves_what_the_file_wishes_another_value_for_by_now(
    hnctl: Hnctl, box: Sandbox, folder: Path, three: str
):
    write_file(folder, {three: {"php_version": "8.4"}})
    assert "and the file wishes another value since: 8.4" in hnctl("drift").out
    left = hnctl("apply", "--only-drift", "--yes")
    assert (left.status, writes(box)) == (0, [])
    assert "1 other change is left out" in left.err


def test_only_drift_goes_with_no_reviewed_plan(hnctl: Hnctl, box: Sandbox, folder: Path, three: str):
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    refused = hnctl("apply", "plan.json", "--only-drift", "--yes")
    assert (refused.status, writes(box)) == (64, [])
    assert "--only-drift makes one anew" in refused.err


def test_the_flows_of_others_since_then_are_shown_and_ours_are_not(hnctl: Hnctl, box: Sandbox, folder: Path):
    node = box.names[0]
    before = change_by_hand(box, node, php_version="8.2")
    ours = change_by_hand(box, node, php_version="8.3")
    run = applied(box.url, folder, node, (ours,), php_version="8.3")
    other = change_by_hand(box, node, varnish_enabled=True)
    applied(box.url, folder, node, (other,), varnish_enabled=True)
    theirs = change_by_hand(box, node, php_version="8.1")
    write_file(folder, {node: {"php_version": "8.3"}})
    (row,) = hnctl("drift", "-o", "json").json["drift"]
    assert [flow["uuid"] for flow in row["flows"]] == [theirs]
    assert (row["applied"]["run"], row["applied"]["who"], row["applied"]["value"]) == (run, "jan@laptop", "8.3")
    assert datetime.fromisoformat(row["applied"]["at"]).tzinfo == UTC
    shown = hnctl("drift").out
    assert theirs in shown
    assert not any(uuid in shown for uuid in (before, ours, other))


def test_logbooks_are_read_only_of_nodes_on_which_something_was_changed(
    hnctl: Hnctl, box: Sandbox, folder: Path, three: str
):
    other = box.names[1]
    write_file(folder, {three: {"php_version": "8.3"}, other: {"varnish_enabled": True}})
    assert hnctl("drift").status == 2
    asked = [entry.path for entry in box.log() if "logbook" in entry.path]
    assert asked
    assert all(three in path for path in asked)


def test_a_logbook_that_cannot_be_read_is_told_and_the_cause_all_the_same(
    hnctl: Hnctl, box: Sandbox, folder: Path, three: str, monkeypatch: pytest.MonkeyPatch
):
    answers = {"/v2/app/": {"name": three, "php_version": "8.1"}, "/logbook/": {"results": [{}], "next": None}}
    write_file(folder, {three: {"php_version": "8.3"}})
    with serving(by_path(answers)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        applied(odd.url, folder, three, php_version="8.3")
        found = hnctl("drift", "-o", "json")
    assert found.status == 2
    assert found.err.startswith(f"{three}: its logbook cannot be read: the API answered a flow")
    (row,) = found.json["drift"]
    assert (row["cause"], row["flows"]) == ("changed there", None)


def test_a_node_that_is_reached_by_its_tool_has_a_cause_and_no_flows(
    hnctl: Hnctl, nodes: NodesBySsh, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    node = nodes.only("local", monkeypatch, {"php_version": "8.3"})
    nodes.box.set(node, php_version="8.1")
    applied(os.environ.get("HNCTL_API_URL", nodes.box.url), folder, node, php_version="8.3")
    found = hnctl("drift", "-o", "json")
    assert (found.status, found.err) == (2, "")
    (row,) = found.json["drift"]
    assert (row["cause"], row["flows"]) == ("changed there", None)
    assert "since then" not in hnctl("drift").out


def test_without_drift_the_status_is_0_and_fail_on_tells_what_counts(hnctl: Hnctl, box: Sandbox, folder: Path):
    node = box.names[0]
    write_file(folder, {node: {"php_version": "8.3"}})
    none = hnctl("drift")
    assert (none.status, none.out) == (0, "No drift: 1 node compared\n")
    assert hnctl("drift", "-o", "json").json == {"format_version": 1, "drift": []}
    write_file(folder, {node: {"php_version": "8.4"}})
    assert hnctl("drift").status == 2
    assert hnctl("drift", "--fail-on", "changed").status == 0
    applied(box.url, folder, node, php_version="8.2")
    assert hnctl("drift", "--fail-on", "changed").status == 2


def test_a_run_that_cannot_be_read_is_told_and_passed_over(hnctl: Hnctl, box: Sandbox, folder: Path, three: str):
    (runs_folder(folder) / "99990101-000000-aaaa.jsonl").write_text("mine\n")
    found = hnctl("drift", "-o", "json")
    assert found.status == 2
    assert "99990101-000000-aaaa.jsonl:1:1: it is no record of a run" in found.err
    assert "The run is passed over" in found.err
    assert "changed there" in [row["cause"] for row in found.json["drift"]]


def test_a_node_that_cannot_be_read_is_told_as_by_diff(hnctl: Hnctl, box: Sandbox, folder: Path, three: str):
    write_file(folder, {three: {"php_version": "8.3"}, box.names[1]: {"php_version": "8.3"}})
    box.set_faults({"redirect": [box.names[1]]})
    partly = hnctl("drift")
    assert partly.status == hnctl("diff", "--detailed-exitcode").status == 3
    assert "changed there: 1 value" in partly.out
    assert partly.err.startswith(f"{box.names[1]}: ")


def test_no_secret_is_shown(hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NR", "canary-1")
    node = box.names[0]
    applied(box.url, folder, node, new_relic_secret=Secret("canary-1"))
    box.set(node, new_relic_secret="canary-2")
    write_file(folder, {node: {"new_relic_secret": "env:NR"}})
    for output in ("table", "json", "jsonl", "yaml", "markdown"):
        found = hnctl("drift", "-o", output)
        assert found.status == 2
        assert "changed there" in found.out
        assert "canary" not in found.out + found.err


def test_markdown_and_json_lines_have_a_row_for_each_value(hnctl: Hnctl, box: Sandbox, three: str):
    rows = [line for line in hnctl("drift", "-o", "markdown").out.splitlines() if f"| {three} |" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| changed there", "| not applied yet", "| never managed"]
    lines = [json.loads(line) for line in hnctl("drift", "-o", "jsonl").out.splitlines()]
    assert [(line["format_version"], line["node"]) for line in lines] == [(1, three)] * 3


def test_what_the_file_ignores_is_no_drift_and_its_number_is_told(hnctl: Hnctl, box: Sandbox, folder: Path, three: str):
    nodes: dict[str, dict[str, object]] = {three: {"php_version": "8.3", "varnish_enabled": True}}
    entry = f"ignore: [{{node: {three}, setting: php_version, reason: ticket 42, until: %s}}]\n"
    write_file(folder, nodes, entry % "2999-12-31")
    for command in ("drift", "diff"):
        found = hnctl(command)
        assert "php_version" not in found.out
        assert "varnish_enabled" in found.out
        assert "1 value is ignored; `ignore` in the fleet file says why." in found.err
    assert "  ignored   until 2999-12-31: ticket 42\n" in hnctl("explain", three, "php_version").out
    write_file(folder, nodes, entry % "2020-12-31")
    for arguments in (["drift"], ["diff"], ["validate"], ["apply", "--yes"], ["explain", three, "php_version"]):
        expired = hnctl(*arguments)
        assert expired.status == 65
        assert f"the entry for {three} php_version has expired on 2020-12-31: renew it or take it out" in expired.err
    assert not writes(box)
