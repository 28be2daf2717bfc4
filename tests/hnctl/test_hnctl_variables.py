"""Every option can be given as a variable HNCTL_NAME too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from runs import Hnctl, writes

from hnctl.commands.sandbox import serve
from hnctl.main import main
from hypernode.sandbox.server import Sandbox


def options(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Option]]:
    """Yield every option with the path of its command."""
    if not isinstance(command, click.Group):
        yield from ((path, p) for p in command.params if isinstance(p, click.Option))
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        if (found := command.get_command(context, name)) is not None:
            yield from options(found, *path, name)


def test_every_option_has_the_variable_of_its_name():
    found = list(options(main))
    assert len(found) > 100
    for path, option in found:
        long = next(name for name in option.opts if name.startswith("--"))
        name = long[2:].replace("-", "_").upper()
        if option.name == "with_defaults":
            name = "EXPORT_ALL"  # it is about values, and HNCTL_ALL chooses nodes
        elif path[0] == "sandbox" and name != "DEBUG":
            name = f"SANDBOX_{name}"  # what the server does, and not how it is reached
        elif path == ("oom", "protect") and name == "TIMEOUT":
            name = "PROTECT_TIMEOUT"  # HNCTL_TIMEOUT is for an answer of the API
        elif path == ("oom", "explain") and name == "ALL":
            name = "EXPLAIN_ALL"  # it is about events, and HNCTL_ALL chooses nodes
        elif path[0] == "oom" and name == "WINDOW":
            owner = {"report": "ADVICE"}.get(path[1], path[1].upper())
            name = f"{owner}_WINDOW"  # each is the time of something else
        elif path[0] in ("brancher", "products") and name == "WAIT":
            name = f"{path[0].upper()}_{name}"  # whether to wait; HNCTL_WAIT is a time
        elif path[0] in ("brancher", "preview") and name == "CLEAR":
            name = "BRANCHER_CLEAR"  # what of a copy
        elif path == ("oom", "watch") and name == "TIMEOUT":
            name = "WATCH_TIMEOUT"
        assert option.envvar == f"HNCTL_{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NODES", "0"),
        ("PORT", "99999"),
        ("FAULT", "nope=1"),
        ("FLOW_TIME", "soon"),
        ("BRANCHER_TIME", "later"),
        ("SEED", "seven"),
    ],
)
def test_a_variable_of_the_sandbox_is_checked_as_its_option_is(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"HNCTL_SANDBOX_{name}", value)
    with pytest.raises(
        click.BadParameter, match=value.partition("=")[0]
    ):  # without running it: a server that starts does not end
        serve.make_context("serve", [], help_option_names=["-h", "--help"])  # click keeps the first it made


@pytest.fixture
def fleet(box: Sandbox, folder: Path) -> Sandbox:
    (folder / "other.yaml").write_text(
        "version: 1\n"
        "groups: {magento: {}}\n"
        "nodes: {kaasshop: {groups: [magento], settings: {php_version: 8.4}}, theeplein: {}}\n"
    )
    box.set("kaasshop", php_version="8.1", mysql_version="8.0")
    box.set("theeplein", php_version="8.3", mysql_version="8.0")
    return box


GET = ["settings", "get", "php_version"]
UPGRADE = ["settings", "set", "mysql_version", "8.4"]
FILE = {"HNCTL_FILE": "other.yaml"}


@pytest.mark.parametrize(
    ("variables", "words", "status", "says"),
    [
        ({"HNCTL_NODE": "kaasshop"}, GET, 0, "8.1\n"),
        ({"HNCTL_NODE": "kaasshop theeplein"}, GET, 0, "node       value\nkaasshop   8.1\ntheeplein  8.3\n"),
        ({**FILE, "HNCTL_GROUP": "magento"}, GET, 0, "8.1\n"),
        ({**FILE, "HNCTL_ALL": "yes"}, GET, 0, "theeplein  8.3"),
        ({**FILE, "HNCTL_ALL": "yes", "HNCTL_EXCLUDE": "theeplein"}, GET, 0, "8.1\n"),
        (
            {**FILE, "HNCTL_ALL": "yes", "HNCTL_WHERE": "php_version > 8.2"},
            GET,
            0,
            "node       value\ntheeplein  8.3\n",
        ),
        ({"HNCTL_NODE": "kaasshop", "HNCTL_OUTPUT": "jsonl"}, GET, 0, '"node": "kaasshop"'),
        (FILE, ["validate"], 0, "other.yaml: good, 2 nodes in 1 group"),
        ({**FILE, "HNCTL_DETAILED_EXITCODE": "1"}, ["diff"], 2, "php_version  8.1 -> 8.4"),
        ({**FILE, "HNCTL_VERBOSE": "1"}, ["diff"], 0, "php_version  8.1 -> 8.4"),
        ({"HNCTL_NODE": "boekenhal", "HNCTL_LIMIT": "2"}, ["flows", "list"], 0, "name "),
        ({"HNCTL_NODE": "kaasshop", "HNCTL_EXPORT_ALL": "1"}, ["export"], 0, "varnish_esi_ignore_https: true"),
        ({"HNCTL_API_URL": "http://127.0.0.1:1"}, [*GET, "-n", "kaasshop"], 1, "127.0.0.1:1 does not accept"),
        ({"HNCTL_NODE": "kaasshop", "HNCTL_DEBUG": "1"}, GET, 0, "GET /v2/app/kaasshop/?destroyed=false -> 200"),
        ({"HNCTL_NODE": "kaasshop", "HNCTL_CONFIRM": "kaasshop:mysql_version"}, UPGRADE, 0, "1 done"),
        (
            {"HNCTL_NODE": "kaasshop theeplein", "HNCTL_CONFIRM": "kaasshop:mysql_version theeplein:mysql_version"},
            UPGRADE,
            5,
            "Add --yes",
        ),
        (
            {"HNCTL_NODE": "kaasshop theeplein", "HNCTL_CONFIRM": "all:mysql_version=2", "HNCTL_YES": "1"},
            UPGRADE,
            0,
            "2 done",
        ),
        ({"HNCTL_NODE": "kaasshop", "HNCTL_CLEAR": "1"}, ["settings", "set", "new_relic_app_name"], 0, "1 unchanged"),
        ({**FILE, "HNCTL_CHECKSUM": "abc", "HNCTL_YES": "1"}, ["apply"], 5, "not abc; nothing was changed"),
        (
            {"HNCTL_NODE": "kaasshop", "HNCTL_WAIT": "0"},
            ["settings", "set", "php_version", "8.2"],
            6,
            "1 outcome unknown",
        ),
    ],
    ids=str,
)
def test_a_variable_does_what_its_option_does(
    variables: dict[str, str],
    words: list[str],
    status: int,
    says: str,
    hnctl: Hnctl,
    fleet: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = hnctl(*words)
    assert run.status == status, run.err
    assert says in run.out + run.err


def test_running_flows_failures_and_limits_can_be_allowed_by_variables(
    hnctl: Hnctl, fleet: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_YES", "1")
    path = folder / "other.yaml"
    path.write_text(path.read_text() + "limits: {max_changes: 0}\n")
    monkeypatch.setenv("HNCTL_FILE", "other.yaml")
    assert hnctl("apply").status == 5
    monkeypatch.setenv("HNCTL_FORCE", "1")
    fleet.start_flow("kaasshop", "xgrade_app", 30)
    assert "--ignore-running" in hnctl("apply").err
    assert writes(fleet) == []
    monkeypatch.setenv("HNCTL_IGNORE_RUNNING", "1")
    monkeypatch.setenv("HNCTL_WAIT", "0")
    hnctl("apply")
    assert len(writes(fleet)) == 1


def test_the_failure_budget_can_be_a_variable(hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch):
    fleet.set_faults({"reject": ["kaasshop", "theeplein"]})
    for name, value in {"HNCTL_MAX_FAILURES": "1", "HNCTL_PARALLEL": "1", "HNCTL_YES": "1"}.items():
        monkeypatch.setenv(name, value)
    run = hnctl("settings", "set", "php_version", "8.0", "-n", "kaasshop", "-n", "theeplein")
    assert run.status == 3
    assert run.out.splitlines()[-1] == "0 done, 0 unchanged, 1 failed, 0 outcome unknown, 1 not attempted"


def test_an_empty_variable_is_none(hnctl: Hnctl, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch):
    for name in ("NODE", "GROUP", "ALL", "WHERE", "OUTPUT", "FILE", "PARALLEL", "TIMEOUT", "REFRESH", "CA_FILE"):
        monkeypatch.setenv(f"HNCTL_{name}", "")
    assert hnctl(*GET, "-n", "kaasshop") == (0, "8.1\n", "")
