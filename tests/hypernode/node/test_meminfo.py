"""/proc/meminfo as kernels write it, and odd ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import HypernodeError
from hypernode.node.meminfo import Memory, parse_meminfo

# The first lines of Linux 5.10 on Debian, and the end of a newer one.
MODERN = """\
MemTotal:        8145328 kB
MemFree:          222120 kB
MemAvailable:    1048576 kB
Buffers:          101212 kB
Cached:          1010540 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""
OLD = "MemTotal:        8145328 kB\nMemFree:          222120 kB\nBuffers:          101212 kB\n"


def test_what_is_available_is_read_and_not_what_is_free():
    assert parse_meminfo(MODERN) == Memory(available_kib=1048576, total_kib=8145328)


@pytest.mark.parametrize("text", ["MemAvailable: 5 kB", "junk\n\nMemAvailable:\t5 kB\r\nX", "MemAvailable:5 kB\n"])
def test_the_total_need_not_be_there_and_other_lines_do_not_matter(text: str):
    assert parse_meminfo(text) == Memory(5, None)


def test_of_two_lines_the_first_counts():
    assert parse_meminfo("MemAvailable: 5 kB\nMemAvailable: 6 kB\n").available_kib == 5


@pytest.mark.parametrize("text", [OLD, "", "memavailable: 5 kB", "XMemAvailable: 5 kB", "MemAvailable 5 kB"])
def test_a_kernel_that_does_not_tell_is_an_error_and_not_enough_memory(text: str):
    with pytest.raises(HypernodeError) as caught:
        parse_meminfo(text)
    assert str(caught.value) == "/proc/meminfo does not say what is available: it has no MemAvailable"
    assert caught.value.hint == "Kernels before 3.14 have none, and what is free without it says little"


@pytest.mark.parametrize(
    "amount",
    ["", "lots kB", "-5 kB", "1e3 kB", "5", "5 MB", "5 KB", "5.5 kB", "٥ kB", "9" * 30 + " kB"],  # noqa: RUF001
)
def test_what_is_no_number_of_kb_is_an_error_and_not_enough_memory(amount: str):
    with pytest.raises(HypernodeError) as caught:
        parse_meminfo(f"MemTotal: 7 kB\nMemAvailable: {amount}\n")
    assert "which is no number of kB" in str(caught.value)
    assert "MemAvailable" in str(caught.value)


def read_or_refused(text: str) -> str:
    """Return what is said of `text`."""
    try:
        return str(parse_meminfo(text).available_kib)
    except HypernodeError as exc:
        return str(exc)


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str):
    for whole in (text, f"{text}\nMemAvailable: 1 kB", f"MemAvailable:{text}"):
        assert read_or_refused(whole).isprintable()
