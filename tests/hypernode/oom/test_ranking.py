"""Which node of a fleet is worst off, and what nodes have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from hypernode.oom.events import Event, Task, Victim
from hypernode.oom.history import History, look_back
from hypernode.oom.incidents import incidents
from hypernode.oom.ranking import rank

NIGHT = datetime(2026, 11, 2, 3, 10)


def history(*seconds: float, largest: str = "mysqld") -> History:
    """Return that of a node that was hit so many seconds after the first night."""
    values: dict[str, Any] = dict.fromkeys(("stamp", "uptime", "trigger", "trigger_oom_score_adj", "gfp_mask", "order"))
    tasks = (Task(1, largest, 1, 0, 4000, 0, -1000), Task(2, "bash", 1000, 0, 10, 0, 1000))
    events = [
        Event(
            **values,
            scope="global",
            memcg=None,
            victims=(Victim(2, "bash"),),
            task_count=2,
            top=tasks[0],
            tasks=tasks,
            at=(NIGHT + timedelta(seconds=second)).isoformat(),
        )
        for second in seconds
    ]
    return look_back(incidents(enumerate(events, start=1)))


def test_more_incidents_are_worse_than_more_kills_and_than_later_ones():
    ranking = rank(
        {
            "quiet": history(),
            "once": history(0),
            "storm": history(0, 1, 2, 3),
            "twice": history(0, 500),
            "later": history(900),
        }
    )
    assert ranking.nodes == ("twice", "storm", "later", "once", "quiet")
    assert ranking.hit == 4


def test_the_commonest_culprit_is_named():
    ranking = rank({"a": history(0), "b": history(0), "c": history(0, largest="java"), "d": history()})
    assert ranking.culprits == (("mysql", 2), ("search", 1))
    assert ranking.sentence == "3 of 4 nodes ran out of memory; the commonest culprit is mysql, on 2 of them"


@pytest.mark.parametrize(
    ("histories", "sentence"),
    [
        ({"a": history()}, "No out-of-memory events on 1 node"),
        ({"a": history(), "b": history()}, "No out-of-memory events on 2 nodes"),
        (
            {"a": history(0, largest="x"), "b": history()},
            "1 of 2 nodes ran out of memory; the commonest culprit is x, on 1 of them",
        ),
    ],
)
def test_the_sentence_says_how_many_of_how_many(histories: dict[str, History], sentence: str):
    assert rank(histories).sentence == sentence
