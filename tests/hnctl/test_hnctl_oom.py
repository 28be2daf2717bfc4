"""`hnctl oom events` and `explain`: what a user sees of a kernel log."""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from odd_servers import serving
from processes import run
from runs import Hnctl

NOISE = "Mar  5 10:15:{second:02d} shop kernel: [{second}.5] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.7 LEN=40\n"


def report(minute: int, victim: str = "php8.3", pid: int = 200, day: int = 5) -> str:
    lines = [
        "php8.3 invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=1000",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        "[    100]   112   100   900000   400000    72114176        0         -1000 mysqld",
        f"[    {pid}]  1000   {pid}    90000    50000      372736        0          1000 {victim}",
        f"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task={victim},"
        f"pid={pid},uid=1000",
        f"Out of memory: Killed process {pid} ({victim}) total-vm:360000kB, anon-rss:199000kB, file-rss:1000kB, "
        "shmem-rss:0kB, UID:1000 pgtables:364kB oom_score_adj:1000",
    ]
    return "".join(f"Mar {day:2d} 10:{minute:02d}:00 shop kernel: [{minute}00.0] {line}\n" for line in lines)


@pytest.fixture
def log(folder: Path) -> Path:
    """Two events between lines of a firewall, written in March 2024."""
    path = folder / "kern.log"
    path.write_text(NOISE.format(second=1) * 50 + report(15) + NOISE.format(second=2) * 50 + report(40, "bash", 333))
    os.utime(path, (1_709_700_000, 1_709_700_000))
    return path


def test_events_are_listed_with_who_asked_who_died_and_who_was_largest(hnctl: Hnctl, log: Path):
    listed = hnctl("oom", "events", "kern.log")
    assert (listed.status, listed.err) == (0, "")
    head, first, second = listed.out.splitlines()
    assert head.split() == ["number", "when", "asked", "died", "size", "protection", "scope", "largest"]
    for text in ("2024-03-05 10:15:00", "php8.3 (200)", "195 MiB", "1000", "global", "mysqld (100) about 1.5 GiB"):
        assert text in first
    assert "bash (333)" in second


def test_events_as_json_are_what_the_design_says(hnctl: Hnctl, log: Path):
    document = hnctl("oom", "events", "kern.log", "-o", "json").json
    assert document["format_version"] == 1
    assert document["events"][0] == {
        "at": "2024-03-05T10:15:00",
        "source": "kern.log",
        "trigger": "php8.3",
        "trigger_oom_score_adj": 1000,
        "gfp_mask": "0x1100cca",
        "order": 0,
        "scope": "global",
        "memcg": None,
        "victims": [
            {
                "pid": 200,
                "name": "php8.3",
                "uid": 1000,
                "total_vm_kib": 360000,
                "anon_rss_kib": 199000,
                "file_rss_kib": 1000,
                "shmem_rss_kib": 0,
                "oom_score_adj": 1000,
            }
        ],
        "tasks": {"count": 2, "top_rss": {"pid": 100, "name": "mysqld", "rss_pages": 400000}},
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_each_format_tells_the_same_events(count: int, hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text(
        NOISE.format(second=1) + "".join(report(10 + n, pid=200 + n) for n in range(count))
    )
    document = hnctl("oom", "events", "kern.log", "-o", "json").json
    assert [event["victims"][0]["pid"] for event in document["events"]] == [200 + n for n in range(count)]
    assert yaml.safe_load(hnctl("oom", "events", "kern.log", "-o", "yaml").out) == document
    lines = [json.loads(line) for line in hnctl("oom", "events", "kern.log", "-o", "jsonl").out.splitlines()]
    assert lines == [{"format_version": 1, **event} for event in document["events"]]


def test_a_table_shows_the_last_of_very_many_and_says_so(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text("".join(cgroup_kill(second, 100 + second) for second in range(60)) * 20)
    shown = hnctl("oom", "events", "kern.log")
    assert len(shown.out.splitlines()) == 1001
    assert "These are the last 1,000 of 1,200; -o jsonl has all" in shown.err
    assert len(hnctl("oom", "events", "kern.log", "-o", "jsonl").out.splitlines()) == 1200


def test_a_name_with_commands_for_a_terminal_shows_none(hnctl: Hnctl, folder: Path):
    """A large process of no known service is told by its name, as if it were one."""
    (folder / "kern.log").write_text(report(10).replace("mysqld", "\x1b]0;pwn\x07x"))
    for words in (["events"], ["explain", "last"], ["explain", "--all"], ["advice"], ["replay"]):
        for form in ("table", "markdown"):
            out = hnctl("oom", *words, "kern.log", "-o", form).out
            assert "\x1b" not in out
            assert "\x07" not in out


def test_no_event_is_a_success_and_said(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text(NOISE.format(second=3) * 20)
    listed = hnctl("oom", "events", "kern.log")
    assert (listed.status, listed.out, listed.err) == (0, "", "No out-of-memory events.\n")
    assert hnctl("oom", "events", "kern.log", "-o", "json").json["events"] == []


def test_rotated_and_compressed_logs_come_in_order_of_time(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text(report(10, "third", day=9))
    (folder / "kern.log.1").write_text(report(10, "second", day=7))
    (folder / "kern.log.2.gz").write_bytes(gzip.compress(report(10, "first", day=3).encode()))
    rows = hnctl("oom", "events", "kern.log", "kern.log.1", "kern.log.2.gz", "-o", "json").json["events"]
    assert [row["victims"][0]["name"] for row in rows] == ["first", "second", "third"]


def test_without_a_file_it_is_the_nodes_own_log(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch):
    logs = folder / "root" / "var" / "log"
    logs.mkdir(parents=True)
    (logs / "kern.log").write_text(report(10, "new", day=9))
    (logs / "kern.log.1").write_text(report(10, "old", day=7))
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder / "root"))
    rows = hnctl("oom", "events", "-o", "json").json["events"]
    assert [row["victims"][0]["name"] for row in rows] == ["old", "new"]


def test_a_machine_without_a_log_is_told_what_to_do(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    listed = hnctl("oom", "events")
    assert listed.status == 64
    assert "journalctl -k | hnctl oom events -" in listed.err


def test_a_log_can_be_piped_in(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Piped:
        buffer = io.BytesIO(report(10).encode())

    monkeypatch.setattr("hypernode.oom.files.sys", type("Sys", (), {"stdin": Piped}))
    row = hnctl("oom", "events", "-", "-o", "json").json["events"][0]
    assert row["source"] == "stdin"
    assert row["at"].endswith("-03-05T10:10:00")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--last", "1"], ["bash"]),
        (["--since", "2024-03-05T10:30"], ["bash"]),
        (["--until", "2024-03-05 10:30"], ["php8.3"]),
        (["--since", "2024-03-06"], []),
        (["--since", "24h"], []),
        (["--since", "2024-01-01", "--until", "2025-01-01", "--last", "5"], ["php8.3", "bash"]),
    ],
)
def test_events_can_be_chosen_by_time_and_number(options: list[str], names: list[str], hnctl: Hnctl, log: Path):
    rows = hnctl("oom", "events", "kern.log", *options, "-o", "json").json["events"]
    assert [row["victims"][0]["name"] for row in rows] == names


def test_the_numbers_stay_when_only_some_are_listed(hnctl: Hnctl, log: Path):
    assert hnctl("oom", "events", "kern.log", "--last", "1").out.splitlines()[1].startswith("2 ")


@pytest.mark.parametrize("time", ["yesterday", "2024-13-01", "", "5 parsecs"])
def test_what_is_no_time_is_refused(time: str, hnctl: Hnctl, log: Path):
    refused = hnctl("oom", "events", "kern.log", "--since", time)
    assert refused.status == 64
    assert "is no time; write 2024-03-05" in refused.err


def test_a_log_that_cannot_be_read_is_named_and_the_others_are_read(hnctl: Hnctl, log: Path):
    listed = hnctl("oom", "events", "kern.log", "nosuch.log", "-o", "json")
    assert listed.status == 3
    assert "nosuch.log: No such file or directory" in listed.err
    assert len(json.loads(listed.out)["events"]) == 2
    alone = hnctl("oom", "events", "nosuch.log")
    assert (alone.status, alone.err) == (1, "nosuch.log: No such file or directory\n")


def test_names_that_processes_choose_cannot_move_the_cursor(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_bytes(report(10, "\x1b[2J|<b>x").encode())
    for output in ("table", "markdown"):
        out = hnctl("oom", "events", "kern.log", "-o", output).out
        assert "\x1b" not in out
        assert "\\x1b[2J" in out
    assert "&lt;b>" in hnctl("oom", "events", "kern.log", "-o", "markdown").out
    assert "\x1b" not in hnctl("oom", "explain", "last", "kern.log").out


def test_an_explanation_begins_with_the_verdict_and_shows_what_it_rests_on(hnctl: Hnctl, log: Path):
    explained = hnctl("oom", "explain", "last", "kern.log")
    assert (explained.status, explained.err) == (0, "")
    lines = explained.out.splitlines()
    assert lines[0] == (
        "The machine ran out of memory; bash was killed, but mysql held most: the victim is not the culprit."
    )
    assert lines[1] == "Confidence: high."
    assert "  - mysql could not be chosen: it is protected (oom_score_adj -1000)." in lines
    assert "Event 2, 2024-03-05 10:40:00" in lines
    assert "  died       bash (333), held 195 MiB, the 2nd largest of 2; protection 1000" in lines
    assert any(line.startswith("mysql ") and "#" * 30 in line and "1.5 GiB" in line for line in lines)


def test_an_event_is_chosen_by_its_number(hnctl: Hnctl, log: Path):
    document = hnctl("oom", "explain", "1", "kern.log", "-o", "json").json
    assert document["number"] == 1
    assert document["event"]["victims"][0]["name"] == "php8.3"
    assert document["verdict"]["culprit"] == "mysql"
    assert document["verdict"]["victim_is_culprit"] is False
    assert document["services"][0] == {
        "service": "mysql",
        "processes": 1,
        "at_least_kib": 1600000,
        "at_most_kib": 1600000,
        "protected_kib": 1600000,
        "swap_kib": 0,
    }


@pytest.mark.parametrize(("which", "status"), [("3", 64), ("0", 64), ("-1", 64)])
def test_an_event_that_is_not_there_is_refused(which: str, status: int, hnctl: Hnctl, log: Path):
    refused = hnctl("oom", "explain", which, "kern.log")
    assert refused.status == status
    assert refused.out == ""


def cgroup_kill(second: int, pid: int) -> str:
    return (
        f"Mar  5 10:15:{second:02d} shop kernel: Memory cgroup out of memory: Killed process {pid} (php8.3) "
        "total-vm:9kB, anon-rss:5kB, file-rss:1kB, shmem-rss:0kB, UID:1000 pgtables:3kB oom_score_adj:1000\n"
    )


def test_a_replay_turns_the_coin_flip_into_a_sentence(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text("".join(cgroup_kill(7, 100 + n) for n in range(6)) + report(40))
    replayed = hnctl("oom", "replay", "kern.log")
    assert replayed.status == 0
    first = replayed.out.splitlines()[0]
    assert first == (
        "In 1 of 2 incidents (7 kills) the platform's own killer would have stepped in; only there could "
        "permissive_memory_management have changed anything."
    )
    assert "Trigger: 5 cgroup kills within 1 s" in replayed.out
    assert "Not known: how much later a permissive node ends processes" in replayed.out
    document = hnctl("oom", "replay", "kern.log", "-o", "json", "--threshold", "7").json
    assert (document["stepped_in"], document["threshold"]) == (0, 7)
    assert document["verdict"].startswith("In none of 2 incidents (7 kills) would")


def test_a_replay_of_a_quiet_log_says_that_nothing_would_change(hnctl: Hnctl, folder: Path):
    (folder / "kern.log").write_text(NOISE.format(second=1))
    assert hnctl("oom", "replay", "kern.log").out.startswith("There are no kills in these logs, so permissive")


@pytest.mark.parametrize("command", [["explain"], ["explain", "--all"], ["advice"], ["replay"]])
def test_of_a_log_that_cannot_be_read_nothing_is_claimed(command: list[str], hnctl: Hnctl, folder: Path):
    refused = hnctl("oom", *command, "nosuch.log", "-o", "json")
    assert refused.status == 1
    assert "nosuch.log: No such file or directory" in refused.err
    assert refused.json["error"]["message"] == "nothing is known: none of these logs can be read"
    (folder / "quiet.log").write_text(NOISE.format(second=1))
    partly = hnctl("oom", *command, "nosuch.log", "quiet.log")
    assert partly.status == 3
    assert partly.out


def test_a_file_with_a_number_for_a_name_is_named_with_its_folder(hnctl: Hnctl, log: Path):
    log.rename(log.with_name("2"))
    assert "Event 2, " in hnctl("oom", "explain", "./2").out
    assert "Event 1, " in hnctl("oom", "explain", "1", "2").out


def test_a_number_that_no_event_can_have_is_refused_in_words(hnctl: Hnctl, log: Path):
    refused = hnctl("oom", "explain", "9" * 5000, "kern.log")
    assert refused.status == 64
    assert "there is no event 999999999..." in refused.err


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node whose logs tell of a night in March 2024; it stands in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    root = folder / "root"
    logs = {
        "var/log/kern.log": report(15) + report(16, "bash", 333) + report(59, "late", 444),
        "var/log/syslog": "Mar  5 10:10:01 shop CRON[7]: (app) CMD (php import.php)\n"
        "Mar  5 11:50:01 shop CRON[8]: (app) CMD (php much-later.php)\n",
        "var/log/mysql/mysql-slow.log": "# Time: 2024-03-05T10:14:30.1Z\n# User@Host: app[app] @ localhost []  Id: 4\n"
        "# Query_time: 112.3  Lock_time: 0.1 Rows_sent: 1  Rows_examined: 9\nSELECT 'canary-5c1' FROM t;\n",
        "data/web/public/var/log/system.log": "[2024-03-05T10:15:30+00:00] main.CRITICAL: Broken [] []\n",
    }
    for name, text in logs.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_709_700_000, 1_709_700_000))
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(root))
    yield root
    monkeypatch.undo()
    time.tzset()


def test_a_timeline_lays_the_other_logs_beside_the_event(hnctl: Hnctl, shop: Path):
    shown = hnctl("oom", "timeline", "1")
    assert shown.status == 0
    rows = [line.split()[2:6] for line in shown.out.splitlines()[1:]]
    assert [" ".join(row) for row in rows] == [
        "-299 s cron -",
        "-30 s mysql query",
        "+0 s out of",
        "+30 s magento -",
        "+60 s out of",
    ]
    assert "event 1 (this one): killed php8.3 (200), php8.3 asked" in shown.out
    assert "canary-5c1" not in shown.out, "what customers typed is not shown"
    assert f"Left out: {shop}/var/log/php-fpm/php-slow.log: there is none" in shown.err


def test_a_timeline_has_the_flows_of_the_node_when_there_is_a_token(
    hnctl: Hnctl, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    (shop / "etc" / "hypernode").mkdir(parents=True)
    (shop / "etc" / "hypernode" / "app.json").write_text('{"tag": "kaasshop"}')
    flow = {"uuid": "1", "name": "update_node", "state": "success", "logbook": "kaasshop"}
    times = ["2024-03-05T10:30:00Z", "2024-03-05T10:12:00Z", "2024-03-04T10:12:00Z"]
    pages = {"results": [{**flow, "created_at": at} for at in times], "next": None, "count": 3}

    def logbook(path: str) -> tuple[int, str, bytes]:
        return 200, "application/json", json.dumps(pages).encode()

    with serving(logbook) as api:
        monkeypatch.setenv("HNCTL_API_URL", api.url)
        without = hnctl("oom", "timeline", "1", "-o", "json")
        assert "Left out: the logbook of kaasshop: " in without.err
        assert not api.calls
        monkeypatch.setenv("HYPERNODE_API_TOKEN", "canary-7f3")
        shown = hnctl("oom", "timeline", "1", "-o", "json")
        from_elsewhere = hnctl("oom", "timeline", "1", shop / "var" / "log" / "kern.log", "-o", "json")
    flows = [(entry["offset"], entry["text"]) for entry in shown.json["entries"] if entry["what"] == "flow"]
    assert flows == [("-180 s", "update_node success")]
    assert not [entry for entry in from_elsewhere.json["entries"] if entry["what"] == "flow"]
    assert len(api.calls) == 1


def test_a_timeline_does_not_wait_for_an_api_that_fails(hnctl: Hnctl, shop: Path, monkeypatch: pytest.MonkeyPatch):
    (shop / "etc" / "hypernode").mkdir(parents=True)
    (shop / "etc" / "hypernode" / "app.json").write_text('{"tag": "kaasshop"}')
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "canary-7f3")
    with serving(lambda path: (500, "text/plain", b"")) as api:
        monkeypatch.setenv("HNCTL_API_URL", api.url)
        shown = hnctl("oom", "timeline", "1", "-o", "json")
    assert shown.status == 0
    assert "Left out: the logbook of kaasshop: " in shown.err
    assert len(api.calls) == 1


def test_a_timeline_can_be_wider_and_show_sql_as_it_is(hnctl: Hnctl, shop: Path):
    shown = hnctl("oom", "timeline", "last", "--window", "2h", "--raw", "-o", "json").json
    assert [entry["what"] for entry in shown["entries"]].count("out of memory") == 3
    assert any("canary-5c1" in entry["text"] for entry in shown["entries"])
    assert any("much-later" in entry["text"] for entry in shown["entries"])
    query = next(entry for entry in shown["entries"] if entry["what"] == "mysql query")
    assert query["when"] == "2024-03-05 10:14:30+00:00"
    assert query["doubt"] == "logged at its end"


@pytest.mark.parametrize(("month", "offset"), [("01", "+01:00"), ("07", "+02:00")])
def test_a_timeline_shows_the_clock_as_it_was_then(month: str, offset: str, shop: Path):
    stamp = f"2024-{month}-05T10:15:00{offset}"
    line = f"{stamp} shop kernel: Out of memory: Killed process 200 (php8.3) total-vm:1kB, anon-rss:1kB, file-rss:0kB\n"
    (shop / "var" / "log" / "kern.log").write_text(line)
    zone = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3", "HNCTL_NODE_ROOT": str(shop)}
    done = run("oom", "timeline", "-o", "json", variables=zone)
    assert [entry["when"] for entry in done.json["entries"]] == [stamp.replace("T", " ")]


def test_php_that_still_runs_on_the_node_is_told_by_its_command(hnctl: Hnctl, shop: Path):
    folder = shop / "proc" / "444"
    folder.mkdir(parents=True)
    (shop / "proc" / "stat").write_text("btime 1700000000\n")
    (folder / "stat").write_text(f"444 (php8.3) S {'0 ' * 18}100 {'0 ' * 30}")
    (folder / "oom_score_adj").write_text("0")
    (folder / "cmdline").write_bytes(b"php\0bin/magento\0queue:consumers:start\0x")
    log = shop / "var" / "log" / "kern.log"
    log.write_text(report(59, "php8.3", 444))
    os.utime(log, (1_709_700_000, 1_709_700_000))
    (folder / "status").write_text("Name:\tphp8.3\nUid:\t1000\t0\t0\t0\nVmRSS:\t4 kB\n")
    services = {row["pid"]: row["service"] for row in hnctl("oom", "explain", "-o", "json").json["largest"]}
    assert services == {100: "mysql", 444: "queue consumers"}
    assert "queue consumers  1" in hnctl("oom", "explain").out
    elsewhere = hnctl("oom", "explain", log, "-o", "json").json["largest"]
    assert [row["service"] for row in elsewhere] == ["mysql", "php cli"], "of another machine nothing is known"


def test_a_timeline_needs_an_event_with_a_time(hnctl: Hnctl, folder: Path):
    (folder / "dmesg.log").write_text("".join(line.partition("kernel: ")[2] for line in report(1).splitlines(True)))
    refused = hnctl("oom", "timeline", "1", "dmesg.log")
    assert refused.status == 64
    assert "event 1 has no time in its log" in refused.err
