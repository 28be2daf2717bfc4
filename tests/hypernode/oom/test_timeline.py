"""The other logs of a node, looked through for what lies near events."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from hypernode.oom.timeline import MOST_ENTRIES, look_around, search_limits

AT = datetime(2026, 11, 2, 3, 10, tzinfo=UTC)
SYSTEM_LOG = "data/web/public/var/log/system.log"
WINDOW = timedelta(minutes=10)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is / on the node."""
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))
    return tmp_path


def write(root: Path, name: str, *lines: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def magento(at: datetime, text: str) -> str:
    return f"[{at.isoformat()}] main.ERROR: {text} [] []"


def job(at: datetime, command: str) -> str:
    return f"{at.isoformat()} shop CRON[7]: (app) CMD ({command})"


def test_what_lies_within_the_window_of_any_event_is_told_in_order(root: Path):
    moments = [AT + timedelta(days=day) for day in range(3)]
    lines = [magento(at + timedelta(minutes=minutes), f"{minutes}") for at in moments for minutes in (-11, -9, 9, 11)]
    write(root, SYSTEM_LOG, *lines)
    found = look_around(moments, WINDOW).entries
    assert [entry.text for entry in found] == ["main.ERROR: -9", "main.ERROR: 9"] * 3


def test_rotated_and_packed_logs_are_read_and_those_that_ended_before_are_not(root: Path):
    write(root, "data/web/public/var/log/system.log.1.gz", magento(AT, "packed"))
    old = write(root, "data/web/public/var/log/system.log.2", magento(AT, "old"))
    os.utime(old, (0, (AT - timedelta(days=1)).timestamp()))
    assert [entry.text for entry in look_around([AT], WINDOW).entries] == ["main.ERROR: packed"]


def test_of_a_flood_the_nearest_entries_are_kept_and_that_is_told(root: Path):
    flood = [magento(AT - timedelta(seconds=500, microseconds=-n), "flood") for n in range(3 * MOST_ENTRIES)]
    write(root, SYSTEM_LOG, *flood, magento(AT - timedelta(seconds=1), "the cause"))
    problems: list[str] = []
    found = look_around([AT], WINDOW, on_problem=lambda path, text: problems.append(text)).entries
    assert len(found) == MOST_ENTRIES
    assert found[-1].text == "main.ERROR: the cause"
    assert "there are so many that only the 1,000 nearest are shown" in problems


def test_a_time_that_no_clock_holds_is_passed_over(root: Path):
    write(root, SYSTEM_LOG, "[0001-01-01 00:00:00] main.ERROR: odd [] []", magento(AT, "even"))
    write(root, "var/log/mysql/mysql-slow.log", "# Time: 9999-12-31T23:59:59Z", "# Query_time: 1", "SELECT a;")
    assert [entry.text for entry in look_around([AT], WINDOW).entries] == ["main.ERROR: even"]
    assert search_limits() == ()


def test_a_pipe_where_a_log_should_be_is_passed_over(root: Path):
    (root / "var" / "log" / "php-fpm").mkdir(parents=True)
    os.mkfifo(root / "var" / "log" / "php-fpm" / "x.log")
    assert look_around([AT], WINDOW).entries == ()


def test_a_log_without_a_zone_is_on_the_clock_of_the_node(root: Path):
    write(
        root, "var/log/php-fpm/php-fpm.log", "[02-Nov-2026 12:10:00] WARNING: [pool www] child 7 exited on signal 9 x"
    )
    zone = timezone(timedelta(hours=9))
    (entry,) = look_around([AT], WINDOW, zone=zone).entries
    assert entry.at == AT


def test_jobs_that_start_several_times_a_day_are_told_apart_by_the_whole_log(root: Path):
    lines = [job(AT + timedelta(hours=hour), "hourly") for hour in range(-72, 1)]
    lines += [job(AT + timedelta(days=day), "nightly") for day in range(-3, 1)]
    lines += [job(AT, "once")]
    write(root, "var/log/syslog", *lines)
    assert look_around([AT], WINDOW).all_day == {"app: hourly"}


def test_limits_are_counted_at_any_time(root: Path):
    fatal = "Allowed memory size of 134217728 bytes exhausted (tried to allocate 1 bytes) in /a.php on line 5"
    lines = [f"[0{day}-Nov-2026 10:00:00 UTC] PHP Fatal error:  {fatal}" for day in (2, 1, 3)]
    write(root, "var/log/php-fpm/php-fpm.log", *lines)
    (limit,) = search_limits()
    assert (limit.kind, limit.count) == ("php limit", 3)
    assert (limit.first.day, limit.last.at.day) == (1, 3)
    assert "/a.php:5; nothing was killed" in limit.last.text


def test_a_log_of_which_none_of_its_places_has_one_is_missed_once(root: Path):
    write(root, SYSTEM_LOG, magento(AT, "x"))
    missed: list[str] = []
    look_around([AT], WINDOW, on_problem=lambda path, text: missed.append(path))
    assert len(missed) == len(set(missed))
    assert not any("system.log" in path for path in missed)
    assert any(path.endswith("mysql-slow.log") for path in missed)
