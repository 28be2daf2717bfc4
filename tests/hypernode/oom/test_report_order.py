"""Where reports touch: storms, groups, lines of the last victim inside the next report, time that passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, Era, Process, Report, told
from kernel_wording import chosen, kill, reaped, records
from log_styles import BY_NAME, STYLES, UPTIME, WHEN, written
from report_strategies import NOISE, any_names, processes, reports

from hypernode.oom.reports import read_events

FIREWALL = NOISE[0]
EL6 = next(era for era in ERAS if era.vendor == "el6")
V4_20, V5_0, V5_15 = (next(era for era in ERAS if era.version == version) for version in ((4, 20), (5, 0), (5, 15)))
TIMED = [style for style in STYLES if style.has_uptime or style.others]
ONE = Report(processes=(Process(11, "php-fpm"), Process(12, "mysqld")), victims=(0,))
OTHER = Report(trigger="cron", processes=(Process(21, "php"), Process(22, "mysqld")), victims=(0,), order=3)


def _victims(lines: list[bytes]) -> list[list[int]]:
    return [[victim.pid for victim in event.victims] for event in read_events(lines)]


@given(st.lists(processes(any_names), max_size=12, unique_by=lambda process: process.pid), st.sampled_from(ERAS))
def test_each_bare_kill_of_a_storm_is_an_event_of_its_own(storm: list[Process], era: Era) -> None:
    said = []
    for process in storm:
        said += [chosen(process, era)] if era.version < (5, 1) else []
        said.append(kill(process, era))
    events = list(read_events(written(said)))
    assert [[victim.pid for victim in event.victims] for event in events] == [[process.pid] for process in storm]
    assert {event.scope for event in events} <= {"global"}
    assert {event.trigger for event in events} <= {None}


def test_a_second_line_alone_leaves_the_scope_unknown() -> None:
    [event] = read_events(written([kill(Process(7, "php-fpm"), EL6)]))
    assert (event.scope, event.victims[0].uid, event.chosen_pid) == ("unknown", 1000, None)


def test_bare_kills_after_a_report_are_not_of_it() -> None:
    said = [*records(ONE, V5_15), *(kill(Process(pid, "php"), V5_15) for pid in (31, 32))]
    assert _victims(written(said)) == [[11], [31], [32]]


def test_two_lines_for_one_victim_are_one_kill() -> None:
    again = kill(ONE.processes[0], V5_15)
    assert _victims(written([*records(ONE, V5_15), again])) == [[11]]


@given(st.integers(0, 100))
def test_the_reapers_line_of_the_last_victim_may_stand_inside_the_next_report(place: int) -> None:
    said = records(replace(OTHER, reaped=False), V5_15)
    said.insert(min(place, len(said)), reaped(ONE.processes[0]))
    before = records(replace(ONE, reaped=False), V5_15)
    found = [{**event.as_json(), "at": None} for event in read_events(written(before + said))]
    for event in found:
        del event["at"], event["source"]
    assert found == [told(ONE, V5_15), told(OTHER, V5_15)]


@pytest.mark.parametrize("text", ["oom_reaper: unable to reap pid:11 (php-fpm)", reaped(ONE.processes[0])])
def test_a_reapers_line_alone_tells_of_no_event(text: str) -> None:
    assert _victims(written([text])) == []


@pytest.mark.parametrize("era", [V4_20, V5_0, V5_15], ids=str)
def test_a_group_that_is_killed_is_one_event_with_each_victim_once(era: Era) -> None:
    members = tuple(Process(pid, "php") for pid in range(100, 300))
    report = Report(scope="memcg", memcg="/a", processes=members, victims=tuple(range(200)), reaped=False)
    [event] = read_events(written([*records(report, era), FIREWALL]))
    assert [victim.pid for victim in event.victims] == [process.pid for process in members]


def test_the_next_report_of_the_same_cgroup_is_no_part_of_a_killed_group() -> None:
    group = Report(scope="memcg", memcg="/a", processes=ONE.processes, victims=(0, 1), reaped=False)
    later = written([kill(Process(31, "php"), V5_15, lead="Memory cgroup out of memory")], uptime=UPTIME + 70)
    assert _victims(written(records(group, V5_15)) + later) == [[11, 12], [31]]


@given(reports(), st.sampled_from(ERAS), st.sampled_from(ERAS))
def test_a_trigger_always_opens_a_new_event(report: Report, era: Era, other: Era) -> None:
    lost = replace(report, ending="lost")
    found = list(read_events(written([*records(lost, era), *records(OTHER, other)])))
    assert len(found) == 2
    assert found[0].victims == ()
    assert [victim.pid for victim in found[1].victims] == [21]


def test_a_summary_after_a_kill_opens_a_new_event() -> None:
    said = [*records(ONE, V5_15), *records(OTHER, V5_15)[-3:]]
    assert _victims(written(said)) == [[11], [21]]


@pytest.mark.parametrize("ending", ["nobody", "deadlock", "panic"])
def test_a_kill_after_an_end_without_a_victim_is_another_event(ending: str) -> None:
    said = [*records(replace(ONE, ending=ending), V5_15), kill(Process(31, "php"), V5_15)]
    events = list(read_events(written(said)))
    assert [(event.trigger, [victim.pid for victim in event.victims]) for event in events] == [
        ("nginx", []),
        (None, [31]),
    ]


@pytest.mark.parametrize("seconds", [100, 3600, 86_400, 86_430, 40 * 86_400])
def test_a_kill_long_after_a_trigger_is_another_event(seconds: int) -> None:
    when, uptime = WHEN + timedelta(seconds=seconds), UPTIME + seconds
    for style in TIMED:
        lost = written(records(replace(ONE, ending="lost"), V5_15), style)
        later = written([kill(Process(31, "php"), V5_15)], style, when=when, uptime=uptime)
        assert _victims(lost + later) == [[], [31]], style


def test_a_kill_after_a_reboot_is_another_event() -> None:
    for style in (style for style in STYLES if style.has_uptime):
        lost = written(records(replace(ONE, ending="lost"), V5_15), style)
        later = written([kill(Process(31, "php"), V5_15)], style, when=WHEN + timedelta(seconds=30), uptime=12.5)
        assert _victims(lost + later) == [[], [31]], style


def test_a_kill_long_after_a_trigger_is_another_event_although_a_firewall_spoke_all_the_time() -> None:
    lost = records(replace(ONE, ending="lost"), V5_15)
    wall = [FIREWALL] * 600  # a line each 3 seconds for half an hour
    for style in TIMED:
        assert _victims(written([*lost, *wall, kill(Process(31, "php"), V5_15)], style, step=3)) == [[], [31]], style


def test_a_report_may_take_some_seconds() -> None:
    report = replace(ONE, processes=tuple(Process(pid, "php") for pid in range(1, 300)), reaped=False)
    for style in ("rsyslog", "rsyslog without uptime", "dmesg"):
        [event] = read_events(written(records(report, V5_15), BY_NAME[style], step=0.05))
        assert (event.task_count, len(event.victims)) == (299, 1)


def test_a_report_over_midnight_is_one_event() -> None:
    when = WHEN.replace(hour=23, minute=59, second=58)
    for style in ("rsyslog", "rsyslog without uptime", "journalctl short-iso"):
        assert _victims(written(records(ONE, V5_15), BY_NAME[style], when=when, step=0.2)) == [[11]]


@pytest.mark.parametrize("ending", ["nobody", "compulsory"])
def test_a_cgroup_in_which_nobody_can_be_killed_is_not_the_whole_machine(ending: str) -> None:
    # 5.0 and later name the cgroup in the summary, which there is only for a victim; the usage lines are a cgroup's.
    said = records(replace(ONE, scope="memcg", ending="lost"), V5_15)
    said.append(
        "Out of memory and no killable processes..."
        if ending == "nobody"
        else "Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled"
    )
    [event] = read_events(written(said))
    assert event.scope in ("memcg", "unknown")


def test_order_and_adj_may_stand_before_the_mask() -> None:
    line = "nginx invoked oom-killer: order=2, oom_score_adj=-5, gfp_mask=0x24201ca(GFP_KERNEL)"
    [event] = read_events(written([line]))
    found = (event.order, event.trigger_oom_score_adj, event.gfp_mask, event.gfp_names)
    assert found == (2, -5, "0x24201ca", "GFP_KERNEL")


def test_the_columns_of_a_table_whose_head_is_lost_are_those_of_the_last_head() -> None:
    named = Process(7, "9 lives", adj=5)
    report = replace(OTHER, processes=(named,), victims=(0,))
    for era in (era for era in ERAS if era.has_table):
        said = [word for word in records(report, era) if " total_vm " not in word]
        *_, event = read_events(written([*records(ONE, era), *said]))
        top = event.as_json()["tasks"]["top_rss"]
        assert top == {"pid": 7, "name": "9 lives", "rss_pages": named.rss}, era
