"""A kern.log of a node behind a firewall: blocked packets without end, and a report of the oom-killer now and then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

_BEGIN = datetime(2024, 3, 1)
_SERVICES = ("php-fpm", "php-fpm", "php-fpm", "nginx", "mysqld", "redis-server", "sshd", "php", "varnishd", "cron")
_STACK = (
    "CPU: 1 PID: 21390 Comm: php-fpm Not tainted 6.1.0-18-amd64 #1  Debian 6.1.76-1",
    "Call Trace:",
    " <TASK>",
    *(f" function_number_{number}+0x{number:x}f/0x2d0" for number in range(24)),
    " </TASK>",
    "Mem-Info:",
    "active_anon:1413442 inactive_anon:1509191 isolated_anon:0",
    "Node 0 Normal free:61900kB boost:8192kB min:61948kB low:75384kB high:88820kB active_anon:1529368kB",
    "Free swap  = 84kB",
    "Total swap = 999420kB",
    "4115400 pages RAM",
    "Tasks state (memory values in pages):",
    "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
)
_ROWS = 80
_LINES_AT_ONCE = 5_000


def write_log(path: Path, *, size: int, events: int) -> None:
    """Write a log of about `size` bytes with so many events, spread evenly; it is the same each time."""
    dice = random.Random(7)
    seconds, written, told = 0.0, 0, 0
    with path.open("w") as file:
        while written < size:
            lines = list(_blocked(dice, seconds))
            seconds += _LINES_AT_ONCE / 20
            if told < events and written >= told * size // events:
                lines += _report(dice, seconds)
                told += 1
            written += file.write("".join(lines))
        for _ in range(told, events):
            file.write("".join(_report(dice, seconds)))


def _prefix(seconds: float) -> str:
    when = _BEGIN + timedelta(seconds=seconds)
    return f"{when:%b} {when.day:2d} {when:%H:%M:%S} shop kernel: [{seconds + 928270.384548:.6f}] "


def _blocked(dice: random.Random, seconds: float) -> Iterator[str]:
    """Yield lines of the firewall: what a log is nearly all of."""
    draw = dice.getrandbits
    for number in range(_LINES_AT_ONCE):
        if number % 20 == 0:
            prefix = _prefix(seconds + number / 20)
        a, b = draw(64), draw(64)
        yield (
            f"{prefix}[UFW BLOCK] IN=eth0 OUT= MAC=f2:3c:91:ae:bd:2b:c8:4c:75:f5:c4:ff:08:00 "
            f"SRC={a & 255}.{a >> 8 & 255}.{a >> 16 & 255}.{a >> 24 & 255} DST=192.0.2.{a >> 32 & 31} "
            f"LEN={40 + (a >> 40 & 63)} TOS=0x00 PREC=0x00 TTL={40 + (a >> 48 & 127)} ID={b & 65535} "
            f"{'DF ' if b >> 60 & 1 else ''}PROTO={'UDP' if b >> 61 == 7 else 'TCP'} SPT={b >> 16 & 65535} "
            f"DPT={b >> 32 & 1023} WINDOW={b >> 48 & 4095} RES=0x00 SYN URGP=0\n"
        )


def _report(dice: random.Random, seconds: float) -> Iterator[str]:
    rows = []
    for number in range(_ROWS):
        pid, rss = 900 + number * 37, dice.randrange(300, 90_000)
        rows.append((pid, rss, dice.choice(_SERVICES)))
    pid, rss, name = max(rows, key=lambda row: row[1])
    said = [
        "php-fpm invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        *_STACK,
        *(
            f"[{row:7d}]  1000 {row:5d} {3 * pages:8d} {pages:8d}   135168        0             0 {comm}"
            for row, pages, comm in rows
        ),
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        f"task_memcg=/user.slice,task={name},pid={pid},uid=1000",
        f"Out of memory: Killed process {pid} ({name}) total-vm:{12 * rss}kB, anon-rss:{4 * rss}kB, file-rss:0kB, "
        "shmem-rss:0kB, UID:1000 pgtables:26388kB oom_score_adj:0",
    ]
    prefix = _prefix(seconds)
    return (f"{prefix}{text}\n" for text in said)
