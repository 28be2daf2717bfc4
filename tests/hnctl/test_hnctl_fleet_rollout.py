"""diff, plan and apply of a fleet file over fifty nodes: what is written, how often, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import fleet_file, wished
from runs import Hnctl, point_to, writes

from hypernode.sandbox.server import Sandbox


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(nodes=50, flow_time=0.2) as box:
        point_to(box, monkeypatch)
        yield box


@pytest.fixture
def file(folder: Path, fleet: Sandbox) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(fleet_file(fleet.names))
    return path


def differing(box: Sandbox) -> list[str]:
    """Return the nodes that do not have what the file wishes, by the sandbox's own account."""
    return [
        node
        for node, wishes in wished(box.names).items()
        if any(box.settings(node)[name] != value for name, value in wishes.items())
    ]


def test_a_fleet_is_brought_to_its_file_with_one_write_for_each_node_that_differs(
    hnctl: Hnctl, fleet: Sandbox, file: Path
):
    to_change = differing(fleet)
    assert 30 < len(to_change) < 50, "the fleet of the sandbox differs, and not everywhere"

    seen = hnctl("diff", "--detailed-exitcode")
    assert seen.status == 2, seen.err
    assert f"on {len(to_change)} of 50 nodes" in seen.out
    assert writes(fleet) == []

    applied = hnctl("apply", "--yes")
    assert applied.status == 0, applied.err
    assert applied.out.splitlines()[-1] == (
        f"{len(to_change)} done, {50 - len(to_change)} unchanged, 0 failed, 0 outcome unknown, 0 not attempted"
    )
    assert Counter(entry.node for entry in writes(fleet)) == Counter(to_change)
    assert not any(entry.overlap for entry in writes(fleet))
    assert differing(fleet) == []

    after = hnctl("diff", "--detailed-exitcode")
    assert (after.status, after.out) == (0, "In sync: 50 nodes compared, no difference\n")


def test_reading_commands_send_nothing_but_reads(hnctl: Hnctl, fleet: Sandbox, file: Path):
    for command in (["validate"], ["diff"], ["plan"], ["plan", "-o", "json"], ["explain", "kaasshop", "php_version"]):
        assert hnctl(*command).status == 0
    assert {entry.method for entry in fleet.log()} == {"GET"}


def test_a_plan_is_applied_exactly_as_it_was_reviewed(hnctl: Hnctl, fleet: Sandbox, file: Path, folder: Path):
    made = hnctl("plan", "-o", "json")
    (folder / "plan.json").write_text(made.out)
    file.unlink()
    applied = hnctl("apply", "plan.json", "--yes", "-o", "json")
    assert applied.status == 0, applied.err
    assert applied.json["checksum"] == made.json["checksum"]
    planned = {(change["node"], change["setting"]) for change in made.json["changes"]}
    assert {(entry.node, name) for entry in writes(fleet) for name in entry.settings} == planned


def test_the_checksum_of_a_plan_is_the_one_that_apply_compares(hnctl: Hnctl, fleet: Sandbox, file: Path):
    checksum = hnctl("plan", "-o", "json").json["checksum"]
    assert hnctl("apply", "--yes", "--checksum", checksum).status == 0


def test_a_changed_file_with_the_old_checksum_is_refused(hnctl: Hnctl, fleet: Sandbox, file: Path):
    checksum = hnctl("plan", "-o", "json").json["checksum"]
    file.write_text(file.read_text().replace("nodejs_version: 22", "nodejs_version: 20"))
    refused = hnctl("apply", "--yes", "--checksum", checksum)
    assert refused.status == 5
    assert checksum in refused.err
    assert "nothing was changed" in refused.err
    assert writes(fleet) == []


def test_a_node_that_moved_since_the_plan_was_made_is_left_alone_and_named(
    hnctl: Hnctl, fleet: Sandbox, file: Path, folder: Path
):
    made = hnctl("plan", "-o", "json")
    (folder / "plan.json").write_text(made.out)
    moved = next(change["node"] for change in made.json["changes"] if change["setting"] == "php_version")
    fleet.set(moved, php_version="7.4")

    refused = hnctl("apply", "plan.json", "--yes")
    assert refused.status == 5
    assert f"{moved}: the node changed since the plan was made: php_version is now 7.4" in refused.err
    assert writes(fleet) == []

    rest = hnctl("apply", "plan.json", "--yes", "--exclude", moved)
    assert rest.status == 0, rest.err
    assert moved not in {entry.node for entry in writes(fleet)}
    assert differing(fleet) == [moved]


def test_a_node_that_reverts_and_one_that_refuses_are_named_and_the_others_are_done(
    hnctl: Hnctl, fleet: Sandbox, file: Path
):
    reverting, refusing, *others = differing(fleet)
    fleet.set_faults({"revert": [reverting], "reject": [refusing]})
    run = hnctl("apply", "--yes", "-o", "json")
    assert run.status == 3
    assert run.json["exit_code"] == 3
    assert run.json["totals"] == {
        "done": len(others),
        "unchanged": 50 - len(others) - 2,
        "failed": 2,
        "unknown": 0,
        "not_attempted": 0,
    }
    rows = {row["node"]: row for row in run.json["nodes"]}
    assert len(rows) == 50
    assert "was reverted" in rows[reverting]["reason"]
    assert "is not available on this node." in rows[refusing]["reason"], "the server's own words"
    assert rows[reverting]["error"]["code"] == "flow_failed"
    assert rows[refusing]["error"]["code"] == "rejected"
    assert f"{reverting}: failed: " in run.err
    assert f"{refusing}: failed: " in run.err
    assert set(differing(fleet)) == {reverting, refusing}


def test_when_every_node_fails_the_status_says_failed(hnctl: Hnctl, fleet: Sandbox, file: Path):
    node = differing(fleet)[0]
    fleet.set_faults({"reject": [node]})
    run = hnctl("apply", "--yes", "-n", node, "-o", "json")
    assert (run.status, run.json["exit_code"]) == (1, 1)


def test_max_failures_stops_the_run_and_the_rest_is_told_as_not_attempted(hnctl: Hnctl, fleet: Sandbox, file: Path):
    to_change = differing(fleet)
    fleet.set_faults({"reject": list(to_change)})
    run = hnctl("apply", "--yes", "--parallel", "4", "--max-failures", "10%", "-o", "json")
    assert run.status == 3
    budget = -(-len(to_change) // 10)
    assert budget <= run.json["totals"]["failed"] <= budget + 4 - 1
    assert run.json["totals"]["failed"] + run.json["totals"]["not_attempted"] == len(to_change)
    assert {entry.node for entry in writes(fleet)} == {
        row["node"] for row in run.json["nodes"] if row["state"] == "failed"
    }


def test_a_plan_beyond_its_limits_is_refused_with_the_flag_that_allows_it(hnctl: Hnctl, fleet: Sandbox, file: Path):
    count = len(differing(fleet))
    file.write_text(fleet_file(fleet.names, more="limits: { max_nodes: 30%, max_changes: 20 }"))
    refused = hnctl("apply", "--yes")
    assert refused.status == 5
    assert f"it changes {count} of 50 nodes; limits.max_nodes is 30%" in refused.err
    assert "limits.max_changes is 20" in refused.err
    assert "--force allows it" in refused.err
    assert writes(fleet) == []
    assert hnctl("apply", "--yes", "--force").status == 0
    assert differing(fleet) == []


def test_a_plan_of_five_hundred_nodes_fits_on_one_screen(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch):
    with Sandbox(nodes=500, flow_time=0.2) as box:
        point_to(box, monkeypatch)
        (folder / "fleet.yaml").write_text(fleet_file(box.names))
        short = hnctl("diff")
        assert "of 500 nodes" in short.out
        assert len(short.out.splitlines()) <= 50
        assert len(hnctl("diff", "--verbose").out.splitlines()) > 1000


def test_without_a_terminal_nothing_is_changed_unless_yes_is_said(hnctl: Hnctl, fleet: Sandbox, file: Path):
    refused = hnctl("apply")
    assert refused.status == 5
    assert "hint: Add --yes" in refused.err
    assert writes(fleet) == []


@pytest.mark.parametrize("tamper", ["reference", "checksum of the command line", "api_url"])
def test_nothing_that_an_unchecked_plan_refers_to_is_run(tamper: str, hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(
        "version: 1\nnodes: {kaasshop: {settings: {new_relic_secret: 'cmd:sh -c \"touch ran; echo key\"'}}}\n"
    )
    plan = hnctl("plan", "-o", "json").json
    (folder / "ran").unlink()
    if tamper == "reference":
        plan["changes"][0]["reference"] = "cmd:touch ran"
    elif tamper == "api_url":
        plan["api_url"] = "https://api.example.com"
    (folder / "plan.json").write_text(json.dumps(plan))
    wrong = ["--checksum", "00"] if tamper.startswith("checksum") else []
    refused = hnctl("apply", "plan.json", "--yes", *wrong)
    assert refused.status == 5, refused.err
    assert not (folder / "ran").exists()
    assert writes(box) == []
