"""Logs that mean harm, or are only odd: an answer, in bounded time and memory."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kernel_reports import ERAS, Process, Report
from kernel_wording import kill, records
from log_styles import BY_NAME, written

from hypernode.oom.kernlog import LONGEST_LINE
from hypernode.oom.reports import read_events
from hypernode.oom.scan import scan

_ONE = b"".join(written(records(Report(processes=(Process(7, "php-fpm"),)), ERAS[-1])))
_KILL = kill(Process(9, "php"), ERAS[-1]).encode() + b"\n"
_BOMBS: dict[str, tuple[bytes, int | None]] = {
    "10 MB in one line": (b"x" * 10_000_000 + b"\n" + _KILL, 1),
    "10 MB in one line that begins like a kill": (b"Killed process 7 (" + b"(" * 10_000_000 + b"\n" + _KILL, 1),
    "10 MB of blanks behind a kill": (_KILL[:-1] + b" " * 10_000_000 + b"\n" + _KILL, None),
    "10 MB in a row": (_ONE[:-200] + b"\n[" + b" " * 10_000_000 + b"7] 0 7 1 1 1 1 1 1 x\n" + _KILL, None),
    "a line of 64 KiB": (b"x" * (LONGEST_LINE - 1) + b"\n" + _KILL, 1),
    "a line of 64 KiB and a byte": (b"x" * LONGEST_LINE + b"\n" + _KILL, 1),
    "the news behind 64 KiB of a line": (b"x" * LONGEST_LINE + _KILL + _KILL, 1),
    "20,000 triggers": (b"x invoked oom-killer: gfp_mask=0x1, order=0, oom_score_adj=0\n" * 20_000, 20_000),
    "20,000 triggers in a line": (b"x invoked oom-killer: gfp_mask=0x1" * 20_000, 1),
    "20,000 kills in a line": (_KILL[:-1] * 20_000, None),
    "100,000 heads of tables": (b"[ pid ] uid tgid total_vm rss nr_ptes swapents oom_score_adj name\n" * 100_000, 0),
    "NULs": (b"\0" * 1_000_000 + b"\n" + b"\0 process (\0\n" * 10_000 + _KILL, 1),
    "invalid UTF-8": (b"\xff\xfe\xc3(\x80 process (_\n" * 10_000 + _KILL, 1),
    "colours": ((b"\x1b[" * 1000 + b"m process (\n") * 100 + b"\x1b[1m" * 9000 + _KILL, 1),
    "octal numbers": (b"Jan 10 21:43:57 host kernel: " + b"#012" * 16_000 + b" process (\n" + _KILL, 1),
    "nothing": (b"", 0),
    "ends of lines": (b"\n" * 3_000_000 + _KILL, 1),
}


@pytest.mark.parametrize("bomb", _BOMBS)
def test_a_log_bomb_has_an_answer(bomb: str) -> None:
    log, events = _BOMBS[bomb]
    found = list(scan(io.BytesIO(log).read))
    assert events is None or len(found) == events
    assert all(len(victim.name) < 100_000 for event in found for victim in event.victims)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd"[:15], "$(reboot)", "<script>x", "x\x1b]0;y\x07", "\x1b[2J\x1b[31m", "%s%n"]
)
def test_a_dangerous_name_is_a_name_like_others(name: str) -> None:
    log = b"".join(written(records(Report(processes=(Process(7, name),)), ERAS[-1]), BY_NAME["journalctl"]))
    [event] = scan(io.BytesIO(log).read)
    assert event.victims[0].pid == 7
    assert event.victims[0].name == name or "\x1b" in name


def _stream(parts: Iterator[bytes]) -> Callable[[int], bytes]:
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        while len(rest) < size and (part := next(parts, b"")):
            rest += part
        head, rest = rest[:size], rest[size:]
        return head

    return read


def _megabytes(line: bytes, many: int) -> Iterator[bytes]:
    block = line * ((1 << 16) // len(line) + 1)
    yield from (block for _ in range(many * 16))


_STREAMS: dict[str, Callable[[], Iterator[bytes]]] = {
    "a firewall": lambda: _megabytes(written(["[UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.7 SPT=1"])[0], 30),
    "one line": lambda: _megabytes(b"x", 30),
    "one line of an open report": lambda: iter([_ONE[:400], *_megabytes(b"y", 30)]),
    "ends of lines": lambda: _megabytes(b"\n", 4),
    "an open report and a firewall": lambda: iter([_ONE[:400] + b"\n", b"[UFW BLOCK] SRC=192.0.2.7\n" * 15_000]),
    "one row for ever": lambda: iter([_ONE[:400] + b"\n", b"[ 1] 0 1 9 9 9 9 9 9 x\n" * 15_000]),
    "rows of other processes": lambda: (
        f"[{pid}] 0 {pid} 9 9 9 9 9 9 process of the number {pid}\n".encode() if pid else _ONE[:400] + b"\n"
        for pid in range(12_000)
    ),
}


@pytest.mark.parametrize("stream", _STREAMS)
def test_memory_is_bounded_whatever_a_stream_holds(stream: str) -> None:
    read = _stream(_STREAMS[stream]())
    tracemalloc.start()
    try:
        for _ in scan(read):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


_HEADS = (
    "x invoked oom-killer: gfp_mask=0x1",
    "oom-kill:constraint=CONSTRAINT_",
    "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/",
    "Out of memory: Kill process 7 ",
    "Memory cgroup out of memory",
    "Killed process 7 (",
    "Killed process 7, UID 1, (",
    "Task in ",
    "Tasks in ",
    "memory: usage 1kB, limit ",
    "Free swap ",
    "[ pid ] uid",
    "[7] 0 7 9 9 9",
    "[",
    "Jan 10 21:43:57 host ",
    "<4>",
    "",
)
_REPEATED = (
    "(",
    ")",
    "] ",
    "[ ",
    ", UID 1",
    ", UID 1, (",
    "9",
    "9 ",
    " ",
    ",task=",
    ",task=x,pid=1",
    ",pid=1,uid=1",
    ",oom_memcg=/",
    ",task_memcg=",
    " killed as a result of limit of ",
    "oom_memcg=",
    " total-vm:1kB",
    " score 1",
    "gfp_mask=0x1(",
    "order=",
    "anon-rss:1",
    " kernel: ",
    "#012",
    "\x1b[",
    "<4>",
    ": ",
    "Out of memory: ",
)


@pytest.mark.parametrize("sign", _REPEATED)
def test_a_long_line_of_repeated_signs_is_read(sign: str) -> None:
    """What would go back over it again and again would take minutes."""
    for head in _HEADS:
        for tail in ("", ",pid=1,uid=x", ")x"):
            text = (head + sign * (LONGEST_LINE // len(sign)))[: LONGEST_LINE - len(tail)] + tail
            for _ in read_events([b"x invoked oom-killer: gfp_mask=0x1", text.encode()]):
                pass


class _Counted(bytes):
    """Bytes that count how many of them were searched."""

    searched = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        place = super().find(sub, start, end)
        _Counted.searched += (len(self) if end is None else end) - start if place < 0 else place - start
        return place


@pytest.mark.parametrize(
    "text",
    [
        "host systemd[1]: php.service: Main process exited, code=exited, status=1/FAILURE (x)",
        "host kernel: oom_reaper: reaped process 9 (php), now anon-rss:0kB",
        "host kernel: x oom-kill (",
        "host kernel: [UFW BLOCK] SRC=192.0.2.7",
        "host php: x_y(z)",
    ],
)
def test_a_log_is_searched_a_few_times_and_not_once_for_each_line(text: str) -> None:
    log = f"Jan 10 21:43:57 {text}\n".encode() * 2000
    _Counted.searched = 0
    parts = iter([_Counted(log)])
    assert list(scan(lambda size: next(parts, b""))) == []
    assert _Counted.searched < 20 * len(log)
