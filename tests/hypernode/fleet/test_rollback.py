"""Taking a run back: only what it set and nobody changed since, never what cannot be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from strategies import CATALOGUE

from hypernode.errors import InputError
from hypernode.fleet.history import RunLog, find_run, read_run
from hypernode.fleet.journal import Journal
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.planfile import dump, load
from hypernode.fleet.rollback import Rollback, plan_rollback, settings_to_read
from hypernode.secrets import Secret

API = "https://api.example"
NOW: dict[str, Any] = {"php_version": "8.2", "varnish_enabled": False, "mysql_version": "5.7"}
WISHED: dict[str, Any] = {"php_version": "8.3", "varnish_enabled": True, "mysql_version": "8.0"}


def run(folder: Path, current: dict[str, Any], wished: dict[str, Any], *, sent: list[str] | None = None) -> RunLog:
    """Write the journal of a run over one node down that sent `sent`, all by default, and return what it tells."""
    secrets = {value: f"env:{name.upper()}" for name, value in wished.items() if isinstance(value, Secret)}
    plan = make_plan({"shop": current}, {"shop": wished}, CATALOGUE, references=secrets)
    journal = Journal(folder)
    source = {"folder": "/", "file": None, "digest": None, "rolls_back": None}
    about = {"who": "jan@laptop", "host": "laptop", "pid": 7, "job": None, "message": None}
    journal.begin(**about, **source, plan=dump(plan, api_url=API))
    journal.announce("node begun", node="shop")
    values = journal.values({name: value for name, value in wished.items() if sent is None or name in sent})
    journal.announce("sending", node="shop", settings=values)
    ended = {"error": None, "reason": None, "flows": [], "seconds": 1.0}
    journal.note("node ended", node="shop", state="done", **ended)
    journal.close()
    return read_run(find_run(folder, "last"))


def planned(log: RunLog) -> Plan:
    return load(json.dumps(log.plan).encode(), CATALOGUE, path="x", api_url=API, with_secrets=False)


def back(log: RunLog, live: dict[str, Any]) -> Rollback:
    return plan_rollback(log, planned(log), {"shop": live}, CATALOGUE)


def told(rollback: Rollback) -> tuple[dict[str, tuple[Any, Any]], dict[str, str]]:
    changes = {change.setting: (change.current, change.desired) for change in rollback.plan.changes}
    return changes, {one.setting: one.reason for one in rollback.left}


def test_what_the_run_set_goes_back_and_what_cannot_be_undone_is_named(tmp_path: Path):
    changes, left = told(back(run(tmp_path, NOW, WISHED), WISHED))
    assert changes == {"php_version": ("8.3", "8.2"), "varnish_enabled": (True, False)}
    assert list(left) == ["mysql_version"]
    assert left["mysql_version"].startswith("irreversible: ")


def test_what_somebody_changed_since_has_moved_on(tmp_path: Path):
    changes, left = told(back(run(tmp_path, NOW, WISHED), {**WISHED, "php_version": "8.4", "varnish_enabled": False}))
    assert changes == {}
    assert left["php_version"] == "moved on: it is 8.4 now"
    assert left["varnish_enabled"] == "it is back already"


def test_what_the_run_found_as_wished_is_none_of_its_doing(tmp_path: Path):
    changes, left = told(back(run(tmp_path, NOW, WISHED, sent=["php_version"]), WISHED))
    assert (list(changes), left) == (["php_version"], {})


def test_a_secret_can_be_taken_away_again_and_not_be_brought_back(tmp_path: Path):
    key = Secret("canary-key")
    new = run(tmp_path / "new", {"new_relic_secret": None}, {"new_relic_secret": key})
    changes, left = told(back(new, {"new_relic_secret": "canary-key"}))
    assert (list(changes), left) == (["new_relic_secret"], {})
    assert changes["new_relic_secret"][1] is None
    assert told(back(new, {"new_relic_secret": "canary-other"}))[0] == {}
    other = run(tmp_path / "other", {"new_relic_secret": "canary-old"}, {"new_relic_secret": key})
    changes, left = told(back(other, {"new_relic_secret": "canary-key"}))
    assert changes == {}
    assert left == {"new_relic_secret": "its value before was a secret, which no journal keeps"}
    assert "canary-" not in repr(back(new, {"new_relic_secret": "canary-key"}))


def test_the_way_back_is_a_plan_that_can_be_kept_and_read(tmp_path: Path):
    made = back(run(tmp_path, NOW, WISHED), WISHED).plan
    again = load(json.dumps(dump(made, api_url=API)).encode(), CATALOGUE, path="x", api_url=API)
    assert (again.changes, again.order, again.checksum) == (made.changes, made.order, made.checksum)


def test_only_the_nodes_of_the_run_can_be_chosen(tmp_path: Path):
    log = run(tmp_path, NOW, WISHED)
    assert settings_to_read(log) == {"shop": sorted(WISHED)} == settings_to_read(log, ["shop"])
    with pytest.raises(InputError, match="has no node other"):
        settings_to_read(log, ["other"])
