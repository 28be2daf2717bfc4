"""Write four made-up shops that ran out of memory, or seem to have, as trees of logs.

    nightly      an import and a backup run together each night; php is killed, and MySQL is what grew
    one-task     a resize of images takes the memory of all others, and is killed for it
    php-limits   nothing was killed: PHP's own memory_limit was reached
    too-little   two kills, and nothing that tells who used the memory

Each is a node's file system: HNCTL_NODE_ROOT=examples/incident/nightly hnctl oom explain. All of it is made up, from
the formats alone, and comes out the same each time: python examples/incident/make.py [FOLDER]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
RAM_PAGES = 4_120_000
"""16 GB, as the kernel counts them."""
FIRST_NIGHT = datetime(2026, 11, 16, 3, 0)
NIGHTS = 7
USABLE = 3_930_000
"""Pages that processes can have of it, with those that they share counted several times."""
MIB = 256
"""Pages."""
MAGENTO = "/data/web/magento2/vendor/magento"


@dataclass(frozen=True)
class Process:
    """One row of a report's table."""

    pid: int
    name: str
    uid: int
    rss: int
    """Pages."""
    adj: int


class Node:
    """The logs of one node, written line by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = random.Random(name)
        self.lines: dict[str, list[tuple[datetime, str]]] = {}
        self.booted = FIRST_NIGHT - timedelta(days=40, seconds=1234)

    def log(self, path: str, at: datetime, text: str) -> None:
        """Add `text`, of one or more lines, to the log at `path`."""
        self.lines.setdefault(path, []).append((at, text))

    def kernel(self, at: datetime, text: str) -> None:
        """Add a line of the kernel."""
        uptime = (at - self.booted).total_seconds()
        self.log(
            "var/log/kern.log", at, f"{at.isoformat(timespec='microseconds')}+00:00 shop kernel: [{uptime:.6f}] {text}"
        )

    def firewall(self, begin: datetime, end: datetime, count: int) -> None:
        """Add lines of the firewall between two moments."""
        for _ in range(count):
            at = begin + timedelta(microseconds=self.random.randrange(int((end - begin).total_seconds() * 1e6)))
            source = f"203.0.113.{self.random.randrange(1, 255)}"
            port = self.random.choice((22, 23, 445, 3306, 6379, 8080))
            self.kernel(
                at,
                f"[UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56 SRC={source} DST=192.0.2.10 LEN=40 TOS=0x00 PREC=0x00 "
                f"TTL=241 ID={self.random.randrange(65536)} PROTO=TCP SPT={self.random.randrange(1024, 65536)} "
                f"DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0",
            )

    def cron(self, at: datetime, command: str) -> None:
        """Add the start of a cron job."""
        pid = self.random.randrange(10_000, 90_000)
        stamp = f"{at.isoformat(timespec='microseconds')}+00:00"
        self.log("var/log/syslog", at, f"{stamp} shop CRON[{pid}]: (app) CMD ({command})")

    def slow_query(self, at: datetime, seconds: float, rows: int, statement: str) -> None:
        """Add a slow query of MySQL that ended at `at`."""
        self.log(
            "var/log/mysql/mysql-slow.log",
            at,
            f"# Time: {at.isoformat(timespec='microseconds')}Z\n# User@Host: app[app] @ localhost []  Id: "
            f"{self.random.randrange(1000, 9999)}\n# Query_time: {seconds:.6f}  Lock_time: 0.000123 Rows_sent: 1  "
            f"Rows_examined: {rows}\nSET timestamp={int((at - datetime(1970, 1, 1)).total_seconds())};\n{statement};",
        )

    def magento(self, name: str, at: datetime, text: str) -> None:
        """Add a line to one of Magento's logs."""
        self.log(f"data/web/public/var/log/{name}", at, f"[{at.isoformat(timespec='microseconds')}+00:00] {text} [] []")

    def php_fpm(self, at: datetime, text: str) -> None:
        """Add a line to php-fpm's own log."""
        self.log("var/log/php-fpm/php-fpm.log", at, f"[{at:%d-%b-%Y %H:%M:%S}] {text}")

    def php_slow(self, at: datetime, pid: int, frames: Iterable[str]) -> None:
        """Add a trace of a slow request."""
        trace = "\n".join(f"[0x00007f2a1c01{n:04x}] {frame}" for n, frame in enumerate(frames))
        head = f"\n[{at:%d-%b-%Y %H:%M:%S}]  [pool www] pid {pid}\nscript_filename = /data/web/public/index.php\n"
        self.log("var/log/php-fpm/php-slow.log", at, head + trace)

    def out_of_memory(self, at: datetime, trigger: str, processes: list[Process], victim: Process) -> None:
        """Add a report of the oom-killer, as a kernel 6.1 writes it."""
        lines = [
            f"{trigger} invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
            f"CPU: 2 PID: {victim.pid - 7} Comm: {trigger} Not tainted 6.1.0-28-amd64 #1  Debian 6.1.119-1",
            "Hardware name: OpenStack Foundation OpenStack Nova, BIOS 1.15.0-1 04/01/2014",
            "Call Trace:",
            " <TASK>",
            " dump_stack_lvl+0x44/0x5c",
            " dump_header+0x4a/0x211",
            " oom_kill_process.cold+0xb/0x10",
            " out_of_memory+0x1fd/0x4c0",
            " __alloc_pages_slowpath.constprop.0+0xc73/0xe20",
            " </TASK>",
            "Mem-Info:",
            f"active_anon:{RAM_PAGES // 20} inactive_anon:{RAM_PAGES * 17 // 20} isolated_anon:0",
            "Free swap  = 0kB",
            "Total swap = 0kB",
            f"{RAM_PAGES} pages RAM",
            "0 pages HighMem/MovableOnly",
            "Tasks state (memory values in pages):",
            "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
            *(
                f"[{one.pid:7d}] {one.uid:5d} {one.pid:5d} {one.rss * 2 + 9000:8d} {one.rss:8d} "
                f"{one.rss * 9 + 57344:8d} {0:8d} {one.adj:13d} {one.name}"
                for one in sorted(processes, key=lambda one: one.pid)
            ),
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
            f"task_memcg=/app.slice,task={victim.name},pid={victim.pid},uid={victim.uid}",
            f"Out of memory: Killed process {victim.pid} ({victim.name}) total-vm:{victim.rss * 8 + 36000}kB, "
            f"anon-rss:{victim.rss * 4 - 2000}kB, file-rss:2000kB, shmem-rss:0kB, UID:{victim.uid} "
            f"pgtables:{victim.rss * 9 // 1024 + 56}kB oom_score_adj:{victim.adj}",
        ]
        for number, line in enumerate(lines):
            self.kernel(at + timedelta(microseconds=40 * number), line)
        reaped = (
            f"oom_reaper: reaped process {victim.pid} ({victim.name}), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"
        )
        self.kernel(at + timedelta(milliseconds=90), reaped)

    def write(self, folder: Path) -> None:
        """Write the logs below a folder of this node's name, each in order of time."""
        for path, lines in self.lines.items():
            file = folder / self.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = "\n".join(text for _, text in sorted(lines, key=lambda line: line[0]))
            file.write_text(text + "\n", encoding="utf-8")


def shop(node: Node, *, mysql_mib: int, workers: int = 12) -> list[Process]:
    """Return the processes that always run, with some chance in their sizes."""
    about = node.random.randint
    return [
        Process(1, "systemd", 0, 3_000, 0),
        Process(412, "systemd-journal", 0, about(9_000, 14_000), -250),
        Process(700, "sshd", 0, 2_100, -1000),
        Process(811, "cron", 0, 800, 0),
        Process(1033, "mysqld", 112, mysql_mib * MIB + about(-2000, 2000), -1000),
        Process(1100, "redis-server", 113, about(640, 700) * MIB, -900),
        Process(1180, "java", 114, about(1_900, 1_960) * MIB, -900),
        Process(1240, "nginx", 0, 2_400, -1000),
        *(Process(1241 + n, "nginx", 33, about(4_000, 7_000), 1000) for n in range(3)),
        Process(1300, "php-fpm8.3", 0, 9_000, -1000),
        *(Process(1400 + n, "php-fpm8.3", 1000, about(88, 131) * MIB, -1000) for n in range(workers)),
        Process(1500, "supervisord", 0, 6_000, 0),
        *(Process(1510 + n, "php8.3", 1000, about(110, 150) * MIB, 1000) for n in range(3)),
    ]


def nightly() -> Node:
    """Write a week of nights in which an import and a backup meet, and MySQL has grown with each."""
    node = Node("nightly")
    import_job = "php /data/web/magento2/bin/magento import:products --all"
    backup_job = "/data/web/bin/backup.sh"
    for night in range(NIGHTS):
        begin = FIRST_NIGHT + timedelta(days=night)
        node.firewall(begin - timedelta(hours=3), begin + timedelta(hours=3), 60)
        for minute in range(-30, 60, 5):
            node.cron(begin + timedelta(minutes=minute, seconds=1), "php /data/web/magento2/bin/magento cron:run")
        node.cron(begin + timedelta(minutes=4, seconds=1), import_job)
        node.cron(begin + timedelta(minutes=5, seconds=1), backup_job)
        mysql_mib = 6_400 + 500 * night
        query = begin + timedelta(minutes=8, seconds=node.random.randrange(60))
        node.slow_query(
            query,
            node.random.uniform(70, 140),
            node.random.randrange(9_000_000, 12_000_000),
            "SELECT `e`.*, `price`.`value` FROM `catalog_product_entity` AS `e` "
            "LEFT JOIN `catalog_product_index_price` AS `price` ON `price`.`entity_id` = `e`.`entity_id` "
            "WHERE `e`.`sku` IN ('KAAS-OUD-500', 'KAAS-JONG-1000')",
        )
        if night == 1:
            continue  # it went well
        at = begin + timedelta(minutes=11, seconds=node.random.randrange(180), microseconds=123_456)
        always = shop(node, mysql_mib=mysql_mib)
        left = USABLE - sum(one.rss for one in always)  # the import goes on until there is no more
        importer = Process(21_000 + night, "php8.3", 1000, left, 1000)
        dump = [
            Process(21_300 + night, "mysqldump", 1000, 48 * MIB, 1000),
            Process(21_301 + night, "gzip", 1000, 1 * MIB, 1000),
        ]
        processes = [*always, importer, *dump]
        node.out_of_memory(at, "php-fpm8.3", processes, importer)
        node.magento(
            "system.log",
            at + timedelta(seconds=2),
            "main.ERROR: Cron Job import_products has an error: the process was ended. Statistics: {}",
        )
        node.php_slow(
            at - timedelta(seconds=40),
            1402,
            (
                f"execute() {MAGENTO}/framework/DB/Statement/Pdo/Mysql.php:91",
                f"fetchAll() {MAGENTO}/module-catalog/Model/ResourceModel/Product/Collection.php:1520",
            ),
        )
    return node


def one_task() -> Node:
    """Write a day on which a resize of all images took most of the memory and was killed."""
    node = Node("one-task")
    at = datetime(2026, 11, 19, 14, 32, 7, 654_321)
    node.firewall(at - timedelta(hours=2), at + timedelta(hours=1), 80)
    task = Process(30_412, "php8.3", 1000, 9_400 * MIB, 1000)
    node.out_of_memory(at, "php8.3", [*shop(node, mysql_mib=2_300, workers=8), task], task)
    node.cron(datetime(2026, 11, 19, 14, 24, 1), "php /data/web/magento2/bin/magento catalog:images:resize")
    for minute in range(0, 60, 5):
        started = datetime(2026, 11, 19, 14, minute, 1)
        node.cron(started, "php /data/web/magento2/bin/magento cron:run")
    return node


def php_limits() -> Node:
    """Write a day on which requests reached PHP's memory_limit, and the kernel killed nothing."""
    node = Node("php-limits")
    begin = datetime(2026, 11, 20, 9, 0)
    node.firewall(begin, begin + timedelta(hours=8), 80)
    for hour in range(8):
        at = begin + timedelta(hours=hour, minutes=node.random.randrange(60), seconds=node.random.randrange(60))
        fatal = "Allowed memory size of 792723456 bytes exhausted (tried to allocate 54525984 bytes)"
        node.php_fpm(at, f"PHP Fatal error:  {fatal} in {MAGENTO}/framework/Image/Adapter/Gd2.php on line 78")
        node.magento("exception.log", at + timedelta(minutes=7), "main.CRITICAL: Could not save the product image")
    return node


def too_little() -> Node:
    """Write two kills of which the log kept a line each."""
    node = Node("too-little")
    for at, pid in (
        (datetime(2026, 11, 12, 11, 2, 3, 400_000), 8_123),
        (datetime(2026, 11, 18, 22, 47, 51, 900_000), 77_410),
    ):
        node.firewall(at - timedelta(hours=2), at + timedelta(hours=1), 40)
        node.kernel(
            at,
            f"Out of memory: Killed process {pid} (php8.3) total-vm:912345kB, anon-rss:401234kB, file-rss:2000kB, "
            "shmem-rss:0kB, UID:1000 pgtables:1372kB oom_score_adj:1000",
        )
    return node


def main() -> None:
    """Write all of them, beside this file if no folder is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for make in (nightly, one_task, php_limits, too_little):
        make().write(folder)


if __name__ == "__main__":
    main()
