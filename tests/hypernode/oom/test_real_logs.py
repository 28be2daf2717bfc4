"""Six logs of real machines beside what people made of them; they are shared, and no part of this repository."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hypernode.oom import scan as scanning
from hypernode.oom.events import Event
from hypernode.oom.reports import read_events

_DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "oom"
_LOGS = sorted(_DATA.glob("*.log"))
_SIZES = ("total_vm", "anon_rss", "file_rss", "shmem_rss")

pytestmark = pytest.mark.skipif(not _LOGS, reason=f"the real logs are not here: {_DATA}")


def _agrees(name: str, found: Any, expected: Any, accept: dict[str, Any]) -> bool:
    also = accept.get(name, [])
    return found == expected or (isinstance(also, list) and found in also)


def _differences(event: Event, expected: dict[str, Any]) -> list[str]:
    found, accept = event.as_json(), expected.get("accept", {})
    pairs = [
        (name, found[name], expected[name])
        for name in ("trigger", "scope", "gfp_mask", "order", "trigger_oom_score_adj", "memcg")
    ]
    count = found["tasks"]["count"]
    pairs.append(("task_table_rows", count, expected["task_table_rows"]))
    if count or "top_rss" not in accept:
        pairs.append(("top_rss", found["tasks"]["top_rss"], expected["top_rss"]))
    pairs.append(("victims", len(found["victims"]), len(expected["victims"])))
    for victim, wanted in zip(found["victims"], expected["victims"], strict=False):
        pairs += [(name, victim[name], wanted[name]) for name in ("pid", "name", "uid", "oom_score_adj")]
        pairs += [(name, victim[f"{name}_kib"], wanted[f"{name}_kb"]) for name in _SIZES]
    return [f"{name}: {a!r}, not {b!r}" for name, a, b in pairs if not _agrees(name, a, b, accept)]


def _check(events: list[Event], log: Path) -> None:
    expected = json.loads(log.with_suffix(".expected.json").read_text())["events"]
    assert len(events) == len(expected)
    assert [_differences(event, wanted) for event, wanted in zip(events, expected, strict=True)] == [[]] * len(events)


@pytest.mark.parametrize("log", _LOGS, ids=lambda log: log.stem)
def test_a_real_log_line_by_line_tells_what_people_read_in_it(log: Path) -> None:
    with log.open("rb") as lines:
        _check(list(read_events(lines)), log)


@pytest.mark.parametrize("size", [1 << 20, 5000, 100, 17])
@pytest.mark.parametrize("log", _LOGS, ids=lambda log: log.stem)
def test_a_real_log_in_chunks_tells_the_same(log: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_CHUNK", size)
    events = list(scanning.scan(io.BytesIO(log.read_bytes()).read))
    _check(events, log)
