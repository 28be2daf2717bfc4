"""A fleet file of what exists: it parses, wishes what is there, and holds no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CANARY, CATALOGUE, OPEN, WRITABLE, Drawn, fleets, node_names

from hypernode.fleet.compare import desired_of
from hypernode.fleet.export import make_file
from hypernode.fleet.plan import make_plan
from hypernode.fleet.spec import Fleet, parse
from hypernode.secrets import Reference, resolve


@contextmanager
def variables_of(drawn: Drawn) -> Iterator[None]:
    """Set the variables that an export of `drawn` refers to."""
    secrets = {
        f"{name}_{node}".upper().replace("-", "_"): value
        for node, values in drawn.plain.items()
        for name, value in values.items()
        if CATALOGUE[name].secret
    }
    with mock.patch.dict(os.environ, secrets):
        yield


def read(text: str, catalogue: Any = CATALOGUE) -> Fleet:
    return parse(text.encode(), catalogue)


def exported(live: dict[str, dict[str, Any]], **more: Any) -> Any:
    """Return the data of the exported file, every scalar as its text."""
    return yaml.load(make_file(live, CATALOGUE, **more), yaml.BaseLoader)


# Laws


@settings(max_examples=75, deadline=None)
@given(fleets())
def test_the_file_parses_and_wishes_what_is_there_but_for_defaults(drawn):
    with variables_of(drawn):
        made = read(make_file(drawn.answers, CATALOGUE))
    assert list(made.nodes) == sorted(drawn.plain)
    for node, values in drawn.plain.items():
        wished = {name: wish.value for name, wish in made.resolve(node).items()}
        there = {name: value for name, value in values.items() if value != CATALOGUE[name].default}
        assert wished.keys() == there.keys()
        for name, value in there.items():
            if CATALOGUE[name].secret:
                assert isinstance(wished[name], Reference)
            else:
                assert (wished[name], type(wished[name])) == (value, type(value))


@settings(max_examples=100, deadline=None)
@given(fleets())
def test_with_defaults_everything_that_is_set_is_wished(drawn):
    with variables_of(drawn):
        made = read(make_file(drawn.answers, CATALOGUE, with_defaults=True))
    assert {node: set(made.resolve(node)) for node in made.nodes} == {
        node: set(values) for node, values in drawn.plain.items()
    }


@settings(max_examples=100, deadline=None)
@given(fleets(), st.booleans())
def test_planning_the_file_against_the_same_nodes_gives_an_empty_plan(drawn, with_defaults):
    with variables_of(drawn):
        made = read(make_file(drawn.answers, CATALOGUE, with_defaults=with_defaults))
        wished = desired_of(made, made.nodes, lambda reference: resolve(reference, folder=Path()))
    plan = make_plan(drawn.answers, wished.values, CATALOGUE, references=wished.references)
    assert plan.changes == ()
    assert plan.compared == tuple(sorted(drawn.answers))


@settings(max_examples=100, deadline=None)
@given(fleets(), st.booleans())
def test_no_secret_is_in_the_file_and_each_has_a_variable_that_the_head_names(drawn, with_defaults):
    text = make_file(drawn.answers, CATALOGUE, with_defaults=with_defaults)
    assert CANARY not in text
    with variables_of(drawn):
        made = read(text)
    references = [
        wish.value.target
        for node in made.nodes
        for wish in made.resolve(node).values()
        if isinstance(wish.value, Reference)
    ]
    assert len(references) == len(set(references)), "two secrets share a variable"
    assert sorted(references) == [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    assert all(variable.isidentifier() and variable.isupper() for variable in references)


@settings(max_examples=100, deadline=None)
@given(fleets(settings=OPEN))
def test_settings_stand_in_the_defaults_exactly_if_all_nodes_share_them(drawn):
    data = exported(drawn.answers)
    shared = data.get("defaults", {}).get("settings", {})
    own = {node: layer.get("settings", {}) for node, layer in data["nodes"].items()}
    assert not any(name in shared for settings in own.values() for name in settings)
    if len(own) < 2:
        assert shared == {}
    else:
        everywhere = set.intersection(*(set(map(str, settings.items())) for settings in own.values()))
        assert not everywhere, "all nodes say the same by themselves"


_odd = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
_odder = st.sampled_from(
    ["\ud83d", "a\x00b", "\x85", "\u2028", "env:X", "cmd: x", "!clear", "~", "9.9", "8.30", "x" * 2000]
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        node_names,
        st.dictionaries(
            st.sampled_from([s.name for s in OPEN]), _odd | _odder | st.lists(_odd, max_size=2), max_size=4
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_whatever_nodes_answer_the_file_parses_and_asks_for_no_change(live, with_defaults):
    made = read(make_file(live, CATALOGUE, with_defaults=with_defaults))
    wished = {node: {name: wish.value for name, wish in made.resolve(node).items()} for node in made.nodes}
    assert make_plan(live, wished, CATALOGUE).changes == ()
    assert set(made.nodes) == set(live)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text(" \n\t#:-'\"\\&*!|>%@`[]{}?,", max_size=12))
def test_any_text_is_written_so_that_it_reads_back(text):
    live = {"shop": {"new_relic_app_name": text}}
    wish = read(make_file(live, CATALOGUE)).resolve("shop").get("new_relic_app_name")
    is_reference = text.partition(":")[0] in ("env", "file", "keyring", "cmd") and text.partition(":")[2].strip()
    assert (wish is None) if is_reference else (wish is not None and wish.value == text)


# The very text


def test_the_file_reads_well():
    live = {
        "shopb": {"php_version": 8.1, "varnish_enabled": "True", "new_relic_secret": "canary-b", "ip": "192.0.2.1"},
        "shopa": {
            "php_version": "8.1",
            "varnish_enabled": False,
            "mysql_long_query_time": "10",
            "mysql_version": "5.7",
        },
        "007": {
            "php_version": "8.1",
            "varnish_secret": "canary-c",
            "tideways_api_key": "canary-d",
            "varnish_enabled": True,
        },
    }
    assert (
        make_file(live, CATALOGUE)
        == """\
# Made by hnctl export.
# Secrets are read from these variables; set them, or refer to another place:
#   NEW_RELIC_SECRET_SHOPB
#   TIDEWAYS_API_KEY_007
version: 1
defaults:
  settings:
    php_version: '8.1'
nodes:
  '007':
    settings:
      tideways_api_key: env:TIDEWAYS_API_KEY_007
      varnish_enabled: true
  shopa:
    settings:
      mysql_long_query_time: 10
  shopb:
    settings:
      new_relic_secret: env:NEW_RELIC_SECRET_SHOPB
      varnish_enabled: true
"""
    )


def test_an_export_of_nothing_is_a_file_without_nodes():
    assert make_file({}, CATALOGUE) == "# Made by hnctl export.\nversion: 1\nnodes: {}\n"
    assert list(read(make_file({}, CATALOGUE)).nodes) == []


def test_a_node_that_is_all_default_is_listed_without_settings():
    assert exported({"shop": {"php_version": "8.3"}})["nodes"] == {"shop": {}}
    assert exported({"shop": {"php_version": "8.3"}}, with_defaults=True)["nodes"] == {
        "shop": {"settings": {"php_version": "8.3"}}
    }


def test_a_single_node_keeps_its_settings_to_itself():
    assert exported({"shop": {"php_version": "8.1"}}) == {
        "version": "1",
        "nodes": {"shop": {"settings": {"php_version": "8.1"}}},
    }


def test_a_setting_that_one_node_has_by_default_is_not_shared():
    live = {"a": {"php_version": "8.1"}, "b": {"php_version": "8.1"}, "c": {"php_version": "8.3"}}
    assert "defaults" not in exported(live)
    assert read(make_file(live, CATALOGUE)).resolve("c") == {}


def test_versions_survive_as_texts():
    live = CATALOGUE.overlay({"php_version": ["8.1", "8.10"], "brand_new": ["1.0", "2"]})
    text = make_file({"shop": {"php_version": "8.10", "brand_new": "1.0"}}, live)
    assert "php_version: '8.10'" in text
    assert {name: wish.value for name, wish in read(text, live).resolve("shop").items()} == {
        "brand_new": "1.0",
        "php_version": "8.10",
    }


@pytest.mark.parametrize(
    "word",
    [
        *("yes", "null", "~", "1e3", "0x10", "12:30:45", "2024-01-01", "=", "<<", "", "1_000"),
        *("next\x85line", "line\u2028end", "tab\tand\nline", "\x1b[31m", " ", "ünï — ✓ 🛒"),
    ],
)
def test_texts_that_yaml_would_take_for_something_else_survive(word):
    live = {"shop": {"new_relic_app_name": word}}
    assert read(make_file(live, CATALOGUE)).resolve("shop")["new_relic_app_name"].value == word


def test_what_the_file_could_not_say_is_told_and_left_out():
    live = {
        "shopa": {"php_version": "9.9", "mysql_long_query_time": 7, "new_relic_app_name": "env:NAME"},
        "shopb": {"new_relic_app_name": "half \ud83d", "varnish_enabled": 1, "nodejs_version": "20"},
    }
    text = make_file(live, CATALOGUE)
    assert text.splitlines()[1:7] == [
        "# Left out, since a fleet file cannot say it:",
        "#   shopa: mysql_long_query_time is 7",
        "#   shopa: new_relic_app_name is 'env:NAME'",
        "#   shopa: php_version is '9.9'",
        "#   shopb: new_relic_app_name is 'half \\ud83d'",
        "#   shopb: varnish_enabled is '1'",
    ]
    made = read(text)
    assert made.resolve("shopa") == {}
    assert set(made.resolve("shopb")) == {"nodejs_version"}


def test_settings_that_a_token_cannot_change_are_left_out():
    read_only = {s.name: "x" for s in CATALOGUE.values() if s.read_only}
    assert read_only
    assert exported({"shop": read_only}, with_defaults=True)["nodes"] == {"shop": {}}
    assert {s.name for s in WRITABLE}.isdisjoint(read_only)


def test_the_secret_of_a_node_whose_name_begins_with_a_digit_has_a_variable_that_a_shell_can_set():
    text = make_file({"1shop-eph2": {"new_relic_secret": "canary-x"}}, CATALOGUE)
    assert "env:NEW_RELIC_SECRET_1SHOP_EPH2" in text
    assert CANARY not in text
