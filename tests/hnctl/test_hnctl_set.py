"""`hnctl settings set` on one node and on many: what is refused, what is asked, what is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox


def test_a_value_that_the_setting_does_not_take_is_refused_with_the_list_and_nothing_is_sent(
    hnctl: Hnctl, box: Sandbox
):
    refused = hnctl("settings", "set", "php_version", "9.9", "-n", "kaasshop")
    assert refused.status == 64
    assert "php_version cannot be 9.9" in refused.err
    assert "It takes 5.6, 7.0, 7.1, 7.2, 7.3, 7.4, 8.0, 8.1, 8.2, 8.3, 8.4, 8.5" in refused.err
    assert box.log() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["php_versio", "8.3"], "Did you mean php_version?"),
        (["allow_api_token_usage", "true"], "allow_api_token_usage is read-only"),
        (["permissive_memory_management", "maybe"], "It takes true or false"),
        (["autoscale_trigger_load_percentage", "many"], "It takes a whole number"),
        (["php_version", ""], "php_version cannot be empty"),
        (["php_version"], "Give either a value or --clear"),
        (["new_relic_app_name", "shop", "--clear"], "Give either a value or --clear"),
        (["php_version", "8.3", "--confirm", "kaasshop"], "'kaasshop' confirms nothing. Write NODE:SETTING"),
        (["php_version", "8.3", "--confirm", "all:php_version"], "confirms nothing"),
        (["php_version", "8.3", "--max-failures", "0"], "must be a number from 1"),
        (["php_version", "8.3", "--max-failures", "101%"], "must be a number from 1"),
        (["php_version", "8.3", "--where", "php_versio < 8"], "did you mean php_version?"),
        (["php_version", "8.3", "--wait", "soon"], "'soon' is no time"),
        (["php_version", "8.3", "--poll-interval", "0"], "'0' is not between 1ms and 7d"),
        (["new_relic_app_name", "\udcff"], "the value of new_relic_app_name is not UTF-8 text"),
    ],
    ids=lambda value: " ".join(value).encode(errors="replace").decode() if isinstance(value, list) else "",
)
def test_wrong_use_is_told_before_anything_is_sent(words: list[str], says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("settings", "set", *words, "-n", "kaasshop", "--yes")
    assert refused.status == 64
    assert says in refused.err
    assert refused.out == ""
    assert box.log() == []


def test_a_setting_is_cleared_with_null(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_app_name="shop")
    cleared = hnctl("settings", "set", "new_relic_app_name", "--clear", "-n", "kaasshop")
    assert cleared.status == 0
    assert "new_relic_app_name shop -> not set" in cleared.err
    assert box.settings("kaasshop")["new_relic_app_name"] is None


def test_a_version_that_reads_like_a_number_is_sent_as_the_text_it_is(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", mysql_ft_min_word_len="2")
    assert hnctl("settings", "set", "mysql_ft_min_word_len", "4", "-n", "kaasshop").status == 0
    assert box.settings("kaasshop")["mysql_ft_min_word_len"] == "4"


def test_a_change_of_several_nodes_is_not_made_when_nobody_can_say_yes(hnctl: Hnctl, box: Sandbox):
    refused = hnctl("settings", "set", "php_version", "8.0", "-n", "kaasshop", "-n", "theeplein")
    assert refused.status == 5
    assert refused.err.splitlines()[-2:] == [
        "Error: nobody is there to say yes; nothing was changed",
        "  hint: Add --yes",
    ]
    assert "2 changes on 2 of 2 nodes" in refused.out
    assert writes(box) == []


def test_with_yes_several_nodes_are_changed_each_with_one_request(hnctl: Hnctl, box: Sandbox):
    for node in ("kaasshop", "theeplein", "boekenhal"):
        box.set(node, php_version="8.3")
    box.set("boekenhal", php_version="8.0")
    done = hnctl("settings", "set", "php_version", "8.0", "-n", "kaasshop", "-n", "theeplein", "-n", "boekenhal", "-y")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == "2 done, 1 unchanged, 0 failed, 0 outcome unknown, 0 not attempted"
    assert sorted(entry.node for entry in writes(box)) == ["kaasshop", "theeplein"]
    for node in ("kaasshop", "theeplein"):
        assert f"{node}: done in 0 s: php_version 8.3 -> 8.0" in done.err


def test_nothing_is_asked_when_nothing_would_change(hnctl: Hnctl, box: Sandbox):
    for node in box.names:
        box.set(node, php_version="8.3")
    done = hnctl("settings", "set", "php_version", "8.3", "--all")
    assert done.status == 0
    assert "In sync: 12 nodes compared, no difference" in done.out
    assert writes(box) == []


def test_a_change_that_the_platform_rolls_back_ends_with_failed_and_the_value_that_is_left(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3")
    box.set_faults({"revert": ["kaasshop"]})
    failed = hnctl("settings", "set", "php_version", "8.4", "-n", "kaasshop")
    assert failed.status == 1
    assert "kaasshop: failed: " in failed.err
    assert "was reverted" in failed.err
    assert "8.3" in failed.err
    assert failed.out == "0 done, 0 unchanged, 1 failed, 0 outcome unknown, 0 not attempted\n"


def test_a_change_that_takes_longer_than_the_wait_has_an_unknown_outcome_and_goes_on(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3")
    unknown = hnctl("settings", "set", "php_version", "8.4", "-n", "kaasshop", "--wait", "100ms")
    assert unknown.status == 6
    assert "kaasshop: outcome unknown: not done after" in unknown.err
    assert "The flow goes on" in unknown.err


def test_a_node_on_which_a_flow_is_running_is_left_alone_unless_that_is_allowed(hnctl: Hnctl, box: Sandbox):
    box.set("theeplein", php_version="8.3")
    box.start_flow("theeplein", "xgrade_app", 5)
    refused = hnctl("settings", "set", "php_version", "8.4", "-n", "theeplein")
    assert refused.status == 5
    assert "the flow xgrade_app is" in refused.err
    assert "--ignore-running" in refused.err
    assert writes(box) == []

    hnctl("settings", "set", "php_version", "8.4", "-n", "theeplein", "--ignore-running", "--wait", "100ms")
    assert [entry.node for entry in writes(box)] == ["theeplein"]


def test_the_outcome_as_json_agrees_with_the_status_and_holds_nothing_else_on_stdout(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3")
    box.set_faults({"reject": ["kaasshop"]})
    failed = hnctl("settings", "set", "php_version", "8.4", "-n", "kaasshop", "-o", "json")
    document = failed.json
    assert (failed.status, document["exit_code"], document["format_version"]) == (1, 1, 1)
    assert document["totals"] == {"done": 0, "unchanged": 0, "failed": 1, "unknown": 0, "not_attempted": 0}
    (node,) = document["nodes"]
    assert (node["node"], node["state"], node["error"]["code"]) == ("kaasshop", "failed", "rejected")
    assert node["changes"] == [{"setting": "php_version", "current": "8.3", "desired": "8.4"}]


@pytest.fixture
def limited(box: Sandbox, folder: Path) -> Sandbox:
    """A fleet file of four nodes, of which at most half may change."""
    fourth = next(node for node in box.names if node not in ("kaasshop", "theeplein", "boekenhal"))
    (folder / "fleet.yaml").write_text(
        "version: 1\n"
        "limits: {max_nodes: 50%}\n"
        "rollout: {max_failures: 1}\n"
        "groups: {few: {}, most: {}}\n"
        "nodes: {kaasshop: {groups: [few, most]}, theeplein: {groups: [few, most]}, boekenhal: {groups: [most]}, "
        f"{fourth}: {{}}}}\n"
    )
    for node in box.names:
        box.set(node, php_version="8.3")
    return box


@pytest.mark.parametrize(("chosen", "count"), [(["--group", "most"], 3), (["--all"], 4)], ids=["group", "all"])
def test_the_limits_of_the_file_that_names_the_nodes_are_kept(
    chosen: list[str], count: int, hnctl: Hnctl, limited: Sandbox
):
    refused = hnctl("settings", "set", "php_version", "8.4", *chosen, "--yes")
    assert refused.status == 5
    assert f"it changes {count} of 4 nodes; limits.max_nodes is 50%" in refused.err
    assert writes(limited) == []


def test_a_change_within_the_limits_of_the_file_or_forced_is_made(hnctl: Hnctl, limited: Sandbox):
    assert hnctl("settings", "set", "php_version", "8.4", "--group", "few", "--yes").status == 0
    assert len(writes(limited)) == 2
    assert hnctl("settings", "set", "php_version", "8.2", "--group", "most", "--yes", "--force").status == 0
    assert len(writes(limited)) == 5


def test_nodes_that_are_named_one_by_one_have_no_limits(hnctl: Hnctl, limited: Sandbox):
    named = [word for node in ("kaasshop", "theeplein", "boekenhal") for word in ("-n", node)]
    assert hnctl("settings", "set", "php_version", "8.4", *named, "--yes").status == 0
    assert len(writes(limited)) == 3


@pytest.mark.parametrize(("more", "failed"), [([], 1), (["--max-failures", "2"], 2)], ids=["the file's", "typed"])
def test_the_failure_budget_of_the_file_counts_unless_another_is_given(
    more: list[str], failed: int, hnctl: Hnctl, limited: Sandbox
):
    limited.set_faults({"reject": list(limited.names)})
    ended = hnctl("settings", "set", "php_version", "8.4", "--group", "few", "--yes", "--parallel", "1", *more)
    assert f"{failed} failed, 0 outcome unknown, {2 - failed} not attempted" in ended.out


def test_the_file_that_names_the_nodes_is_read_once_and_so_may_be_a_pipe(limited: Sandbox, folder: Path):
    file = (folder / "fleet.yaml").read_bytes()
    chosen = ["--group", "few", "--where", "group = few", "-f", "/dev/stdin"]
    done = run("settings", "set", "php_version", "8.4", "--yes", *chosen, stdin=file)
    assert done.status == 0, done.err
    assert len(writes(limited)) == 2
