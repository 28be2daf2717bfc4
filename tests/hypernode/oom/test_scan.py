"""The quick way through a log finds what reading line by line finds."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_reports import ERAS, Process, Report
from kernel_wording import kill, records
from log_styles import WHEN, written
from report_strategies import NAMES, QUOTES, between, eras, logs, reports, styles

from hypernode.oom import scan as scanning
from hypernode.oom.events import Event
from hypernode.oom.kernlog import Line
from hypernode.oom.reports import Reader, read_events
from hypernode.oom.scan import scan

_FROM_THE_TABLE = ("uid", "oom_score_adj")
_sizes = st.integers(1, 200) | st.sampled_from([1000, 5000, 1 << 20])


def in_chunks(log: bytes, chunk: int, block: int = 1 << 16) -> list[Event]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_CHUNK", chunk)
        patch.setattr(scanning, "_BLOCK", block)
        return list(scan(io.BytesIO(log).read, keep_tasks=True))


def by_line(log: bytes) -> list[Event]:
    return list(read_events(io.BytesIO(log), keep_tasks=True))


def _surely(event: Event) -> dict[str, Any]:
    """Return what a scan must tell: all but what stands before the first line that looks like a report.

    That is the table of a report whose trigger is lost, with what only it says of the victims, and the time of its
    first line. What stands between such a table and the kill goes with it.
    """
    told = event.as_json()
    kept = {name: told[name] for name in ("trigger", "trigger_oom_score_adj", "gfp_mask", "order")}
    victims = [{n: v for n, v in one.items() if n not in _FROM_THE_TABLE} for one in told["victims"]]
    return {**kept, "victims": victims}


def _agree(found: Event, whole: Event) -> bool:
    """Tell whether `found` says nothing of a victim that `whole` does not."""
    return all(
        getattr(mine, name) in (None, getattr(theirs, name))
        for mine, theirs in zip(found.victims, whole.victims, strict=True)
        for name in _FROM_THE_TABLE
    )


@given(st.lists(reports(), max_size=4), eras, styles, st.data(), _sizes, _sizes)
def test_a_log_with_all_its_triggers_in_chunks_of_any_size_gives_the_very_same(
    whole: list[Report], era: Any, style: Any, data: st.DataObject, chunk: int, block: int
) -> None:
    said = [word for report in whole for word in records(report, era)]
    lines = written(data.draw(between(said)), style, when=WHEN)
    for place in data.draw(st.lists(st.integers(0, max(0, len(lines) - 1)), max_size=3)) if lines else ():
        if b"oom-killer" not in lines[place] and b"total_vm" not in lines[place]:
            lines[place] = data.draw(st.sampled_from([b"\n", lines[place][:40], lines[place] * 2, b"\0\xff\n"]))
    log = b"".join(lines)
    log = log[: data.draw(st.integers(0, len(log)) | st.just(len(log)))]
    assert in_chunks(log, chunk, block) == by_line(log)


@given(logs(), _sizes, _sizes)
def test_a_damaged_log_in_chunks_of_any_size_gives_the_same_kills(lines: list[bytes], chunk: int, block: int) -> None:
    log = b"".join(lines)
    # A report that has lost its head and killed nobody holds no line that a scan looks for.
    found, whole = (
        [event for event in events if event.trigger or event.victims]
        for events in (in_chunks(log, chunk, block), by_line(log))
    )
    assert list(map(_surely, found)) == list(map(_surely, whole))
    if not any(b" total_vm " in line for line in lines):
        assert found == whole
    if all(event.trigger for event in whole):
        assert all(map(_agree, found, whole))


@given(
    st.lists(logs().map(b"".join) | st.binary(max_size=60) | st.sampled_from([b"\n", b"\0", b"\r\n"]), max_size=6),
    _sizes,
)
def test_no_bytes_make_it_raise(parts: list[bytes], chunk: int) -> None:
    log = b"".join(parts)
    for event in in_chunks(log, chunk):
        event.as_json()


@given(logs(), _sizes)
def test_stamps_are_told_for_the_first_lines_of_chunks_and_the_last_of_the_log(lines: list[bytes], chunk: int) -> None:
    log = b"".join(lines)
    stamps: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_CHUNK", chunk)
        list(scan(io.BytesIO(log).read, on_stamp=stamps.append))
    assert all(stamp is not None for stamp in stamps)


def test_a_reader_that_is_told_nothing_more_gives_back_what_was_open() -> None:
    reader = Reader()
    assert list(reader.read(Line("x invoked oom-killer: gfp_mask=0x1, order=0"))) == []
    assert not reader.idle
    [event] = reader.end()
    assert (event.trigger, reader.idle, list(reader.end())) == ("x", True, [])


@pytest.mark.parametrize("name", NAMES + QUOTES)
def test_a_kill_is_found_whatever_the_name_and_wherever_the_chunk_ends(name: str) -> None:
    for era in ERAS:
        log = b"".join(written([kill(Process(7, name), era)]))
        whole = by_line(log)
        assert [victim.pid for event in whole for victim in event.victims] == [7]
        for chunk in (1, 7, len(log) - 1, len(log)):
            assert in_chunks(log, chunk, block=3) == whole
