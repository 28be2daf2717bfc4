"""`hnctl nodes` and `hnctl flows`: what the API says of nodes, and the jobs in their logbooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from odd_servers import Respond, by_path, serving
from runs import Hnctl, point_to

from hypernode.sandbox.server import Sandbox

PERSONAL = ("@example.com", "first_name", "account_user", "subscription", "DKIM")


def test_nodes_are_those_of_the_file_or_those_with_a_token(hnctl: Hnctl, box: Sandbox, folder: Path):
    rows = hnctl("nodes", "list", "-o", "json").json["nodes"]
    assert [row["node"] for row in rows] == sorted(box.names)
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {theeplein: {}, kaasshop: {}}\n")
    listed = hnctl("nodes", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["node", "theeplein", "kaasshop"]


def test_nodes_can_be_chosen_by_what_they_are(hnctl: Hnctl, box: Sandbox):
    rows = hnctl("nodes", "list", "-o", "json").json["nodes"]
    large = [row["node"] for row in rows if "FALCON_XL" in row["product"]]
    found = hnctl("nodes", "list", "--where", "product ~ falcon_xl", "-o", "json").json["nodes"]
    assert [row["node"] for row in found] == large
    assert 0 < len(large) < len(rows)


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
def test_no_personal_data_and_no_secret_of_a_node_is_shown(output: str, hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_secret="hush-hush")
    hidden = [*PERSONAL, "hush-hush", str(box.settings("kaasshop")["varnish_secret"]), *box.tokens.values()]
    for command in (["list"], ["show", "kaasshop"]):
        shown = hnctl("nodes", *command, "-o", output)
        assert "kaasshop" in shown.out
        assert [word for word in hidden if word in shown.out + shown.err] == []


def test_a_node_is_shown_line_by_line(hnctl: Hnctl, box: Sandbox):
    lines = dict(
        line.split(None, 1) for line in hnctl("nodes", "show", "kaasshop").out.splitlines() if line[0] in "nhi"
    )
    assert lines["name"] == "kaasshop"
    assert lines["host"] == "kaasshop.hypernode.io"
    assert lines["ip"] == "192.0.2.1"


def test_a_node_is_one_line_of_json_lines(hnctl: Hnctl, box: Sandbox):
    (line,) = hnctl("nodes", "show", "kaasshop", "-o", "jsonl").out.splitlines()
    assert json.loads(line)["node"]["name"] == "kaasshop"


def test_the_node_to_show_is_by_default_the_own_one(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    assert hnctl("nodes", "show").status == 64
    monkeypatch.setenv("HYPERNODE_APP_NAME", "theeplein")
    assert hnctl("nodes", "show", "-o", "json").json["node"]["name"] == "theeplein"


def test_flows_are_listed_newest_first_and_at_most_as_many_as_asked_for(hnctl: Hnctl, box: Sandbox):
    many = hnctl("flows", "list", "-n", "boekenhal", "--limit", "60", "-o", "json").json["flows"]
    times = [flow["created_at"] for flow in many]
    assert len(many) == 60, "more than a page of the API"
    assert times == sorted(times, reverse=True)
    assert len(hnctl("flows", "list", "-n", "boekenhal").out.splitlines()) == 1 + 20
    assert len(hnctl("flows", "list", "-n", "boekenhal", "--limit", "3").out.splitlines()) == 1 + 3


def test_a_node_without_a_logbook_has_no_flows(hnctl: Hnctl, box: Sandbox):
    assert hnctl("flows", "list", "-n", "kaasshop") == (0, "", "No flows.\n")
    assert hnctl("flows", "list", "-n", "kaasshop", "-o", "json").json == {"format_version": 1, "flows": []}
    assert hnctl("flows", "watch", "-n", "kaasshop") == (0, "", "")


@pytest.mark.parametrize("command", ["list", "watch"])
def test_a_logbook_is_of_one_node(command: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("flows", command, "-n", "kaasshop", "-n", "theeplein")
    assert (refused.status, refused.err) == (64, "Error: this is done on one node at a time\n  hint: Give -n once\n")
    assert box.log() == []


def test_watching_follows_a_flow_until_it_has_succeeded(hnctl: Hnctl, box: Sandbox):
    box.start_flow("theeplein", "xgrade_app", 0.3)
    watched = hnctl("flows", "watch", "-n", "theeplein")
    assert watched.status == 0, watched.err
    lines = watched.out.splitlines()
    assert all(line.startswith("xgrade_app ") for line in lines)
    assert lines[-1].split()[1:3] == ["success", "8/8"]
    assert len(lines) >= 2, "it was seen under way"


def test_watching_as_json_and_yaml_gives_a_document_for_each_change(hnctl: Hnctl, box: Sandbox):
    box.start_flow("theeplein", "xgrade_app", 0.2)
    lines = hnctl("flows", "watch", "-n", "theeplein", "-o", "json").out.splitlines()
    documents = [json.loads(line) for line in lines]
    assert {document["format_version"] for document in documents} == {1}
    assert documents[-1]["state"] == "success"

    box.start_flow("theeplein", "create_backup", 0.2)
    out = hnctl("flows", "watch", "-n", "theeplein", "-o", "yaml").out
    assert [document["name"] for document in yaml.safe_load_all(out)][-1] == "create_backup"


def test_watching_a_flow_that_is_rolled_back_fails(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    """A change that another hnctl has begun and does not wait for."""
    with Sandbox(nodes=4, flow_time=2.0, faults={"revert": ["kaasshop"]}) as box:
        point_to(box, monkeypatch)
        box.set("kaasshop", php_version="8.3")
        assert hnctl("settings", "set", "php_version", "8.4", "-n", "kaasshop", "--wait", "500ms").status == 6
        watched = hnctl("flows", "watch", "-n", "kaasshop")
    assert watched.status == 1, watched.out
    assert watched.out.splitlines()[-1].split()[:2] == ["update_node", "reverted"]


def test_watching_ends_with_an_unknown_outcome_when_the_time_is_over(hnctl: Hnctl, box: Sandbox):
    box.start_flow("theeplein", "xgrade_app", 30)
    watched = hnctl("flows", "watch", "-n", "theeplein", "--wait", "200ms")
    assert watched.status == 6
    assert "xgrade_app is not done after" in watched.err


def test_an_answer_that_is_no_logbook_is_told(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(by_path({"/logbook/": {"results": [{"uuid": {"a": 1}}], "next": None}})) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        refused = hnctl("flows", "list", "-n", "kaasshop")
    assert refused.status == 1
    assert "a flow that cannot be read (uuid)" in refused.err


def test_an_odd_node_is_listed_as_far_as_it_can_be_and_keeps_no_other_from_it(
    hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    odd_nodes = {
        "nulls": {"labels": None, "product": None, "destroyed": None},
        "labelled": {"labels": {"ticket": "42", "demo": None}, "product": {}},
        "listed": {"labels": ["ticket=42", "demo"], "product": "FALCON_S"},
        "broken": {"ip": ["192.0.2.1"]},
    }
    answers = {f"/v2/app/{name}/": {"name": name, **fields} for name, fields in odd_nodes.items()}
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(dict.fromkeys(odd_nodes, "token")))
    with serving(by_path(answers)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        listed = hnctl("nodes", "list", "-o", "json")
    assert listed.status == 3
    assert listed.err == "broken: the API answered a node that cannot be read (ip)\n"
    assert {row["node"]: (row["product"], row["labels"]) for row in listed.json["nodes"]} == {
        "nulls": (None, {}),
        "labelled": (None, {"ticket": "42", "demo": None}),
        "listed": ("FALCON_S", {"ticket": "42", "demo": None}),
    }
    (failure,) = listed.json["failures"]
    assert (failure["node"], failure["code"]) == ("broken", "bad_answer")


def reverting(*names: str) -> Respond:
    """Answer a logbook whose flows are running at the first look, and reverted at all later ones."""
    looks = 0

    def respond(path: str) -> tuple[int, str, bytes]:
        nonlocal looks
        looks += 1
        state = "running" if looks == 1 else "reverted"
        flows = [{"uuid": f"uuid-of-{name}", "name": name, "state": state} for name in names]
        return 200, "application/json", json.dumps({"results": flows, "next": None}).encode()

    return respond


@pytest.mark.parametrize(
    ("names", "status", "hints"),
    [(["create_backup"], 6, 1), (["create_backup", "xgrade_app"], 1, 1), (["xgrade_app"], 1, 0)],
    ids=str,
)
def test_a_backup_that_is_reverted_has_an_unknown_outcome(
    names: list[str], status: int, hints: int, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(reverting(*names)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        watched = hnctl("flows", "watch", "-n", "kaasshop", "--poll-interval", "10ms")
    assert watched.status == status
    told = (
        "kaasshop: create_backup uuid-of-create_backup was reverted, and its outcome is unknown\n"
        "  hint: Often it is only a snapshot that takes long; look for it with `hnctl backups list -n kaasshop`\n"
    )
    assert watched.err == told * hints
