"""The control path lists itself, and the documentation has the same list."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from hypernode.sandbox.control import PATHS, PREFIX, make_control
from hypernode.sandbox.server import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_every_route_of_the_control_path_is_listed_and_nothing_else() -> None:
    routes = make_control(None).routes
    assert {f"{method} {route.path}" for route in routes for method in route.methods - {"HEAD"}} == {
        f"GET {PREFIX}",
        *(name.replace(" ", f" {PREFIX}") for name in PATHS),
    }


@pytest.mark.parametrize("path", ["/_sandbox/", "/_sandbox"])
def test_a_get_lists_them(path: str, box: Sandbox) -> None:
    listed = requests.get(box.url + path, timeout=5).json()
    assert {f"{one['method']} {one['path']}": one["about"] for one in listed} == {
        name.replace(" ", f" {PREFIX}"): about for name, about in PATHS.items()
    }


def test_the_page_about_the_sandbox_has_the_same_list() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if PREFIX in line and line.startswith("| ")]
    assert rows == [f"| `{name.replace(' ', f' {PREFIX}')}` | {about} |" for name, about in PATHS.items()]
