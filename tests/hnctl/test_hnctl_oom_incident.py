"""The made-up nights of examples/incident: each gets the right verdict, and is what its script writes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import Hnctl

INCIDENTS = Path(__file__).parents[2] / "examples" / "incident"
SHOPS = ("nightly", "one-task", "php-limits", "too-little")
IMPORT = "php /data/web/magento2/bin/magento import:products --all"


@pytest.fixture
def at(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hnctl]]:
    """Return hnctl on the node of one of the incidents; this machine's clock is far from the node's."""
    monkeypatch.setenv("TZ", "XXX-5:30")
    time.tzset()

    def on(shop: str) -> Hnctl:
        monkeypatch.setenv("HNCTL_NODE_ROOT", str(INCIDENTS / shop))
        return hnctl

    yield on
    monkeypatch.undo()
    time.tzset()


def test_the_logs_are_what_the_script_writes(tmp_path: Path):
    subprocess.run([sys.executable, INCIDENTS / "make.py", tmp_path], check=True)
    for shop in SHOPS:
        written = {path.relative_to(tmp_path) for path in (tmp_path / shop).rglob("*") if path.is_file()}
        kept = {path.relative_to(INCIDENTS) for path in (INCIDENTS / shop).rglob("*") if path.is_file()}
        assert written == kept
        for name in written:
            assert (tmp_path / name).read_bytes() == (INCIDENTS / name).read_bytes(), name


def test_a_nightly_import_beside_a_backup(at: Callable[..., Hnctl]):
    """Each night php is killed, and MySQL, which may not be, is the hog and grows."""
    hnctl = at("nightly")
    explained = hnctl("oom", "explain", "-o", "json").json
    assert explained["verdict"]["culprit"] == "mysql"
    assert (explained["verdict"]["victim_is_culprit"], explained["verdict"]["confidence"]) == (False, "high")
    together = hnctl("oom", "explain", "--all", "-o", "json").json
    assert together["verdict"]["kind"] == "pattern"
    assert together["verdict"]["sentence"] == "On 6 of 7 days between 03:11 and 03:13: 6 of 6 incidents"
    assert together["verdict"]["reasons"][-1].startswith("mysql grows")
    assert together["culprits"] == {"mysql": 6}
    assert together["victims"] == {"php cli": 6}
    assert together["by_hour"]["Monday"][3] == 1
    advice = hnctl("oom", "advice", "-o", "json").json
    assert [cure["name"] for cure in advice["cures"]] == ["cron", "mysql", "protect"]
    assert advice["cures"][0]["what"] == (
        f"Do not run `{IMPORT}` and `/data/web/bin/backup.sh` at the same time: move one of them"
    )
    assert advice["no_use"][0].startswith("permissive_memory_management")
    replayed = hnctl("oom", "replay", "-o", "json").json
    assert (replayed["stepped_in"], replayed["unclear"], len(replayed["incidents"])) == (0, 0, 6)


def test_the_timeline_of_that_night_has_each_log_at_its_place(at: Callable[..., Hnctl]):
    entries = at("nightly")("oom", "timeline", "-o", "json").json["entries"]
    told = [(entry["offset"], entry["what"]) for entry in entries if "cron:run" not in entry["text"]]
    assert told == [
        ("-519 s", "cron"),
        ("-459 s", "cron"),
        ("-245 s", "mysql query"),
        ("-40 s", "php slow"),
        ("+0 s", "out of memory"),
        ("+2 s", "magento"),
    ]


def test_a_task_that_took_the_memory_itself(at: Callable[..., Hnctl]):
    hnctl = at("one-task")
    verdict = hnctl("oom", "explain", "-o", "json").json["verdict"]
    assert (verdict["culprit"], verdict["victim_is_culprit"]) == ("php cli", True)
    advice = hnctl("oom", "advice", "-o", "json").json
    assert advice["cures"][0]["name"] == "smaller tasks"
    assert advice["cures"][0]["command"].endswith("/data/web/magento2/bin/magento catalog:images:resize")
    assert "protect" not in [cure["name"] for cure in advice["cures"]]


def test_phps_own_limit_is_no_kill(at: Callable[..., Hnctl]):
    hnctl = at("php-limits")
    explained = hnctl("oom", "explain")
    assert explained.status == 0
    assert " ".join(explained.out.split()).startswith(
        "The kernel killed nothing in these logs. What was reached is another limit: php limit."
    )
    assert "8 times, the last: " in explained.out
    assert "Gd2.php:78; nothing was killed" in explained.out
    assert hnctl("oom", "explain", "-o", "json").json["other_limits"][0]["name"] == "php limit"
    assert hnctl("oom", "advice", "-o", "json").json["verdict"]["decides"]
    assert hnctl("oom", "events").err.endswith("No out-of-memory events.\n")


def test_too_little_evidence_is_said_to_be_too_little(at: Callable[..., Hnctl]):
    hnctl = at("too-little")
    verdict = hnctl("oom", "explain", "-o", "json").json["verdict"]
    assert (verdict["confidence"], verdict["culprit"], verdict["victim_is_culprit"]) == ("none", None, None)
    advice = hnctl("oom", "advice", "-o", "json").json
    assert not advice["verdict"]["decides"]
    assert advice["verdict"]["sentence"].startswith("The evidence does not decide")
    assert [cure["name"] for cure in advice["cures"]] == ["watch"]


def test_of_a_log_from_elsewhere_this_nodes_own_logs_tell_nothing(at: Callable[..., Hnctl]):
    hnctl = at("php-limits")
    advice = hnctl("oom", "advice", INCIDENTS / "nightly" / "var" / "log" / "kern.log", "-o", "json").json
    assert [cure["name"] for cure in advice["cures"]] == ["mysql", "protect"]
    quiet = hnctl("oom", "explain", INCIDENTS / "php-limits" / "var" / "log" / "kern.log")
    assert quiet.out == "The kernel killed nothing in these logs.\n"


@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_advice_fits_the_terminal(columns: str, at: Callable[..., Hnctl], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = at("nightly")("oom", "advice").out.splitlines()
    words = [line for line in lines if not line.lstrip().startswith("$") and "/data/web" not in line]
    assert max(map(len, words)) <= min(int(columns), 100)


def test_names_chosen_by_attackers_mean_nothing_in_markdown(hnctl: Hnctl, folder: Path):
    report = (INCIDENTS / "nightly" / "var" / "log" / "kern.log").read_text().replace("php8.3", "<b>![x](y)")
    (folder / "kern.log").write_text(report)
    for command in (["explain", "last"], ["explain", "--all"], ["advice"], ["replay"]):
        shown = hnctl("oom", *command, "kern.log", "-o", "markdown").out
        assert all(line.startswith("    ") for line in shown.splitlines() if line), "a block of code"


def test_an_event_number_and_all_events_are_two_questions(hnctl: Hnctl, folder: Path):
    refused = hnctl("oom", "explain", "3", "--all", "kern.log")
    assert refused.status == 64
    assert "--all is about all events; leave out 3" in refused.err
