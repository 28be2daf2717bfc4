"""When a failed read is tried again: backoff, jitter, and what a Retry-After header says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernode.api.retries import backoff, retry_after_seconds

NOW = 1_780_000_000


def test_the_backoff_grows_to_a_bound_with_full_jitter(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: asked.append((low, high)) or high)
    assert [backoff(attempt) for attempt in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert {low for low, _ in asked} == {0}


@given(st.integers(0, 200))
def test_every_backoff_lies_between_nothing_and_its_bound(attempt: int):
    assert 0 <= backoff(attempt) <= min(10.0, 0.5 * 2**attempt)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        (None, None),
        ("", None),
        ("90000", 86_400.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90_000, UTC), usegmt=True), 86_400.0),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("٣", None),
        (format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW + 30, UTC) + timedelta(0)), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True), 0.0),
        ("Thu, 28 May 2026 20:27:10 -0000", 30.0),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(header: str | None, seconds: float | None):
    assert retry_after_seconds(header, now=lambda: float(NOW)) == seconds


@given(
    st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,20} [A-Z][a-z]{2} \d{1,20} \d{1,9}:\d{1,9}:\d{1,9} ([A-Z]{1,3}|[+-]\d{1,20})")
)
@example("9" * 400)
@example("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT")
@example("Mon, 01 Jan 2020 00:00:00 +99999999999999999999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_text_in_retry_after_is_a_number_of_seconds_or_nothing(text: str):
    seconds = retry_after_seconds(text)
    assert seconds is None or 0 <= seconds < float("inf")
