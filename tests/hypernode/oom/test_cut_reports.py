"""Reports of which a part is lost: a log that is cut gives what was put in or less, and never something else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, Era, Process, Report, seen, told
from kernel_wording import records
from log_styles import SYSLOG, Style, written
from report_strategies import between, eras, ordinary_names, reports, styles

from hypernode.oom.reports import read_events


def _is_beginning(found: Any, whole: Any) -> bool:
    # Half of a character is shown as escapes.
    return whole is not None and str(whole).startswith(re.sub(r"(?:\\x[0-9a-f]{2}){1,3}$", "", str(found)))


def wrongs(event: dict[str, Any], report: Report, era: Era, *, cut: str = "") -> list[str]:
    """Return what an event says that the report did not.

    The last word of a line may be cut off without leaving a trace, so a beginning of it is right in the line `cut`.
    """
    whole, wrong = told(report, era), []

    def check(name: str, found: Any, right: tuple[Any, ...], *, last_word: bool = False) -> None:
        if found is None or found in right:
            return
        if last_word and cut.endswith(str(found)) and any(_is_beginning(found, value) for value in right):
            return
        wrong.append(f"{name}: {found!r}")

    check("trigger", event["trigger"], (whole["trigger"],))
    check("adj", event["trigger_oom_score_adj"], (whole["trigger_oom_score_adj"],), last_word=True)
    check("mask", event["gfp_mask"], (whole["gfp_mask"],))
    check("order", event["order"], (whole["order"],))
    # Without the summary, "Out of memory" is all that is known of a cpuset's.
    scopes = {"cpuset": ("cpuset", "global"), "mempolicy": ("mempolicy", "global")}
    check("scope", event["scope"], ("unknown", *scopes.get(whole["scope"], (whole["scope"],))))
    check("memcg", event["memcg"], (whole["memcg"],), last_word=not era.has_summary)
    victims = {victim["pid"]: victim for victim in whole["victims"]}
    for victim in event["victims"]:
        known = victims.get(victim["pid"])
        if known is None:
            wrong.append(f"victim: {victim}")
            continue
        for name, value in victim.items():
            check(name, value, (known[name],), last_word=name == "oom_score_adj")
    if event["tasks"]["count"] > whole["tasks"]["count"]:
        wrong.append(f"count: {event['tasks']['count']}")
    if top := event["tasks"]["top_rss"]:
        process = next((one for one in report.processes if one.pid == top["pid"]), Process(0, ""))
        check("top's name", top["name"] or None, (seen(process.name),), last_word=True)
        check("top's rss", top["rss_pages"], (process.rss,))
    return wrong


def _all_wrongs(lines: list[bytes], report: Report, era: Era, *, cut: str = "") -> list[str]:
    events = [event.as_json() for event in read_events(lines)]
    assert len(events) <= max(1, len(told(report, era)["victims"]))
    return [wrong for event in events for wrong in wrongs(event, report, era, cut=cut)]


@given(reports(ordinary_names), eras, styles, st.data())
def test_a_report_without_its_first_or_last_lines_tells_nothing_that_was_not_in_it(
    report: Report, era: Era, style: Style, data: st.DataObject
) -> None:
    lines = written(data.draw(between(records(report, era), most=4)), style)
    places = st.integers(0, len(lines))
    assert _all_wrongs(lines[data.draw(places) : data.draw(places)], report, era) == []


@given(reports(ordinary_names), eras, styles, st.data())
def test_a_report_that_ends_in_half_a_line_tells_nothing_that_was_not_in_it(
    report: Report, era: Era, style: Style, data: st.DataObject
) -> None:
    log = b"".join(written(records(report, era), style))
    log = log[: data.draw(st.integers(0, len(log)))]
    lines = log.splitlines(keepends=True)
    last = lines[-1].decode("utf-8", "backslashreplace") if lines else ""
    assert _all_wrongs(lines, report, era, cut=last) == []


@given(reports(ordinary_names), eras, styles, st.data())
def test_a_report_that_begins_with_half_a_line_tells_nothing_that_was_not_in_it(
    report: Report, era: Era, style: Style, data: st.DataObject
) -> None:
    log = b"".join(written(records(report, era), style))
    log = log[data.draw(st.integers(0, len(log))) :]
    lines = log.splitlines(keepends=True)
    if lines and b" invoked oom-killer: " in lines[0]:
        del lines[0]  # nobody can tell where the name begins in such a line; see below
    assert _all_wrongs(lines, report, era) == []


@pytest.mark.parametrize("lost", [1, 9, 16, 17, 21, 22, 25, 29, 30, 33])
def test_half_a_prefix_that_is_too_long_for_a_name_is_no_part_of_the_triggers(lost: int) -> None:
    [first, *others] = written(records(Report(), ERAS[-1]), SYSLOG)
    rest = first[lost:].partition(b" invoked")[0]
    assert len(rest) > 15
    [event] = read_events([first[lost:], *others])
    assert event.trigger in ("nginx", None)


@given(reports(ordinary_names), eras, st.integers(0, 60), st.integers(1, 60))
def test_a_report_of_which_the_middle_is_lost_tells_nothing_that_was_not_in_it(
    report: Report, era: Era, first: int, many: int
) -> None:
    lines = written(records(report, era))
    assert _all_wrongs(lines[:first] + lines[first + many :], report, era) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("nginx invoked oom-killer: gfp_mask=0x24201", "gfp_mask"),
        ("nginx invoked oom-killer: gfp_mask=0x24201ca(GFP_HIGH", "gfp_mask"),
        ("nginx invoked oom-killer: gfp_mask=0x24201ca(GFP_KERNEL), order=1", "order"),
    ],
)
def test_a_number_that_a_lines_end_may_have_cut_is_not_told(line: str, name: str) -> None:
    # The mask's number is whole when a bracket follows it, its names are not.
    [event] = read_events([line.encode()])
    assert getattr(event, name) in ((None, "0x24201ca") if "(" in line and name == "gfp_mask" else (None,))
    assert event.gfp_names in (None, "GFP_KERNEL")


def test_a_uid_that_a_lines_end_may_have_cut_is_not_told() -> None:
    line = b"Out of memory: Killed process 7 (x) total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:10"
    [event] = read_events([line])
    assert event.victims[0].uid is None


def test_a_cgroup_whose_path_is_cut_off_is_one_without_a_name() -> None:
    line = b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/lxc/39"
    kill = b"Memory cgroup out of memory: Killed process 7 (x) total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB"
    [event] = read_events([line, kill])
    assert (event.scope, event.memcg) == ("memcg", None)
