"""What cannot be undone: refused without a confirmation of its own, whatever else was said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

UPGRADE = ["settings", "set", "mysql_version", "8.4"]
FLEET = """\
version: 1
groups: {magento: {}}
nodes: {kaasshop: {groups: [magento]}, theeplein: {groups: [magento]}, boekenhal: {}}
"""


@pytest.fixture
def old(box: Sandbox, folder: Path) -> Sandbox:
    """Three nodes of a file with an old MySQL; two of them are of one group."""
    (folder / "fleet.yaml").write_text(FLEET)
    for node in ("kaasshop", "theeplein", "boekenhal"):
        box.set(node, mysql_version="8.0")
    return box


def upgraded(box: Sandbox) -> list[str]:
    return [n for n in ("kaasshop", "theeplein", "boekenhal") if box.settings(n)["mysql_version"] == "8.4"]


@pytest.mark.parametrize("yes", [[], ["--yes"], ["--yes", "--force"]], ids=" ".join)
def test_no_yes_and_no_force_covers_what_is_irreversible(yes: list[str], hnctl: Hnctl, old: Sandbox):
    refused = hnctl(*UPGRADE, "-n", "kaasshop", *yes)
    assert refused.status == 5
    assert "kaasshop: mysql_version 8.0 -> 8.4 is irreversible: MySQL cannot be downgraded" in refused.err
    assert "--confirm kaasshop:mysql_version allows it" in refused.err
    assert "mysql_version  8.0 -> 8.4  on 1 node" in refused.out, "the plan is shown with its risk"
    assert "irreversible, on 1 node (needs --confirm)" in refused.out
    assert writes(old) == []


@pytest.mark.parametrize(
    ("nodes", "confirm"),
    [
        (["-n", "kaasshop"], ["kaasshop:mysql_version"]),
        (["-n", "kaasshop"], ["all:mysql_version=1"]),
        (["-n", "kaasshop", "-n", "theeplein"], ["kaasshop:mysql_version", "theeplein:mysql_version"]),
        (["-n", "kaasshop", "-n", "theeplein"], ["magento:mysql_version=2"]),
        (["--group", "magento"], ["magento:mysql_version=2"]),
        (["--all"], ["all:mysql_version=3"]),
        (["--all"], ["magento:mysql_version=2", "boekenhal:mysql_version"]),
    ],
    ids=str,
)
def test_a_confirmation_that_fits_is_carried_out(
    nodes: Sequence[str], confirm: Sequence[str], hnctl: Hnctl, old: Sandbox
):
    done = hnctl(*UPGRADE, *nodes, *(word for one in confirm for word in ("--confirm", one)), "--yes")
    assert done.status == 0, done.err
    assert upgraded(old) == sorted(
        {entry.node for entry in writes(old)}, key=["kaasshop", "theeplein", "boekenhal"].index
    )
    assert len(writes(old)) >= 1


@pytest.mark.parametrize(
    ("confirm", "says"),
    [
        ("kaasshop:mysql_version", "--confirm all:mysql_version=3 allows it"),
        ("kaasshop:php_version", "--confirm all:mysql_version=3 allows it"),
        ("all:mysql_version=2", "--confirm all:mysql_version=2 hits 3 nodes"),
        ("all:mysql_version=4", "--confirm all:mysql_version=4 hits 3 nodes"),
        ("magento:mysql_version=3", "--confirm magento:mysql_version=3 hits 2 nodes"),
        ("magento:mysql_version=2", "boekenhal: mysql_version 8.0 -> 8.4 is irreversible"),
        ("nosuch:mysql_version=3", "--confirm nosuch:mysql_version=3 hits 0 nodes"),
    ],
)
def test_a_confirmation_that_does_not_fit_is_refused_and_nothing_is_changed(
    confirm: str, says: str, hnctl: Hnctl, old: Sandbox
):
    refused = hnctl(*UPGRADE, "--all", "--yes", "--confirm", confirm)
    assert refused.status == 5
    assert says in refused.err
    assert writes(old) == []


def test_a_confirmation_does_not_stand_for_the_ordinary_yes(hnctl: Hnctl, old: Sandbox):
    refused = hnctl(*UPGRADE, "--all", "--confirm", "all:mysql_version=3")
    assert refused.status == 5
    assert "nobody is there to say yes" in refused.err
    assert writes(old) == []


def test_a_confirmation_counts_only_the_nodes_that_change(hnctl: Hnctl, old: Sandbox):
    old.set("boekenhal", mysql_version="8.4")
    assert hnctl(*UPGRADE, "--all", "--yes", "--confirm", "all:mysql_version=2").status == 0


def test_a_confirmation_of_a_group_needs_the_file_that_has_the_group(hnctl: Hnctl, old: Sandbox, folder: Path):
    (folder / "fleet.yaml").unlink()
    refused = hnctl(*UPGRADE, "-n", "kaasshop", "--confirm", "magento:mysql_version=1")
    assert refused.status == 65
    assert "fleet.yaml" in refused.err
    assert writes(old) == []


def test_a_confirmation_of_a_node_does_not_look_into_a_file_that_lies_about(hnctl: Hnctl, old: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text("no fleet file at all")
    assert hnctl(*UPGRADE, "-n", "kaasshop", "--confirm", "kaasshop:mysql_version").status == 0
    assert upgraded(old) == ["kaasshop"]


@pytest.mark.parametrize(
    ("setting", "value", "before", "words"),
    [
        ("password_auth", "false", True, "may lock people out"),
        ("elasticsearch_version", "5.2", "7.x", "destroys data"),
        ("openvpn_enabled", "false", True, "destroys data"),
    ],
)
def test_every_kind_of_hazard_needs_a_confirmation(
    setting: str, value: str, before: object, words: str, hnctl: Hnctl, box: Sandbox
):
    box.set("kaasshop", **{setting: before})
    refused = hnctl("settings", "set", setting, value, "-n", "kaasshop", "--yes")
    assert refused.status == 5
    assert words in refused.err
    assert writes(box) == []
    assert hnctl("settings", "set", setting, value, "-n", "kaasshop", "--confirm", f"kaasshop:{setting}").status == 0


def test_the_harmless_direction_of_a_hazard_needs_none(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", password_auth=False)
    assert hnctl("settings", "set", "password_auth", "true", "-n", "kaasshop").status == 0
