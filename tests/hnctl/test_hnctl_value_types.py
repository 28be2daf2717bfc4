"""What options take as a time: days too, and no more than a week."""

from __future__ import annotations

import time

import click
import pytest

from hnctl.value_types import MOMENT, SECONDS, TICK


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 604800), ("1d", 86400), (" 2d ", 172800), ("168h", 604800), ("90s", 90), ("1.5", 1.5)]
)
def test_a_time_can_be_in_days(text: str, seconds: float):
    assert TICK.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["8d", "999999d", "169h"])
def test_a_time_is_a_week_at_most(text: str):
    with pytest.raises(click.BadParameter, match=f"'{text}' is not between 0 and 7d"):
        SECONDS.convert(text, None, None)


@pytest.mark.parametrize("text", ["d", "1.5d", "-1d", "1dd", "soon"])
def test_what_is_no_time_is_told_with_all_that_is_one(text: str):
    with pytest.raises(click.BadParameter, match=f"'{text}' is no time; write 90s, 250ms, 15m, 2h or 7d"):
        SECONDS.convert(text, None, None)


def test_a_moment_can_be_days_ago():
    assert MOMENT.convert(" 7d", None, None) == pytest.approx(time.time() - 604800, abs=60)
