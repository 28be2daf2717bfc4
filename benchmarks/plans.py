"""`make_plan` of 10,000 nodes x 80 settings, without any I/O, and so in CPU time: what others do does not count."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.measuring import Series
from benchmarks.table import Row

from hypernode.catalogue import Catalogue, Setting, SettingValue, Value
from hypernode.fleet.plan import make_plan
from hypernode.sandbox.names import make_names
from hypernode.secrets import Secret

NODES = 10_000
SETTINGS = 80
GOAL = 10
ROUNDS = 7

Answers = dict[str, dict[str, Value]]


def measure(_home: Path) -> Iterator[Row]:
    """Measure a fleet that is as wished, in both spellings of an answer, and fleets that are not."""
    catalogue = Catalogue.bundled()
    names = make_names(NODES, 7)
    chosen = sorted(catalogue.values(), key=lambda setting: setting.secret)[:SETTINGS]
    assert len(chosen) == SETTINGS
    secret = sum(setting.secret for setting in chosen)
    wished = {setting.name: _some_value(setting) for setting in chosen}
    current = _answers(names, wished)
    what = f"`make_plan`, {NODES:,} nodes x {SETTINGS} settings, {secret} of them secret"
    yield _row(f"{what}: as wished, a node", current, wished, 0)
    _change(current, names[::100], "php_version", "7.4")
    yield _row("the same: 1 % of the nodes differ", current, wished, NODES // 100)
    _change(current, names, "php_version", "7.4")
    yield _row("the same: every node differs (no goal)", current, wished, NODES)
    _change(current, names, "php_version", "8.3")
    _change(current, names, "mysql_ft_min_word_len", 4)  # a text in the catalogue (CONTRACT.md 3, doubtful ints)
    yield _row("the same: as wished, but one setting answered as a number for a text", current, wished, 0)


def _row(what: str, current: Answers, wished: Mapping[str, SettingValue], changes: int) -> Row:
    catalogue = Catalogue.bundled()
    desired = dict.fromkeys(current, wished)
    gc.collect()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        plan = make_plan(current, desired, catalogue)
        times.append((time.process_time() - started) / NODES * 1e6)
        assert len(plan.changes) == changes, (what, len(plan.changes))
    series = Series(tuple(times))
    holds = None if changes == NODES else series.median <= GOAL
    return Row(what, series.show(" us", 1), f"<= {GOAL} us", holds)


def _change(current: Answers, names: Iterable[str], setting: str, value: Value) -> None:
    for name in names:
        current[name][setting] = value


def _some_value(setting: Setting) -> SettingValue:
    if setting.secret:
        return Secret(f"secret of {setting.name}")
    if setting.default is not None:
        return setting.default
    if setting.values:
        return setting.values[0]
    return 7 if setting.type == "integer" else "some text"


def _answers(names: Iterable[str], wished: Mapping[str, SettingValue]) -> Answers:
    """Return what every node answers: the wished values, each decoded from JSON by itself as in a real answer."""
    body = json.dumps({name: v.reveal() if isinstance(v, Secret) else v for name, v in wished.items()})
    answers: Answers = {}
    for node in names:
        decoded = json.loads(body)
        answers[node] = {name: decoded[name] for name in wished}
    return answers
