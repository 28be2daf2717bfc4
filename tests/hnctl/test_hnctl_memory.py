"""`hnctl memory release-mysql` against the sandbox's node tools: every weakness of the vendor's script is a test.

CONTRACT.md 4.3 lists them. The node's memory is what its /proc/meminfo says, below HNCTL_NODE_ROOT.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from nodes_by_ssh import soon
from processes import run, run_in_terminal, start
from runs import Hnctl, Result

from hnctl.commands.memory import ReleaseExit
from hypernode.sandbox.node_tools import write_node_tools

TOOL = "hypernode-servicectl"
RELEASE = ["memory", "release-mysql", "-m", "1024", "-c", "30"]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"
UNSEEN = "not seen before: processes, the memory of mysql, transactions, queries"


class Node:
    """This machine as a node of the sandbox, with nothing in PATH but the tools of a node."""

    def __init__(self, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_node_tools(folder, node="kaasshop", token="t" * 40, api_url="http://127.0.0.1:1")
        self.root, self._first, self._bin = folder / "root", folder / "first", folder / "bin"
        self.memory_folder = home / ".local" / "state" / "hnctl" / "memory"
        self._first.mkdir()
        monkeypatch.setenv("PATH", f"{self._first}:{self._bin}")
        monkeypatch.setenv("HNCTL_NODE_ROOT", str(self.root))
        self.available(300)

    def available(self, mb: int) -> None:
        """Let so much memory be available, of 8000 MB."""
        path = self.root / "proc" / "meminfo"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"MemTotal: {8000 * 1024} kB\nMemFree: 9 kB\nMemAvailable: {mb * 1024} kB\n")

    def process(self, pid: int, *words: str, rss_mb: int | None = None) -> None:
        """Let a process be seen."""
        folder = self.root / "proc" / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "comm").write_text(Path(words[0]).name)
        (folder / "status").write_text("" if rss_mb is None else f"VmRSS: {rss_mb * 1024} kB\n")

    def stand_in(self, tool: str, script: str) -> None:
        """Put a script for sh before the node's own tool, which it can call as "$OWN"."""
        path = self._first / tool
        path.write_text(f"#!/bin/sh\nOWN='{self._bin / tool}'\n{script}\n")
        path.chmod(0o755)

    def own(self, tool: str) -> None:
        """Take the stand-in away."""
        (self._first / tool).unlink()

    def win(self, mb: int) -> None:
        """Let a restart of MySQL bring the memory that is available to `mb`."""
        meminfo = self.root / "proc" / "meminfo"
        lines = f"MemTotal: {8000 * 1024} kB\\nMemAvailable: {mb * 1024} kB\\n"
        self.stand_in(TOOL, f"printf '{lines}' > '{meminfo}'; exec \"$OWN\" \"$@\"")

    def slow(self, seconds: float) -> Path:
        """Let a restart take its time. Returns the file that has a line for each one that began."""
        begun = self.root / "begun"
        self.stand_in(TOOL, f'echo begun >> \'{begun}\'; /bin/sleep {seconds}; exec "$OWN" "$@"')
        return begun

    @property
    def restarts(self) -> int:
        """How often MySQL was restarted."""
        log = self.root / f"var/log/{TOOL}.log"
        return log.read_text().count("restart mysql\n") if log.exists() else 0


@pytest.fixture
def node(tmp_path: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path / "node", clean_environment, monkeypatch)


def said(result: Result) -> str:
    """Return the one line of a log that a run leaves, without its time."""
    assert result.err == ""
    line = re.fullmatch(rf"{TIME} ([^\n]+)\n", result.out)
    assert line is not None, result.out
    return line[1]


# The weaknesses of the vendor's script, one by one (CONTRACT.md 4.3)


def test_the_state_is_in_a_private_folder_and_not_under_a_fixed_name_in_tmp(
    node: Node, hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    shared = folder / "tmp"
    shared.mkdir()
    (shared / "release_mysql_cached_memory_cooldown").touch()
    monkeypatch.setenv("TMPDIR", str(shared))
    assert hnctl(*RELEASE).status == 10
    assert [path.name for path in shared.iterdir()] == ["release_mysql_cached_memory_cooldown"]
    assert node.memory_folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in node.memory_folder.iterdir()} == {
        "release-mysql.json": 0o600,
        "release-mysql.lock": 0o600,
    }


def test_a_symlink_at_the_state_file_s_place_is_not_followed(node: Node, hnctl: Hnctl, folder: Path):
    victim = folder / "victim"
    victim.write_text("precious")
    node.memory_folder.mkdir(parents=True)
    (node.memory_folder / "release-mysql.json").symlink_to(victim)
    done = hnctl(*RELEASE)
    assert done.status == 10
    assert "release-mysql.json is not used (a symbolic link, which is not followed)" in said(done)
    assert (victim.read_text(), victim.is_symlink()) == ("precious", False)
    assert hnctl(*RELEASE).status == 11
    assert victim.read_text() == "precious"


def test_a_symlink_at_the_folder_s_place_is_not_followed(node: Node, hnctl: Hnctl, folder: Path):
    (folder / "elsewhere").mkdir()
    node.memory_folder.parent.mkdir(parents=True)
    node.memory_folder.symlink_to(folder / "elsewhere")
    failed = hnctl(*RELEASE)
    assert failed.status == 1
    assert f"{node.memory_folder} is a symbolic link, which is not followed; nothing was restarted" in said(failed)
    assert list((folder / "elsewhere").iterdir()) == []
    assert node.restarts == 0


@pytest.mark.parametrize(
    ("tool", "script", "says"),
    [
        (TOOL, "echo no such unit >&2; exit 1", "hypernode-servicectl ended with 1: no such unit"),
        (TOOL, "exec /bin/sleep 30", "hypernode-servicectl did not end within 0.3 s; whether the restart was done is"),
        ("mysqladmin", "exit 1", "mysql was restarted and does not answer within 0.3 s (Look at its log on the node)"),
    ],
    ids=["exit 1", "hangs", "mysql does not answer"],
)
def test_a_failed_restart_is_not_counted_and_the_next_run_tries_again(
    tool: str, script: str, says: str, node: Node, hnctl: Hnctl
):
    node.stand_in(tool, script)
    failed = hnctl(*RELEASE, "--wait", "300ms")
    assert failed.status == 1
    line = said(failed)
    assert line.startswith(f"failed: 300 MB available are below 1024; {says}")
    assert line.endswith("; it does not count, so the next run tries again")
    before = node.restarts
    node.own(tool)
    assert hnctl(*RELEASE).status == 10
    assert node.restarts == before + 1


def test_the_last_restart_is_remembered_over_a_reboot(node: Node, hnctl: Hnctl, clean_environment: Path):
    """It is in the home, and in no place that is emptied."""
    assert hnctl(*RELEASE).status == 10
    file = clean_environment / ".local/state/hnctl/memory/release-mysql.json"
    state = json.loads(file.read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", state["restarted_at"])
    (node.memory_folder / "release-mysql.lock").unlink()
    assert hnctl(*RELEASE).status == 11


def test_ten_runs_at_once_restart_once(node: Node):
    begun = node.slow(0.5)
    with ExitStack() as stack:
        runs = [stack.enter_context(start(*RELEASE, stdout=subprocess.PIPE, stderr=-2)) for _ in range(10)]
        lines = [process.communicate(timeout=20)[0].decode() for process in runs]
    assert begun.read_text() == "begun\n"
    assert node.restarts == 1
    statuses = Counter(process.returncode for process in runs)
    assert statuses[10] == 1
    assert statuses[11] + statuses[12] == 9
    assert all(re.fullmatch(rf"{TIME} (restarted|cooling down|deferred): [^\n]+\n", line) for line in lines)
    assert [
        line for line in lines if "deferred" in line and not line.endswith("deferred: another run is at it\n")
    ] == []


@pytest.mark.parametrize("option", ["-m", "-c"])
@pytest.mark.parametrize(
    "number", ["x", "", " ", "0", "-5", "+5", "1e3", "0x10", "1.5", "1_000", "5 ", "٣", "9" * 20, "9" * 5000, "$(id)"]
)
def test_what_is_no_number_is_a_usage_error_before_anything_is_done(option: str, number: str, node: Node, hnctl: Hnctl):
    (node.root / "proc" / "meminfo").unlink()
    refused = hnctl(*RELEASE, option, number)
    assert (refused.status, refused.out) == (64, "")
    assert f"Invalid value for '{option}'" in refused.err
    assert "is not a whole number from 1 to " in refused.err
    assert len(refused.err) < 400
    assert not node.memory_folder.exists()
    assert node.restarts == 0


@pytest.mark.parametrize(("option", "most"), [("-m", 16777216), ("-c", 527040)])
def test_numbers_have_an_upper_bound(option: str, most: int, node: Node, hnctl: Hnctl):
    node.available(7000)
    assert "is not a whole number from 1 to " in hnctl(*RELEASE, option, str(most + 1)).err
    assert "is not a whole number" not in hnctl(*RELEASE, option, str(most)).err


def test_both_numbers_are_required(node: Node, hnctl: Hnctl):
    for words in (RELEASE[:2], RELEASE[:4], [*RELEASE[:2], *RELEASE[4:]]):
        refused = hnctl(*words)
        assert (refused.status, refused.out) == (64, "")
        assert "Missing option '-" in refused.err


@pytest.mark.parametrize("language", ["de_DE.UTF-8", "ja_JP.eucJP", "C", "nonsense"])
def test_neither_the_language_nor_free_matters(language: str, node: Node, monkeypatch: pytest.MonkeyPatch):
    node.stand_in("free", "echo 'Speicher: 9 9 9 9 9 999999'")
    for name in ("LANG", "LC_ALL", "LANGUAGE"):
        monkeypatch.setenv(name, language)
    assert run(*RELEASE).status == 10
    node.available(5000)
    assert said(run(*RELEASE)) == "enough: 5000 MB available, 1024 wanted"


def test_what_mysql_uses_is_looked_at(node: Node, hnctl: Hnctl):
    node.process(1, "/sbin/init")
    node.process(900, "/usr/sbin/mysqld", rss_mb=500)
    deferred = hnctl(*RELEASE)
    assert deferred.status == 12
    assert "a restart cannot help: mysql has 500 MB, and 800 with all of it are too few" in said(deferred)
    assert node.restarts == 0
    (node.root / "proc/900/status").write_text(f"VmRSS: {4000 * 1024} kB\n")
    assert ", it had 4000 MB and has 4000; not seen before: transactions, queries" in said(hnctl(*RELEASE))
    assert node.restarts == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/usr/bin/mysqldump", "-pSECRET", "shop"], "mysqldump"),
        (["xtrabackup", "--password=SECRET", "--backup"], "xtrabackup"),
        (["php", "bin/magento", "setup:upgrade"], "setup:upgrade"),
        (["/usr/bin/php8.3", "bin/magento", "indexer:reindex"], "indexer:reindex"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_running_backup_import_or_migration_is_not_broken(words: list[str], told: str, node: Node, hnctl: Hnctl):
    node.process(4242, *words)
    deferred = hnctl(*RELEASE)
    assert deferred.status == 12
    assert said(deferred) == f"deferred: 300 MB available are below 1024; {told} (pid 4242) is running"
    assert node.restarts == 0


@pytest.mark.parametrize(("mark", "one"), [("INNODB_TRX", "a transaction"), ("PROCESSLIST", "a query")])
def test_a_long_transaction_or_query_is_not_broken(mark: str, one: str, node: Node, hnctl: Hnctl):
    node.stand_in("mysql", f'case "$*" in *{mark}*) echo "95 s: UPDATE secrets" ;; esac')
    deferred = hnctl(*RELEASE)
    assert deferred.status == 12
    assert said(deferred) == f"deferred: 300 MB available are below 1024; {one} of mysql has been running for 95 s"
    assert node.restarts == 0


def test_what_cannot_be_seen_is_said(node: Node, hnctl: Hnctl):
    assert said(hnctl(*RELEASE)).endswith(f"; {UNSEEN}")
    node.process(1, "/sbin/init")
    node.process(900, "mysqld", rss_mb=4000)
    node.stand_in("mysql", "exit 0")
    (node.memory_folder / "release-mysql.json").unlink()
    assert "not seen" not in said(hnctl(*RELEASE))


def test_the_outcomes_have_distinct_exit_codes_and_one_line_each(node: Node, hnctl: Hnctl):
    node.available(1024)
    enough = hnctl(*RELEASE)
    node.available(300)
    node.process(4242, "mysqldump")
    deferred = hnctl(*RELEASE)
    (node.root / "proc/4242/cmdline").unlink()
    node.stand_in(TOOL, "exit 7")
    failed = hnctl(*RELEASE)
    node.win(2950)
    node.stand_in("mysqladmin", "exit 0")
    restarted = hnctl(*RELEASE)
    node.available(300)
    cooling = hnctl(*RELEASE)
    results = [enough, failed, restarted, cooling, deferred]
    assert [result.status for result in results] == [0, 1, 10, 11, 12] == [int(status) for status in ReleaseExit]
    assert [said(result).partition(":")[0] for result in results] == [
        *("enough", "failed", "restarted", "cooling down", "deferred")
    ]
    assert said(restarted).startswith("restarted: 300 MB available were below 1024; 2950 MB now, mysql answers; ")
    assert re.fullmatch(
        rf"cooling down: 300 MB available are below 1024; mysql was restarted at {TIME}; "
        "the next one can be in (29|30) minutes",
        said(cooling),
    )
    assert node.restarts == 1


@pytest.mark.parametrize("low", [True, False])
def test_a_dry_run_tells_what_would_be_done_and_does_nothing(low: bool, node: Node, hnctl: Hnctl):
    node.available(300 if low else 3000)
    dry = hnctl(*RELEASE, "--dry-run")
    assert dry.status == (10 if low else 0)
    assert said(dry) == (
        f"would restart: 300 MB available are below 1024; {UNSEEN}" if low else "enough: 3000 MB available, 1024 wanted"
    )
    assert node.restarts == 0
    assert not node.memory_folder.parent.exists()
    if low:
        hnctl(*RELEASE)
        assert hnctl(*RELEASE, "--dry-run").status == 11
        node.process(4242, "mysqldump")
        (node.memory_folder / "release-mysql.json").unlink()
        assert hnctl(*RELEASE, "--dry-run").status == 12
        assert node.restarts == 1


# What else can go wrong


@pytest.mark.parametrize("content", [None, "MemTotal: 8 kB\nMemFree: 5 kB\n", "MemAvailable: much\n", ""])
def test_memory_that_cannot_be_read_is_a_failure_and_not_enough(content: str | None, node: Node, hnctl: Hnctl):
    meminfo = node.root / "proc" / "meminfo"
    if content is None:
        meminfo.unlink()
    else:
        meminfo.write_text(content)
    failed = hnctl(*RELEASE)
    assert failed.status == 1
    assert said(failed).startswith("failed: /")
    assert "meminfo" in said(failed)
    assert node.restarts == 0


def test_a_threshold_above_all_memory_is_refused(node: Node, hnctl: Hnctl):
    refused = hnctl(*RELEASE, "-m", "8000")
    assert (refused.status, refused.out) == (64, "")
    assert "8000 MB can never be available: the node has 8000" in refused.err
    assert node.restarts == 0


def test_elsewhere_than_on_a_node_it_refuses(node: Node, hnctl: Hnctl):
    (node.root / "etc/hypernode/app.json").unlink()
    for more in ([], ["--dry-run"]):
        refused = hnctl(*RELEASE, *more)
        assert (refused.status, refused.out) == (64, "")
        assert "this machine is no Hypernode" in refused.err
        assert "hint: Run this on the node, as app, from its crontab" in refused.err
    assert node.restarts == 0
    assert not node.memory_folder.exists()


def test_a_node_without_its_tool_is_a_failure_of_this_command(
    node: Node, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "/nowhere")
    failed = hnctl(*RELEASE)
    assert failed.status == 1
    assert "there is no hypernode-servicectl on this machine" in said(failed)


def test_a_restart_that_wins_too_little_is_told(node: Node, hnctl: Hnctl):
    node.win(400)
    done = hnctl(*RELEASE)
    assert done.status == 10
    assert "; 400 MB now, which are still too few, not verified: there is no mysqladmin to ask mysql with" in said(done)


def test_what_the_tool_says_cannot_break_the_line(node: Node, hnctl: Hnctl):
    node.stand_in(TOOL, r"printf 'one\ntwo\033[2J\n' >&2; exit 1")
    assert "ended with 1: one / two [2J; it does not count" in said(hnctl(*RELEASE))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_the_restart_lets_it_be_finished_and_recorded(
    number: int, status: int, node: Node, hnctl: Hnctl
):
    begun = node.slow(0.7)
    with start(*RELEASE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert soon(begun.exists)
        process.send_signal(number)
        out, err = (stream.decode() for stream in process.communicate(timeout=10))
    assert process.returncode == status
    assert re.match(rf"{TIME} restarted: ", out)
    assert err == "Interrupted: the restart of mysql is finished first. Once more to leave at once.\n"
    assert node.restarts == 1
    assert "mysql was restarted at" in said(after := hnctl(*RELEASE))
    assert after.status == 11
    assert node.restarts == 1


def test_a_second_signal_ends_it_at_once_and_the_next_run_does_not_restart_again(node: Node, hnctl: Hnctl):
    begun = node.slow(1.5)
    with start(*RELEASE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert soon(begun.exists)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"Interrupted: ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 143
    after = hnctl(*RELEASE)
    assert after.status == 11
    assert re.search(f"a restart that began at {TIME} was cut off and may have been done", said(after))
    assert begun.read_text() == "begun\n"
    assert soon(lambda: node.restarts), "the tool was let finish"


def test_a_kill_during_the_restart_does_not_lead_to_another_one(node: Node, hnctl: Hnctl):
    begun = node.slow(0.5)
    with start(*RELEASE, stdout=subprocess.DEVNULL) as process:
        assert soon(begun.exists)
        process.kill()
        process.wait(5)
    assert hnctl(*RELEASE).status == 11
    assert begun.read_text() == "begun\n"
    assert soon(lambda: node.restarts)


def test_a_signal_before_the_restart_ends_it_and_the_next_run_goes_on(node: Node, hnctl: Hnctl):
    asked = node.root / "asked"
    node.stand_in("mysql", f"echo x > '{asked}'; exec /bin/sleep 2")
    with start(*RELEASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert soon(asked.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 143
    assert node.restarts == 0
    node.own("mysql")
    assert hnctl(*RELEASE).status == 10


# Output and options


def test_as_json_the_result_is_a_document(node: Node, hnctl: Hnctl):
    node.win(2950)
    node.stand_in("mysqladmin", "exit 0")
    done = hnctl(*RELEASE, "-o", "json")
    assert (done.status, done.err) == (10, "")
    document = done.json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", document.pop("at"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", document.pop("restarted_at"))
    assert document == {
        "format_version": 1,
        "node": "kaasshop",
        "result": "restarted",
        "dry_run": False,
        "why": None,
        "min_available_kib": 1024 * 1024,
        "available_kib": 300 * 1024,
        "available_after_kib": 2950 * 1024,
        "won_kib": 2650 * 1024,
        "mysql_kib": None,
        "mysql_after_kib": None,
        "mysql_answers": True,
        "unseen": ["processes", "the memory of mysql", "transactions", "queries"],
        "notes": [],
        "error": None,
    }


def test_as_json_a_failure_has_its_error(node: Node, hnctl: Hnctl):
    node.stand_in(TOOL, "exit 3")
    failed = hnctl(*RELEASE, "-o", "json")
    assert (failed.status, failed.err) == (1, "")
    assert failed.json["result"] == "failed"
    assert failed.json["error"] == {
        "code": "tool_error",
        "message": "hypernode-servicectl ended with 3: (nothing)",
        "hint": None,
        "node": "kaasshop",
    }
    assert failed.json["notes"] == ["it does not count, so the next run tries again"]
    assert hnctl(*RELEASE, "-o", "json", "--dry-run").json["result"] == "would_restart"
    node.own(TOOL)
    hnctl(*RELEASE)
    cooling = hnctl(*RELEASE, "-o", "jsonl")
    assert (cooling.out.count("\n"), cooling.json["result"]) == (1, "cooling_down")


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_as_text_it_is_the_line(form: str, node: Node, hnctl: Hnctl):
    assert said(hnctl(*RELEASE, "--dry-run", "-o", form)).startswith("would restart: ")
    assert "result: would_restart\n" in hnctl(*RELEASE, "--dry-run", "-o", "yaml").out


def test_the_line_has_the_time_of_the_node_with_its_zone(node: Node):
    done = run(*RELEASE, "--dry-run", variables={"TZ": "<+05>-5"})
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:00 would restart: ", done.out)
    assert run_in_terminal(*RELEASE, "--dry-run", columns=40).out.count("\n") == 1, "it is not folded"


def test_the_numbers_can_be_variables(node: Node, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_MIN_AVAILABLE", "200")
    monkeypatch.setenv("HNCTL_COOLDOWN", "30")
    assert said(hnctl(*RELEASE[:2])) == "enough: 300 MB available, 200 wanted"
    monkeypatch.setenv("HNCTL_MIN_AVAILABLE", "many")
    refused = hnctl(*RELEASE[:2])
    assert refused.status == 64
    assert "HNCTL_MIN_AVAILABLE" in refused.err


# The line for cron


def test_the_line_for_cron_is_printed_and_nothing_is_installed(node: Node, hnctl: Hnctl, clean_environment: Path):
    node.stand_in("crontab", f"echo called > '{node.root}/called'")
    printed = hnctl(*RELEASE, "--install-cron")
    assert printed.status == 0
    assert printed.out == (
        f"* * * * * {sys.executable} -m hnctl memory release-mysql -m 1024 -c 30 "
        f">> {clean_environment}/hnctl-memory.log 2>&1\n"
    )
    assert printed.err == "Nothing was installed. Add the line with: crontab -e\n"
    assert not (node.root / "called").exists()
    assert node.restarts == 0
    assert not node.memory_folder.exists()


def test_the_line_for_cron_names_the_hnctl_that_runs(node: Node, hnctl: Hnctl):
    node.stand_in("hnctl", "exit 0")
    assert f"* * * * * {node.root.parent}/first/hnctl memory" in hnctl(*RELEASE, "--install-cron").out


def test_the_line_for_cron_runs_as_cron_runs_it(
    node: Node, hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    home = folder / "50% of 'a home'"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    line = hnctl(*RELEASE, "--wait", "90s", "--install-cron").out
    assert "50\\% of" in line
    assert not re.search(r"(?<!\\)%", line)
    assert " --wait 90s >> " in line
    command = line.removeprefix("* * * * * ").replace("\\%", "%")  # as crontab(5) says
    environment = {"PATH": "/nowhere", "HOME": str(home), "HNCTL_NODE_ROOT": str(node.root)}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert "there is no hypernode-servicectl" in (home / "hnctl-memory.log").read_text()
    assert (home / "state" / "hnctl" / "memory" / "release-mysql.json").exists()


def test_a_name_that_no_crontab_can_hold_is_refused(
    node: Node, hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(folder / "two\nlines"))
    refused = hnctl(*RELEASE, "--install-cron")
    assert (refused.status, refused.out) == (64, "")
    assert "cannot stand in a crontab" in refused.err


def test_elsewhere_than_on_a_node_the_line_for_cron_comes_with_a_word(node: Node, hnctl: Hnctl):
    (node.root / "etc/hypernode/app.json").unlink()
    printed = hnctl(*RELEASE, "--install-cron")
    assert printed.status == 0
    assert printed.err.startswith("This machine is no Hypernode: the line names the hnctl that is here.\n")
