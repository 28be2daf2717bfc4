"""`hnctl settings list`, `get` and `describe`: what nodes have, and what settings there are."""

from __future__ import annotations

import pytest
from runs import Hnctl, writes

from hypernode.catalogue import Catalogue
from hypernode.sandbox.server import Sandbox


def test_a_setting_is_changed_once_and_waited_for(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", permissive_memory_management=False)
    first = hnctl("settings", "set", "permissive_memory_management", "true", "-n", "kaasshop")
    assert first.status == 0, first.err
    assert box.settings("kaasshop")["permissive_memory_management"] is True
    assert [entry.changed for entry in writes(box)] == [True]

    again = hnctl("settings", "set", "permissive_memory_management", "true", "-n", "kaasshop")
    assert again.status == 0
    assert len(writes(box)) == 1

    got = hnctl("settings", "get", "permissive_memory_management", "-n", "kaasshop")
    assert (got.status, got.out) == (0, "true\n")


def test_the_value_of_a_single_node_is_printed_alone_and_with_one_request(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.2")
    got = hnctl("settings", "get", "php_version", "-n", "kaasshop")
    assert got == (0, "8.2\n", "")
    assert [entry.path for entry in box.log()] == ["/v2/app/kaasshop/?destroyed=false"]


def test_the_values_of_several_nodes_come_in_the_order_in_which_they_were_named(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.2")
    box.set("theeplein", php_version="8.4")
    got = hnctl("settings", "get", "php_version", "-n", "theeplein", "-n", "kaasshop")
    assert got.out.splitlines() == ["node       value", "theeplein  8.4", "kaasshop   8.2"]


def test_a_setting_without_a_value_is_said_to_be_not_set(hnctl: Hnctl, box: Sandbox):
    assert hnctl("settings", "get", "new_relic_app_name", "-n", "kaasshop").out == "not set\n"
    as_json = hnctl("settings", "get", "new_relic_app_name", "-n", "kaasshop", "-o", "json").json
    assert as_json["settings"][0]["value"] is None


def test_a_node_that_cannot_be_read_is_named_and_the_others_are_shown(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", f'{{"kaasshop": "{box.tokens["kaasshop"]}", "theeplein": "wrong"}}')
    got = hnctl("settings", "get", "php_version", "--all")
    assert got.status == 3
    assert [line.split()[0] for line in got.out.splitlines()] == ["node", "kaasshop"]
    assert "theeplein: the API refused the token (401)" in got.err
    assert "  hint: " in got.err

    as_json = hnctl("settings", "get", "php_version", "--all", "-o", "json")
    assert as_json.status == 3
    assert [(one["node"], one["code"]) for one in as_json.json["failures"]] == [("theeplein", "token_refused")]


def test_when_no_node_can_be_read_the_status_is_that_of_the_failure_and_no_table_is_printed(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "wrong", "theeplein": "wrong"}')
    got = hnctl("settings", "get", "php_version", "--all")
    assert (got.status, got.out) == (4, "")
    assert "No settings." not in got.err


def test_list_shows_every_setting_of_a_node_and_masks_secrets(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_secret="hush-hush")
    listed = hnctl("settings", "list", "-n", "kaasshop")
    assert listed.status == 0
    rows = [line.split() for line in listed.out.splitlines()[1:]]
    assert [row[0] for row in rows] == list(Catalogue.bundled())
    assert ["new_relic_secret", "***", "-"] in rows
    assert "hush-hush" not in listed.out


def test_list_of_several_nodes_names_the_node_in_each_row(hnctl: Hnctl, box: Sandbox):
    rows = hnctl("settings", "list", "-n", "kaasshop", "-n", "theeplein", "-o", "json").json["settings"]
    assert {row["node"] for row in rows} == {"kaasshop", "theeplein"}
    assert len(rows) == 2 * len(Catalogue.bundled())


@pytest.mark.parametrize("command", ["get", "describe"])
def test_an_unknown_setting_is_refused_with_the_nearest_one_and_nothing_is_sent(
    command: str, hnctl: Hnctl, box: Sandbox
):
    got = hnctl("settings", command, "php_versio", "-n", "kaasshop")
    assert got.status == 64
    assert got.err == "Error: there is no setting php_versio\n  hint: Did you mean php_version?\n"
    assert box.log() == []


def test_describe_tells_what_a_setting_takes_and_what_a_change_of_it_risks(hnctl: Hnctl):
    told = hnctl("settings", "describe", "mysql_version")
    assert told.status == 0
    lines = told.out.splitlines()
    assert lines[0] == "mysql_version"
    assert "  takes     5.6, 5.7, 8.0, 8.4" in lines
    assert "  default   5.7" in lines
    assert "  risk      irreversible: MySQL cannot be downgraded once it is upgraded." in lines


def test_describe_says_that_a_setting_is_secret_or_read_only(hnctl: Hnctl):
    assert "as a reference" in hnctl("settings", "describe", "new_relic_secret").out
    assert "a node's token cannot change it" in hnctl("settings", "describe", "allow_api_token_usage").out


def test_describe_without_a_name_lists_all_settings_without_asking_the_api(hnctl: Hnctl, box: Sandbox):
    cards = hnctl("settings", "describe", "-o", "json").json["settings"]
    assert [card["setting"] for card in cards] == list(Catalogue.bundled())
    assert all(card["description"] for card in cards)
    assert box.log() == []
