"""What a restart of MySQL would break, seen in a folder made like /proc, and what MySQL says itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hypernode.errors import HypernodeError, ToolMissing, ToolTimedOut
from hypernode.node.mysql_work import ages_of, look_at_processes, open_transactions
from hypernode.node.shell import Output


def process(
    proc: Path, pid: int, *words: str, comm: str | None = None, stdin: str = "/dev/null", rss: str | None = None
) -> None:
    """Let there be a process; its `comm` is as the kernel cuts it."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "comm").write_text(f"{(comm or Path(words[0]).name)[:15]}\n")
    (folder / "status").write_text(f"Name:\tx\n{rss or ''}\n")
    (folder / "fd" / "0").symlink_to(stdin)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine on which nothing of interest runs."""
    folder = tmp_path / "proc"
    process(folder, 1, "/sbin/init")
    process(folder, 2, "", comm="kthreadd")
    process(folder, 300, "nginx: worker process")
    process(folder, 301, "php-fpm: pool www", comm="php-fpm8.3")
    process(folder, 302, "php", "/data/web/magento2/bin/magento", "queue:consumers:start", "product_action")
    (folder / "self").symlink_to("300")
    (folder / "meminfo").write_text("MemAvailable: 5 kB\n")
    return folder


def test_an_idle_machine_has_nothing_to_break(proc: Path):
    seen = look_at_processes(proc)
    assert (seen.busy, seen.mysql_kib, seen.unseen) == ((), None, ())


@pytest.mark.parametrize(
    ("words", "comm", "told"),
    [
        (["mysqldump", "--single-transaction", "-pSECRET", "shop"], None, "mysqldump"),
        (["/usr/bin/mariadb-dump", "shop"], None, "mariadb-dump"),
        (["mydumper", "-o", "/data"], None, "mydumper"),
        (["xtrabackup", "--backup"], None, "xtrabackup"),
        (["/usr/bin/perl", "/usr/bin/innobackupex", "/data"], "innobackupex", "innobackupex"),
        (["mariabackup"], "mariabackup", "mariabackup"),
        (["myloader"], None, "myloader"),
        (["php", "bin/magento", "setup:upgrade", "--keep-generated"], None, "setup:upgrade"),
        (["/usr/bin/php8.3", "-d", "memory_limit=-1", "bin/magento", "indexer:reindex"], None, "indexer:reindex"),
        (["php", "/usr/bin/n98-magerun2", "db:dump"], None, "db:dump"),
    ],
    ids=str,
)
def test_dumps_backups_and_jobs_of_magento_are_seen_by_name_and_without_their_options(
    words: list[str], comm: str | None, told: str, proc: Path
):
    process(proc, 4242, *words, comm=comm)
    assert look_at_processes(proc).busy == (f"{told} (pid 4242)",)


@pytest.mark.parametrize(
    ("words", "comm"),
    [
        (["vim", "mysqldump"], None),
        (["grep", "setup:upgrade"], None),
        (["mysqldumpslow", "/var/log/mysql/slow.log"], None),
        (["/data/web/mysqldump/run"], None),
        (["php", "bin/magento", "cron:run", "--note=setup:upgrade"], None),
        (["mysqld_exporter"], None),
    ],
    ids=str,
)
def test_what_only_mentions_them_is_no_reason_to_wait(words: list[str], comm: str | None, proc: Path):
    process(proc, 4242, *words, comm=comm)
    seen = look_at_processes(proc)
    assert (seen.busy, seen.mysql_kib) == ((), None)


@pytest.mark.parametrize(
    ("words", "stdin", "busy"),
    [
        (["mysql", "shop"], "/data/web/dump.sql", True),
        (["mysql", "-uedward", "shop"], "/data/web/dump.sql", True),
        (["mariadb"], "pipe:[1234]", True),
        (["mysql", "shop"], "socket:[77]", True),
        (["mysql", "shop"], "/dev/pts/3", False),
        (["mysql", "shop"], "/dev/null", False),
        (["mysql", "-e", "SELECT 1"], "pipe:[1234]", False),
        (["mysql", "-Nse", "SELECT 1"], "pipe:[1234]", False),
        (["mysql", "--execute=SELECT 1"], "pipe:[1234]", False),
    ],
    ids=str,
)
def test_a_client_that_is_fed_by_a_file_or_a_pipe_is_an_import(words: list[str], stdin: str, busy: bool, proc: Path):
    process(proc, 4242, *words, stdin=stdin)
    assert look_at_processes(proc).busy == ((f"{words[0]} with an import (pid 4242)",) if busy else ())


def test_several_come_in_order(proc: Path):
    process(proc, 10000, "mysqldump")
    process(proc, 999, "mydumper")
    assert look_at_processes(proc).busy == ("mydumper (pid 999)", "mysqldump (pid 10000)")


def test_what_has_ended_but_was_not_waited_for_runs_no_more(proc: Path):
    process(proc, 4242, "", comm="mysqldump")
    (proc / "4242" / "cmdline").write_bytes(b"")
    assert look_at_processes(proc).busy == ()


def test_a_process_that_ends_meanwhile_is_passed_over(proc: Path):
    process(proc, 4242, "mysqldump")
    (proc / "4242" / "comm").unlink()
    assert look_at_processes(proc).busy == ()


def test_the_memory_of_all_servers_of_mysql_is_summed_up(proc: Path):
    process(proc, 500, "/usr/sbin/mysqld", "--defaults-file=x", rss="VmHWM:\t 9 kB\nVmRSS:\t 5242880 kB")
    process(proc, 501, "/usr/sbin/mariadbd", rss="VmRSS:\t 1024 kB")
    assert look_at_processes(proc).mysql_kib == 5243904


@pytest.mark.parametrize("rss", [None, "VmRSS:", "VmRSS: much"])
def test_a_server_whose_memory_is_not_told_is_not_one_without_memory(rss: str | None, proc: Path):
    process(proc, 500, "/usr/sbin/mysqld", rss=rss)
    assert look_at_processes(proc).mysql_kib is None


@pytest.mark.parametrize("how", ["gone", "unreadable"])
def test_hidden_processes_of_other_users_are_told(how: str, proc: Path):
    """As /proc is with hidepid=2 and with hidepid=1."""
    (proc / "1" / "cmdline").unlink()
    if how == "gone":
        (proc / "1" / "comm").unlink()
    assert look_at_processes(proc).unseen == ("processes of other users",)


def test_without_any_process_that_is_told(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "none"):
        seen = look_at_processes(folder)
        assert (seen.busy, seen.mysql_kib, seen.unseen) == ((), None, ("processes",))


def test_the_real_proc_can_be_looked_at():
    assert isinstance(look_at_processes(Path("/proc")).busy, tuple)


class Mysql:
    """Answers `mysql` and nothing else."""

    def __init__(self, answer: Output | HypernodeError) -> None:
        self.answer = answer
        self.asked: tuple[Sequence[str], float] | None = None

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        self.asked = (argv, timeout)
        if isinstance(self.answer, HypernodeError):
            raise self.answer
        return self.answer


def test_transactions_come_with_their_age():
    mysql = Mysql(Output(0, "301\n4\n", "warning"))
    assert open_transactions(mysql) == [301, 4]
    assert mysql.asked is not None
    argv, timeout = mysql.asked
    assert (argv[0], timeout) == ("mysql", 10)
    assert "SET time_zone = 'SYSTEM'" in argv[-1]
    assert "information_schema.INNODB_TRX" in argv[-1]
    assert open_transactions(Mysql(Output(0, "", ""))) == []


@pytest.mark.parametrize(
    "answer", [Output(1, "4\n", "ERROR 1227: Access denied"), ToolMissing("no mysql"), ToolTimedOut("busy")]
)
def test_transactions_that_cannot_be_seen_are_none(answer: Output | HypernodeError):
    assert open_transactions(Mysql(answer)) is None


def test_lines_without_an_age_are_passed_over():
    assert ages_of(["12 s: SELECT 1", "NULL", "", "-3 s: x", "9" * 40, "٣ s: y"]) == [12]
    assert ages_of(None) is None
