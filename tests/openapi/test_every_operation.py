"""Every operation of the contract has one method of the SDK, one route of the sandbox, and its place in the docs.

Each is called here over a real socket; tests/hypernode/api/test_operations.py holds what is sent against the contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hnctl.main import main
from hypernode.api.client import Client
from hypernode.errors import Forbidden
from hypernode.sandbox.routes import ROUTES
from hypernode.sandbox.server import Sandbox
from operations import CALLS, Operation, iter_operations, method_of

ROOT = Path(__file__).parents[2]
OPERATIONS = list(iter_operations())
ABOUT_A_BRANCHER = ("cancel_brancher", "destroy_brancher", "change_brancher_labels")
by_name = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=2, flow_time=0.05) as box:
        yield box


def test_every_operation_has_one_route_of_the_sandbox_and_the_reverse():
    routed = sorted(route.operation for route in ROUTES)
    assert routed == sorted(operation.name for operation in OPERATIONS)


@by_name
def test_the_page_on_the_sdk_has_a_row_for_each_operation(operation: Operation):
    text = (ROOT / "docs" / "sdk.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if f"| `{operation.method} {operation.template}` |" in line]
    assert len(rows) == 1
    assert f"| `{method_of(operation.name)}` |" in rows[0]
    assert rows[0].endswith(f"| {operation.description['x-evidence']['grade']} |")


def test_every_command_on_that_page_exists_and_has_an_example():
    text = (ROOT / "docs" / "sdk.md").read_text("utf-8")
    cells = [line.split("|")[4] for line in text.splitlines() if line.startswith("| ") and line.count("|") == 6]
    commands = {name.strip() for cell in cells for name in re.findall("`([a-z -]+?)(?: -|`| GET)", cell)}
    assert len(commands) > 25
    for name in commands:
        command: click.Command | None = main
        for word in name.split():
            assert isinstance(command, click.Group), name
            command = command.get_command(click.Context(command), word)
        assert command is not None, name
        assert "Example" in (command.help or ""), name


@by_name
def test_each_operation_is_answered_over_a_socket(operation: Operation, box: Sandbox):
    box.set_product("kaasshop", "FALCON_M_202203")
    with Client("kaasshop", token=box.tokens["kaasshop"], api_url=box.url) as node:
        copy = node.branchers.create().name if operation.name in ABOUT_A_BRANCHER else ""
        if operation.name == "remove_allowlist_entry":
            node.allowlist.add("database", "192.0.2.9")
        box.clear_log()
        if operation.name == "order_node":  # a node's token may not
            with pytest.raises(Forbidden):
                CALLS[operation.name](node, copy)
        else:
            CALLS[operation.name](node, copy)
    pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation.template))
    answered = [
        entry.status
        for entry in box.log()
        if entry.method == operation.method and re.fullmatch(pattern, entry.path.partition("?")[0])
    ]
    assert answered == [403] if operation.name == "order_node" else answered[0] in (200, 201, 202, 204)
