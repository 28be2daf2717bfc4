"""Who is said to be guilty of an event, and how sure that is said to be."""

from __future__ import annotations

from typing import Any

import pytest

from hypernode.oom.events import Event, Task, Victim
from hypernode.oom.services import OTHERS, ROOTS, grouped, service_of, usage_by_service
from hypernode.oom.verdict import judge

MYSQL = Task(100, "mysqld", 112, 900_000, 400_000, 0, -1000)
CRON = Task(200, "php8.3", 1000, 90_000, 50_000, 0, 1000)
SSH = Task(300, "sshd", 1000, 9_000, 1_000, 0, 1000)
WORKERS = tuple(Task(400 + n, "php-fpm", 1000, 90_000, 20_000, 0, -1000) for n in range(5))


def event(*tasks: Task, victim: Task | None = None, **more: Any) -> Event:
    victims = (
        () if victim is None else (Victim(victim.pid, victim.name, victim.uid, oom_score_adj=victim.oom_score_adj),)
    )
    values: dict[str, Any] = {
        "stamp": None,
        "uptime": None,
        "trigger": "php8.3",
        "trigger_oom_score_adj": 0,
        "gfp_mask": "0x1100cca",
        "order": 0,
        "scope": "global",
        "memcg": None,
        "victims": victims,
        "task_count": len(tasks),
        "top": max(tasks, key=lambda task: task.rss_pages, default=None),
        "tasks": tasks,
        **more,
    }
    return Event(**values)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("mysqld", "mysql"),
        ("mariadbd", "mysql"),
        ("php-fpm", "php-fpm"),
        ("php-fpm8.3", "php-fpm"),
        ("php5-fpm", "php-fpm"),
        ("php", "php cli"),
        ("php8.3", "php cli"),
        ("redis-server", "redis"),
        ("valkey-server", "redis"),
        ("java", "search"),
        ("varnishd", "varnish"),
        ("cache-main", "varnish"),
        ("nginx", "nginx"),
        ("beam.smp", "rabbitmq"),
        ("node", "node"),
        ("mysqldump", "backup"),
        ("sshd", "ssh sessions"),
        ("bash", "ssh sessions"),
        ("systemd", None),
        ("", None),
        ("mysqld_exporter", None),
    ],
)
def test_a_process_belongs_to_the_service_that_its_name_tells(name: str, service: str | None):
    assert service_of(name) == service


@pytest.mark.parametrize(
    ("name", "command", "service"),
    [
        ("php8.3", "php /data/web/magento2/bin/magento queue:consumers:start async.operations.all", "queue consumers"),
        ("php", "php bin/console messenger:consume async", "queue consumers"),
        ("php", "/usr/bin/php /data/web/magento2/bin/magento cron:run --group=index", "php cron"),
        ("php", "php bin/console scheduled-task:run", "php cron"),
        ("php", "php import.php --name=micron:running", "php cli"),
        ("mysqld", "mysqld --queue:consumers:", "mysql"),
    ],
)
def test_php_that_still_runs_is_told_apart_by_its_command(name: str, command: str, service: str):
    assert service_of(name, command) == service


def test_what_is_known_of_one_process_is_not_said_of_another_of_its_pid_or_name():
    tasks = [Task(pid, "php8.3", 1000, 1, 30_000, None, 0) for pid in (1, 2)]
    commands = {(1, "php8.3"): "php magento queue:consumers:start", (2, "bash"): "php magento queue:consumers:start"}
    assert {name: len(found) for name, found in grouped(tasks, commands).items()} == {
        "queue consumers": 1,
        "php cli": 1,
    }


def test_what_belongs_to_no_service_is_told_by_name_when_it_is_large():
    tasks = [MYSQL, Task(1, "ruby", 0, 1, 30_000, None, 0), Task(2, "ruby", 0, 1, 30_000, None, 0)]
    small = [Task(3, "systemd", 0, 1, 100, None, 0), Task(4, "clementine", 1000, 1, 100, None, 0)]
    assert {name: len(found) for name, found in grouped([*tasks, *small]).items()} == {
        "mysql": 1,
        "ruby": 2,
        ROOTS: 1,
        OTHERS: 1,
    }


def test_pages_that_are_shared_are_told_as_at_least_and_at_most():
    usage = usage_by_service({"php-fpm": WORKERS})[0]
    assert (usage.processes, usage.at_most_kib) == (5, 5 * 20_000 * 4)
    assert usage.at_least_kib == 20_000 * 4, "all of the smallest may be shared"
    assert usage.protected_kib == usage.at_most_kib


def test_a_single_process_is_counted_exactly():
    usage = usage_by_service({"mysql": [MYSQL]})[0]
    assert usage.at_least_kib == usage.at_most_kib == 1_600_000


def test_the_victim_is_not_the_culprit_when_another_service_held_most():
    verdict = judge(event(MYSQL, CRON, SSH, victim=CRON))
    assert (verdict.culprit, verdict.victim_is_culprit, verdict.confidence) == ("mysql", False, "high")
    assert verdict.sentence == (
        "The machine ran out of memory; php8.3 was killed, but mysql held most: the victim is not the culprit"
    )
    assert verdict.reasons == (
        "mysql held 1.5 GiB in 1 process, 89% of what the table counts.",
        "php8.3 was chosen because it is meant to die first (oom_score_adj 1000).",
        "mysql could not be chosen: it is protected (oom_score_adj -1000).",
    )
    assert verdict.victim_place == 2


def test_the_victim_is_the_culprit_when_its_own_service_held_most():
    hog = Task(7, "php8.3", 1000, 900_000, 600_000, 0, 0)
    verdict = judge(event(MYSQL, hog, SSH, victim=hog))
    assert (verdict.culprit, verdict.victim_is_culprit, verdict.victim_place) == ("php cli", True, 1)
    assert verdict.sentence == "The machine ran out of memory; php8.3 was killed, and its service, php cli, held most"


def test_the_largest_single_process_is_said_to_be_chosen_for_that():
    workers = tuple(task._replace(oom_score_adj=0, rss_pages=90_000) for task in WORKERS)
    hog = MYSQL._replace(oom_score_adj=0, rss_pages=100_000)
    verdict = judge(event(hog, *workers, victim=hog))
    assert verdict.culprit == "php-fpm"
    assert "mysqld was chosen because it was the largest single process." in verdict.reasons


def test_without_a_table_it_is_said_that_nobody_knows():
    verdict = judge(event(victim=CRON))
    assert (verdict.confidence, verdict.culprit, verdict.victim_is_culprit) == ("none", None, None)
    assert "who used the memory is not known" in verdict.sentence


def test_shared_pages_that_could_turn_the_order_lower_the_confidence():
    mysql = MYSQL._replace(rss_pages=60_000)
    verdict = judge(event(mysql, *WORKERS, victim=SSH))
    assert verdict.culprit == "php-fpm"
    assert verdict.confidence != "high"
    assert "between 78.1 MiB and 391 MiB" in verdict.reasons[0]
    assert "another could be ahead of it" in verdict.reasons[0]


def test_a_cgroup_that_ran_out_is_named_with_its_limit():
    verdict = judge(event(CRON, victim=CRON, scope="memcg", memcg="/app", usage_kib=1_048_576, limit_kib=1_048_576))
    assert verdict.sentence.startswith("The cgroup /app ran out of memory; ")
    assert verdict.reasons[1:] == (
        "The limit of a cgroup was hit, so the free memory of the whole machine says nothing.",
        "The cgroup used 1.0 GiB of 1.0 GiB.",
    )


def test_a_child_that_died_for_the_chosen_one_is_told():
    verdict = judge(event(MYSQL, CRON, victim=CRON, chosen_pid=999))
    assert "Process 999 was chosen, and this kernel killed a child of it in its place." in verdict.reasons


def test_nobody_killed_is_not_said_to_be_innocent():
    verdict = judge(event(MYSQL, CRON))
    assert (verdict.culprit, verdict.victim_is_culprit) == ("mysql", None)
    assert "nobody is shown to have been killed" in verdict.sentence


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("panic", "the kernel gave up (panic): the machine went down, and started again"),
        ("no killable process", "the kernel found nobody that it may kill"),
        (None, "nobody is shown to have been killed"),
    ],
)
def test_how_it_ended_is_said_when_nobody_was_killed(ending: str | None, words: str):
    assert judge(event(MYSQL, ending=ending)).sentence == f"The machine ran out of memory; mysql held most, and {words}"


def test_a_kill_by_hand_accuses_nobody():
    verdict = judge(event(MYSQL, CRON, victim=CRON, order=-1))
    assert verdict.sentence == "Somebody started the oom-killer by hand (sysrq); php8.3 was killed"
    assert (verdict.culprit, verdict.victim_is_culprit) == (None, None)


def test_several_processes_never_hold_more_at_least_than_all_had_together():
    small = Task(500, "php-fpm", 1000, 1, 10, 0, -1000)
    verdict = judge(event(*WORKERS, small, victim=small, scope="memcg", usage_kib=300_000, limit_kib=300_000))
    assert (verdict.usages[0].at_least_kib, verdict.usages[0].at_most_kib) == (300_000, 400_040)
