"""Which service a process of a report's table belongs to, and how much memory each service held. Pure.

A table knows the first 15 bytes of a name, a user and sizes, and no command line: cron jobs, queue consumers and
imports are all `php`, but for those that still run on the node and so have one. Pages that several processes share are
counted with each of them, so the memory of several processes is told as at least and at most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hypernode.oom.events import Task

Commands = Mapping[tuple[int, str], str]
"""The command lines of some processes, by pid and name."""
NO_COMMANDS: Commands = MappingProxyType({})
PAGE_KIB = 4
"""KiB of a page on amd64, which is what Hypernodes are."""
PROTECTED = -1000

_SERVICES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("mysql", r"mysqld|mariadbd|mysqld_safe|ib_.*"),
        ("php-fpm", r"php[0-9.]*-fpm.*"),
        ("php cli", r"php[0-9.]*|php-cli.*"),
        ("redis", r"redis-server.*|valkey-server.*|redis-rdb-.*"),
        ("search", r"java|elasticsearch.*|opensearch.*"),
        ("varnish", r"varnishd.*|cache-main|varnish.*"),
        ("nginx", r"nginx.*"),
        ("rabbitmq", r"beam\.smp|rabbitmq.*|epmd|erl_child_setup"),
        ("node", r"node|nodejs|npm.*|yarn|pm2.*"),
        (
            "backup",
            r"mysqldump|mydumper|mariadb-dump|xtrabackup|mariabackup|restic|borg|rsync|tar|gzip|pigz|xz|zstd|duplicity",
        ),
        (
            "ssh sessions",
            r"sshd.*|sftp-server|bash|zsh|sh|dash|fish|tmux.*|screen|vim?|nano|less|top|htop|mysql|composer|git",
        ),
    )
)
SERVICES = tuple(name for name, _ in _SERVICES)
PHP = "php cli"
_KINDS_OF_PHP: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("queue consumers", re.compile(r"queue:consumers?:|messenger:consume|enqueue:consume")),
    ("php cron", re.compile(r"\bcron(?::run|\.php)\b|\bscheduled-task:run\b")),
)
"""What long-running PHP is told by: Magento's consumers and cron, and Shopware's."""
_WORTH_A_NAME = 0.05
"""The share of the table's memory from which processes of no known service are told by their name."""
OTHERS = "others"
ROOTS = "root's own"


@dataclass(frozen=True, slots=True)
class Usage:
    """The memory of one service at the time of an event."""

    service: str
    processes: int
    at_least_kib: int
    at_most_kib: int
    protected_kib: int
    """How much of the most belongs to processes that the oom-killer spares."""
    swap_kib: int
    largest: Task


def service_of(name: str, command: str | None = None) -> str | None:
    """Return the service that a process belongs to by its name and, where that is known, its command line; or None."""
    service = next((service for service, pattern in _SERVICES if pattern.fullmatch(name)), None)
    if service != PHP or command is None:
        return service
    return next((kind for kind, pattern in _KINDS_OF_PHP if pattern.search(command)), PHP)


def grouped(tasks: Sequence[Task], commands: Commands = NO_COMMANDS) -> dict[str, list[Task]]:
    """Return the processes by service. Of no known service are those of one name, if they are many or large."""
    notable = _WORTH_A_NAME * sum(task.rss_pages for task in tasks)
    by_name: dict[str, int] = {}
    for task in tasks:
        by_name[task.name] = by_name.get(task.name, 0) + task.rss_pages
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        rest = task.name if task.name and by_name[task.name] >= notable else ROOTS if task.uid == 0 else OTHERS
        service = service_of(task.name, commands.get((task.pid, task.name)))
        groups.setdefault(service or rest, []).append(task)
    return groups


def usage_by_service(groups: Mapping[str, Sequence[Task]], most_kib: int | None = None) -> list[Usage]:
    """Return what each of the groups held, the largest first; `most_kib` is what all of them had together, if known."""
    usages = [_usage(service, found, most_kib) for service, found in groups.items()]
    return sorted(usages, key=lambda usage: (-usage.at_most_kib, usage.service))


def _usage(service: str, tasks: Sequence[Task], most_kib: int | None) -> Usage:
    pages = [task.rss_pages for task in tasks]
    # What they all share is no larger than the smallest of them, and counts once for sure.
    least = (sum(pages) - (len(pages) - 1) * min(pages)) * PAGE_KIB
    if most_kib is not None:  # then some of them share more with each other than with the smallest
        least = min(least, max(most_kib, max(pages) * PAGE_KIB))
    return Usage(
        service,
        len(tasks),
        least,
        sum(pages) * PAGE_KIB,
        sum(task.rss_pages for task in tasks if task.oom_score_adj == PROTECTED) * PAGE_KIB,
        sum(task.swap_pages or 0 for task in tasks) * PAGE_KIB,
        max(tasks, key=lambda task: task.rss_pages),
    )
