"""Imports run one way (DESIGN 1), and each file that does no I/O imports nothing that could.

cli -> fleet -> (api, node) -> (catalogue, credentials) -> secrets -> (names, places, private_files, config, version)
-> errors; oom and sandbox stand beside.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk" / "hypernode"

BOTTOM = {
    "allowlist_risk",
    "allowlists",
    "errors",
    "names",
    "places",
    "config",
    "private_files",
    "printable",
    "version",
}
MAY_IMPORT = {
    "errors": set[str](),
    "version": set[str](),
    "names": BOTTOM,
    "places": BOTTOM,
    "private_files": BOTTOM,
    "printable": set[str](),
    "allowlists": set[str](),
    "allowlist_risk": {"allowlists"},
    "config": BOTTOM,
    "secrets": BOTTOM,
    "refusals": BOTTOM | {"secrets"},
    "catalogue": BOTTOM | {"secrets"},
    "credentials": BOTTOM | {"secrets", "kept_tokens"},
    "products": BOTTOM,
    "command_lines": BOTTOM | {"secrets"},
    "kept_tokens": BOTTOM | {"secrets"},
    "api": BOTTOM | {"secrets", "refusals", "catalogue", "credentials"},
    "node": BOTTOM | {"secrets", "refusals", "catalogue", "credentials", "command_lines"},
    "fleet": BOTTOM | {"secrets", "catalogue", "credentials", "products", "api", "node"},
    "oom": BOTTOM | {"secrets", "products", "command_lines"},
    "sandbox": BOTTOM | {"secrets", "catalogue"},
}
"""For each part of the SDK, the other parts that it may import. A new part has to be added here, on purpose."""

ONLY_IMPORTERS = {
    "requests": {"hypernode/api/transport.py"},
    "urllib3": {"hypernode/api/transport.py"},
    "keyring": {"hypernode/credentials.py"},
    "distributed": {"hypernode/fleet/dask_tasks.py"},
}

PURE = [
    "fleet/drift.py",
    "fleet/fit.py",
    "fleet/preview.py",
    "fleet/lists.py",
    "fleet/managed.py",
    "fleet/ignores.py",
    "fleet/plan.py",
    "fleet/spec.py",
    "fleet/gates.py",
    "fleet/where.py",
    "fleet/schema.py",
    "refusals.py",
    "api/answers.py",
    "api/labels.py",
    "api/models.py",
    "command_lines.py",
    "node/meminfo.py",
    "node/pressure.py",
    "node/shortage.py",
    "node/target.py",
    "oom/kernlog.py",
    "oom/events.py",
    "oom/reports.py",
    "oom/services.py",
    "oom/verdict.py",
    "oom/incidents.py",
    "oom/history.py",
    "oom/evidence.py",
    "oom/cures.py",
    "oom/advice.py",
    "oom/sizes.py",
    "oom/plots.py",
    "oom/ranking.py",
    "oom/replay.py",
    "oom/logs.py",
    "oom/scan.py",
    "oom/clock.py",
    "oom/follow.py",
    "catalogue.py",
    "allowlist_risk.py",
    "allowlists.py",
    "errors.py",
    "names.py",
    "printable.py",
]
IMPURE_PARTS = {"fleet/spec.py": {"load"}}
"""Functions of a pure file that may do I/O."""
DOES_IO = {"requests", "urllib3", "keyring", "click", "subprocess", "socket", "time", "http", "ssl", "threading"}


def imports(source: str, package: str, *, but: frozenset[str] | set[str] = frozenset()) -> Iterator[str]:
    """Yield the full names of all that `source` imports, at its top, in functions and for type checking alike.

    Args:
        source: Python text.
        package: The package that it is in, to resolve relative imports.
        but: Names of top-level functions to pass over.
    """
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in but)]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from (f"{base}.{name.name}" for name in names)
            case ast.Call(func=ast.Name(id="__import__" | "import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def part_of(path: str) -> str:
    """Return the part of the SDK that a file below sdk/hypernode belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def wrong_turns(path: str, source: str) -> list[str]:
    """Return the imports of the file `path`, below sdk/hypernode, that go against the direction."""
    part = part_of(path)
    package = ".".join(["hypernode", *path.split("/")[:-1]])
    wrong = []
    for name in imports(source, package):
        root, _, rest = name.partition(".")
        if root == "hnctl":
            wrong.append(name)
        elif root == "hypernode":
            target = rest.partition(".")[0]
            if target != part and target not in MAY_IMPORT.get(part, set()):
                wrong.append(name)
    return wrong


def forbidden(path: str, source: str) -> list[str]:
    """Return the imports of a pure file that could do I/O."""
    package = ".".join(["hypernode", *path.split("/")[:-1]])
    return [
        name
        for name in imports(source, package, but=IMPURE_PARTS.get(path, set()))
        if name.partition(".")[0] in DOES_IO or name.startswith(("hypernode.api.transport", "hypernode.credentials"))
    ]


def strays(path: str, source: str) -> list[str]:
    """Return the imports that only another file may have; `path` is below sdk/ or cli/."""
    package = ".".join(path.split("/")[:-1])
    return [
        name
        for name in imports(source, package)
        if (root := name.partition(".")[0]) in ONLY_IMPORTERS and path not in ONLY_IMPORTERS[root]
    ]


def sdk_files() -> list[str]:
    found = [path.relative_to(SDK).as_posix() for path in sorted(SDK.rglob("*.py"))]
    return [path for path in found if path != "__init__.py"]


def all_files() -> list[tuple[Path, str]]:
    return [
        (path, path.relative_to(ROOT / folder).as_posix())
        for folder in ("sdk", "cli")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@pytest.mark.parametrize("path", sdk_files())
def test_imports_run_one_way(path: str):
    assert part_of(path) in MAY_IMPORT, f"{path} is in no part of the design; add its part to MAY_IMPORT"
    assert wrong_turns(path, (SDK / path).read_text()) == []


@pytest.mark.parametrize("path", PURE)
def test_a_pure_file_imports_nothing_that_does_io(path: str):
    assert forbidden(path, (SDK / path).read_text()) == []


def test_errors_import_nothing_of_ours():
    names = list(imports((SDK / "errors.py").read_text(), "hypernode"))
    assert names
    assert not [name for name in names if name.partition(".")[0] in ("hypernode", "hnctl")]


def test_requests_and_keyring_have_one_importer_each():
    found = {path: strays(path, file.read_text()) for file, path in all_files()}
    assert len(found) > 20
    assert {path: names for path, names in found.items() if names} == {}


def test_the_directions_hold_no_circle():
    """What may import what is itself a table, and a table can go wrong."""

    def reachable(part: str, seen: frozenset[str]) -> set[str]:
        below = MAY_IMPORT[part] - BOTTOM
        assert not below & seen, f"{part} leads back to {below & seen}"
        return below.union(*(reachable(other, seen | {part}) for other in below))

    for part in MAY_IMPORT:
        reachable(part, frozenset({part}))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("secrets.py", "from hypernode.api.transport import Transport"),
        ("secrets.py", "import hypernode.catalogue"),
        ("secrets.py", "from hypernode import credentials"),
        ("secrets.py", "from . import credentials"),
        ("errors.py", "from hypernode.names import is_node"),
        ("catalogue.py", "def f():\n    from hypernode.credentials import find_token"),
        ("api/client.py", "if TYPE_CHECKING:\n    from hypernode.fleet.plan import Plan"),
        ("api/client.py", "from ..fleet import plan"),
        ("api/client.py", "from hypernode import Client"),
        ("api/client.py", "import hnctl.main"),
        ("fleet/plan.py", "from hypernode.sandbox import server"),
        ("node/shell.py", "from hypernode.api.client import Client"),
        ("oom/events.py", "from hypernode.fleet.plan import Plan"),
        ("brand_new.py", "from hypernode.api.client import Client"),
    ],
)
def test_the_check_sees_a_wrong_turn(path: str, line: str):
    assert wrong_turns(path, f"from __future__ import annotations\n{line}\n")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("secrets.py", "from hypernode.errors import SecretUnavailable"),
        ("api/client.py", "from hypernode.api.flows import Flows\nfrom . import flows\nimport requests"),
        ("fleet/stores.py", "from hypernode.api.client import Client\nfrom hypernode.credentials import find_token"),
    ],
)
def test_the_check_lets_a_right_turn_pass(path: str, line: str):
    assert wrong_turns(path, line) == []


@pytest.mark.parametrize(
    "line",
    [
        "import requests",
        "import urllib3.exceptions",
        "from keyring import errors",
        "def f():\n    import keyring as k",
        "import_module('requests')",
    ],
)
def test_the_check_sees_a_stray_importer(line: str):
    assert strays("hypernode/fleet/stores.py", line)
    assert strays("hnctl/main.py", line)


def test_the_check_sees_io_in_a_pure_file_and_passes_over_its_loader():
    loader = "def load():\n    import time\n"
    assert forbidden("fleet/spec.py", loader) == []
    assert forbidden("fleet/plan.py", loader) == ["time"]
    assert forbidden("fleet/spec.py", "def other():\n    from socket import socket\n") == ["socket.socket"]
    assert forbidden("fleet/plan.py", "from hypernode.api.transport import Transport") != []
    assert forbidden("fleet/plan.py", "import json, datetime\nfrom timeit import timeit") == []
