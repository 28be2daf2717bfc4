"""`--refresh`: settings and values that only the API's own list knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from odd_servers import Odd, by_path, serving
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

LIVE = {"php_version": ["8.4", "9.0"], "brand_new": ["calm", "wild"], "php_xdebug_enabled": [True, False]}
APP = {"name": "kaasshop", "php_version": "9.0", "brand_new": "wild"}


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Odd]:
    """An API that is ahead of this hnctl."""
    with serving(by_path({"/v2/app/eav_descriptions/": LIVE, "/v2/app/kaasshop/": APP})) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "token"}')
        yield odd


def test_a_setting_of_the_api_alone_is_known_once_it_was_asked_for(hnctl: Hnctl, newer: Odd):
    before = hnctl("settings", "get", "brand_new", "-n", "kaasshop")
    assert before.status == 64
    assert "--refresh asks the API" in before.err
    assert newer.calls == []

    assert hnctl("settings", "get", "brand_new", "-n", "kaasshop", "--refresh").out == "wild\n"
    assert hnctl("settings", "get", "brand_new", "-n", "kaasshop").out == "wild\n", "it is kept"
    asked = [call for call in newer.calls if "eav_descriptions" in call]
    assert len(asked) == 1


def test_a_value_of_the_api_alone_can_be_set_and_stand_in_a_file(hnctl: Hnctl, newer: Odd, folder: Path):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 9.0}}}\n")
    assert hnctl("validate").status == 65
    assert hnctl("settings", "set", "php_version", "9.0", "-n", "kaasshop").status == 64

    same = hnctl("settings", "set", "php_version", "9.0", "-n", "kaasshop", "--refresh")
    assert (same.status, same.out.split(",")[1]) == (0, " 1 unchanged")
    assert hnctl("validate").status == 0
    assert hnctl("diff", "--refresh", "--detailed-exitcode").status == 0


def test_what_only_the_api_knows_is_described_as_such(hnctl: Hnctl, newer: Odd):
    told = hnctl("settings", "describe", "brand_new", "-n", "kaasshop", "--refresh").out
    assert "takes     calm, wild" in told
    assert "nothing is known of its risk" in told


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"HYPERNODE_API_TOKENS": "", "HYPERNODE_API_TOKEN": "token"}, ["-n", "kaasshop"]),
        ({"HYPERNODE_API_TOKENS": "", "HYPERNODE_API_TOKEN": "token", "HYPERNODE_APP_NAME": "kaasshop"}, []),
        ({"HYPERNODE_APP_NAME": "kaasshop"}, []),
        ({}, ["--all"]),
    ],
    ids=str,
)
def test_the_list_is_asked_for_with_the_token_of_any_node_that_the_command_is_about(
    variables: dict[str, str], options: list[str], hnctl: Hnctl, newer: Odd, monkeypatch: pytest.MonkeyPatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    got = hnctl("settings", "get", "brand_new", "--refresh", *options, "-o", "json")
    assert got.status == 0, got.err
    assert [row["value"] for row in got.json["settings"]] == ["wild"]


def test_all_nodes_of_a_file_serve_too_and_one_with_a_token_is_found(hnctl: Hnctl, newer: Odd, folder: Path):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {theeplein: {}, kaasshop: {settings: {php_version: 9.0}}}\n")
    seen = hnctl("diff", "--refresh")
    assert seen.status == 3, "theeplein has no token"
    assert "In sync: 1 node compared" in seen.out


def test_without_any_node_it_is_said_what_is_missing(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    refused = hnctl("settings", "describe", "--refresh")
    assert refused.status == 64
    assert "Name it with -n NODE, or set HYPERNODE_APP_NAME" in refused.err


def test_an_api_that_cannot_be_asked_is_told(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop": "wrong"}))
    refused = hnctl("settings", "describe", "--refresh", "-n", "kaasshop")
    assert refused.status == 4
    assert "the API refused the token (401)" in refused.err


def test_the_apis_list_is_kept_apart_by_host(hnctl: Hnctl, newer: Odd, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_API_URL", newer.url)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "token"}')
    assert hnctl("settings", "describe", "brand_new", "--refresh", "-n", "kaasshop").status == 0
    monkeypatch.setenv("HNCTL_API_URL", box.url)
    assert hnctl("settings", "describe", "brand_new").status == 64
