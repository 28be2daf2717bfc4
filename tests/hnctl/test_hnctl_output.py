"""The output formats agree with each other, and stdout holds data only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

LISTS = {
    "settings": ["settings", "list", "-n", "kaasshop", "-n", "boekenhal"],
    "settings of one": ["settings", "get", "php_version", "-n", "kaasshop"],
    "settings of many": ["settings", "get", "php_version", "--all"],
    "descriptions": ["settings", "describe"],
    "nodes": ["nodes", "list"],
    "flows": ["flows", "list", "-n", "boekenhal"],
    "config": ["config", "list"],
}
DOCUMENTS = {
    "validate": ["validate"],
    "explain": ["explain", "kaasshop", "php_version"],
    "show": ["nodes", "show", "kaasshop"],
    "diff": ["diff"],
    "plan": ["plan"],
    "set": ["settings", "set", "php_version", "8.1", "-n", "kaasshop"],
}


@pytest.fixture
def fleet(box: Sandbox, folder: Path) -> Sandbox:
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4}}, boekenhal: {}}\n")
    box.set("kaasshop", php_version="8.1")
    return box


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the one list of rows in a document."""
    (rows,) = [value for value in document.values() if isinstance(value, list)]
    return rows


@pytest.mark.parametrize("name", LISTS)
def test_all_formats_of_a_list_hold_the_same_rows(name: str, hnctl: Hnctl, fleet: Sandbox):
    outputs = {form: hnctl(*LISTS[name], "-o", form) for form in ("table", "json", "jsonl", "yaml", "markdown")}
    assert {run.status for run in outputs.values()} == {0}
    assert {run.err for run in outputs.values()} == {""}
    assert not any("\x1b" in run.out for run in outputs.values())

    document = outputs["json"].json
    assert document["format_version"] == 1
    rows = rows_of(document)
    assert len(rows) > 0
    assert yaml.safe_load(outputs["yaml"].out) == document
    assert [json.loads(line) for line in outputs["jsonl"].out.splitlines()] == rows

    head, rule, *lines = outputs["markdown"].out.splitlines()
    assert set(rule) <= set("|- ")
    assert len(lines) == len(rows)
    assert {line.replace("\\|", "").count("|") for line in (head, rule, *lines)} == {head.count("|")}
    if name != "settings of one":
        assert len(outputs["table"].out.splitlines()) == 1 + len(rows)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_formats_of_a_document_hold_the_same(name: str, hnctl: Hnctl, fleet: Sandbox):
    as_json = hnctl(*DOCUMENTS[name], "-o", "json")
    assert as_json.status == 0
    assert as_json.json["format_version"] == 1
    again = yaml.safe_load(hnctl(*DOCUMENTS[name], "-o", "yaml").out)
    timed = {"seconds", "nodes"} if name == "set" else set[str]()
    assert {key: value for key, value in again.items() if key not in timed} == {
        key: value for key, value in as_json.json.items() if key not in timed
    }
    for line in hnctl(*DOCUMENTS[name], "-o", "jsonl").out.splitlines():
        assert isinstance(json.loads(line), dict)
    for form in ("table", "markdown"):
        text = hnctl(*DOCUMENTS[name], "-o", form).out
        assert text.strip()
        assert "{" not in text


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml"])
@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["settings", "get", "php_versio", "-n", "kaasshop"], 64, "unknown_setting"),
        (["settings", "set", "php_version", "9.9", "-n", "kaasshop"], 64, "invalid_value"),
        (["settings", "set", "php_version", "8.0", "--all"], 5, "not_agreed"),
        (["settings", "set", "mysql_version", "5.6", "-n", "kaasshop", "--yes"], 5, "unsafe_plan"),
        (["nodes", "show", "nosuch"], 4, "no_token"),
        (["diff", "-f", "missing.yaml"], 65, "bad_file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_is_a_document_for_a_machine_and_words_for_people(
    words: list[str], status: int, code: str, form: str, hnctl: Hnctl, fleet: Sandbox
):
    failed = hnctl(*words, "-o", form)
    assert failed.status == status
    document = yaml.safe_load(failed.out)
    assert (document["format_version"], document["error"]["code"]) == (1, code)
    assert failed.err
    if form == "jsonl":
        assert failed.out.count("\n") == 1


def test_the_plan_of_a_change_is_not_in_the_way_of_json(hnctl: Hnctl, fleet: Sandbox):
    run = hnctl("apply", "--yes", "-o", "json")
    assert (run.status, run.json["totals"]["done"]) == (0, 1)
    assert "kaasshop: done in " in run.err


def test_json_lines_of_a_run_are_one_for_each_node(hnctl: Hnctl, fleet: Sandbox):
    lines = hnctl("apply", "--yes", "-o", "jsonl").out.splitlines()
    assert {(row["node"], row["state"]) for row in map(json.loads, lines)} == {
        ("kaasshop", "done"),
        ("boekenhal", "unchanged"),
    }


def test_no_difference_is_no_line(hnctl: Hnctl, fleet: Sandbox):
    fleet.set("kaasshop", php_version="8.4")
    assert hnctl("diff", "-o", "jsonl") == (0, "", "")
    assert hnctl("diff", "-o", "json").json["changes"] == []


def test_a_wide_table_is_not_folded_where_there_is_no_terminal(hnctl: Hnctl, fleet: Sandbox):
    lines = hnctl("settings", "describe").out.splitlines()
    assert max(map(len, lines)) > 120
    assert all(len(line) == len(line.rstrip()) for line in lines)


@pytest.mark.parametrize("columns", ["1", "0", "-4", "abc", "39", "40"])
def test_on_the_narrowest_screen_no_letter_is_lost(
    columns: str, hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    wide = {name: hnctl(*words).out for name, words in LISTS.items()}
    monkeypatch.setenv("COLUMNS", columns)
    for name, words in LISTS.items():
        narrow = hnctl(*words)
        assert narrow.status == 0
        assert sorted(narrow.out.replace(" ", "").replace("\n", "")) == sorted(
            wide[name].replace(" ", "").replace("\n", "")
        )
        if columns in ("39", "40") and name != "settings of one":
            assert max(map(len, narrow.out.splitlines())) <= 40
    for words in DOCUMENTS.values():
        assert hnctl(*words).status == 0
