"""Restarting MySQL on a node that is low on memory: when it is done, when not, and what is left for the next run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from hypernode.errors import HypernodeError, InputError, OutcomeUnknown, ToolError, ToolMissing, ToolTimedOut
from hypernode.node.release import MOST_MB, MOST_MINUTES, Limits, Result, What, release
from hypernode.node.servicectl import Servicectl
from hypernode.node.shell import Output

RESTART = ("hypernode-servicectl", "restart", "mysql")
PING = ("mysqladmin", "ping")
GOOD = Output(0, "", "")
MINUTE = 60.0
START = 1_795_000_000.0

Answer = Output | HypernodeError


class Node:
    """A node in a folder: its memory is as it is written, and its time moves only when somebody sleeps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "state" / "memory"
        self.now = START
        self.calls: list[tuple[str, ...]] = []
        self.answers: dict[str, Answer] = {}
        self.won_mb = 2000
        self.when_restarting: Callable[[], None] = lambda: None
        self.available(300)
        self.process(1, "/sbin/init")

    def available(self, mb: int | None, *, more_kib: int = 0, total_mb: int | None = 8000) -> None:
        path = self.root / "proc" / "meminfo"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [] if total_mb is None else [f"MemTotal: {total_mb * 1024} kB"]
        lines += [] if mb is None else [f"MemAvailable: {mb * 1024 + more_kib} kB"]
        path.write_text("\n".join([*lines, ""]))

    def process(self, pid: int, *words: str, rss_mb: int | None = None) -> None:
        folder = self.root / "proc" / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "comm").write_text(Path(words[0]).name)
        (folder / "status").write_text("" if rss_mb is None else f"VmRSS: {rss_mb * 1024} kB\n")

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        self.calls.append(tuple(argv))
        what = argv[0]
        if what == "mysql":
            what = "transactions" if "INNODB_TRX" in argv[-1] else "queries"
        answer = self.answers.get(what, GOOD)
        if tuple(argv) == RESTART:
            self.when_restarting()
            if isinstance(answer, Output) and answer.status == 0:
                self.available(300 + self.won_mb)
        if isinstance(answer, HypernodeError):
            raise answer
        return answer

    def release(self, mb: int = 1024, minutes: int = 30, **kwargs: Any) -> Result:
        self.calls.clear()
        tool = Servicectl(self, node="shop1", sleep=self.sleep, clock=lambda: self.now)
        return release(
            self, self.folder, Limits(mb, minutes, wait=3), clock=lambda: self.now, servicectl=tool, **kwargs
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def restarts(self) -> int:
        """How often the last run restarted MySQL."""
        return self.calls.count(RESTART)

    @property
    def state(self) -> Any:
        return json.loads((self.folder / "release-mysql.json").read_text())

    def leave(self, **times: Any) -> None:
        """Write a state as an earlier run would."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {"format_version": 1, "restarted_at": None, "begun_at": None, **times}
        (self.folder / "release-mysql.json").write_text(json.dumps(document))


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))
    return Node(tmp_path)


# The threshold and the restart


@pytest.mark.parametrize(
    ("mb", "more_kib", "what"),
    [(1023, 1023, What.RESTARTED), (1024, 0, What.ENOUGH), (1024, 1, What.ENOUGH), (0, 0, What.RESTARTED)],
)
def test_low_is_below_the_threshold_and_not_at_it(mb: int, more_kib: int, what: What, node: Node):
    node.available(mb, more_kib=more_kib)
    result = node.release(1024)
    assert result.what is what
    assert result.available_kib == mb * 1024 + more_kib
    assert node.restarts == (1 if what is What.RESTARTED else 0)


def test_with_enough_memory_nothing_is_asked_and_nothing_is_written(node: Node):
    node.available(5000)
    assert node.release().what is What.ENOUGH
    assert node.calls == []
    assert not (node.folder / "release-mysql.json").exists()


def test_what_was_won_is_told(node: Node):
    result = node.release()
    assert (result.what, result.why, result.notes, result.unseen) == (What.RESTARTED, "", (), ("the memory of mysql",))
    assert (result.available_kib, result.available_after_kib) == (300 * 1024, 2300 * 1024)
    assert result.mysql_answers is True
    assert result.restarted_at == datetime.fromtimestamp(START, UTC)
    assert node.calls[-2:] == [RESTART, PING]


def test_memory_that_cannot_be_read_after_the_restart_does_not_make_it_a_failure(node: Node):
    node.when_restarting = lambda: setattr(node, "available", lambda mb: (node.root / "proc" / "meminfo").unlink())
    result = node.release()
    assert (result.what, result.available_after_kib) == (What.RESTARTED, None)
    assert node.state["restarted_at"] == at(START)


def test_a_threshold_that_the_node_can_never_reach_is_refused(node: Node):
    node.available(300, total_mb=2048)
    with pytest.raises(InputError) as caught:
        node.release(2048)
    assert str(caught.value) == "2048 MB can never be available: the node has 2048"
    assert node.calls == []
    assert node.release(2047).what is What.RESTARTED
    node.available(300, total_mb=None)
    assert node.release(2048, minutes=1).what is What.COOLING_DOWN, "where the total is not told it is not compared"


@pytest.mark.parametrize(("mb", "minutes"), [(0, 1), (-1, 1), (MOST_MB + 1, 1), (1, 0), (1, -1), (1, MOST_MINUTES + 1)])
def test_numbers_out_of_bounds_are_refused(mb: int, minutes: int):
    with pytest.raises(InputError, match="must be a whole number from 1 to"):
        Limits(mb, minutes, wait=1)


def test_numbers_at_their_bounds_are_taken():
    assert Limits(1, MOST_MINUTES, wait=1).min_available_kib == 1024
    assert Limits(MOST_MB, 1, wait=1)


# The cooldown


@pytest.mark.parametrize(
    ("seconds", "what"),
    [
        (0, What.COOLING_DOWN),
        (30 * MINUTE - 1, What.COOLING_DOWN),
        (30 * MINUTE, What.RESTARTED),
        (1e6, What.RESTARTED),
    ],
)
def test_the_cooldown_is_counted_from_the_end_of_the_last_restart(seconds: float, what: What, node: Node):
    node.when_restarting = lambda: node.sleep(20)
    assert node.release().what is What.RESTARTED
    node.when_restarting = lambda: None
    node.available(300)
    node.now = START + 20 + seconds
    result = node.release()
    assert result.what is what
    assert node.restarts == (1 if what is What.RESTARTED else 0)


def test_how_long_it_still_lasts_is_told(node: Node):
    node.leave(restarted_at=at(START - 10 * MINUTE))
    result = node.release()
    shown = datetime.fromtimestamp(START - 10 * MINUTE).astimezone().isoformat(timespec="seconds")
    assert result.why == f"mysql was restarted at {shown}; the next one can be in 20 minutes"
    assert result.restarted_at == datetime.fromtimestamp(START - 10 * MINUTE, UTC)
    node.leave(restarted_at=at(START - 29 * MINUTE - 15))
    assert node.release().why.endswith("in 45 s")


def test_a_restart_of_an_hour_ago_in_another_zone_is_an_hour_old(node: Node):
    node.leave(restarted_at=datetime.fromtimestamp(START - 3600).astimezone().isoformat())
    assert node.release(minutes=61).what is What.COOLING_DOWN
    assert node.release(minutes=60).what is What.RESTARTED


# A restart that did not work


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        ({RESTART[0]: Output(1, "", "no such unit")}, ToolError, "hypernode-servicectl ended with 1: no such unit"),
        ({RESTART[0]: ToolTimedOut("it did not end")}, OutcomeUnknown, "whether the restart was done is not known"),
        ({RESTART[0]: ToolMissing("there is no tool")}, ToolMissing, "there is no tool"),
        ({PING[0]: Output(1, "", "no")}, ToolError, "mysql was restarted and does not answer within 3 s"),
    ],
    ids=["exit 1", "hangs", "missing", "does not answer"],
)
def test_a_restart_that_did_not_work_is_not_counted_and_the_next_run_tries_again(
    answers: dict[str, Answer], error: type[HypernodeError], says: str, node: Node
):
    before = at(START - 3600)
    node.leave(restarted_at=before)
    node.answers = answers
    failed = node.release()
    assert failed.what is What.FAILED
    assert type(failed.error) is error
    assert says in failed.why
    assert failed.notes == ("it does not count, so the next run tries again",)
    assert (node.state["restarted_at"], node.state["begun_at"]) == (before, None)
    node.available(300)
    node.answers = {}
    node.now += MINUTE
    assert node.release().what is What.RESTARTED
    assert node.restarts == 1


def test_where_nothing_can_ask_mysql_the_tool_s_word_counts(node: Node):
    node.answers = {PING[0]: ToolMissing("no mysqladmin")}
    result = node.release()
    assert (result.what, result.mysql_answers) == (What.RESTARTED, None)
    node.available(300)
    assert node.release().what is What.COOLING_DOWN


def test_a_restart_that_was_cut_off_may_have_been_done_and_counts(node: Node):
    """As by kill -9, or by the oom-killer, which likes what cron starts: else MySQL goes down minute after minute."""

    def die() -> None:
        raise SystemExit

    node.when_restarting = die
    with pytest.raises(SystemExit):
        node.release()
    assert (node.state["restarted_at"], node.state["begun_at"]) == (None, at(START))
    node.when_restarting = lambda: None
    node.now += MINUTE
    result = node.release()
    assert (result.what, node.restarts) == (What.COOLING_DOWN, 0)
    assert " was cut off and may have been done; the next one can be in 29 minutes" in result.why
    node.now += 29 * MINUTE
    assert node.release().what is What.RESTARTED
    assert node.state["begun_at"] is None


def test_the_begin_is_written_down_before_the_restart(node: Node):
    seen: list[Any] = []
    node.when_restarting = lambda: seen.append(node.state)
    node.release()
    assert [state["begun_at"] for state in seen] == [at(START)]
    assert (node.state["restarted_at"], node.state["begun_at"]) == (at(START), None)


def test_what_cannot_be_written_down_is_not_begun(node: Node):
    (node.folder / "release-mysql.json").mkdir(parents=True)
    result = node.release()
    assert (result.what, node.restarts) == (What.FAILED, 0)
    assert "cannot be written: " in result.why
    assert result.why.endswith("; nothing was restarted")


def test_an_end_that_cannot_be_written_down_leaves_the_begin_which_counts(node: Node):
    def break_disk() -> None:
        (node.folder / "release-mysql.json").rename(node.folder / "kept")
        (node.folder / "release-mysql.json").mkdir()

    node.when_restarting = break_disk
    result = node.release()
    assert result.what is What.RESTARTED
    assert len(result.notes) == 1
    assert result.notes[0].startswith("how the restart ended could not be written down (")
    (node.folder / "release-mysql.json").rmdir()
    (node.folder / "kept").rename(node.folder / "release-mysql.json")
    node.available(300)
    assert node.release().what is What.COOLING_DOWN


def test_begin_restart_and_record_are_shielded_together(node: Node):
    inside: list[bool] = []
    open_ = False

    @contextmanager
    def shield() -> Iterator[None]:
        nonlocal open_
        open_ = True
        yield
        open_ = False
        assert node.state["begun_at"] is None

    make: Callable[[], AbstractContextManager[object]] = shield
    node.when_restarting = lambda: inside.append(open_)
    node.release(shield=make)
    assert (inside, open_) == ([True], False)


# The state of earlier runs, which somebody may have tampered with


@pytest.mark.parametrize("key", ["restarted_at", "begun_at"])
def test_a_state_from_the_future_counts_as_none_and_is_told(key: str, node: Node):
    node.leave(**{key: at(START + 1)})
    result = node.release()
    assert result.what is What.RESTARTED
    assert "has a time in the future, which is not used: the clock was set back" in result.notes[0]
    assert node.state["restarted_at"] == at(START)
    node.available(300)
    assert node.release().notes == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"restarted_at": null}',
        b'{"restarted_at": 1795000000, "begun_at": null}',
        b'{"restarted_at": "soon", "begun_at": null}',
        b'{"restarted_at": "2026-11-25T03:10:00", "begun_at": null}',
        b'{"restarted_at": "0001-01-01T00:00:00+14:00", "begun_at": null}',
        b"[" * 5000,
        b"9" * 5000,
    ],
    ids=lambda raw: str(raw[:40]),
)
def test_a_damaged_state_counts_as_none_and_is_told(raw: bytes, node: Node):
    node.leave()
    (node.folder / "release-mysql.json").write_bytes(raw)
    result = node.release()
    assert result.what is What.RESTARTED
    assert result.notes == (f"{node.folder / 'release-mysql.json'} is damaged and not used",)
    node.available(300)
    assert node.release().what is What.COOLING_DOWN


def test_a_symbolic_link_at_the_state_s_place_is_not_followed(node: Node):
    elsewhere = node.root / "elsewhere.json"
    elsewhere.write_text(json.dumps({"restarted_at": at(START - 1), "begun_at": None}))
    before = (elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns)
    node.folder.mkdir(parents=True)
    (node.folder / "release-mysql.json").symlink_to(elsewhere)
    result = node.release()
    assert result.what is What.RESTARTED, "what it leads to does not block a restart"
    assert result.notes[0].endswith("is not used (a symbolic link, which is not followed)")
    assert (elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns) == before
    assert not (node.folder / "release-mysql.json").is_symlink()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("to", ["elsewhere", "nowhere"])
def test_a_symbolic_link_at_the_folder_s_place_is_not_followed(to: str, dry_run: bool, node: Node):
    elsewhere = node.root / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    node.folder.parent.mkdir(parents=True)
    node.folder.symlink_to(node.root / to)
    result = node.release(dry_run=dry_run)
    assert (result.what, node.calls) == (What.FAILED, [])
    assert result.why == f"{node.folder} is a symbolic link, which is not followed; nothing was restarted"
    assert list(elsewhere.iterdir()) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    assert not (node.root / "nowhere").exists()


def test_a_symbolic_link_at_the_lock_s_place_is_not_followed(node: Node):
    elsewhere = node.root / "elsewhere"
    elsewhere.write_text("precious")
    node.folder.mkdir(parents=True)
    (node.folder / "release-mysql.lock").symlink_to(elsewhere)
    result = node.release()
    assert (result.what, node.restarts) == (What.FAILED, 0)
    assert result.why.endswith("; nothing was restarted")
    assert elsewhere.read_text() == "precious"


def test_a_pipe_at_the_state_s_place_does_not_make_it_wait_for_ever(node: Node):
    node.folder.mkdir(parents=True)
    os.mkfifo(node.folder / "release-mysql.json")
    result = node.release()
    assert result.what is What.RESTARTED
    assert result.notes[0].endswith("is not used (it is no file)")


def test_a_folder_that_others_could_write_into_is_closed_to_them(node: Node):
    node.folder.mkdir(parents=True)
    node.folder.chmod(0o777)
    node.release()
    assert node.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in node.folder.iterdir()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_folder_of_another_user_is_not_used(dry_run: bool, node: Node):
    node.folder.mkdir(parents=True)
    os.chown(node.folder, 12345, -1)
    result = node.release(dry_run=dry_run)
    assert (result.what, node.calls) == (What.FAILED, [])
    assert result.why == f"{node.folder} belongs to another user; nothing was restarted"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_place_where_no_folder_can_be_is_told(dry_run: bool, node: Node):
    node.folder.parent.write_text("a file")
    result = node.release(dry_run=dry_run)
    assert (result.what, node.calls) == (What.FAILED, [])
    assert result.why == f"{node.folder} cannot be used: Not a directory; nothing was restarted"


def test_who_does_not_get_the_lock_restarts_nothing(node: Node):
    node.folder.mkdir(parents=True)
    with FileLock(node.folder / "release-mysql.lock"):
        result = node.release()
        assert (result.what, result.why) == (What.DEFERRED, "another run is at it")
        assert node.calls == []
    assert node.release().what is What.RESTARTED


# What a restart would break


def test_a_dump_is_not_broken_and_mysql_is_not_even_asked(node: Node):
    node.process(4242, "/usr/bin/mysqldump", "-pSECRET", "shop")
    result = node.release()
    assert (result.what, result.why) == (What.DEFERRED, "mysqldump (pid 4242) is running")
    assert node.calls == []
    node.process(4243, "php", "bin/magento", "setup:upgrade")
    assert node.release().why == "mysqldump (pid 4242), setup:upgrade (pid 4243) are running"
    assert not (node.folder / "release-mysql.json").exists()


@pytest.mark.parametrize(
    ("what", "out", "why"),
    [
        ("transactions", "59\n61\n", "a transaction of mysql has been running for 61 s"),
        ("transactions", "3600\n", "a transaction of mysql has been running for 60 minutes"),
        ("queries", "300 s: ALTER TABLE x\n3 s: SELECT 1\n", "a query of mysql has been running for 5 minutes"),
    ],
)
def test_a_long_transaction_or_query_is_not_broken(what: str, out: str, why: str, node: Node):
    node.answers = {what: Output(0, out, "")}
    result = node.release()
    assert (result.what, result.why, node.restarts) == (What.DEFERRED, why, 0)


@pytest.mark.parametrize(("what", "out"), [("transactions", "60\n"), ("queries", "60 s: SELECT 1\nNULL\n")])
def test_a_short_transaction_or_query_is_no_reason_to_wait(what: str, out: str, node: Node):
    node.answers = {what: Output(0, out, "")}
    assert node.release().what is What.RESTARTED


def test_what_cannot_be_seen_is_told_and_is_no_reason_to_wait(node: Node):
    node.answers = {"transactions": Output(1, "", "Access denied"), "queries": ToolMissing("no mysql")}
    (node.root / "proc" / "1" / "cmdline").unlink()
    node.process(77, "sh")
    result = node.release()
    assert result.what is What.RESTARTED
    assert result.unseen == ("processes of other users", "the memory of mysql", "transactions", "queries")


@pytest.mark.parametrize(("rss_mb", "what"), [(723, What.DEFERRED), (724, What.RESTARTED), (5000, What.RESTARTED)])
def test_a_restart_that_cannot_bring_enough_is_not_made(rss_mb: int, what: What, node: Node):
    """With 300 MB available and 1024 wanted, MySQL has to hold 724 or more."""
    node.process(900, "/usr/sbin/mysqld", rss_mb=rss_mb)
    result = node.release(1024)
    assert result.what is what
    assert result.mysql_kib == rss_mb * 1024
    if what is What.DEFERRED:
        assert result.why == (
            "a restart cannot help: mysql has 723 MB, and 1023 with all of it are too few; something else takes the "
            "memory"
        )


def test_what_mysql_had_and_has_is_told(node: Node):
    node.process(900, "/usr/sbin/mysqld", rss_mb=5000)
    node.when_restarting = lambda: node.process(900, "/usr/sbin/mysqld", rss_mb=400)
    result = node.release()
    assert (result.mysql_kib, result.mysql_after_kib, result.unseen) == (5000 * 1024, 400 * 1024, ())


# A dry run


def test_a_dry_run_ends_as_the_run_would_and_does_nothing(node: Node):
    assert node.release(dry_run=True).what is What.WOULD_RESTART
    assert node.restarts == 0
    assert not node.folder.parent.exists()
    node.process(4242, "mysqldump")
    assert node.release(dry_run=True).what is What.DEFERRED
    node.leave(restarted_at=at(START - 1))
    before = node.state
    assert node.release(dry_run=True).what is What.COOLING_DOWN
    node.available(5000)
    assert node.release(dry_run=True).what is What.ENOUGH
    assert node.state == before
    assert [path.name for path in node.folder.iterdir()] == ["release-mysql.json"]


# What cannot be measured


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: path.write_text("MemFree: 5 kB\n"), "it has no MemAvailable"),
        (lambda path: path.write_text("MemAvailable: ? kB\n"), "which is no number of kB"),
        (lambda path: path.write_bytes(b"\xff\xfe\0"), "it has no MemAvailable"),
    ],
    ids=["missing", "old kernel", "odd", "not text"],
)
def test_memory_that_cannot_be_read_is_a_failure_and_not_enough(
    damage: Callable[[Path], object], says: str, dry_run: bool, node: Node
):
    damage(node.root / "proc" / "meminfo")
    result = node.release(dry_run=dry_run)
    assert (result.what, result.available_kib, node.calls) == (What.FAILED, None, [])
    assert says in result.why
