"""What is advised, on which evidence, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypernode.oom.advice import Advice, advise
from hypernode.oom.cures import Cure
from hypernode.oom.events import Event, Task, Victim
from hypernode.oom.evidence import Evidence, ram_of
from hypernode.oom.history import look_back
from hypernode.oom.incidents import incidents
from hypernode.oom.logs import Entry, Limit
from hypernode.oom.replay import replay
from hypernode.products import bundled

NIGHT = datetime(2026, 11, 2, 3, 10, tzinfo=UTC)
GIB = 262_144  # pages
MYSQL = Task(100, "mysqld", 112, 0, 6 * GIB, 0, -1000)
TASK = Task(200, "php8.3", 1000, 0, GIB, 0, 1000)
SHELL = Task(300, "bash", 1000, 0, GIB // 100, 0, 1000)
WORKERS = tuple(Task(400 + n, "php-fpm8.3", 1000, 0, GIB // 4, 0, -1000) for n in range(20))


def kill(at: datetime, *tasks: Task, victim: Task = TASK, scope: str = "global") -> Event:
    values: dict[str, Any] = dict.fromkeys(("uptime", "trigger", "trigger_oom_score_adj", "gfp_mask", "order", "memcg"))
    return Event(
        **values,
        stamp=None,
        scope=scope,  # type: ignore[arg-type]
        victims=(Victim(victim.pid, victim.name, victim.uid, oom_score_adj=victim.oom_score_adj),),
        task_count=len(tasks),
        top=max(tasks, key=lambda task: task.rss_pages, default=None),
        tasks=tasks,
        at=at.isoformat(),
        ram_pages=8 * GIB if tasks else None,
    )


def nights(count: int, *tasks: Task, victim: Task = TASK, scope: str = "global") -> list[Event]:
    return [kill(NIGHT + timedelta(days=day), *tasks, victim=victim, scope=scope) for day in range(count)]


def cron(day: int, minute: int, command: str) -> Entry:
    return Entry(NIGHT + timedelta(days=day, minutes=minute), "cron", f"app: {command}")


def weighed(
    events: Sequence[Event],
    *entries: Entry,
    limits: Sequence[Limit] = (),
    all_day: Sequence[str] = (),
    kernel_only: bool = False,
) -> Advice:
    history = look_back(incidents(enumerate(events, start=1)))
    window = timedelta(minutes=30)
    evidence = Evidence(
        history,
        entries,
        tuple(limits),
        replay(events),
        window,
        ram_of(history),
        bundled(),
        all_day=frozenset(all_day),
        kernel_only=kernel_only,
    )
    return advise(evidence)


def named(advice: Advice, name: str) -> Cure:
    return next(cure for cure in advice.cures if cure.name == name)


def names(advice: Advice) -> list[str]:
    return [cure.name for cure in advice.cures]


def test_jobs_that_start_before_most_kills_are_to_be_moved_apart():
    entries = [cron(day, -9, "php import.php") for day in range(4)] + [cron(day, -5, "backup.sh") for day in range(4)]
    advice = weighed(nights(4, MYSQL, TASK), *entries)
    assert advice.cures[0].name == "cron"
    assert advice.cures[0].what == "Do not run `php import.php` and `backup.sh` at the same time: move one of them"
    assert advice.cures[0].evidence[0] == "2026-11-05 03:01:00 cron: app: php import.php"
    assert advice.cures[0].command == "crontab -e"


@pytest.mark.parametrize("minute", [-31, 2])
def test_a_job_that_started_too_early_or_afterwards_is_no_cause(minute: int):
    advice = weighed(nights(4, MYSQL, TASK), *(cron(day, minute, "php import.php") for day in range(4)))
    assert "cron" not in names(advice)


def test_a_job_that_runs_all_day_is_no_cause():
    entries = [cron(day, -5, "php bin/magento cron:run") for day in range(4)]
    assert "cron" in names(weighed(nights(4, MYSQL, TASK), *entries))
    assert "cron" not in names(weighed(nights(4, MYSQL, TASK), *entries, all_day=["app: php bin/magento cron:run"]))


def test_a_job_before_one_kill_of_many_is_chance():
    entries = [cron(0, -5, "php once.php"), *(cron(day, -6, "php import.php") for day in range(4))]
    assert "once.php" not in named(weighed(nights(4, MYSQL, TASK), *entries), "cron").what


def test_clocks_of_logs_differ_a_little():
    entries = [Entry(NIGHT + timedelta(days=day, seconds=30), "cron", "app: php import.php") for day in range(4)]
    assert "cron" in names(weighed(nights(4, MYSQL, TASK), *entries))


def test_jobs_are_not_blamed_when_no_task_held_memory_or_died():
    entries = [cron(day, -9, "php import.php") for day in range(4)]
    assert "cron" not in names(weighed(nights(4, MYSQL, SHELL, victim=SHELL), *entries))


def test_mysql_that_held_most_is_to_give_memory_back():
    advice = weighed(nights(3, MYSQL, TASK))
    assert advice.sentence == "mysql held most in 3 of 3 incidents"
    cure = named(advice, "mysql")
    assert cure.command == "hnctl memory release-mysql -m 384 -c 60 --dry-run", "a twentieth of 8 GiB, in whole 64 MiB"
    assert "2026-11-04 03:10:00 event 3: killed php cli; mysql held most" in cure.evidence
    assert "mysql" not in names(weighed(nights(3, *WORKERS, TASK)))


def test_a_task_that_was_killed_for_others_can_be_protected():
    advice = weighed(nights(1, MYSQL, TASK), cron(0, -9, "php import.php --all"))
    assert named(advice, "protect").command == "hnctl oom protect --max-total 40% -- php import.php --all"


@pytest.mark.parametrize(
    "line",
    [
        "php import.php; rm -r /tmp/x",
        "php import.php --a=!!",
        "php {a,b}.php",
        "php $(reboot)",
        "php 'a b'",
        "php import.php > log",
        "php import.php --password=***",
        f"php {'x' * 900} ...",
        "rm -rf /data/web/public/var/cache/old",
        "flock -n /tmp/l php bin/magento import",
        "php",
    ],
)
def test_what_a_shell_could_take_for_something_else_is_not_offered_to_be_pasted(line: str):
    advice = weighed(nights(1, MYSQL, TASK), cron(0, -9, line))
    assert named(advice, "protect").command == "hnctl oom protect --max-total 40% -- COMMAND"
    assert "crontab" in str(named(advice, "cron").command), "it is named all the same"


def test_the_job_of_another_user_is_named_with_that_user_and_not_offered():
    roots = Entry(NIGHT - timedelta(minutes=5), "cron", "root: php import.php")
    advice = weighed(nights(1, MYSQL, TASK), roots)
    assert "`root: php import.php`" in named(advice, "cron").what
    assert named(advice, "cron").command is None
    assert named(advice, "protect").command == "hnctl oom protect --max-total 40% -- COMMAND"


def test_a_task_with_a_limit_of_its_own_is_not_given_a_second_one():
    large = TASK._replace(rss_pages=6 * GIB)
    advice = weighed(nights(1, large, victim=large), cron(0, -9, "php -d memory_limit=-1 import.php"))
    assert advice.cures[0].command == "php -d memory_limit=4864M SCRIPT"


def test_a_task_in_a_cgroup_is_limited_by_the_cgroup_and_not_by_the_machine():
    large = TASK._replace(rss_pages=4 * GIB)
    event = replace(kill(NIGHT, large, SHELL, victim=large, scope="memcg"), limit_kib=4 << 20, ram_pages=None)
    assert weighed([event]).cures[0].command == "php -d memory_limit=3072M SCRIPT"
    unlimited = replace(event, limit_kib=None)
    assert weighed([unlimited]).cures[0].command == "php -d memory_limit=3072M SCRIPT"


def test_a_task_that_held_most_is_to_need_less_and_is_not_protected():
    large = TASK._replace(rss_pages=6 * GIB)
    advice = weighed(nights(1, large, SHELL, victim=large), cron(0, -9, "php import.php"))
    assert advice.cures[0].name == "smaller tasks"
    assert advice.cures[0].command == "php -d memory_limit=4864M import.php", "four fifths of what it took"
    assert "protect" not in names(advice)
    assert any(text.startswith("protecting php cli: it held most itself") for text in advice.no_use)


def test_workers_that_held_most_are_to_be_fewer():
    cure = named(weighed(nights(3, *WORKERS, TASK)), "fewer workers")
    assert cure.evidence == ("php-fpm held 256 MiB to 5.0 GiB in 20 processes",)
    assert cure.command == "hypernode-fpm-status"


def test_permissive_changes_nothing_where_the_platforms_killer_did_not_step_in():
    advice = weighed(nights(3, MYSQL, TASK))
    assert "permissive" not in names(advice)
    assert advice.no_use[0].startswith("permissive_memory_management: in none of these incidents")


def test_permissive_is_offered_where_it_did_with_its_price():
    storm = [kill(NIGHT + timedelta(milliseconds=100 * n), MYSQL, TASK, scope="memcg") for n in range(5)]
    cure = named(weighed([*storm, *nights(3, MYSQL, TASK)[1:]]), "permissive")
    assert cure.command == "hnctl settings set permissive_memory_management true"
    assert "a risk for the shop" in cure.risk


def test_incidents_all_day_long_want_more_memory_and_the_smallest_product_of_each_family_is_named():
    events = [kill(NIGHT + timedelta(days=day, hours=5 * day), MYSQL, *WORKERS, TASK) for day in range(5)]
    cure = named(weighed(events), "bigger product")
    assert cure.effect == "Would fit, with a fifth to spare: Falcon M (16 GB), Eagle L (16 GB)"
    assert cure.command is None
    assert "at the worst moment (2026-11-06 23:10:00) the processes held at least 7.2 GiB" in cure.evidence
    assert "bigger product" not in names(weighed(nights(5, MYSQL, *WORKERS, TASK))), "a job by the clock is cheaper"


def test_no_product_is_named_when_the_reports_do_not_tell_of_all_memory():
    events = [kill(NIGHT + timedelta(days=day, hours=5 * day), MYSQL, TASK, scope="memcg") for day in range(5)]
    cure = named(weighed(events), "bigger product")
    assert cure.effect == "Which product would fit cannot be told: the reports do not tell of all memory"


def test_a_development_product_or_a_smaller_one_is_never_named():
    small = [kill(NIGHT + timedelta(days=day, hours=5 * day), SHELL, TASK) for day in range(5)]
    effect = named(weighed(small), "bigger product").effect
    assert "DEV" not in effect
    assert effect == "Would fit, with a fifth to spare: Falcon M (16 GB), Eagle L (16 GB)", "the node has 8 GiB"


def test_one_service_in_one_incident_of_many_decides_nothing():
    bare = [kill(NIGHT + timedelta(hours=hour)) for hour in range(30)]
    assert not weighed([*bare, kill(NIGHT + timedelta(days=9), MYSQL, TASK)]).decides


def test_kills_all_day_long_are_nothing_to_wait_for():
    storm = [kill(NIGHT + timedelta(seconds=50 * n), MYSQL, SHELL, victim=SHELL) for n in range(200)]
    assert "nothing" not in names(weighed(storm))


def test_an_event_that_killed_nobody_is_no_reason_to_wait():
    nobody = replace(kill(NIGHT, MYSQL, SHELL), victims=())
    assert "nothing" not in names(weighed([nobody]))


def test_a_module_that_is_called_staging_is_no_staging_environment():
    module = Entry(NIGHT, "php slow", "pool www: load() /data/web/vendor/magento/module-staging/Model/X.php:1")
    assert "staging" not in names(weighed(nights(2, MYSQL, TASK), module))


def test_a_culprit_of_which_no_report_is_sure_decides_nothing():
    crowd = [
        Task(500 + n, name, 1000, 0, GIB - n, 0, 0) for n, name in enumerate(("mysqld", "java", "redis-server", "node"))
    ]
    assert not weighed(nights(4, *crowd, TASK)).decides


def test_what_frees_memory_comes_before_what_frees_none():
    storm = [kill(NIGHT + timedelta(milliseconds=100 * n), MYSQL, TASK, scope="memcg") for n in range(5)]
    order = names(weighed([*storm, *nights(3, MYSQL, TASK)[1:]]))
    assert order.index("mysql") < order.index("protect") < order.index("permissive")


def test_how_much_the_node_has_is_what_its_youngest_report_tells():
    events = [
        replace(event, ram_pages=pages) for event, pages in zip(nights(2, MYSQL, TASK), (GIB, 9 * GIB), strict=True)
    ]
    assert ram_of(look_back(incidents(enumerate(events)))) == 9 << 20


def test_permissive_is_not_both_offered_and_said_to_change_nothing():
    storm = [kill(NIGHT + timedelta(milliseconds=100 * n), MYSQL, TASK, scope="memcg") for n in range(5)]
    advice = weighed(storm)
    assert "permissive" in names(advice)
    assert not any("permissive" in text for text in advice.no_use)


def test_one_event_is_a_reason_to_wait():
    advice = weighed(nights(1, MYSQL, SHELL, victim=SHELL))
    assert named(advice, "nothing").effect == "None. One incident is no pattern, and the shop itself was not hurt"


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (Entry(NIGHT, "php slow", "pool www, pid 4: load() /data/web/staging/vendor/a/B.php:1"), "staging"),
        (Entry(NIGHT, "php slow", "pool www, pid 4: resize() /data/web/vendor/x/Image/Adapter/Gd2.php:4"), "images"),
    ],
)
def test_what_other_logs_tell_has_its_cure(entry: Entry, name: str):
    cure = named(weighed(nights(2, MYSQL, TASK), entry), name)
    assert cure.evidence == (f"2026-11-02 03:10:00 {entry.kind}: {entry.text}",)
    assert name not in names(weighed(nights(2, MYSQL, TASK)))


def test_reports_that_tell_nothing_decide_nothing():
    advice = weighed(nights(3))
    assert not advice.decides
    assert advice.sentence == (
        "The evidence does not decide: no report tells which processes there were, and so who used the memory"
    )
    assert advice.cures[-1].command == "hnctl oom watch"


def test_culprits_that_change_decide_nothing():
    own = TASK._replace(rss_pages=7 * GIB)
    events = [*nights(2, MYSQL, TASK), *(kill(NIGHT + timedelta(days=9 + day), own, victim=own) for day in (0, 1))]
    assert weighed(events).sentence.startswith("The evidence does not decide: no service held most in more than half")


@pytest.mark.parametrize("kind", ["php limit", "php out of memory", "redis limit"])
def test_limits_that_are_not_the_kernels_have_their_own_cures(kind: str):
    last = Entry(NIGHT, kind, "what it said")
    advice = weighed([], limits=[Limit(kind, 7, NIGHT, last)])
    assert advice.decides
    assert advice.sentence == "The kernel killed nothing; other limits than the machine's memory were reached"
    assert [cure.evidence for cure in advice.cures] == [("7 times, the last: 2026-11-02 03:10:00 what it said",)]


def test_nothing_at_all_is_nothing_to_do():
    advice = weighed([])
    assert (advice.cures, advice.no_use) == ((), ())
    assert advice.sentence.endswith("there is nothing to do")
    assert weighed([], kernel_only=True).sentence.endswith("whether another limit was reached, its log does not tell")


def test_every_cure_says_what_it_rests_on_what_it_does_and_what_it_costs():
    storm = [kill(NIGHT + timedelta(milliseconds=100 * n), MYSQL, *WORKERS, TASK, scope="memcg") for n in range(5)]
    for events in (storm, nights(1, MYSQL, TASK), nights(4, MYSQL, *WORKERS, TASK), nights(3)):
        for cure in weighed(events, cron(0, -3, "php import.php")).cures:
            assert all((cure.what, cure.evidence, cure.effect, cure.risk))
