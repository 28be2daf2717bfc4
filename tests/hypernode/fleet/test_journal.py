"""The journal of a run: on the disk before the deed, without secrets, and readable whatever ended the run."""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import FileError, InputError, JournalFailed
from hypernode.fleet.history import RunLog, find_run, find_runs, parse_run, read_run
from hypernode.fleet.journal import Journal, describe_person, run_state
from hypernode.secrets import Secret

PLAN = {
    "checksum": "abc",
    "api_url": "https://api.example",
    "compared": [],
    "unread": [],
    "changes": [
        {"node": node, "setting": "php_version", "current": "8.2", "desired": "8.3", "secret": False}
        for node in ("kaasshop", "theeplein", "boekenhal")
    ],
}
SOURCE = {"folder": "/fleet", "file": "/fleet/fleet.yaml", "digest": "d1", "rolls_back": None}
ABOUT = {"who": "jan@laptop", "host": "laptop", "pid": 7, "job": None, "message": "why", "plan": PLAN, **SOURCE}


def written(folder: Path) -> str:
    """Write a whole run down, and return its text."""
    journal = Journal(folder)
    journal.begin(**ABOUT)
    for node in ("kaasshop", "theeplein"):
        journal.announce("node begun", node=node)
        journal.announce("sending", node=node, settings=journal.values({"php_version": "8.3"}))
        journal.note("flows", node=node, flows=["f1"])
        journal.note("read back", node=node, settings={"php_version": "8.3"})
        ended = {"state": "done", "error": None, "reason": None, "flows": ["f1"], "seconds": 1.5}
        journal.note("node ended", node=node, **ended)
    journal.note("run ended", state="partly done")
    journal.close()
    return find_run(folder, "last").read_text()


def test_a_run_is_told_as_it_was(tmp_path: Path):
    log = parse_run(written(tmp_path), path="x")
    assert (log.who, log.message, log.checksum, log.state(under_way=False)) == (
        "jan@laptop",
        "why",
        "abc",
        "partly done",
    )
    assert log.totals() == {"done": 2, "unchanged": 0, "failed": 0, "unknown": 0, "not_attempted": 1}
    node = log.nodes["kaasshop"]
    assert (node.state, dict(node.sent), node.flows, node.seconds) == ("done", {"php_version": "8.3"}, ("f1",), 1.5)
    assert log.nodes["boekenhal"].state == "not_attempted"


def test_wherever_a_run_is_killed_its_journal_tells_no_more_than_was_done(tmp_path: Path):
    text = written(tmp_path)
    whole = parse_run(text, path="x")
    first = len(text.split("\n", 1)[0]) + 1
    for end in range(first, len(text) + 1):
        log = parse_run(text[:end], path="x")
        records = [json.loads(line) for line in text[:end].split("\n")[:-1]]
        sent = {record["node"] for record in records if record["record"] == "sending"}
        ended = {record["node"] for record in records if record["record"] == "node ended"}
        for name, node in log.nodes.items():
            assert bool(node.sent) == (name in sent)
            assert (node.state == whole.nodes[name].state) == (name in ended or name == "boekenhal")
            assert node.state != "not_attempted" or name not in sent
    for end in range(first):
        with pytest.raises(FileError, match="nothing was done"):
            parse_run(text[:end], path="x")


def test_a_node_that_was_begun_and_has_no_end_is_unknown(tmp_path: Path):
    text = written(tmp_path)
    place = text.index('"node ended"')
    log = parse_run(text[: text.rfind("\n", 0, place) + 1], path="x")
    assert log.nodes["kaasshop"].state == "unknown"
    assert log.state(under_way=False) == "broken off"
    assert log.state(under_way=True) == "running"


def test_each_record_is_on_the_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    real = os.fsync

    def sync(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        real(file)

    monkeypatch.setattr(os, "fsync", sync)
    journal = Journal(tmp_path)
    journal.begin(**ABOUT)
    journal.announce("node begun", node="kaasshop")
    assert synced[-1] == find_run(tmp_path, "last").stat().st_size
    assert len(synced) == 3, "the folder, and each record"
    journal.close()


def test_it_is_for_its_owner_only_and_holds_no_secret(tmp_path: Path):
    journal = Journal(tmp_path / "state" / "runs")
    journal.begin(**ABOUT)
    values = journal.values({"new_relic_secret": Secret("canary-5c1"), "php_version": "8.3", "varnish_enabled": None})
    journal.announce("sending", node="kaasshop", settings=values)
    other = Journal(tmp_path / "state" / "runs")
    again = other.values({"new_relic_secret": Secret("canary-5c1")})
    path = tmp_path / "state" / "runs" / f"{journal.run}.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "canary-5c1" not in path.read_text()
    assert (values["php_version"], values["varnish_enabled"]) == ("8.3", None)
    assert values["new_relic_secret"] != again["new_relic_secret"], "each run has a salt of its own"
    assert values == journal.values(
        {"new_relic_secret": Secret("canary-5c1"), "php_version": "8.3", "varnish_enabled": None}
    )
    journal.close()
    other.close()


def test_what_cannot_be_written_down_is_refused_and_what_was_done_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = Journal(tmp_path)
    journal.begin(**ABOUT)

    def full(file: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalFailed, match="cannot be written: No space left on device"):
            journal.announce("node begun", node="kaasshop")
    assert journal.failure is not None
    with pytest.raises(JournalFailed):
        journal.announce("node begun", node="theeplein")
    journal.note("node ended", node="kaasshop")
    journal.close()


def test_a_run_that_could_not_begin_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path)

    def full(file: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalFailed):
        journal.begin(**ABOUT)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_could_not_be_finished_is_taken_back_and_nobody_appends_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One thread writes half of its record when the disk is full, and another waits for its turn meanwhile."""
    journal = Journal(tmp_path)
    journal.begin(**ABOUT)
    path = find_run(tmp_path, "last")
    before = path.read_text()
    halfway, other_waits = threading.Event(), threading.Event()
    real = os.write

    def full_after_20(file: int, data: Any) -> int:
        if file != journal._file or path.read_text() != before:
            halfway.set()
            assert other_waits.wait(10)
            time.sleep(0.05)
            raise OSError(28, "No space left on device")
        return real(file, bytes(data)[:20])

    def announce(node: str) -> bool:
        if node == "theeplein":
            assert halfway.wait(10)
            monkeypatch.setattr(os, "write", real)
            other_waits.set()
        with suppress(JournalFailed):
            journal.announce("node begun", node=node)
            return True
        return False

    monkeypatch.setattr(os, "write", full_after_20)
    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(announce, ["kaasshop", "theeplein"])) == [False, False]
    journal.close()
    assert path.read_text() == before


def test_going_on_takes_a_torn_last_line_away(tmp_path: Path):
    text = written(tmp_path)
    path = find_run(tmp_path, "last")
    path.write_text(text + '{"record": "node beg')
    journal, said = Journal.reopen(path)
    assert said == text
    journal.go_on(salt="s", who="piet@laptop", pid=8, message="mended")
    journal.close()
    assert path.read_text().startswith(text + '{"record": "run resumed"')
    assert [resumed[1:] for resumed in read_run(path).resumed] == [("piet@laptop", "mended")]


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_done(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be written"):
        Journal(tmp_path / "file" / "runs")


def test_threads_share_the_wait_for_the_disk_and_none_goes_on_before_its_record_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = Journal(tmp_path)
    journal.begin(**ABOUT)
    path = find_run(tmp_path, "last")
    on_disk: list[str] = []

    def slow(file: int) -> None:
        """Take so long that all others have written their record meanwhile; only what is there now gets to the disk."""
        seen = path.read_text()
        deadline = time.monotonic() + 10
        while path.read_text().count("node begun") < 8 and time.monotonic() < deadline:
            time.sleep(0.001)
        on_disk.append(seen)

    monkeypatch.setattr(os, "fsync", slow)

    def announce(number: int) -> bool:
        journal.announce("node begun", node=f"shop{number}")
        return any(f'"shop{number}"' in seen for seen in on_disk)

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(announce, range(8)))
    journal.close()
    assert len(on_disk) <= 3, "all that wrote during the first wait share the second, but for one at most"


def test_threads_do_not_mix_their_lines(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.begin(**ABOUT)
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda n: journal.announce("node begun", node=f"shop{n}" * 200), range(200)))
    journal.close()
    lines = find_run(tmp_path, "last").read_text().splitlines()
    assert {json.loads(line)["node"] for line in lines[1:]} == {f"shop{n}" * 200 for n in range(200)}


EDITS: dict[str, Callable[[list[Any]], object]] = {
    "the plan without its checksum": lambda lines: lines[0]["plan"].pop("checksum"),
    "a plan that is a list": lambda lines: lines[0].update(plan=[]),
    "a change without its setting": lambda lines: lines[0]["plan"]["changes"][0].pop("setting"),
    "a number as salt": lambda lines: lines[0].update(salt=5),
    "a number as time": lambda lines: lines[0].update(at=5),
    "a time without a zone": lambda lines: lines[0].update(at="2026-11-23T10:00:00"),
    "another node": lambda lines: lines[1].update(node="nosuch"),
    "settings that are a list": lambda lines: lines[2].update(settings=[]),
    "a write of a time without a zone": lambda lines: lines[2].update(at="2026-11-23T10:00:00"),
    "a number as flow": lambda lines: lines[3].update(flows=[1]),
    "a state that there is not": lambda lines: lines[5].update(state="foo"),
    "a text as seconds": lambda lines: lines[5].update(seconds="x"),
    "a number as error": lambda lines: lines[5].update(error=5),
    "an end without its time": lambda lines: lines[11].pop("at"),
    "a wave of a time without a zone": lambda lines: lines.insert(
        6, {"record": "wave passed", "at": "2026-11-23T10:00:00", "nodes": []}
    ),
    "a finding without a verdict": lambda lines: lines.insert(
        6, {"record": "probed", "at": lines[0]["at"], "nodes": {"kaasshop": [["page", "maybe", "x"]]}}
    ),
    "going on at a number": lambda lines: lines.append({"record": "run resumed", "at": 5, "who": "x", "message": None}),
}


@pytest.mark.parametrize("edit", list(EDITS))
def test_a_record_that_was_edited_is_refused_with_its_line(edit: str, tmp_path: Path):
    before = [json.loads(line) for line in written(tmp_path).splitlines()]
    lines = copy.deepcopy(before)
    EDITS[edit](lines)
    number = next(n for n, line in enumerate(lines) if n == len(before) or line != before[n])
    with pytest.raises(FileError) as caught:
        parse_run("".join(json.dumps(line) + "\n" for line in lines), path="x")
    assert str(caught.value).startswith(f"x:{number + 1}:1: it is no record of a run")


@pytest.mark.parametrize("line", ["{}", "[]", "no json", '{"record": "node ended"}', '{"record": "run begun"}', "\0"])
def test_a_journal_that_was_edited_is_refused_with_the_line(line: str, tmp_path: Path):
    lines = written(tmp_path).split("\n")
    lines.insert(2, line)
    with pytest.raises(FileError) as caught:
        parse_run("\n".join(lines), path="x")
    assert str(caught.value).startswith("x:3:1: it is no record of a run")


def test_a_newer_format_is_refused_in_words(tmp_path: Path):
    text = written(tmp_path).replace('"format_version": 1', '"format_version": 2')
    with pytest.raises(FileError) as caught:
        parse_run(text, path="x")
    assert "its format 2 is not known to this hnctl" in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str):
    with suppress(FileError):
        assert isinstance(parse_run(text, path="x"), RunLog)


def test_runs_are_found_by_name_the_newest_first(tmp_path: Path):
    for day in (1, 2, 3):
        journal = Journal(tmp_path, clock=lambda day=day: datetime(2026, 11, day, tzinfo=UTC))  # type: ignore[misc]
        journal.begin(**ABOUT)
        journal.close()
    assert [path.name[:8] for path in find_runs(tmp_path)] == ["20261103", "20261102", "20261101"]
    assert read_run(find_run(tmp_path, "last")).started_at.startswith("2026-11-03")
    with pytest.raises(InputError, match="there is no run x"):
        find_run(tmp_path, "x")
    with pytest.raises(InputError, match="there are no runs"):
        find_run(tmp_path / "none", "last")
    with pytest.raises(FileError):
        read_run(tmp_path / "none.jsonl")


def test_a_run_whose_first_record_is_not_whole_is_passed_over(tmp_path: Path):
    written(tmp_path)
    newest = tmp_path / "20991231-000000-00aaaa.jsonl"
    for torn in ("", '{"record": "run begun"'):
        newest.write_text(torn)
        assert find_run(tmp_path, "last") != newest
        assert newest not in list(find_runs(tmp_path))


def test_a_run_comes_after_all_others_though_the_clock_was_set_back(tmp_path: Path):
    names = []
    for hour in (12, 9, 10, 12):
        journal = Journal(tmp_path, clock=lambda hour=hour: datetime(2026, 11, 23, hour, tzinfo=UTC))  # type: ignore[misc]
        journal.begin(**ABOUT)
        journal.close()
        names.append(journal.run)
        assert find_run(tmp_path, "last").stem == journal.run
    assert [name[:15] for name in names] == [f"20261123-12000{second}" for second in range(4)]
    (tmp_path / "99999999-999999-aaaaaa.jsonl").write_text("mine")
    (tmp_path / "mine.jsonl").write_text("mine")
    Journal(tmp_path).close()


def test_the_journal_of_a_large_fleet_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A thousand nodes with ten changes each, done, are less than 5 MB."""
    names = ["php_version", *(f"a_setting_with_a_long_name_{n}" for n in range(9))]
    nodes = [f"a-shop-with-a-name-{n:04}" for n in range(1000)]
    facts = {"current": "8.2", "desired": "8.3", "secret": False, "reference": None, "hazards": []}
    changes = [{"node": node, "setting": name, **facts} for node in nodes for name in names]
    journal = Journal(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # nothing here is about the disk
    journal.begin(**{**ABOUT, "plan": {**PLAN, "changes": changes}})
    for node in nodes:
        uuids = [f"0a1b2c3d-0000-4000-8000-{node[-4:]:0>12}"]
        values = journal.values(dict.fromkeys(names, "8.3"))
        journal.announce("node begun", node=node)
        journal.announce("sending", node=node, settings=values)
        journal.note("flows", node=node, flows=uuids)
        journal.note("read back", node=node, settings=values)
        journal.note("node ended", node=node, state="done", error=None, reason=None, flows=uuids, seconds=123.456)
    journal.note("run ended", state="done")
    journal.close()
    assert find_run(tmp_path, "last").stat().st_size < 5_000_000
    assert read_run(find_run(tmp_path, "last")).totals()["done"] == 1000


@pytest.mark.parametrize(
    ("environment", "who", "job"),
    [
        ({}, "jan@laptop", None),
        (
            {"GITHUB_ACTOR": "piet", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "shop/fleet"},
            "piet@laptop",
            "https://github.com/shop/fleet/actions/runs/7",
        ),
        (
            {"GITLAB_USER_LOGIN": "kees", "CI_JOB_URL": "https://gitlab.example/1"},
            "kees@laptop",
            "https://gitlab.example/1",
        ),
    ],
)
def test_who_it_was_is_taken_from_the_usual_variables(environment: dict[str, str], who: str, job: str | None):
    assert describe_person(environment, "jan", "laptop") == (who, job)


@pytest.mark.parametrize(
    ("states", "stopped", "state"),
    [
        (["done", "unchanged"], None, "done"),
        (["done", "failed"], None, "partly done"),
        (["failed", "not_attempted"], None, "failed"),
        (["done", "not_attempted"], "interrupted", "interrupted"),
        (["done", "not_attempted"], "window", "paused"),
        (["done"], "gate undecided", "paused"),
        (["done", "failed"], "budget", "stopped"),
        (["done"], "gate failed", "stopped"),
    ],
)
def test_a_run_ends_in_one_of_six_states(states: list[str], stopped: str | None, state: str):
    assert run_state(states, stopped) == state
