"""How a plan is carried out: waves that are counted from the start of the run, windows, and their spelling."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import CATALOGUE

from hypernode.errors import FileError
from hypernode.fleet.keys import ROLLOUT_KEYS
from hypernode.fleet.rules import ALL, ORDERS, PARSERS, Rules, parse_window
from hypernode.fleet.shares import Share
from hypernode.fleet.spec import parse

NODES = [f"shop{n}" for n in range(50)]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def rules_of(text: str) -> Rules:
    return parse(f"version: 1\nnodes: {{a: , b: }}\nrollout: {text}".encode(), CATALOGUE).rules


def mistakes(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        rules_of(text)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("waves", "sizes"),
    [
        ("100%", [50]),
        ("1,10%,100%", [1, 4, 45]),
        ("1,1%,100%", [1, 49]),  # one percent of 50 is half a node, rounded up, and that one is done
        ("11%,100%", [6, 44]),
        ("60,100%", [50]),
        ("1,2,3,100%", [1, 1, 1, 47]),
    ],
)
def test_waves_count_from_the_start_of_the_run_and_are_rounded_up(waves: str, sizes: list[int]):
    assert [len(wave) for wave in Rules(waves=PARSERS["waves"](waves)).divide(NODES)] == sizes


def test_a_pause_without_a_unit_is_in_seconds_and_that_is_said_where_one_looks_for_it():
    assert rules_of("{pause: 10}").pause == 10.0
    page = Path(__file__).parents[3] / "docs" / "fleet-file.md"
    (row,) = [line for line in page.read_text().splitlines() if line.startswith("| `pause`")]
    for text in (row, ROLLOUT_KEYS["pause"].text):
        assert "a bare number is seconds" in text


def test_canaries_come_first_and_count():
    rules = Rules(waves=PARSERS["waves"]("1,10%,100%"), canary=("shop7", "gone", "shop3"))
    waves = rules.divide(NODES)
    assert waves[0] == ["shop7", "shop3"]
    assert [len(wave) for wave in waves] == [2, 3, 45]
    assert waves[1] == ["shop0", "shop1", "shop2"]


@given(
    st.lists(st.integers(1, 60).map(Share) | st.integers(1, 99).map(lambda n: Share(n, True)), max_size=5),
    st.integers(0, 60),
    st.lists(st.integers(0, 70), max_size=4, unique=True),
)
def test_every_node_is_in_exactly_one_wave_and_none_is_empty(shares, count, canaries):
    nodes = [f"shop{n}" for n in range(count)]
    waves = Rules(waves=(*shares, ALL), canary=tuple(f"shop{n}" for n in canaries)).divide(nodes)
    assert sorted(node for wave in waves for node in wave) == sorted(nodes)
    assert all(waves)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{waves: [1, 10%]}", "waves must end with 100%, or some nodes would never have their turn"),
        ("{waves: []}", "waves must end with 100%, or some nodes would never have their turn"),
        ("{waves: [110%]}", "waves must be numbers from 1 or percentages up to 100%"),
        ("{waves: [0, 100%]}", "waves must be numbers from 1 or percentages up to 100%"),
        ("{waves: [5, 2, 100%]}", "waves must grow, as they are counted from the start of the run; 2 follows 5"),
        ("{waves: many}", "waves must end with 100%, or some nodes would never have their turn"),
        ("{order: size}", "order must be name, file, risk or smallest-product-first"),
        ("{pause: soon}", "pause must be a time of a week at most, such as 90s or 10m"),
        ("{pause: 200h}", "pause must be a time of a week at most, such as 90s or 10m"),
        ("{on_failure: cry}", "on_failure must be stop or rollback"),
        ("{canary: [c]}", "there is no node c"),
        ("{canary: [a, a]}", "a is listed twice in canary"),
        ("{canary: a}", "canary must be a list of nodes"),
        (
            "{window: Mon 09:00-16:00 Europe/Nowhere}",
            "window must have a time zone that exists, such as Europe/Amsterdam, not Europe/Nowhere",
        ),
        (
            "{window: Mon 09:00-16:00}",
            "window must be days, hours and a time zone, such as 'Mon-Thu 09:00-16:00 Europe/Amsterdam'",
        ),
        ("{window: Mon 09:00-25:00 UTC}", "window must have hours from 00:00 to 23:59, not 09:00-25:00"),
        ("{window: Moon 09:00-16:00 UTC}", "window must have days such as Mon, Mon-Thu or Mon,Wed, not Moon"),
        ("{window: Mon 09:00-09:00 UTC}", "window must end at another time than it begins"),
    ],
)
def test_what_cannot_be_is_told(text: str, mistake: str):
    assert mistakes(text) == [mistake]


def test_all_mistakes_are_told_at_once():
    assert len(mistakes("{waves: [1], order: x, pause: x, window: x, canary: [x], on_failure: x}")) == 6


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM)


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [  # 2026-11-23 is a Monday
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-23 09:00", True),
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-23 08:59", False),
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-23 16:00", False),
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-27 10:00", False),
        ("mon,wed 09:00-16:00 Europe/Amsterdam", "2026-11-24 10:00", False),
        ("Sat-Mon 09:00-16:00 Europe/Amsterdam", "2026-11-22 10:00", True),
        ("Mon 22:00-06:00 Europe/Amsterdam", "2026-11-23 23:00", True),
        ("Mon 22:00-06:00 Europe/Amsterdam", "2026-11-24 05:59", True),
        ("Mon 22:00-06:00 Europe/Amsterdam", "2026-11-23 05:59", False),
        ("Mon 09:00-10:00 UTC", "2026-11-23 10:30", True),  # 09:30 in UTC
        ("always", "2026-11-22 00:00", True),
    ],
)
def test_a_window_is_open_at_its_hours_in_its_zone(window: str, moment: str, is_open: bool):
    assert parse_window(window).is_open(at(moment)) is is_open
    assert parse_window(window).is_open(at(moment).astimezone(UTC)) is is_open


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [  # 2026-11-23 is a Monday
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-23 08:59", "2026-11-23 09:00"),
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-23 09:00", "2026-11-24 09:00"),
        ("Mon-Thu 09:00-16:00 Europe/Amsterdam", "2026-11-26 16:00", "2026-11-30 09:00"),
        ("Mon 22:00-06:00 Europe/Amsterdam", "2026-11-24 06:00", "2026-11-30 22:00"),
        ("Mon 09:00-10:00 UTC", "2026-11-23 09:30", "2026-11-23 10:00"),
        ("Sun 03:00-04:00 Europe/Amsterdam", "2026-03-28 03:00", "2026-03-29 03:00"),
    ],
)
def test_it_is_known_when_a_window_opens_next(window: str, moment: str, opens: str):
    for now in (at(moment), at(moment).astimezone(UTC)):
        found = parse_window(window).opens_after(now)
        assert found == at(opens)
        assert found.tzinfo is parse_window(window).zone
        assert parse_window(window).is_open(found)


@given(
    st.sampled_from(["100%", "1,10%,100%", "3,100%"]),
    st.sampled_from(ORDERS),
    st.sampled_from([(), ("a",), ("b", "a")]),
    st.sampled_from([0.0, 0.25, 600.0]),
    st.none() | st.integers(1, 5).map(Share),
    st.sampled_from(["stop", "rollback"]),
    st.none() | st.sampled_from(["Mon-Thu 09:00-16:00 Europe/Amsterdam", "always"]).map(parse_window),
)
def test_rules_are_read_back_from_their_spelling(waves, order, canary, pause, budget, on_failure, window):
    rules = Rules(PARSERS["waves"](waves), order, canary, pause, budget, on_failure, window)
    spelled = rules.spelled()
    assert rules_of(str(spelled)) == rules
