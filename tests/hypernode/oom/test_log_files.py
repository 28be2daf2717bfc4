"""Log files: compressed or not, rotated, damaged, missing; one stream of events in order of time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from kernel_reports import ERAS, Process
from kernel_wording import kill
from log_styles import BY_NAME, SYSLOG, Style, written
from report_strategies import NOISE

from hypernode.errors import InputError
from hypernode.oom.events import Event
from hypernode.oom.files import find_logs, read_logs, read_stream

_PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "gz in two parts": lambda raw: gzip.compress(raw[:100]) + gzip.compress(raw[100:]),
    "gz with zeros behind it": lambda raw: gzip.compress(raw) + b"\0" * 512,
}
_FIREWALL = NOISE[0]


def log_of(pids: Sequence[int], when: datetime, style: Style = SYSLOG, *, step: float = 60) -> bytes:
    """Return a log with a kill each `step` seconds, and firewall lines about it."""
    said = [word for pid in pids for word in (_FIREWALL, kill(Process(pid, "php"), ERAS[-1]), _FIREWALL)]
    return b"".join(written(said, style, when=when, step=step / 3))


def put(path: Path, raw: bytes, when: datetime) -> Path:
    path.write_bytes(raw)
    os.utime(path, (when.timestamp(), when.timestamp()))
    return path


def pids(events: Sequence[Event]) -> list[int]:
    return [victim.pid for event in events for victim in event.victims]


def read(*paths: Path) -> tuple[list[Event], list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    return list(read_logs(paths, on_problem=lambda path, text: problems.append((path, text)))), problems


@pytest.mark.parametrize("packed", _PACKED)
@pytest.mark.parametrize("name", ["kern.log", "kern.log.2.gz", "kern.log.xz"])
def test_a_file_is_read_by_what_it_holds_and_not_by_its_name(tmp_path: Path, packed: str, name: str) -> None:
    when = datetime(2024, 3, 5, 10)
    path = put(tmp_path / name, _PACKED[packed](log_of(range(1, 6), when)), when + timedelta(hours=1))
    events, problems = read(path)
    assert (pids(events), problems) == ([1, 2, 3, 4, 5], [])
    assert {event.source for event in events} == {str(path)}
    assert events[0].at == "2024-03-05T10:00:20"


def test_rotated_files_in_any_order_come_out_in_order_of_time(tmp_path: Path) -> None:
    parts = [datetime(2023, 12, 30), datetime(2023, 12, 31, 23, 59), datetime(2024, 1, 2)]
    names = ["kern.log-20240101.gz", "kern.log.1", "kern.log"]
    files = []
    for number, (when, name) in enumerate(zip(parts, names, strict=True)):
        raw = log_of(range(number * 3 + 1, number * 3 + 4), when)
        packed = gzip.compress(raw) if name.endswith("gz") else raw
        files.append(put(tmp_path / name, packed, when + timedelta(hours=1)))
    for order in permutations(files):
        events, problems = read(*order)
        assert (pids(events), problems) == (list(range(1, 10)), [])
        assert [event.at or "" for event in events] == sorted(event.at or "" for event in events)


def test_events_of_files_that_overlap_are_told_in_turns(tmp_path: Path) -> None:
    when = datetime(2024, 3, 5, 10)
    one = put(tmp_path / "a", log_of([1, 3, 5], when, step=60), when + timedelta(hours=1))
    other = put(tmp_path / "b", log_of([2, 4, 6], when + timedelta(seconds=30), step=60), when + timedelta(hours=1))
    assert pids(read(one, other)[0]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("year", [2019, 2023, 2024])
def test_the_year_is_that_of_the_files_own_time(tmp_path: Path, year: int) -> None:
    path = put(tmp_path / "kern.log", log_of([1], datetime(year, 12, 31, 23, 58)), datetime(year + 1, 1, 1, 0, 5))
    assert read(path)[0][0].at == f"{year}-12-31T23:58:20"


def test_the_year_turns_within_a_file(tmp_path: Path) -> None:
    raw = log_of([1], datetime(2022, 11, 5)) + log_of([2], datetime(2023, 2, 5)) + log_of([3], datetime(2024, 1, 5))
    events, _ = read(put(tmp_path / "kern.log", raw, datetime(2024, 1, 6)))
    assert [(event.at or "")[:10] for event in events] == ["2022-11-05", "2023-02-05", "2024-01-05"]


def test_events_without_a_time_stay_where_their_file_has_them(tmp_path: Path) -> None:
    when = datetime(2024, 3, 5)
    mixed = log_of([1], when) + log_of([2, 3], when, BY_NAME["dmesg"]) + log_of([4], when + timedelta(hours=2))
    late = put(tmp_path / "late", log_of([5], when + timedelta(hours=3)), when + timedelta(hours=9))
    events, _ = read(late, put(tmp_path / "mixed", mixed, when + timedelta(hours=9)))
    assert pids(events) == [1, 2, 3, 4, 5]
    assert [event.at is None for event in events] == [False, True, True, False, False]


def test_a_log_without_any_time_is_told_all_the_same(tmp_path: Path) -> None:
    path = put(tmp_path / "dmesg", log_of([3, 1, 2], datetime(2024, 3, 5), BY_NAME["nothing"]), datetime(2024, 3, 5))
    events, _ = read(path)
    assert (pids(events), {event.at for event in events}) == ([3, 1, 2], {None})


def test_what_cannot_be_opened_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    good = put(tmp_path / "good", log_of([1], datetime(2024, 3, 5)), datetime(2024, 3, 5))
    (tmp_path / "folder").mkdir()
    events, problems = read(tmp_path / "missing", tmp_path / "folder", good)
    assert pids(events) == [1]
    assert sorted((Path(path).name, text) for path, text in problems) == [
        ("folder", "Is a directory"),
        ("missing", "No such file or directory"),
    ]


def test_a_file_that_we_may_not_read_is_told(
    tmp_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    secret = put(tmp_path / "secret", log_of([2], datetime(2024, 3, 5)), datetime(2024, 3, 5))
    secret.chmod(0)
    with as_nobody():
        assert read(secret) == ([], [(str(secret), "Permission denied")])


@pytest.mark.parametrize("packed", ["gz", "xz", "bz2"])
def test_of_a_file_that_is_cut_off_all_is_told_that_can_be_read(tmp_path: Path, packed: str) -> None:
    when = datetime(2024, 3, 5)
    whole = _PACKED[packed](log_of(range(1, 5001), when, step=6))
    path = put(tmp_path / "cut", whole[: len(whole) - 20], when + timedelta(days=1))
    events, problems = read(path)
    assert [path for path, _ in problems] == [str(path)]
    assert "damaged or cut off" in problems[0][1]
    assert pids(events) == list(range(1, len(events) + 1))
    assert len(events) > (4900 if packed == "gz" else 0)


@pytest.mark.parametrize("packed", ["gz", "xz", "bz2"])
def test_of_a_file_that_is_damaged_in_its_middle_the_rest_of_the_files_is_read(tmp_path: Path, packed: str) -> None:
    when = datetime(2024, 3, 5)
    raw = bytearray(_PACKED[packed](log_of(range(1, 5001), when, step=6)))
    raw[len(raw) // 2 : len(raw) // 2 + 40] = b"\xff" * 40
    damaged = put(tmp_path / "damaged", bytes(raw), when + timedelta(days=1))
    good = put(tmp_path / "good", log_of([7777], when), when)
    events, problems = read(damaged, good)
    assert [path for path, _ in problems] == [str(damaged)]
    assert 7777 in pids(events)  # of the damaged one some is lost, and some of a gz may come twice


def test_of_a_gz_that_is_cut_off_the_lines_before_the_cut_are_told_although_they_are_few(tmp_path: Path) -> None:
    when = datetime(2024, 3, 5)
    whole = gzip.compress(log_of(range(1, 101), when, step=6))
    path = put(tmp_path / "cut.gz", whole[: len(whole) // 2], when + timedelta(days=1))
    events, problems = read(path)
    assert len(problems) == 1
    assert len(events) > 20


@pytest.mark.parametrize(
    "raw", [b"", b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh9", b"\x1f\x8b\x08\0garbage", b"\0" * 100, b"BZh\n"]
)
def test_a_file_that_holds_nothing_of_use_makes_no_event(tmp_path: Path, raw: bytes) -> None:
    events, problems = read(put(tmp_path / "x", raw, datetime(2024, 3, 5)))
    assert events == []
    assert len(problems) <= 1


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    log = log_of([1, 2], datetime(2024, 3, 5))
    writer = threading.Thread(target=_write, args=(pipe, log))
    writer.start()
    events, problems = read(pipe)
    writer.join()
    assert (pids(events), problems) == ([1, 2], [])


def _write(path: Path, raw: bytes) -> None:
    with suppress(BrokenPipeError):
        path.write_bytes(raw)


def test_a_stream_that_gives_a_few_bytes_at_a_time_is_read_to_its_end() -> None:
    file = io.BytesIO(log_of([1, 2, 3], datetime(2024, 3, 5)))
    events = list(read_stream(lambda size: file.read(min(size, 10)), latest=datetime(2024, 3, 6), source="stdin"))
    assert pids(events) == [1, 2, 3]
    assert [event.source for event in events] == ["stdin"] * 3


def test_the_logs_of_a_node_are_found_where_its_root_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))
    with pytest.raises(InputError) as caught:
        find_logs()
    assert str(caught.value) == f"there is no {tmp_path}/var/log/kern.log"
    folder = tmp_path / "var" / "log"
    folder.mkdir(parents=True)
    (folder / "kern.log.d").mkdir()
    names = ["kern.log", "kern.log-20240310.gz", "kern.log.1", "kern.log.2.gz"]
    for name in [*names, "syslog", "xkern.log"]:
        (folder / name).touch()
    assert [path.name for path in find_logs()] == names
