"""docs/from-the-official-client.md: every call and every defect of the official client, and what is said of ours."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from hypernode_api_python.client import HypernodeAPIPython

from hnctl.main import main
from hypernode.api.client import Client

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "from-the-official-client.md").read_text("utf-8")
DEFECTS = ROOT / "tests" / "hnctl" / "test_defects_of_the_official_client.py"
ONLY_IN_ITS_REPOSITORY = {"get_sla", "get_cluster_relations", "get_fpm_status"}
CALLS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)


def test_all_28_calls_are_there():
    released = {
        name
        for name, _ in inspect.getmembers(HypernodeAPIPython, inspect.isfunction)
        if not name.startswith("_") and name != "requests"
    }
    assert len(released) == 25
    assert sorted(name for name, _, _ in CALLS) == sorted(released | ONLY_IN_ITS_REPOSITORY)


@pytest.mark.parametrize(("name", "python", "commands"), CALLS, ids=[name for name, _, _ in CALLS])
def test_what_is_named_beside_a_call_exists(name: str, python: str, commands: str):
    with Client("kaasshop", token="t0ken", api_url="http://127.0.0.1:1") as node:
        named = re.findall(r"`node\.([\w.]+)", python)
        assert named
        for path in named:
            value: object = node
            for step in path.split("."):
                value = getattr(value, step)
    found = re.findall(r"`hnctl ([a-z]+) ?([a-z-]*)", commands)
    assert found
    for group, command in found:
        holder = main.get_command(main.make_context("hnctl", [], resilient_parsing=True), group)
        assert holder is not None
        assert group == "api" or command in getattr(holder, "commands", {}), commands


def test_each_of_the_25_defects_has_its_test():
    named = re.findall(r"^\| (\d+) \|.*\| `(\d\d_\w+)` \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in named] == list(range(1, 26))
    tree = ast.parse(DEFECTS.read_text("utf-8"))
    tests = [each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]
    assert [f"test_defect_{test}" for _, test in named] == tests
