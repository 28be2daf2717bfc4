"""Help: complete, with examples, in agreement with itself, and cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from runs import Hnctl

from hnctl.main import COMMANDS, main
from hypernode.version import __version__

HEAVY = (
    "requests",
    "urllib3",
    "pydantic",
    "keyring",
    "yaml",
    "rich",
    "starlette",
    "uvicorn",
    "platformdirs",
    "distributed",
)


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, *path, name)


ALL = dict(walk(main))
GROUPS = {path: command for path, command in ALL.items() if isinstance(command, click.Group)}
LEAVES = {path: command for path, command in ALL.items() if path not in GROUPS}


def title(path: tuple[str, ...]) -> str:
    return " ".join(("hnctl", *path))


def test_there_are_the_commands_that_the_design_names():
    assert {"settings list", "settings get", "settings set", "settings describe"} <= {" ".join(path) for path in LEAVES}
    assert {path[0] for path in ALL if path} == set(COMMANDS)


@pytest.mark.parametrize("path", LEAVES, ids=title)
def test_the_help_of_a_command_has_an_example_that_can_be_copied(path: tuple[str, ...], hnctl: Hnctl):
    help_ = hnctl(*path, "--help")
    assert (help_.status, help_.err) == (0, "")
    example = re.search(r"^  Examples?:.*?(hnctl [^\n]*)", help_.out, re.MULTILINE | re.DOTALL)
    assert example is not None
    assert example[1].startswith(title(path)), "it shows this very command, on a line of its own"
    assert "\\b" not in help_.out


@pytest.mark.parametrize("path", LEAVES, ids=title)
def test_every_option_and_argument_is_explained(path: tuple[str, ...], hnctl: Hnctl):
    help_ = hnctl(*path, "--help").out
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[-1] in help_


OF_ONE_NODE = {
    "allowlist add": ["database", "192.0.2.9"],
    "allowlist remove": ["database", "192.0.2.9"],
    "allowlist types": [],
    "api": ["GET", "/v2/product/"],
    "attacks block": ["BlockSqliBruteForce"],
    "attacks list": [],
    "backups create": [],
    "brancher create": [],
    "brancher delete": ["kaasshop-eph7"],
    "brancher history": [],
    "brancher labels": ["kaasshop-eph7"],
    "brancher list": [],
    "brancher ssh-check": ["kaasshop-eph7"],
    "brancher wait": ["kaasshop-eph7"],
    "flows list": [],
    "flows watch": [],
    "insights add": ["release 12"],
    "orders check-name": ["nieuw"],
    "orders configurations": [],
    "preview": [],
    "products change": ["FALCON_M_202203"],
    "products check": ["FALCON_M_202203"],
    "products current": [],
    "products list": [],
    "products show": ["FALCON_M_202203"],
}
"""Commands that are about one node, with the arguments that each takes."""


@pytest.mark.parametrize("command", OF_ONE_NODE)
def test_a_command_about_one_node_says_so_and_refuses_a_second_one(command: str, hnctl: Hnctl):
    refused = hnctl(*command.split(), *OF_ONE_NODE[command], "-n", "kaasshop", "-n", "theeplein")
    assert refused == (64, "", "Error: this is done on one node at a time\n  hint: Give -n once\n")


def test_only_those_commands_say_that_they_are_about_one_node():
    says = {
        " ".join(path): parameter.help
        for path, command in LEAVES.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and "-n" in parameter.opts
    }
    assert {command for command, text in says.items() if text == "The node; one only."} == set(OF_ONE_NODE)


@pytest.mark.parametrize("path", ALL, ids=title)
def test_h_is_help_and_help_goes_to_stdout(path: tuple[str, ...], hnctl: Hnctl):
    short = hnctl(*path, "-h")
    assert (short.status, short.err) == (0, "")
    assert short.out.startswith(f"Usage: {title(path)}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says_itself(name: str):
    assert COMMANDS[name][1] == ALL[(name,)].get_short_help_str(limit=200)


@pytest.mark.parametrize("path", GROUPS, ids=title)
def test_no_line_of_a_list_of_commands_is_cut_off(path: tuple[str, ...], hnctl: Hnctl):
    help_ = hnctl(*path, "--help").out
    assert "..." not in help_.replace("...]", "").replace("[ARGS]...", "")


def test_without_a_command_there_is_help(hnctl: Hnctl):
    for words in ([], ["settings"]):
        run = hnctl(*words)
        assert run.status == 64
        assert "Commands:" in run.out + run.err


def test_the_version_is_the_package_s(hnctl: Hnctl):
    assert hnctl("--version") == (0, f"hnctl {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["setings"], "No such command 'setings'. Did you mean settings?"),
        (["settings", "gett", "php_version"], "No such command 'gett'. Did you mean 'get'?"),
        (["settings", "get", "php_version", "--nod", "kaasshop"], "No such option '--nod'. Did you mean '--node'?"),
        (["qwertyuiop"], "No such command 'qwertyuiop'."),
        (["diff", "-o", "jsn"], "'jsn' is not one of 'table', 'json', 'jsonl', 'yaml', 'markdown'"),
        (["settings", "get"], "Missing argument 'SETTING'"),
        (["settings", "get", "php_version", "8.3"], "Got unexpected extra argument (8.3)"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
    ids=str,
)
def test_what_is_mistyped_is_named_with_the_nearest_that_exists(words: list[str], says: str, hnctl: Hnctl):
    refused = hnctl(*words)
    assert (refused.status, refused.out) == (64, "")
    assert says in refused.err
    assert "--help" in refused.err


LISTING = f"""\
import contextlib, io, sys
from hnctl.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main.main([*sys.argv[1:], "--help"], prog_name="hnctl", standalone_mode=False)
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.parametrize("path", [(), *LEAVES], ids=title)
def test_help_loads_nothing_that_is_slow_to_load(path: tuple[str, ...]):
    done = subprocess.run([sys.executable, "-c", LISTING, *path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == []
