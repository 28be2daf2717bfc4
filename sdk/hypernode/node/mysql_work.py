"""What a restart of MySQL would break, as far as it can be seen: processes of the node, and open transactions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypernode.errors import ToolMissing, ToolTimedOut
from hypernode.node.processes import list_pids, read_process
from hypernode.node.shell import Shell

_ASK_TIMEOUT = 10.0
_TRANSACTIONS = (
    "SET time_zone = 'SYSTEM'; "  # trx_started is in the system's, whatever the session's is
    "SELECT TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.INNODB_TRX ORDER BY trx_started"
)

# What a restart of MySQL would break, by the name of the process.
_DUMPS = {
    *("mysqldump", "mariadb-dump", "mysqlpump", "mydumper"),
    *("xtrabackup", "innobackupex", "mariabackup", "mariadb-backup"),
    *("myloader", "mysqlimport", "mariadb-import"),
}
_CLIENTS = {"mysql", "mariadb"}  # only with a file or a pipe to read from, as in `mysql < dump.sql`
_STATEMENT = re.compile("--execute|-[ABENrstv]*e")  # -e, also behind flags without a value, as in -Nse
# By a word of the command line of PHP: Magento's bin/magento, and n98-magerun2.
_PHP_JOBS = {
    *("setup:upgrade", "setup:install", "setup:db-schema:upgrade", "setup:db-data:upgrade", "indexer:reindex"),
    *("db:dump", "db:import"),
}
_SERVERS = {"mysqld", "mariadbd"}


@dataclass(frozen=True, slots=True)
class Processes:
    """What the processes of a node tell."""

    busy: tuple[str, ...]
    """Those that a restart of MySQL would break, each as ``NAME (pid PID)``."""
    mysql_kib: int | None
    """What MySQL has in memory; None when no server is seen."""
    unseen: tuple[str, ...]


def look_at_processes(proc: Path) -> Processes:
    """Look for what a restart of MySQL would break, and for MySQL, in a folder such as /proc."""
    busy: list[str] = []
    mysql_kib: int | None = None
    for pid in _pids(proc):
        try:
            words = [word.decode(errors="replace") for word in (proc / str(pid) / "cmdline").read_bytes().split(b"\0")]
            comm = (proc / str(pid) / "comm").read_text("utf-8", "replace").rstrip("\n")
        except OSError:  # it has ended, or is hidden
            continue
        if not words[0]:  # the kernel's own, or a zombie
            continue
        names = {os.path.basename(words[0]), comm}  # a script's own name is in comm alone
        if names & _SERVERS:
            if (server := read_process(proc, pid)) is not None and server.rss_kib is not None:
                mysql_kib = (mysql_kib or 0) + server.rss_kib
        elif name := _breakable(names, words, proc / str(pid)):
            busy.append(f"{name} (pid {pid})")
    return Processes(tuple(busy), mysql_kib, _hidden(proc))


def _pids(proc: Path) -> list[int]:
    try:
        return list_pids(proc)
    except OSError:
        return []


def _breakable(names: set[str], words: list[str], process: Path) -> str | None:
    """Return what to call a process that a restart would break; never its command line, which may hold a password."""
    if dump := sorted(names & _DUMPS):
        return dump[0]
    if client := sorted(names & _CLIENTS):
        return f"{client[0]} with an import" if _reads_a_file(words, process) else None
    if any(name.startswith(("php", "n98-magerun", "magerun")) for name in names):
        return next((word for word in words[1:] if word in _PHP_JOBS), None)
    return None


def _reads_a_file(words: list[str], process: Path) -> bool:
    """Tell whether a client of MySQL is fed by a file or a pipe, and was not started for one statement.

    Of other users' processes that cannot be seen; their transactions can.
    """
    if any(_STATEMENT.match(word) for word in words[1:]):
        return False
    try:
        source = os.readlink(process / "fd" / "0")
    except OSError:
        return False
    return source.startswith(("pipe:", "socket:", "/")) and not source.startswith("/dev/")  # a socket: over SSH


def _hidden(proc: Path) -> tuple[str, ...]:
    """Tell what is not in `proc`: the first process is root's and always there, unless hidepid= hides it."""
    try:
        (proc / "1" / "cmdline").read_bytes()
    except OSError:
        return ("processes of other users",) if _pids(proc) else ("processes",)
    return ()


def open_transactions(shell: Shell) -> list[int] | None:
    """Return the seconds that each transaction of InnoDB has been open; None when they cannot be seen."""
    argv = ["mysql", "--batch", "--skip-column-names", f"--execute={_TRANSACTIONS}"]
    try:
        answer = shell.run(argv, timeout=_ASK_TIMEOUT)
    except (ToolMissing, ToolTimedOut):
        return None
    return None if answer.status else ages_of(answer.out.split("\n"))


def ages_of(lines: Iterable[str] | None) -> list[int] | None:
    """Return the seconds that lines begin with; others, as of a replica's own threads, are passed over."""
    if lines is None:
        return None
    numbers = [line.partition(" ")[0] for line in lines]
    return [int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) <= 9]
