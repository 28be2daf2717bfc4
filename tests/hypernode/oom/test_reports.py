"""Reports of every era in every style of log: what was put in comes out, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, NO_LIMIT, Era, Process, Report, told, told_beside
from kernel_wording import records
from log_styles import BY_NAME, STYLES, SYSLOG, WHEN, Said, Style, written
from report_strategies import NAMES, NOISE, QUOTES, between, eras, noise, reports, styles

from hypernode.oom.events import Event
from hypernode.oom.reports import read_events

_MANY = (
    Process(1, "systemd", uid=0, anon=900, adj=-1000),
    Process(4528, "mysqld", uid=112, anon=142_000, swap=77, adj=-17),
    Process(3_964_255, "php-fpm", uid=1000, anon=90_000, shmem=39_022, adj=200),
    Process(23_023, "app (build 7", uid=1001, anon=80_000),
)
REPORTS = {
    "of the whole machine": Report(processes=_MANY, victims=(1,), chosen=1),
    "of a cgroup": Report(scope="memcg", memcg="/lxc/39004", processes=_MANY, victims=(2,), chosen=2, mask=0),
    "of a cgroup without limit": Report(scope="memcg", limit_kib=NO_LIMIT, processes=_MANY, victims=(2,)),
    "of a cpuset": Report(scope="cpuset", processes=_MANY, victims=(3,), order=3, trigger_adj=-1000),
    "of a memory policy": Report(scope="mempolicy", processes=_MANY, victims=(3,), reaped=False),
    "with a child killed for the chosen": Report(processes=_MANY, victims=(3,), chosen=1),
    "with a group killed": Report(scope="memcg", memcg="/a/b", processes=_MANY, victims=(2, 3, 0), chosen=2),
    "without a table": Report(dump_tasks=False, processes=_MANY, victims=(2,)),
    "asked for by hand": Report(trigger="kworker/0:1", order=-1, by_hand=True, processes=_MANY, victims=(1,)),
    "with nobody to kill": Report(ending="nobody", processes=_MANY),
    "with a panic": Report(ending="panic", processes=_MANY),
    "with a deadlock": Report(ending="deadlock", processes=_MANY),
    "with its end lost": Report(ending="lost", processes=_MANY),
}
PLAIN = Report(processes=_MANY, victims=(2,), chosen=2)


def as_told(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.as_json().items() if name not in ("at", "source")}


def read(lines: list[bytes]) -> list[dict[str, Any]]:
    return [as_told(event) for event in read_events(lines)]


@pytest.mark.parametrize("kind", REPORTS)
@pytest.mark.parametrize("era", ERAS, ids=str)
def test_a_report_of_any_kernel_gives_exactly_what_that_kernel_told(era: Era, kind: str) -> None:
    report = REPORTS[kind]
    [event] = read_events(written(records(report, era)))
    assert as_told(event) == told(report, era)
    assert {name: getattr(event, name) for name in told_beside(report, era)} == told_beside(report, era)


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("when", [WHEN, datetime(2023, 11, 26, 21, 33)], ids=["5 March", "26 November"])
def test_an_event_has_the_time_of_its_trigger_as_the_log_spells_it(style: Style, when: datetime) -> None:
    [event] = read_events(written(records(PLAIN, ERAS[-1]), style, when=when))
    stamp = style.stamp(when)
    if style.name == "dmesg -H":
        assert stamp is not None
        stamp = stamp._replace(second=0)
    assert event.stamp == stamp
    assert event.uptime == (928270.384548 if style.has_uptime else None)


@given(reports(), eras, styles, st.data())
def test_any_report_in_any_style_among_any_noise_gives_what_was_put_in(
    report: Report, era: Era, style: Style, data: st.DataObject
) -> None:
    said = data.draw(between(records(report, era)))
    assert read(written(said, style)) == [told(report, era)]


@given(reports(), eras, styles, styles)
def test_a_report_reads_alike_in_any_two_styles(report: Report, era: Era, one: Style, other: Style) -> None:
    said = records(report, era)
    assert read(written(said, one)) == read(written(said, other))


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_lines_of_others_tell_of_no_event(style: Style) -> None:
    assert read(written(NOISE, style)) == []


@given(st.lists(noise, max_size=20), styles)
def test_no_mixture_of_lines_of_others_tells_of_an_event(said: list[Said], style: Style) -> None:
    assert read(written(said, style)) == []


@pytest.mark.parametrize("scope", ["global", "memcg"])
@pytest.mark.parametrize("name", NAMES + QUOTES)
def test_a_victim_may_have_any_name(name: str, scope: Literal["global", "memcg"]) -> None:
    report = Report(processes=(Process(4528, name, uid=33),), scope=scope, memcg="/x")
    for era in ERAS:
        assert read(written(records(report, era))) == [told(report, era)], era


@pytest.mark.parametrize("name", [*NAMES, *QUOTES, " php", "[kworker/0:1]", "[1]", "[ pid ] name", "[stealth"])
def test_a_trigger_may_have_any_name(name: str) -> None:
    report = replace(PLAIN, trigger=name)
    for style in ("rsyslog", "rsyslog without uptime", "dmesg", "dmesg iso", "kmsg", "journalctl"):
        assert read(written(records(report, ERAS[-1]), BY_NAME[style])) == [told(report, ERAS[-1])], style


@pytest.mark.parametrize("name", ["  padded", " ", "\xa0x", "\u3000", "7 8 9", "\x1fx", "x  "])
def test_the_blanks_and_digits_of_a_name_in_the_table_are_the_names(name: str) -> None:
    report = Report(processes=(Process(4528, name),))
    assert read(written(records(report, ERAS[-1]))) == [told(report, ERAS[-1])]


@pytest.mark.parametrize("name", ["reader\ttab", "line\ttab"])
def test_octal_numbers_of_rsyslog_are_the_signs_they_stand_for(name: str) -> None:
    report = Report(trigger=name, processes=(Process(4528, name),))
    assert read(written(records(report, ERAS[-1]), SYSLOG)) == [told(report, ERAS[-1])]


@given(st.lists(st.tuples(reports(), eras), max_size=3), styles, st.data())
def test_reports_one_after_the_other_are_events_one_after_the_other(
    pairs: list[tuple[Report, Era]], style: Style, data: st.DataObject
) -> None:
    said = [word for report, era in pairs for word in records(report, era)]
    assert read(written(data.draw(between(said)), style)) == [told(report, era) for report, era in pairs]


@pytest.mark.parametrize(
    ("lines", "ending"),
    [
        (["Out of memory and no killable processes..."], "no killable process"),
        (["Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled"], "panic"),
        (
            [
                "Out of memory and no killable processes...",
                "Kernel panic - not syncing: System is deadlocked on memory",
            ],
            "panic",
        ),
        (["Out of memory: Killed process 7 (php) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"], None),
    ],
)
def test_how_a_report_without_a_victim_ends_is_kept(lines: list[str], ending: str | None) -> None:
    trigger = "php invoked oom-killer: gfp_mask=0x1, order=0, oom_score_adj=0"
    [event] = read_events(f"[12.5] {line}\n".encode() for line in (trigger, *lines))
    assert event.ending == ending
