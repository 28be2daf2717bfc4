"""Which nodes a command is about: options, the fleet file, tokens and the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

FLEET = """\
version: 1
groups: {magento: {}, shopware: {}}
nodes:
  theeplein: {groups: [magento]}
  kaasshop: {groups: [magento, shopware]}
  boekenhal: {groups: [shopware]}
  wijnkelder: {}
"""


@pytest.fixture
def fleet(box: Sandbox, folder: Path) -> Sandbox:
    (folder / "fleet.yaml").write_text(FLEET)
    box.set("kaasshop", php_version="8.1")
    for node in ("theeplein", "boekenhal", "wijnkelder"):
        box.set(node, php_version="8.3")
    return box


def chosen(hnctl: Hnctl, *options: str) -> list[str]:
    got = hnctl("settings", "get", "php_version", *options, "-o", "json")
    assert got.status == 0, got.err
    return [row["node"] for row in got.json["settings"]]


@pytest.mark.parametrize(
    ("options", "nodes"),
    [
        (["-n", "kaasshop"], ["kaasshop"]),
        (["-n", "wijnkelder", "-n", "kaasshop", "-n", "wijnkelder"], ["wijnkelder", "kaasshop"]),
        (["--group", "magento"], ["theeplein", "kaasshop"]),
        (["--group", "magento", "--group", "shopware"], ["theeplein", "kaasshop", "boekenhal"]),
        (["--group", "shopware", "-n", "wijnkelder"], ["kaasshop", "boekenhal", "wijnkelder"]),
        (["--group", "shopware", "-n", "koffiehoek"], ["kaasshop", "boekenhal", "koffiehoek"]),
        (["--all"], ["theeplein", "kaasshop", "boekenhal", "wijnkelder"]),
        (["--all", "--exclude", "kaasshop", "--exclude", "wijnkelder"], ["theeplein", "boekenhal"]),
        (["--group", "magento", "--exclude", "boekenhal"], ["theeplein", "kaasshop"]),
        (["-n", "kaasshop", "-n", "theeplein", "--exclude", "kaasshop"], ["theeplein"]),
        (["--all", "--where", "php_version < 8.2"], ["kaasshop"]),
        (["--all", "--where", "not php_version < 8.2 and name ~ e"], ["theeplein", "boekenhal", "wijnkelder"]),
        (["--all", "--where", "group == shopware"], ["kaasshop", "boekenhal"]),
        (["--group", "magento", "--where", "group == shopware"], ["kaasshop"]),
        (["--all", "--where", "php_version == 5.6"], []),
    ],
    ids=lambda value: " ".join(value),
)
def test_nodes_are_chosen_in_the_order_of_the_file(options: list[str], nodes: list[str], hnctl: Hnctl, fleet: Sandbox):
    assert chosen(hnctl, *options) == nodes


def test_without_a_file_all_are_the_nodes_that_have_a_token(hnctl: Hnctl, box: Sandbox):
    assert chosen(hnctl, "--all") == sorted(box.names)


def test_nothing_found_is_success_and_stdout_stays_empty(hnctl: Hnctl, fleet: Sandbox):
    none = hnctl("settings", "get", "php_version", "--all", "--where", "php_version == 5.6")
    assert none == (0, "", "No settings.\n")
    lines = hnctl("settings", "get", "php_version", "--all", "--where", "php_version == 5.6", "-o", "jsonl")
    assert lines == (0, "", "")


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ([], 64, "which node? None was given"),
        (["-n", "../x"], 64, "'../x' cannot be the name of a node"),
        (["-n", "KaasShop"], 64, "cannot be the name of a node"),
        (["-n", "a" * 17], 64, "at most 16"),
        (["--group", "magneto"], 64, "Did you mean magento?"),
        (
            ["--all", "--exclude", "kaashop"],
            64,
            "there is no node kaashop to leave out\n  hint: Did you mean kaasshop?",
        ),
        (["--group", "magento", "--exclude", "koffiehoek"], 64, "there is no node koffiehoek to leave out"),
        (["--all", "--exclude", "../x"], 64, "'../x' cannot be the name of a node"),
        (["--all", "--where", "php_version <"], 64, "expected a value at the end"),
        (["--all", "--where", "new_relic_secret ~ a"], 64, "is secret and cannot be asked for"),
        (["--all", "-f", "other.yaml"], 65, "other.yaml:1:1: the file cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_choice_is_told_and_nothing_is_sent(
    options: list[str], status: int, says: str, hnctl: Hnctl, fleet: Sandbox
):
    refused = hnctl("settings", "set", "php_version", "8.4", "--yes", *options)
    assert refused.status == status
    assert says in refused.err
    assert fleet.log() == []


@pytest.mark.parametrize("options", [["--all", "--where", "group == magento"], ["--group", "magento"]], ids=" ".join)
def test_a_group_cannot_be_asked_for_without_a_file_that_has_groups(options: list[str], hnctl: Hnctl, box: Sandbox):
    for command in (["settings", "get", "php_version"], ["settings", "set", "php_version", "8.4", "--yes"]):
        refused = hnctl(*command, *options)
        assert refused.status == 65
        assert "fleet.yaml:1:1: the file cannot be read: No such file or directory" in refused.err
    assert box.log() == []


def test_a_change_reaches_the_nodes_for_which_where_holds_and_no_others(hnctl: Hnctl, fleet: Sandbox):
    done = hnctl("settings", "set", "php_version", "8.4", "--all", "--where", "group == shopware", "--yes")
    assert done.status == 0, done.err
    assert sorted(entry.node for entry in writes(fleet)) == ["boekenhal", "kaasshop"]


def test_a_node_that_is_misspelt_among_those_to_spare_stops_the_whole_change(hnctl: Hnctl, box: Sandbox):
    refused = hnctl("settings", "set", "php_version", "8.0", "--all", "--exclude", "kassshop", "--yes")
    assert refused.status == 64
    assert "Did you mean kaasshop?" in refused.err
    assert box.log() == []


def test_the_same_holds_for_a_plan_that_is_applied(hnctl: Hnctl, fleet: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(FLEET.replace("wijnkelder: {}", "wijnkelder: {settings: {php_version: 8.4}}"))
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    refused = hnctl("apply", "plan.json", "--yes", "--exclude", "wijnkeller")
    assert refused.status == 64
    assert "Did you mean wijnkelder?" in refused.err
    assert writes(fleet) == []
    spared = hnctl("apply", "plan.json", "--yes", "--exclude", "wijnkelder")
    assert (spared.status, writes(fleet)) == (0, [])


@pytest.mark.parametrize(
    "variables",
    [{"HNCTL_ALL": "1"}, {"HNCTL_GROUP": "magento"}, {"HNCTL_NODE": "theeplein boekenhal"}],
    ids=str,
)
def test_nodes_that_are_typed_take_the_place_of_those_in_variables(
    variables: dict[str, str], hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert len(chosen(hnctl)) >= 2, "alone, the variable counts"
    assert chosen(hnctl, "-n", "kaasshop") == ["kaasshop"]
    assert chosen(hnctl, "--group", "shopware") == ["kaasshop", "boekenhal"]


def test_a_variable_can_still_narrow_what_was_typed(hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_EXCLUDE", "kaasshop")
    assert chosen(hnctl, "--group", "magento") == ["theeplein"]
    assert chosen(hnctl, "-n", "wijnkelder") == ["wijnkelder"], "a node to spare need not be among the named"


def test_with_no_node_named_it_is_the_one_of_the_environment_else_the_one_we_stand_on(
    hnctl: Hnctl, fleet: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "etc" / "hypernode").mkdir(parents=True)
    (folder / "etc" / "hypernode" / "app.json").write_text(json.dumps({"tag": "kaasshop"}))
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    assert chosen(hnctl) == ["kaasshop"]
    monkeypatch.setenv("HYPERNODE_APP_NAME", "theeplein")
    assert chosen(hnctl) == ["theeplein"]
    assert chosen(hnctl, "--exclude", "theeplein") == []


@pytest.mark.parametrize("command", [["diff"], ["apply", "--yes"], ["settings", "get", "php_version", "--all"]])
def test_an_empty_where_is_no_way_to_choose_everything(command: list[str], hnctl: Hnctl, box: Sandbox):
    refused = hnctl(*command, "--where", " ")
    assert refused.status == 64
    assert "--where is empty" in refused.err
    assert box.log() == []


CHANGE = ["settings", "set", "php_version", "8.4", "--yes", "--group", "magento", "--canary"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*CHANGE, "boekenhall"], ["fleet.yaml has no node boekenhall to be a canary", "Did you mean boekenhal?"]),
        (["apply", "-n", "kaasshop", "--canary", "boekenhall"], ["fleet.yaml has no node", "Did you mean boekenhal?"]),
        (["apply", "--canary", "qqqqqqqq"], ["fleet.yaml has no node qqqqqqqq to be a canary"]),
        ([*CHANGE, "boekenhal"], ["the canary boekenhal is not among the nodes of this run", "Choose it too"]),
        (["apply", "-n", "kaasshop", "--canary", "boekenhal"], ["is not among the nodes of this run", "Choose it"]),
        (
            ["settings", "set", "php_version", "8.4", "-n", "kaasshop", "-n", "theeplein", "--canary", "theepleim"],
            ["the canary theepleim is not among the nodes of this run", "Did you mean theeplein?"],
        ),
    ],
    ids=lambda value: value[-1],
)
def test_a_canary_that_is_nowhere_is_told_from_one_that_was_not_chosen(
    words: list[str], told: list[str], hnctl: Hnctl, fleet: Sandbox
):
    refused = hnctl(*words)
    assert (refused.status, refused.out, len(writes(fleet))) == (64, "", 0)
    assert all(text in refused.err for text in told), refused.err
    assert refused.err.count("hint") == len(told) - 1


def test_a_plan_that_is_not_there_is_told_with_how_to_make_one(hnctl: Hnctl, folder: Path):
    missing = hnctl("apply", "nosuch.json")
    assert missing.status == 65
    assert "nosuch.json:1:1: the file cannot be read: No such file or directory" in missing.err
    assert "hint: Make a plan: hnctl plan -o json > plan.json. A fleet file is named with -f\n" in missing.err


def test_a_canary_that_a_plan_does_not_have_is_told_by_its_name(hnctl: Hnctl, fleet: Sandbox, folder: Path):
    planned = hnctl("plan", "-n", "kaasshop", "-o", "json")
    (folder / "plan.json").write_text(planned.out)
    refused = hnctl("apply", "plan.json", "--canary", "kaashop")
    assert refused.status == 64
    assert "plan.json has no node kaashop to be a canary\n  hint: Did you mean kaasshop?" in refused.err
