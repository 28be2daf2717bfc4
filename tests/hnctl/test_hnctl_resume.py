"""Going on with a run: nothing is sent twice without a look, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kill_loop import loop
from processes import COMMAND
from runs import Hnctl, boxed, writes

from hypernode.fleet.journal import Journal
from hypernode.sandbox.server import Sandbox


def test_wherever_a_run_is_killed_it_can_be_gone_on_with_and_changes_each_node_once():
    with loop(nodes=2, flow_time=0.05, latency=0.0, parallel=2, poll="10ms") as killing:
        # Between any two records, in turn right after the one and right before the other.
        gap = 1
        while killing.die_at(gap, "after") if gap % 2 else killing.die_at(gap + 1, "before"):
            gap += 1
        assert gap >= 2 + 2 * 4, "run begun and ended; each node begun, sending, read back, ended"


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Six nodes with another PHP than the fleet file wishes; the state of this test's own."""
    settings = {"php_version": "8.3"}
    with boxed(folder, monkeypatch, nodes=6, settings=settings, poll="10ms", flow_time=0.05) as running:
        write_fleet(folder, running)
        yield running


def write_fleet(folder: Path, box: Sandbox, rollout: str = "{}", settings: str = "php_version: 8.0") -> None:
    nodes = ", ".join(f"{name}: " for name in box.names)
    text = f"version: 1\ndefaults: {{settings: {{{settings}}}}}\nnodes: {{{nodes}}}\nrollout: {rollout}\n"
    (folder / "fleet.yaml").write_text(text)


def php(box: Sandbox) -> list[str]:
    return [box.settings(name)["php_version"] for name in box.names]


def last_run(hnctl: Hnctl) -> str:
    return str(hnctl("history", "-o", "json").json["runs"][0]["run"])


def test_a_run_that_the_budget_stopped_says_how_to_go_on_and_does(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set_faults({"reject": sorted(box.names)[1:3]})
    stopped = hnctl("apply", "--yes", "--parallel", "1", "--max-failures", "2")
    run = last_run(hnctl)
    assert stopped.status == 3
    assert stopped.out.endswith("1 done, 0 unchanged, 2 failed, 0 outcome unknown, 3 not attempted\n")
    assert stopped.err.splitlines()[-3:] == [
        "The run was stopped: 2 nodes failed (--max-failures).",
        f"Go on: hnctl resume {run} --yes",
        f"Take back what was done: hnctl rollback {run}",
    ]
    assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "stopped"
    again = hnctl("resume", run, "--yes")
    assert (again.status, len({entry.node for entry in writes(box)})) == (3, 3), "the budget is still spent"
    box.set_faults({})
    (folder / "fleet.yaml").unlink()
    done = hnctl("resume", "last", "--yes", "-o", "json")
    assert (done.status, done.json["run"], done.json["totals"]["done"]) == (0, run, 6)
    assert php(box) == ["8.0"] * 6
    assert [entry.node for entry in writes(box) if entry.changed].count(sorted(box.names)[0]) == 1
    over = hnctl("resume", run)
    assert (over.status, over.out) == (0, "")
    assert over.err == f"The run {run} is done: nothing is left to do.\n"
    shown = hnctl("history", run)
    assert shown.out.startswith(f"{run}: done\n")
    assert shown.out.count("  resumed  ") == 2


def test_a_run_is_not_done_before_all_of_its_nodes_are_those_left_out_and_those_not_read_too(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    refused, unread, *_ = sorted(box.names)
    box.set_faults({"reject": [refused]})
    tokens = {name: token for name, token in box.tokens.items() if name != unread}
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(tokens))
    first = hnctl("apply", "--yes", "--max-failures", "3")
    again = f"1 node could not be read, and the run has no plan for it. Mended: hnctl apply -n {unread}"
    assert (first.status, first.err.splitlines()[-1]) == (3, again)
    run = last_run(hnctl)
    box.set_faults({})
    left_out = hnctl("resume", run, "--yes", "--exclude", refused)
    assert (left_out.status, left_out.out) == (3, "4 done, 0 unchanged, 2 failed, 0 outcome unknown, 0 not attempted\n")
    assert f"{refused}: failed: left out, and as it was left before\n" in left_out.err
    assert f"{unread}: failed: it could not be read: there is no API token for {unread}\n" in left_out.err
    rest = hnctl("resume", run, "--yes")
    assert (rest.status, rest.err.splitlines()[-1]) == (3, again)
    assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "partly done"
    nodes = {node["node"]: node for node in hnctl("history", run, "-o", "json").json["nodes"]}
    assert len(nodes) == 6
    assert (nodes[unread]["state"], nodes[unread]["sent"]) == ("failed", False)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(dict(box.tokens)))
    assert hnctl("apply", "--yes", "-n", unread).status == 0
    assert php(box) == ["8.0"] * 6


def test_without_a_yes_nobody_goes_on(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"reject": list(box.names)})
    hnctl("apply", "--yes", "--max-failures", "1", "--parallel", "1")
    refused = hnctl("resume", "last")
    assert refused.status == 5
    assert "nobody is there to say yes" in refused.err
    assert len(writes(box)) == 1


def test_a_run_that_is_under_way_is_neither_gone_on_with_nor_taken_back(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set_faults({"reject": list(box.names)})
    hnctl("apply", "--yes")
    (path,) = (folder / "state" / "hnctl" / "runs").glob("*.jsonl")
    journal, _ = Journal.reopen(path)
    try:
        for command in ("resume", "rollback"):
            refused = hnctl(command, "last", "--yes")
            assert refused.status == 5
            assert f"the run {path.stem} is under way" in refused.err
        assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "running"
    finally:
        journal.close()
    assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "failed"


def test_a_journal_that_was_edited_is_refused_with_its_line(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set_faults({"reject": list(box.names)})
    hnctl("apply", "--yes")
    (path,) = (folder / "state" / "hnctl" / "runs").glob("*.jsonl")
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("record", "recrod")
    path.write_text("\n".join(lines) + "\n")
    for command in ("resume", "rollback", "history"):
        refused = hnctl(command, path.stem)
        assert refused.status == 65
        assert f"{path}:4:1: it is no record of a run" in refused.err
    changed = json.loads(lines[0])
    changed["plan"]["changes"][0]["desired"] = "8.4"
    path.write_text(json.dumps(changed) + "\n")
    for command in ("resume", "rollback"):
        refused = hnctl(command, path.stem, "--yes")
        assert refused.status == 65
        assert f"{path}:1:1: its plan is not the one that its checksum was made of" in refused.err
        assert "A journal that was edited is not used" in refused.err
    changed["plan"]["changes"][0]["setting"] = "nosuch"
    path.write_text(json.dumps(changed) + "\n")
    refused = hnctl("resume", path.stem, "--yes")
    assert (refused.status, "A journal that was edited is not used" in refused.err) == (65, True)
    assert "hnctl plan" not in refused.err


def test_a_run_about_another_api_is_refused_with_its_address(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    box.set_faults({"reject": list(box.names)})
    hnctl("apply", "--yes")
    monkeypatch.setenv("HNCTL_API_URL", "http://127.0.0.1:9")
    for command in ("resume", "rollback"):
        refused = hnctl(command, "last", "--yes")
        assert refused.status == 5
        assert f" is about {box.url}, not http://127.0.0.1:9" in refused.err
        assert "hint: Set HNCTL_API_URL to that address\n" in refused.err


def test_a_deleted_node_fails_by_name_and_a_revoked_token_stops_the_run(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    hnctl("plan", "-o", "json")
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    first, second = sorted(box.names)[:2]
    tokens = dict(box.tokens)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({**tokens, second: "0" * 40}))
    stopped = hnctl("apply", "plan.json", "--yes", "--parallel", "1")
    assert stopped.status == 4
    assert f"The run was stopped: the API refuses the token of {second}." in stopped.err
    assert "1 done, 0 unchanged, 1 failed, 0 outcome unknown, 4 not attempted" in stopped.out
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps(tokens))
    assert hnctl("resume", "last", "--yes").status == 0
    assert [entry.node for entry in writes(box) if entry.changed].count(first) == 1


def test_what_a_run_set_is_set_back_and_the_rest_is_listed(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl("apply", "--yes").status == 0
    run = last_run(hnctl)
    box.set(box.names[0], php_version="8.4")
    refused = hnctl("rollback", run)
    assert refused.status == 5, "nobody is there to say yes"
    one = hnctl("rollback", run, "-n", box.names[1], "--yes")
    assert one.status == 0
    assert php(box) == ["8.4", "8.3", "8.0", "8.0", "8.0", "8.0"]
    rest = hnctl("rollback", run, "--yes", "-o", "json")
    assert rest.status == 0
    assert php(box) == ["8.4"] + ["8.3"] * 5
    assert rest.json["left"] == [
        {"node": name, "setting": "php_version", "reason": reason}
        for name, reason in sorted(
            {box.names[0]: "moved on: it is 8.4 now", box.names[1]: "it is back already"}.items()
        )
    ]
    assert f"{box.names[0]}: php_version is left: moved on: it is 8.4 now\n" in rest.err
    assert hnctl("history", "-o", "json").json["runs"][0]["message"] == f"rollback of {run}"
    nothing = hnctl("rollback", run, "--yes")
    assert nothing.status == 0
    assert f"Nothing of the run {run} is there to be set back." in nothing.err


def test_a_run_that_fails_takes_itself_back_when_it_was_told_to(hnctl: Hnctl, box: Sandbox, folder: Path):
    names = sorted(box.names)
    for name in names:
        box.set(name, mysql_version="5.7")
    write_fleet(folder, box, "{max_failures: 1, on_failure: rollback}", "php_version: 8.0, mysql_version: '8.0'")
    box.set_faults({"reject": [names[2]]})
    failed = hnctl("apply", "--yes", "--parallel", "1", "--confirm", "all:mysql_version=6", "-o", "json")
    assert failed.status == 3
    assert php(box) == ["8.3"] * 6
    assert [box.settings(name)["mysql_version"] for name in names] == ["8.0"] * 2 + ["5.7"] * 4
    back = failed.json["rollback"]
    assert (back["exit_code"], back["totals"]["done"]) == (0, 2)
    assert [(one["node"], one["setting"]) for one in back["left"]] == [(name, "mysql_version") for name in names[:2]]
    assert all(one["reason"].startswith("irreversible") for one in back["left"])
    assert "Rolling back 2 nodes, by on_failure: rollback" in failed.err
    assert failed.err.endswith("Once it is mended: hnctl apply\n")
    runs = hnctl("history", "-o", "json").json["runs"]
    assert [run["state"] for run in runs] == ["done", "stopped"]
    again = hnctl("resume", runs[1]["run"], "--yes")
    assert again.status == 5
    assert f"was taken back by {runs[0]['run']}" in again.err


@pytest.fixture
def second(folder: Path, box: Sandbox) -> str:
    """Return a node of the second of three waves whose page breaks with the change."""
    url = f"{box.url}/_shops/{{node}}/"
    gates = f"[flows, {{http: {{url: '{url}', contains: '<html', timeout: 5s}}}}]"
    write_fleet(folder, box, f"{{waves: [1, 50%, 100%], gates: {gates}}}", "php_version: 8.0, mysql_version: '8.0'")
    for name in box.names:
        box.set(name, mysql_version="5.7")
    name = sorted(box.names)[1]
    box.break_page(name, php_version="8.0")
    return name


GATED = ["apply", "--yes", "--confirm", "all:mysql_version=6"]


def test_a_page_that_the_change_breaks_stops_the_run_after_its_wave(hnctl: Hnctl, box: Sandbox, second: str):
    stopped = hnctl(*GATED)
    assert stopped.status == 3
    assert "3 done, 0 unchanged, 0 failed, 0 outcome unknown, 3 not attempted" in stopped.out
    assert (
        f"The run was stopped by a gate: http {box.url}/_shops/{second}/ on {second}: status 500 instead of 200."
        in stopped.err
    )
    again = hnctl("resume", "last", "--yes")
    assert again.status == 3, "it is still broken"
    box.mend_page(second)
    assert hnctl("resume", "last", "--yes").status == 0
    assert php(box) == ["8.0"] * 6
    assert sorted(entry.node for entry in writes(box)) == sorted(box.names)


def test_a_page_that_the_change_breaks_takes_the_run_back_when_it_was_told_to(hnctl: Hnctl, box: Sandbox, second: str):
    back = hnctl(*GATED, "--on-failure", "rollback")
    assert back.status == 3
    assert php(box) == ["8.3"] * 6
    assert [box.settings(name)["mysql_version"] for name in sorted(box.names)] == ["8.0"] * 3 + ["5.7"] * 3
    for name in sorted(box.names)[:3]:
        assert f"{name}: mysql_version is left: irreversible: " in back.err
    assert "Rolled back: 3 done" in back.err


def test_a_page_that_was_broken_before_stops_nothing(hnctl: Hnctl, box: Sandbox, second: str):
    box.break_page(second)
    assert hnctl(*GATED).status == 0
    assert php(box) == ["8.0"] * 6


def test_a_gate_that_cannot_decide_pauses_and_never_passes(hnctl: Hnctl, box: Sandbox, folder: Path):
    write_fleet(folder, box, "{waves: [1, 100%], gates: [{command: [sh, -c, 'exit 75']}]}")
    paused = hnctl("apply", "--yes")
    assert paused.status == 3
    assert "The run is paused, as a gate could not decide: command sh" in paused.err
    assert hnctl("history", "-o", "json").json["runs"][0]["state"] == "paused"
    assert len(writes(box)) == 1


def test_waves_and_canaries_are_options_too(hnctl: Hnctl, box: Sandbox):
    last = sorted(box.names)[-1]
    run = hnctl("apply", "--yes", "--waves", "50%,100%", "--canary", last, "--parallel", "1")
    assert run.status == 0
    assert [line for line in run.err.splitlines() if line.startswith("Wave")] == [
        "Wave 1 of 3: 1 node",
        "Wave 2 of 3: 2 nodes",
        "Wave 3 of 3: 3 nodes",
    ]
    assert writes(box)[0].node == last
    assert hnctl("apply", "--yes", "--canary", "nosuch").status == 64
    assert hnctl("apply", "--waves", "1,10%").status == 64
    assert hnctl("resume", "nosuch").status == 64


def test_a_pause_of_nothing_wins_over_the_files_and_the_plan_shows_its_waves(hnctl: Hnctl, box: Sandbox, folder: Path):
    write_fleet(folder, box, "{waves: [1, 50%, 100%], pause: 1h}")
    assert "\n3 waves: 1, 2 and 3 nodes\n" in hnctl("plan").out
    assert "\n3 waves: 1, 2 and 3 nodes\n" in hnctl("diff", "-o", "markdown").out
    assert "waves" not in hnctl("plan", "-n", box.names[0]).out
    box.set_faults({"reject": list(box.names)})
    done = hnctl("apply", "--yes", "--pause", "0")
    assert done.status == 1
    assert "Pausing" not in done.err
    assert len(writes(box)) == 6


def test_why_a_run_is_gone_on_with_is_kept_and_shown_and_what_is_done_is_not_called_in_sync(
    hnctl: Hnctl, box: Sandbox, folder: Path
):
    refused = sorted(box.names)[0]
    box.set_faults({"reject": [refused]})
    hnctl("apply", "--yes")
    run = last_run(hnctl)
    done = hnctl("resume", run, "--yes", "--exclude", refused, "-m", "mended by hand")
    assert done.out == "5 done, 0 unchanged, 1 failed, 0 outcome unknown, 0 not attempted\n"
    assert ": mended by hand\n" in hnctl("history", run).out
    (resumed,) = hnctl("history", run, "-o", "json").json["resumed"]
    assert resumed["message"] == "mended by hand"


def test_outside_its_window_a_run_pauses(hnctl: Hnctl, box: Sandbox):
    closed = "Mon 09:00-09:01 UTC" if datetime.now(UTC).weekday() != 0 else "Tue 09:00-09:01 UTC"
    paused = hnctl("apply", "--yes", "--window", closed)
    assert paused.status == 3
    assert f"The run is paused: nodes are begun {closed} only (--window).\n" in paused.err
    assert not writes(box)
    today = datetime.now(UTC)
    opens = next(day for ahead in range(8) if f"{(day := today + timedelta(days=ahead)):%a}" == closed[:3])
    when, run = f"{opens:%a %Y-%m-%d} 09:00 UTC", last_run(hnctl)
    assert paused.err.startswith(f"Nodes are begun {closed} only, from {when} on. Now: --window always\n")
    assert paused.err.splitlines()[-2:] == [
        f"Go on from {when} on: hnctl resume {run} --yes",
        f"Go on now: hnctl resume {run} --yes --window always",
    ]
    assert hnctl("resume", "last", "--yes", "--window", "always").status == 0
    assert php(box) == ["8.0"] * 6


def test_a_rollback_says_that_the_window_and_the_pause_of_the_run_count_for_it(
    hnctl: Hnctl, box: Sandbox, folder: Path
):
    closed = "Mon 09:00-09:01 UTC" if datetime.now(UTC).weekday() != 0 else "Tue 09:00-09:01 UTC"
    write_fleet(folder, box, "{pause: 1s, waves: [100%]}")
    assert hnctl("apply", "--yes", "--window", closed).status == 3
    assert hnctl("resume", "last", "--yes", "--window", "always").status == 0
    paused = hnctl("rollback", "last", "--yes")
    assert (paused.status, "Go on now: " in paused.err) == (3, True)
    assert (
        "The window and the pause of the run count for its rollback too (--window always, --pause 0).\n" in paused.err
    )
    back = hnctl("rollback", hnctl("history", "-o", "json").json["runs"][1]["run"], "--yes", "--window", "always")
    assert (back.status, "The pause of the run counts for its rollback too (--pause 0).\n" in back.err) == (0, True)
    assert php(box) == ["8.3"] * 6


def test_a_full_disk_stops_the_run_before_what_it_could_not_announce(box: Sandbox, folder: Path):
    """A real one: a small tmpfs in a mount namespace of its own, or where that is not allowed a limit on files."""
    state = folder / "state"
    state.mkdir()
    mount = f'mount -t tmpfs -o size=16k none "{state}" && "$@"; code=$?; cp -r "{state}" "{folder}/kept"; exit $code'
    namespaced = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    run = ["unshare", "-rm", "sh", "-c", mount, "sh"] if namespaced else ["sh", "-c", 'ulimit -f 3; "$@"', "sh"]
    filler = ["--message", "x" * 13_500 if namespaced else "x"]
    done = subprocess.run(
        [*run, *COMMAND, "apply", "--yes", "--parallel", "2", *filler], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode in (3, 5), done.stderr
    assert "cannot be written: " in done.stderr
    knows_less = "The journal ends before these totals, and the history of 2"
    assert (knows_less in done.stderr) is (done.returncode == 3), done.stderr
    assert "Traceback" not in done.stderr
    kept = folder / "kept" if namespaced else state
    (journal,) = kept.glob("hnctl/runs/*.jsonl")
    sent = journal.read_text().count('"sending"')
    assert len(writes(box)) <= sent, "something was sent that is not written down"
    assert len(writes(box)) < 6
