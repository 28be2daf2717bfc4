"""What a run ends with: commands that can be pasted, and that bring what is left."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Hnctl, boxed, writes

from hypernode.sandbox.server import Sandbox

FILE = "my fleet.yaml"


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Three nodes with another PHP than a fleet file wishes, which is not where hnctl looks for one."""
    with boxed(folder, monkeypatch, nodes=3, settings={"php_version": "8.3"}, poll="10ms", flow_time=0.02) as running:
        write_fleet(folder, running)
        yield running


def write_fleet(folder: Path, box: Sandbox, rollout: str = "{max_failures: 1}") -> None:
    nodes = ", ".join(f"{name}: " for name in box.names)
    text = f"version: 1\ndefaults: {{settings: {{php_version: 8.0}}}}\nnodes: {{{nodes}}}\nrollout: {rollout}\n"
    (folder / FILE).write_text(text)


def php(box: Sandbox) -> list[str]:
    return [box.settings(name)["php_version"] for name in sorted(box.names)]


def test_a_run_that_was_taken_back_names_the_file_that_it_was_made_of(hnctl: Hnctl, box: Sandbox, folder: Path):
    second = sorted(box.names)[1]
    box.set_faults({"reject": [second]})
    chosen = [word for name in sorted(box.names)[:2] for word in ("-n", name)]
    failed = hnctl("apply", "-f", FILE, *chosen, "--yes", "--parallel", "1", "--on-failure", "rollback")
    again = f"hnctl apply -f '{FILE}' {shlex.join(chosen)}"
    assert failed.err.endswith(f"\nOnce it is mended: {again}\n")
    run = hnctl("history", "-o", "json").json["runs"][1]["run"]
    refused = hnctl("resume", run, "--yes")
    assert (refused.status, f"hint: Make a new plan: {again}\n" in refused.err) == (5, True)
    box.set_faults({})
    assert hnctl(*shlex.split(again)[1:], "--yes").status == 0
    assert php(box) == ["8.0", "8.0", "8.3"]


@pytest.fixture
def stopped(hnctl: Hnctl, box: Sandbox) -> Sandbox:
    """The same after a run that the first node stopped."""
    box.set_faults({"reject": [sorted(box.names)[0]]})
    assert hnctl("apply", "-f", FILE, "--yes", "--parallel", "1").status == 3
    box.set_faults({})
    return box


def test_where_only_stale_nodes_are_left_a_new_plan_is_the_way_on(hnctl: Hnctl, stopped: Sandbox):
    first, *moved = sorted(stopped.names)
    for name in moved:
        stopped.set(name, php_version="8.1")
    stale = hnctl("resume", "last", "--yes", "--parallel", "1")
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    assert stopped.settings(first)["php_version"] == "8.0"
    anew = f"hnctl apply -f '{FILE}' -n {moved[0]} -n {moved[1]}"
    assert stale.err.splitlines()[-2:] == [
        f"2 nodes changed since the plan was made. For a new plan: {anew}",
        f"Take back what was done: hnctl rollback {run}",
    ]
    assert "hnctl resume" not in stale.err
    assert "hint: Make a new plan, which shows what it has now, or leave it out with --exclude\n" in stale.err
    assert hnctl(*shlex.split(anew)[1:], "--yes").status == 0
    assert php(stopped) == ["8.0"] * 3


def test_beside_stale_nodes_others_are_gone_on_with(hnctl: Hnctl, stopped: Sandbox):
    first, moved, _ = sorted(stopped.names)
    stopped.set(moved, php_version="8.1")
    stopped.set_faults({"reject": [first]})
    stale = hnctl("resume", "last", "--yes", "--parallel", "1", "--max-failures", "3")
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    assert stale.err.splitlines()[-3:] == [
        f"Go on: hnctl resume {run} --yes",
        f"1 node changed since the plan was made. For a new plan: hnctl apply -f '{FILE}' -n {moved}",
        f"Take back what was done: hnctl rollback {run}",
    ]


def test_a_value_that_moved_on_after_its_rollback_was_planned_is_taken_back_by_a_new_one(hnctl: Hnctl, box: Sandbox):
    first, second, third = sorted(box.names)
    assert hnctl("apply", "-f", FILE, "--yes").status == 0
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    box.set_faults({"reject": [first]})
    assert hnctl("rollback", run, "--yes", "--parallel", "1", "--max-failures", "1").status == 3
    box.set_faults({})
    for name in (second, third):
        box.set(name, php_version="8.1")
    stale = hnctl("resume", "last", "--yes")
    assert f"For a new plan: hnctl rollback {run} -n {second} -n {third}\n" in stale.err


def test_another_checksum_is_looked_at_with_the_same_choice(hnctl: Hnctl, box: Sandbox):
    name = box.names[0]
    refused = hnctl("apply", "-f", FILE, "-n", name, "--where", "php_version=8.3", "--checksum", "0", "--yes")
    assert (refused.status, writes(box)) == (5, [])
    diff = f"hnctl diff -f '{FILE}' -n {name} --where php_version=8.3"
    assert f"hint: Look at it, and review it again: {diff}\n" in refused.err
    assert hnctl(*shlex.split(diff)[1:]).status == 0


def test_a_plan_is_never_named_as_a_fleet_file(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "plan.txt").write_text(hnctl("plan", "-f", FILE, "-o", "json").out)
    box.set_faults({"reject": [sorted(box.names)[1]]})
    failed = hnctl("apply", "plan.txt", "--yes", "--parallel", "1", "--on-failure", "rollback")
    assert failed.err.endswith("\nOnce it is mended: hnctl apply plan.txt\n")
    box.set_faults({})
    assert hnctl("apply", "plan.txt", "--yes").status == 0
    run = hnctl("history", "-o", "json").json["runs"][2]["run"]
    named = "".join(f" -n {name}" for name in sorted(box.names))
    assert f"hint: Make a new plan: hnctl apply{named}\n" in hnctl("resume", run).err


def test_a_run_that_succeeds_tells_its_name_but_for_one_setting_of_one_node(hnctl: Hnctl, box: Sandbox):
    done = hnctl("apply", "-f", FILE, "--yes", "-o", "json")
    run = done.json["run"]
    assert done.err.splitlines()[-1] == f"Run {run}: hnctl history {run} shows it"
    assert hnctl("history", run).status == 0
    back = hnctl("rollback", run, "--yes", "-o", "json")
    assert back.err.splitlines()[-1] == f"Run {back.json['run']}: hnctl history {back.json['run']} shows it"
    one = hnctl("settings", "set", "php_version", "8.1", "-n", box.names[0])
    assert (one.status, "hnctl history" in one.err) == (0, False)
    nothing = hnctl("settings", "set", "php_version", "8.1", "-n", box.names[0])
    assert (nothing.status, "hnctl history" in nothing.err) == (0, False)


def test_what_was_done_before_takes_one_line_and_the_rest_is_called_so(hnctl: Hnctl, box: Sandbox):
    first, second, third = sorted(box.names)
    box.set_faults({"reject": [third]})
    begun = hnctl("apply", "-f", FILE, "--yes", "-o", "json").json
    checksum, run = begun["checksum"], begun["run"]
    box.set_faults({})
    rest = hnctl("resume", run, "--yes")
    assert f"{first}, {second}: done before\n" in rest.err
    assert f"the rest of {run} (2 of 3 nodes are done), whose checksum is {checksum}\n" in rest.out
    assert f"Once more, as failed or not known before: 1 node: {third}\n" in rest.err
    assert rest.err.splitlines()[-1] == f"Run {run}: hnctl history {run} shows it"


def test_what_was_done_before_and_moved_since_has_one_line_of_its_own(hnctl: Hnctl, stopped: Sandbox):
    first, second, third = sorted(stopped.names)
    stopped.set_faults({"reject": [third]})
    hnctl("resume", "last", "--yes", "--parallel", "1")
    stopped.set_faults({})
    stopped.set(second, php_version="8.4")
    rest = hnctl("resume", "last", "--yes")
    assert rest.status == 0
    assert f"{first}: done before\n" in rest.err
    assert f"{second}: done before; somebody changed it since: php_version is now 8.4; left as it is\n" in rest.err


def test_a_rollback_that_has_nothing_to_do_does_not_say_in_sync(hnctl: Hnctl, box: Sandbox):
    hnctl("apply", "-f", FILE, "--yes")
    run = hnctl("history", "-o", "json").json["runs"][0]["run"]
    hnctl("rollback", run, "--yes")
    nothing = hnctl("rollback", run, "--yes")
    assert nothing.status == 0
    assert f"Nothing of the run {run} is there to be set back.\n" in nothing.err
    assert "In sync" not in nothing.out
