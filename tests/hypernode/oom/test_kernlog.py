"""Prefixes: when each line was written, and that its text is what the kernel said, to the blank."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_styles import LANGUAGES, STYLES, UNKNOWN, Said, Style, written

from hypernode.oom.kernlog import LONGEST_LINE, Line, Stamp, read_lines, read_stamp

TEXT = "nginx invoked oom-killer: gfp_mask=0x24201ca"
_UP = 928270.384548
_PLAIN = Stamp(None, 1, 10, 21, 43, 57)
_MARCH = Stamp(2024, 3, 5, 10, 15, 30)
_SHORT = Stamp(None, 3, 5, 10, 15, 0)

PREFIXES: dict[str, tuple[Stamp | None, float | None]] = {
    "Jan 10 21:43:57 host kernel: [928270.384548] ": (_PLAIN, _UP),
    "Jan 10 21:43:57 host kernel:[928270.384548] ": (_PLAIN, _UP),
    "Jan 10 21:43:57 host kernel: [    1.000000] ": (_PLAIN, 1.0),
    "Jan 10 21:43:57 host kernel: ": (_PLAIN, None),
    "Jan  1 00:00:00 host kernel: ": (Stamp(None, 1, 1, 0, 0, 0), None),
    "Jan 01 00:00:00 host kernel: ": (Stamp(None, 1, 1, 0, 0, 0), None),
    "Jan 10 21:43:57 host.example.com kernel: : ": (_PLAIN, None),
    "Jan 10 21:43:57 host kernel: : [928270.384548] ": (_PLAIN, _UP),
    "Jan 10 21:43:57.384548 host kernel: ": (_PLAIN._replace(fraction="384548"), None),
    "2024-03-05T10:15:30.123456+01:00 host kernel: [928270.384548] ": (
        _MARCH._replace(fraction="123456", zone="+01:00"),
        _UP,
    ),
    "2024-03-05T10:15:30.123456+01:00 host kernel: ": (_MARCH._replace(fraction="123456", zone="+01:00"), None),
    "2024-03-05T10:15:30Z host kernel: ": (_MARCH._replace(zone="Z"), None),
    "2024-03-05T10:15:30+0100 host kernel: ": (_MARCH._replace(zone="+01:00"), None),
    "2024-03-05T10:15:30-0330 host kernel: ": (_MARCH._replace(zone="-03:30"), None),
    "2024-03-05 10:15:30 host kernel: ": (_MARCH, None),
    "[928270.384548] ": (None, _UP),
    "[    1.000000] ": (None, 1.0),
    "[    0.000000] ": (None, 0.0),
    "[   12.345678][ T1234] ": (None, 12.345678),
    "[   12.345678][    T1] ": (None, 12.345678),
    "[   12.345678][    C0] ": (None, 12.345678),
    "[Tue Mar  5 10:15:30 2024] ": (_MARCH, None),
    "[Di Aug 12 03:54:03 2025] ": (Stamp(2025, 8, 12, 3, 54, 3), None),
    "[mar. 5 mars 10:15:30 2024] ": (_MARCH, None),
    "[火  3月  5 10:15:30 2024] ": (_MARCH, None),
    "[화  3월  5 10:15:30 2024] ": (_MARCH, None),
    "[Вт мар  5 10:15:30 2024] ": (_MARCH._replace(month=None), None),
    "[Tue Mar  5 10:15:30 2024 <    0.000006>] ": (_MARCH, None),
    "[928270.384548 <    0.000006>] ": (None, _UP),
    "[<    0.000006>] ": (None, None),
    "2024-03-05T10:15:30,123456+01:00 ": (_MARCH._replace(fraction="123456", zone="+01:00"), None),
    "[Mar 5 10:15] ": (_SHORT, None),
    "[Mar  5 10:15] ": (_SHORT, None),
    "[Nov26 21:33] ": (Stamp(None, 11, 26, 21, 33, 0), None),
    "[  +0.000006] ": (None, None),
    "[+120.000006] ": (None, None),
    "6,3057,3816544,-;": (None, 3.816544),
    "4,3057,3816544,-,caller=T1234;": (None, 3.816544),
    "<4>[12.3] ": (None, 12.3),
    "<4>[   12.345678][ T1234] ": (None, 12.345678),
    "\x1b[32m[928270.384548] \x1b[0m\x1b[1m": (None, _UP),
    "\x1b[32m[Tue Mar  5 10:15:30 2024] \x1b[0m": (_MARCH, None),
    "": (None, None),
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("text", [TEXT, " <TASK>", "  indented"])
def test_a_prefix_gives_its_time_and_leaves_the_text_with_its_blanks(prefix: str, text: str) -> None:
    stamp, uptime = PREFIXES[prefix]
    assert read_lines(f"{prefix}{text}\n".encode()) == [Line(text, stamp, uptime)]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_each_month_is_known_in_each_style(style: Style) -> None:
    for month in range(1, 13):
        for day in (1, 9, 10, 28):
            when = datetime(2023, month, day, 23, 59, 59)
            [line] = read_lines(written([TEXT], style, when=when)[0])
            stamp = style.stamp(when)
            if style.name == "dmesg -H" and stamp is not None:
                stamp = stamp._replace(second=0)
            assert (line.text, line.stamp) == (TEXT, stamp)


def test_each_weekday_of_a_language_leaves_the_month_as_it_is() -> None:
    for style in (style for style in STYLES if style.name.startswith("dmesg -T")):
        for days in range(365):
            when = datetime(2023, 1, 1) + timedelta(days=days)
            assert read_lines(written([TEXT], style, when=when)[0]) == [Line(TEXT, style.stamp(when))]
    assert set(UNKNOWN) < set(LANGUAGES)


@pytest.mark.parametrize("row", ["[3964255]  1000 3964255   179082 php", "[ pid ]   uid  tgid name", "[1] 0 1 x"])
@pytest.mark.parametrize(
    "prefix", ["", "Jan 10 21:43:57 host kernel: ", "[Tue Mar  5 10:15:30 2024] ", "[  +0.000006] "]
)
def test_a_pid_in_its_bracket_is_no_uptime(prefix: str, row: str) -> None:
    [line] = read_lines(f"{prefix}{row}".encode())
    assert (line.text, line.uptime) == (row, None)


@pytest.mark.parametrize("tag", ["systemd[1]", "kubelet[77]", "mysqld_safe", "kernelsnoop", "kernel-watch", "xkernel"])
@pytest.mark.parametrize("style", [style for style in STYLES if style.others], ids=str)
def test_a_line_of_another_program_is_none_of_the_kernels(style: Style, tag: str) -> None:
    for text in (TEXT, f"kernel: {TEXT}", f"x kernel: {TEXT}", f"#012{TEXT}"):
        assert read_lines(written([Said(text, tag)], style)[0]) == []


def test_octal_numbers_of_rsyslog_are_the_lines_and_signs_that_they_were() -> None:
    head = "Jan 10 21:43:57 host kernel: [928270.384548] "
    lines = read_lines(f"{head}a:1#012 b:2#012#011c:3#033[0m".encode())
    assert lines == [Line(text, _PLAIN, _UP) for text in ("a:1", " b:2", "\tc:3")]


def test_lines_of_windows_end_where_their_text_does() -> None:
    assert read_lines(f"[    1.000000] {TEXT}\r\n".encode()) == [Line(TEXT, None, 1.0)]


def test_bytes_that_are_no_utf_8_are_shown_as_escapes() -> None:
    assert read_lines(b"[    1.000000] caf\xc3") == [Line("caf\\xc3", None, 1.0)]


def test_of_a_line_only_the_first_64_kib_are_read() -> None:
    for size in (LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE):
        [line] = read_lines(b"x" * size)
        assert len(line.text) == min(size, LONGEST_LINE)


@pytest.mark.parametrize("prefix", [prefix for prefix in PREFIXES if prefix[:1].isalpha() or prefix[:4].isdigit()])
def test_a_stamp_is_told_for_the_line_of_any_program(prefix: str) -> None:
    line = f"{prefix.replace('kernel', 'cron[1]')}{TEXT}".encode()
    assert read_stamp(line) == PREFIXES[prefix][0]


_HEADS = st.sampled_from(
    [*PREFIXES, "<4>", "[", "Xyz 99 99:99:99 ", "9999-99-99T99:99:99+99:99 ", "#012", "\x1b[", "kernel: "]
)


@given(st.lists(_HEADS.map(str.encode) | st.binary(max_size=30), max_size=6).map(b"".join))
def test_no_line_makes_it_raise(raw: bytes) -> None:
    for line in read_lines(raw):
        assert isinstance(line.text, str)
    read_stamp(raw)
