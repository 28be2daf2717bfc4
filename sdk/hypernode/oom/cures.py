"""What can be done about a node that runs out of memory, each with what speaks for it, its price and its command. Pure.

A cure is a function of the evidence: it returns how much speaks for it, from 1 to 100, and the cure; or None when
nothing does. Where the platform documents no command there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hypernode.oom.clock import in_words
from hypernode.oom.evidence import Evidence, Job, entry_lines, kill_line
from hypernode.oom.logs import CUT, Limit
from hypernode.oom.services import PAGE_KIB, Usage, service_of
from hypernode.oom.sizes import size
from hypernode.products import Product

_THIRD = 1 / 3
_NOTABLE = 0.05
_TASKS = ("php cli", "backup")
"""Services whose processes are jobs with an end."""
_STAGING = re.compile(r"(?<![\w-])staging(?![\w-])", re.IGNORECASE)
"""Not module-staging, which is a part of every Adobe Commerce shop."""
_IMAGES = re.compile(r"Image/Adapter|Gd2|[Ii]magick|catalog:images?:resize|/Catalog/Model/Product/Image")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+ -]+")
"""What means itself to a shell, pasted at a prompt or put behind another command."""
_OWNER = "app"
_COMMAND, _SCRIPT = "COMMAND", "SCRIPT"
_FEW_KILLS = 3
_ROOM = 1.2
"""How much larger than what was seen a product has to be."""
_LIMIT = 0.8
"""Of what was too much."""
_USABLE = 0.95
"""How much of a product's memory a node sees; the rest is the kernel's own."""
_KIB_PER_GB = 1 << 20
_KIB_PER_MIB = 1 << 10
_LEAST_FREE_MIB = 256
_LEAST_LIMIT_MIB = 256
_SHARE_FREE = 0.05


@dataclass(frozen=True, slots=True)
class Cure:
    """One thing to do."""

    name: str
    what: str
    evidence: tuple[str, ...]
    """Lines of the logs that it rests on, and what was counted out of them."""
    effect: str
    risk: str
    command: str | None
    """None: there is no documented command for it."""


Found = tuple[int, Cure] | None


def part_the_jobs(evidence: Evidence) -> Found:
    """Move or split cron jobs that started before the kills."""
    jobs = evidence.jobs
    if not jobs:
        return None
    usages = [usage for service in _TASKS if (usage := evidence.usage(service)) is not None]
    shares = [usage for usage in usages if _share(usage, evidence) >= _NOTABLE]
    if not shares and not any(service in evidence.history.victims for service in _TASKS):
        return None
    lines = tuple(line for job in jobs[:3] for line in entry_lines(job.starts[-1:]))
    held = tuple(f"{usage.service} held {_span(usage)} in {_processes(usage)}" for usage in shares)
    names = " and ".join(f"`{_short(job)}`" for job in jobs[:3])
    often = max(len(job.starts) for job in jobs)
    score = 80 if often >= 3 else 65 if often == 2 else 55
    if len(jobs) > 1:
        what = f"Do not run {names} at the same time: move one of them"
        effect = "Their peaks come one after the other, so that at no time both have to fit"
    else:
        what = f"Move {names} to a quiet hour, or split it into smaller runs"
        effect = "Its peak meets less of the shop's own work; smaller runs give memory back in between"
    risk = "What waits for these jobs, such as stock or a feed, comes at another time"
    command = "crontab -e" if all(job.user == _OWNER for job in jobs) else None
    return score, Cure("cron", what, (*lines, *held), effect, risk, command)


def release_mysql(evidence: Evidence) -> Found:
    """Restart MySQL when memory runs low."""
    usage = evidence.usage("mysql")
    if usage is None or _share(usage, evidence) < _THIRD:
        return None
    grows = "mysql" in evidence.history.grows
    leads = evidence.culprit == "mysql"
    free = max(_LEAST_FREE_MIB, round(_SHARE_FREE * (evidence.ram_kib or 0) / _KIB_PER_MIB / 64) * 64)
    held = f"mysql held {_span(usage)}, {_share(usage, evidence):.0%} of what the largest report counts"
    waits = evidence.usage("backup") is not None  # a restart is put off while a dump runs
    return 40 + 30 * leads + 15 * grows - 20 * waits, Cure(
        "mysql",
        "Let MySQL give back what it keeps, when memory runs low",
        (*(evidence.kills() if leads else ()), held),
        "MySQL keeps what large queries once took, and a restart gives that back. How much that is cannot be told "
        "before; a run that restarted says what was won. The amount after -m is a start",
        "A restart ends all connections and empties the buffer pool; the shop is slow for a while. It buys time, not "
        "memory. It waits while a dump, an import or a long transaction runs"
        + (", and a backup ran at that time" if waits else ""),
        f"hnctl memory release-mysql -m {free} -c 60 --dry-run",
    )


def smaller_tasks(evidence: Evidence) -> Found:
    """Let a task that holds most need less."""
    if evidence.culprit not in _TASKS or (usage := evidence.usage(evidence.culprit)) is None:
        return None
    command = None
    if usage.service == "php cli":
        # Of two limits PHP takes the last.
        runs = (run for job in evidence.jobs if (run := _pasteable(job, "php cli")) and "memory_limit" not in run)
        php, _, script = next(runs, f"php {_SCRIPT}").partition(" ")
        command = f"{php} -d memory_limit={_memory_limit(usage, evidence)}M {script}"
    return 85, Cure(
        "smaller tasks",
        f"Let the task need less: {usage.service} itself held most",
        (*evidence.kills(), f"{usage.service} held {_span(usage)} in {_processes(usage)}"),
        "In smaller parts it gives memory back in between. With a memory_limit PHP ends it, with a message that names "
        "the line, before the kernel has to choose",
        "With a limit it fails where it went through before, if it cannot do with less",
        command,
    )


def fewer_workers(evidence: Evidence) -> Found:
    """Run fewer php-fpm workers, or give each less."""
    usage = evidence.usage("php-fpm")
    if usage is None or usage.processes < 2 or _share(usage, evidence) < _THIRD:
        return None
    own = usage.at_least_kib // usage.processes
    return 35 + 30 * (evidence.culprit == "php-fpm"), Cure(
        "fewer workers",
        "See how many php-fpm workers are busy at once, and lower their number or their memory_limit",
        (f"php-fpm held {_span(usage)} in {_processes(usage)}",),
        f"Each worker fewer gives back {size(own)} or more; what they share is counted once in that",
        "With too few of them visitors wait",
        "hypernode-fpm-status",
    )


def protect_the_task(evidence: Evidence) -> Found:
    """Protect one task that was killed for others."""
    hurt = [service for service in _TASKS if evidence.history.victims.get(service)]
    if not hurt or evidence.culprit in (None, *hurt):
        return None
    runs = (run for job in evidence.jobs if (run := _pasteable(job, hurt[0])))
    last = next(one for one in reversed(evidence.history.incidents) if dict(one.victims).get(hurt[0]))
    return 50, Cure(
        "protect",
        f"Protect the task that must not die ({hurt[0]} did, and {evidence.culprit} held most)",
        (kill_line(last),),
        "The oom-killer spares it and takes another process in its place",
        "It adds no memory, and the shop's own processes may die in its place. If all is protected nothing is left to "
        "kill, which is why there is a budget",
        f"hnctl oom protect --max-total 40% -- {next(runs, _COMMAND)}",
    )


def permissive(evidence: Evidence) -> Found:
    """Let processes live longer, where the platform's own killer stepped in."""
    played = evidence.replayed
    if not played.stepped_in and not played.unclear:
        return None
    counted = (
        f"{played.stepped_in} of {len(played.incidents)} incidents had {played.threshold} cgroup kills within "
        f"{played.window:g} s; {played.unclear} more are left open by the log",
    )
    return 30 if played.stepped_in else 15, Cure(
        "permissive",
        "Try permissive_memory_management, if one-off tasks matter more than the shop",
        counted,
        "In these incidents the platform ends user processes later than it did; how much later is not documented",
        "More out-of-memory events in all, and a risk for the shop. It adds no memory",
        "hnctl settings set permissive_memory_management true",
    )


def move_staging(evidence: Evidence) -> Found:
    """Move a staging environment to a node of its own."""
    seen = evidence.matching(_STAGING, "cron", "php slow", "magento", "mysql query", "php-fpm killed")
    if not seen:
        return None
    return 60, Cure(
        "staging",
        "Move the staging environment to a development node of its own",
        entry_lines(seen),
        "Its share of MySQL, PHP and search is no longer taken from the shop",
        "A second node to pay for and to keep",
        None,
    )


def smaller_images(evidence: Evidence) -> Found:
    """Make the images smaller that PHP loads whole."""
    seen = evidence.matching(_IMAGES, "cron", "php slow", "magento", "php limit")
    if not seen:
        return None
    return 45, Cure(
        "images",
        "Make the catalogue's images smaller",
        entry_lines(seen),
        "PHP loads an image whole, and uncompressed, to resize it; smaller ones take less",
        "The originals are lost if they are replaced; keep a copy",
        "find /data/web/public/media/catalog/product -size +2M",
    )


def bigger_product(evidence: Evidence) -> Found:
    """Give the node more memory."""
    if evidence.history.kind != "structural" or evidence.worst is None or evidence.culprit is None:
        return None
    case = evidence.worst.worst
    need = sum(usage.at_least_kib for usage in case.verdict.usages)
    told = [f"at the worst moment ({in_words(case.event.at)}) the processes held at least {size(need)}"]
    told.append(f"the node has {size(evidence.ram_kib)}" if evidence.ram_kib else "how much the node has is not told")
    if case.event.scope == "memcg" and case.event.limit_kib:
        told.append(f"the cgroup that ran out may use {size(case.event.limit_kib)}")
    return 30, Cure(
        "bigger product",
        "More memory: a bigger product, when the cures that cost nothing were not enough",
        (*evidence.kills(), *told),
        _fit(need, evidence),
        "It costs more each month, and may change the node's address. hnctl never orders anything",
        None,
    )


def _fit(need_kib: int, evidence: Evidence) -> str:
    if evidence.ram_kib is None or (evidence.worst is not None and evidence.worst.worst.event.scope == "memcg"):
        return "Which product would fit cannot be told: the reports do not tell of all memory"
    which = ", ".join(f"{one.name} ({one.ram_gb} GB)" for one in _fitting(need_kib, evidence))
    return f"Would fit, with a fifth to spare: {which}" if which else "No product of the catalogue is large enough"


def wait_and_see(evidence: Evidence) -> Found:
    """Do nothing."""
    if evidence.history.kind != "one-off" or not 0 < evidence.history.kills <= _FEW_KILLS:
        return None
    by_design = set(evidence.history.victims) <= {"ssh sessions", *_TASKS}
    return 60 if by_design else 20, Cure(
        "nothing",
        "Do nothing now, and look again in a week",
        evidence.kills(),
        "None. One incident is no pattern" + (", and the shop itself was not hurt" if by_design else ""),
        "It may happen again",
        "hnctl oom explain --all",
    )


ALL: tuple[Callable[[Evidence], Found], ...] = (
    part_the_jobs,
    smaller_tasks,
    release_mysql,
    fewer_workers,
    bigger_product,
    move_staging,
    protect_the_task,
    smaller_images,
    permissive,
    wait_and_see,
)
"""Of two for which as much speaks, the first here comes first."""


def for_limit(limit: Limit) -> Cure:
    """Return what to do about a limit that is not the kernel's."""
    told = (
        f"{limit.count} time{'s' * (limit.count > 1)}, the last: {limit.last.at:%Y-%m-%d %H:%M:%S} {limit.last.text}",
    )
    match limit.kind:
        case "php limit":
            return Cure(
                "php limit",
                "Let that request need less, or raise PHP's memory_limit for it alone (.user.ini for the web, php -d "
                "memory_limit=2G for the command line)",
                told,
                "The request goes through. The kernel had nothing to do with it",
                "A limit that is raised for all workers can make the machine itself run out",
                None,
            )
        case "php out of memory":
            return Cure(
                "php out of memory",
                "See what else held memory when the kernel refused PHP more",
                told,
                "None by itself: nothing was killed, the request failed",
                "None",
                "hnctl oom scores",
            )
        case _:
            return Cure(
                "redis limit",
                "Let Redis drop what it can, or keep less in it",
                told,
                "Redis takes writes again. The machine's memory had nothing to do with it",
                "An eviction policy for sessions logs visitors out",
                "hnctl settings describe redis_eviction_policy",
            )


def _share(usage: Usage, evidence: Evidence) -> float:
    total = evidence.worst.worst.held_kib if evidence.worst else 0
    return usage.at_most_kib / total if total else 0.0


def _span(usage: Usage) -> str:
    least, most = size(usage.at_least_kib), size(usage.at_most_kib)
    return most if least == most else f"{least} to {most}"


def _processes(usage: Usage) -> str:
    return f"{usage.processes} process{'es' * (usage.processes != 1)}"


def _short(job: Job) -> str:
    text = job.command if job.user == _OWNER else f"{job.user}: {job.command}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _pasteable(job: Job, service: str) -> str | None:
    """Return the command of a job of `service` if it can be pasted as it is, by the user of a node; else None."""
    program, _, rest = job.command.partition(" ")
    if job.user != _OWNER or not rest or service_of(program.rpartition("/")[2]) != service:
        return None
    return job.command if _PLAIN.fullmatch(job.command) and not job.command.endswith(CUT) else None


def _memory_limit(usage: Usage, evidence: Evidence) -> int:
    """Return a memory_limit in MiB below what the task took when it was killed, and below what the others left it."""
    kib = usage.largest.rss_pages * PAGE_KIB
    if evidence.worst is not None:
        case = evidence.worst.worst
        room = case.event.limit_kib if case.event.scope == "memcg" else evidence.ram_kib
        left = (room or 0) - (case.held_kib - usage.at_most_kib)
        kib = min(kib, left) if left > 0 else kib
    return max(_LEAST_LIMIT_MIB, int(_LIMIT * kib) // _KIB_PER_MIB // 256 * 256)


def _fitting(need_kib: int, evidence: Evidence) -> list[Product]:
    """Return the smallest product of each family that has room for what was seen, and more than the node has."""
    found: dict[str, Product] = {}
    for product in sorted(evidence.products, key=lambda one: one.ram_gb):
        usable = product.ram_gb * _KIB_PER_GB * _USABLE
        larger = evidence.ram_kib is None or usable > evidence.ram_kib
        if not product.is_development and larger and usable >= need_kib * _ROOM:
            found.setdefault(product.family, product)
    return list(found.values())
