"""The output formats agree with each other, and stdout holds data only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_servers import serving
from runs import Hnctl

from hnctl.render.listing import plain_table
from hypernode.catalogue import Catalogue
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
    lines_ = [json.loads(line) for line in outputs["jsonl"].out.splitlines()]
    assert lines_ == [{"format_version": 1, **row} for row in rows]

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
        assert json.loads(line)["format_version"] == 1
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


@pytest.mark.parametrize(
    "words",
    [
        ["settings", "list", "-n", "kaasshop"],
        ["settings", "get", "php_version", "-n", "kaasshop"],
        ["nodes", "list", "-n", "kaasshop"],
    ],
    ids=" ".join,
)
def test_json_lines_tell_too_which_nodes_could_not_be_read(words: list[str], hnctl: Hnctl, fleet: Sandbox):
    run = hnctl(*words, "-n", "nosuch", "-o", "jsonl")
    assert run.status == 3
    *rows, failure = map(json.loads, run.out.splitlines())
    assert {row["node"] for row in rows} == {"kaasshop"}
    assert failure.keys() == {"format_version", "error"}
    assert (failure["error"]["node"], failure["error"]["code"]) == ("nosuch", "no_token")


def test_nodes_that_could_not_be_read_are_told_in_json_lines_without_any_row(hnctl: Hnctl, fleet: Sandbox):
    run = hnctl("settings", "list", "-n", "nosuch", "-n", "nobody", "-o", "jsonl")
    assert [json.loads(line)["error"]["node"] for line in run.out.splitlines()] == ["nosuch", "nobody"]


@pytest.mark.parametrize("command", ["diff", "plan"])
def test_json_lines_of_a_plan_tell_the_nodes_that_could_not_be_read(
    command: str, hnctl: Hnctl, fleet: Sandbox, folder: Path
):
    (folder / "fleet.yaml").write_text(
        "version: 1\ndefaults: {settings: {php_version: 8.4}}\nnodes: {kaasshop: {}, nosuch: {}}\n"
    )
    change, failure = map(json.loads, hnctl(command, "-o", "jsonl").out.splitlines())
    assert (change["format_version"], change["node"], change["desired"]) == (1, "kaasshop", "8.4")
    assert failure.keys() == {"format_version", "error"}
    assert (failure["format_version"], failure["error"]["node"]) == (1, "nosuch")


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml", "markdown", "table"])
@pytest.mark.parametrize(
    "words", [["apply", "--yes"], ["settings", "set", "php_version", "8.4", "-n", "kaasshop"]], ids=" ".join
)
def test_a_run_tells_its_totals_once_in_every_format(words: list[str], form: str, hnctl: Hnctl, fleet: Sandbox):
    run = hnctl(*words, "-o", form)
    others = 1 if words[0] == "apply" else 0
    line = f"1 done, {others} unchanged, 0 failed, 0 outcome unknown, 0 not attempted"
    in_words = (run.out + run.err).splitlines().count(line)
    assert in_words == (0 if form in ("json", "yaml") else 1)
    assert (line in run.err) is (form in ("jsonl", "markdown"))


def test_what_a_server_says_of_an_unread_node_is_escaped_for_markdown(
    hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    answer = (400, "application/json", json.dumps({"detail": "<img src=x> a|b"}).encode())
    with serving(lambda _: answer) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        shown = hnctl("diff", "-o", "markdown")
    assert shown.status == 1
    assert "- kaasshop: " in shown.out
    assert "&lt;img src=x> a\\|b" in shown.out
    assert "<img" not in shown.out


def test_a_hint_that_differs_only_in_the_node_is_told_once(hnctl: Hnctl, fleet: Sandbox):
    run = hnctl("settings", "get", "php_version", "-n", "nosuch", "-n", "nobody")
    assert run.status == 4
    assert [line.split(": ")[0] for line in run.err.splitlines()] == ["nosuch", "nobody", "  hint"]
    assert "hnctl auth login nosuch" in run.err


def test_renderers_know_nothing_of_commands():
    code = (
        "import importlib, pkgutil, sys, hnctl.render as r\n"
        "for m in pkgutil.iter_modules(r.__path__): importlib.import_module('hnctl.render.' + m.name)\n"
        "print(*(n for n in sys.modules if n.startswith(('hnctl.command', 'hnctl.connection', 'hnctl.selection'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_no_difference_is_no_line(hnctl: Hnctl, fleet: Sandbox):
    fleet.set("kaasshop", php_version="8.4")
    assert hnctl("diff", "-o", "jsonl") == (0, "", "")
    assert hnctl("diff", "-o", "json").json["changes"] == []


def test_a_wide_table_is_not_folded_where_there_is_no_terminal(hnctl: Hnctl, fleet: Sandbox):
    lines = hnctl("settings", "describe").out.splitlines()
    assert max(map(len, lines)) > 120
    assert all(len(line) == len(line.rstrip()) for line in lines)


def test_on_a_narrow_screen_the_last_column_folds_if_there_is_room_and_no_uuid_is_ever_broken(
    hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    describe, watch = ["settings", "describe"], ["flows", "list", "-n", "fietsenwinkel"]
    uuids = re.findall(r"[0-9a-f-]{36}", hnctl(*watch).out)
    monkeypatch.setenv("COLUMNS", "100")
    folded = hnctl(*describe).out.splitlines()
    assert max(map(len, folded)) <= 100
    assert len(folded) > len(Catalogue.bundled()) + 1
    for columns in ("60", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        narrow = hnctl(*watch).out
        assert re.findall(r"[0-9a-f-]{36}", narrow) == uuids != []
        assert max(map(len, narrow.splitlines())) <= int(columns)


def test_what_does_not_fit_goes_on_below_its_row_and_no_word_is_broken(monkeypatch: pytest.MonkeyPatch):
    rows = [["20261125-101500-7f3a2c", "root@vm", "8 done, 2 unknown", "PHP for all"], ["x", "y", "1 done", "-"]]
    heads = ["run", "who", "totals", "message"]
    monkeypatch.setenv("COLUMNS", "60")
    assert plain_table(heads, rows).split("\n") == [
        "run                     who      totals",
        "    message",
        "20261125-101500-7f3a2c  root@vm  8 done, 2 unknown",
        "    PHP for all",
        "x                       y        1 done",
        "    -",
    ]
    monkeypatch.setenv("COLUMNS", "80")
    rows[0][3] = "PHP for all shops of the group"
    assert plain_table(heads, rows).split("\n")[1:3] == [
        "20261125-101500-7f3a2c  root@vm  8 done, 2 unknown  PHP for all shops of the",
        " " * 52 + "group",
    ]
    uuid = "a51752fa-17a8-5c25-9627-c5793744d076"
    assert f"\n    {uuid}\n" in plain_table(heads, [*rows, ["x", "y", "1 done", uuid]]) + "\n"


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
    for words in DOCUMENTS.values():
        assert hnctl(*words).status == 0
