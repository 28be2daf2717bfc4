"""What `import hypernode` promises: these names, loaded when they are first used."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hypernode
import hypernode.errors

HEAVY = ("requests", "urllib3", "pydantic", "keyring", "yaml", "click", "rich", "email", "http")


def loaded_after(code: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_names_are_sorted_and_each_stands_once():
    assert hypernode.__all__ == sorted(set(hypernode.__all__))


@pytest.mark.parametrize("name", hypernode.__all__)
def test_every_promised_name_is_there_and_comes_from_where_it_is_defined(name: str):
    value = getattr(hypernode, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__module__.startswith("hypernode.")
        assert getattr(import_module(value.__module__), name) is value


def test_the_package_offers_what_it_promises_and_nothing_else():
    for name in hypernode.__all__:
        getattr(hypernode, name)
    modules = {path.stem for path in Path(hypernode.__file__).parent.iterdir()}
    machinery = {"annotations", "import_module", "TYPE_CHECKING", "Any"}
    offered = {name for name in vars(hypernode) if not name.startswith("_")} - modules - machinery
    assert offered | {"__version__"} == set(hypernode.__all__)
    assert dir(hypernode) == hypernode.__all__


def test_a_name_that_is_not_promised_is_no_attribute():
    for name in ("Settings", "nonsense", "_HOMES_"):
        with pytest.raises(AttributeError) as caught:
            getattr(hypernode, name)
        assert str(caught.value) == f"module 'hypernode' has no attribute {name!r}"


def test_every_error_that_can_come_out_is_promised():
    errors = {
        name
        for name, kind in vars(hypernode.errors).items()
        if isinstance(kind, type) and issubclass(kind, hypernode.HypernodeError)
    }
    assert len(errors) > 20
    assert errors <= set(hypernode.__all__)


def test_every_promised_name_is_used_in_the_file_that_mypy_checks():
    used = (Path(__file__).parents[1] / "typing" / "api.py").read_text()
    assert [name for name in hypernode.__all__ if not re.search(rf"\b{name}\b", used.partition(")\n\n\n")[2])] == []


def test_importing_the_package_loads_none_of_what_is_heavy():
    assert loaded_after("import hypernode").isdisjoint(HEAVY)


def test_errors_and_catalogue_load_none_of_what_is_heavy():
    loaded = loaded_after("import hypernode; hypernode.HypernodeError; hypernode.Catalogue.bundled(); hypernode.Secret")
    assert "hypernode.catalogue" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_making_a_client_with_a_token_loads_neither_keyring_nor_pydantic():
    loaded = loaded_after("import hypernode; hypernode.Client('kaasshop', token='t').close()")
    assert "requests" in loaded
    assert loaded.isdisjoint({"keyring", "pydantic", "yaml", "click"})


def test_the_package_is_typed():
    assert (Path(hypernode.__file__).parent / "py.typed").exists()
