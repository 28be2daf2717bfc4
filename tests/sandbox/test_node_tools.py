"""The stand-ins of a node's tools, started as they are on a node, against a running sandbox."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from hypernode.catalogue import Catalogue
from hypernode.sandbox.node_tools import write_node_tools
from hypernode.sandbox.server import Sandbox

SHOP, TWO_FLOWS = "kaasshop", "bloemenhuis"
DONE = (
    0,
    "Follow it with livelog.\n",
    "Operation was successful, and the change is under way.\n",
)
ASKING = [setting.name for setting in Catalogue.bundled().values() if setting.tool_prompts]
ANOTHER = {"redis_version": "7.x", "varnish_version": "7.x", "elasticsearch_enabled": "True"}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Node:
    """A folder that makes this machine a node, and its tools."""

    def __init__(self, folder: Path, box: Sandbox, name: str = SHOP) -> None:
        self.folder, self.box, self.name = folder, box, name
        write_node_tools(folder, node=name, token=box.tokens[name], api_url=box.url)

    def run(self, tool: str, *arguments: str, stdin: str = "") -> Ran:
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            [tool, *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=20
        )
        assert self.box.tokens[self.name] not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def settings(self, *arguments: str, stdin: str = "") -> Ran:
        return self.run("hypernode-systemctl", "settings", *arguments, stdin=stdin)

    def sent(self, method: str) -> list[str]:
        """Return the paths of the requests that this node sent."""
        return [entry.path for entry in self.box.log() if entry.method == method]


@pytest.fixture
def node(box: Sandbox, tmp_path: Path) -> Node:
    return Node(tmp_path / "node", box)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Node]:
    """A node whose changes do not end within a test."""
    with Sandbox(nodes=1, flow_time=600) as box:
        yield Node(tmp_path / "slow", box)


def said(refused: Ran) -> Any:
    """Return what the API said in a refusal, which is told as a text of Python bytes and is no failure."""
    assert (refused.code, refused.out) == (0, "")
    prose, _, text = refused.err.partition(": ")
    assert prose == "Looks like something went wrong"
    return json.loads(ast.literal_eval(text))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("php_version", "8.4", "8.4"),
        ("supervisor_enabled", True, "True"),
        ("supervisor_enabled", False, "False"),
        ("mysql_long_query_time", 5, "5"),
        ("blackfire_server_id", None, "None"),
        ("blackfire_server_id", "wiénn", "wiénn"),
    ],
    ids=str,
)
def test_a_value_is_told_in_one_line_on_stderr(name: str, value: object, shown: str, node: Node):
    node.box.set(SHOP, **{name: value})
    assert node.settings(name) == (0, "", f"{name} is set to value {shown}\n")
    assert node.sent("GET") == [f"/v2/app/{SHOP}/?destroyed=false"]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("php_version", "--help")], ids=str)
def test_without_a_name_all_settings_are_listed_with_their_values(words: tuple[str, ...], node: Node):
    code, out, err = node.settings(*words)
    usage, title, *lines = out.splitlines()
    assert (code, err, title) == (0, "", "possible values")
    assert usage.startswith("usage: hypernode-systemctl settings ")
    assert "supervisor_enabled       \t['True', 'False']" in lines
    assert "mysql_long_query_time    \t['2', '5', '10', '15', '30']" in lines
    assert node.sent("GET") == ["/v2/app/eav_descriptions/"]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["php_version", "8.5"], "8.5"),
        (["php_version", "--value", "8.5"], "8.5"),
        (["--value=8.5", "php_version"], "8.5"),
        (["permissive_memory_management", "True"], True),
        (["permissive_memory_management", "tRUE"], True),
        (["php_apcu_enabled", "--value", "false"], False),
        (["mysql_long_query_time", "10"], 10),
        (["tideways_sample_rate", "-1"], -1),
        (["new_relic_app_name", ""], ""),
        (["new_relic_app_name", "True"], "True"),
        (["mysql_ft_min_word_len", "2"], "2"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_with_block_the_value_is_there_when_the_tool_ends(
    words: list[str], value: object, place: str, box: Sandbox, tmp_path: Path
):
    name = next(word for word in words if not word.startswith("--"))
    other: object = not value if isinstance(value, bool) else 5 if isinstance(value, int) else "8.1"
    node = Node(tmp_path, box, TWO_FLOWS)
    box.set(TWO_FLOWS, **{name: other})
    assert node.settings(*(["--block", *words] if place == "first" else [*words, "--block"])) == DONE
    assert box.settings(TWO_FLOWS)[name] == value
    assert type(box.settings(TWO_FLOWS)[name]) is type(value)


def test_block_after_the_name_is_no_value(node: Node):
    assert node.settings("php_version", "--block", "8.5") == DONE
    assert node.box.settings(SHOP)["php_version"] == "8.5"


def test_without_block_the_tool_does_not_wait(slow: Node):
    assert slow.settings("php_version", "8.5") == DONE
    assert slow.sent("GET") == []
    assert slow.box.settings(slow.name)["php_version"] != "8.5"


def test_where_nothing_changes_there_is_nothing_to_wait_for(slow: Node):
    slow.box.set(slow.name, php_version="8.4")
    assert slow.settings("php_version", "8.4", "--block") == DONE
    assert slow.sent("GET") == []


def test_a_change_that_is_rolled_back_is_told_and_still_no_failure(node: Node):
    node.box.set_faults({"revert": [SHOP]})
    before = node.box.settings(SHOP)
    code, out, err = node.settings("php_version", "8.5", "--block")
    assert (code, out, err) == (0, f"{DONE[1]}The change was not applied: its flow is reverted.\n", DONE[2])
    assert node.box.settings(SHOP) == before


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["php_version", "9.9"], {"php_version": ['"9.9" is not a valid choice.']}),
        (["supervisor_enabled", "yes"], {"supervisor_enabled": ["Must be a valid boolean."]}),
        (["tideways_sample_rate", "9" * 5000], {"tideways_sample_rate": ["A valid integer is required."]}),
        (["varnish_secret", "it's"], {"varnish_secret": ["This setting cannot be changed with this token."]}),
        (["php_versoin", "8.5"], {"php_versoin": ["There is no such setting."]}),
        (["php_versoin"], {"php_versoin": ["There is no such setting."]}),
        (["ip"], {"ip": ["There is no such setting."]}),
    ],
    ids=lambda words: str(words)[:40],
)
def test_what_the_api_refuses_is_told_in_prose(words: list[str], answer: object, node: Node):
    assert said(node.settings(*words)) == answer
    assert said(node.settings(*words, "--block")) == answer


@pytest.mark.parametrize(("fault", "answer"), [("reject", "php_version"), ("api_use_off", "detail")])
def test_a_refusal_comes_from_the_api(fault: str, answer: str, node: Node):
    node.box.set_faults({fault: 1})
    assert [*said(node.settings("php_version", "8.5"))] == [answer]


def test_the_token_is_read_at_each_call(node: Node):
    assert node.settings("php_version").code == 0
    file = node.folder / "root/etc/hypernode/hypernode_api_token"
    file.write_text("another\n")
    assert said(node.settings("php_version")) == {"detail": "Invalid token."}
    file.write_text("not\na token\n")
    assert node.settings("php_version").code == 1
    file.unlink()
    missing = node.settings("php_version")
    assert missing.err == (
        "hypernode-systemctl: /etc/hypernode/hypernode_api_token cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "Y\n", "YES\nmore\n", "y"])
@pytest.mark.parametrize("name", ASKING)
def test_some_settings_change_only_after_a_yes(name: str, answer: str, node: Node):
    node.box.set(SHOP, redis_version="6.x", varnish_version="6.x", elasticsearch_enabled=False)
    code, out, err = node.settings(name, ANOTHER[name], "--block", stdin=answer)
    assert (code, err) == (DONE[0], DONE[2])
    assert out == f"Changing {name} can interrupt the service. Do you want to continue? [y/N] {DONE[1]}"
    assert str(node.box.settings(SHOP)[name]) == ANOTHER[name]


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n", "no\ny\n"])
def test_anything_but_a_yes_sends_nothing(answer: str, node: Node):
    code, out, err = node.settings("redis_version", "6.x", stdin=answer)
    assert (code, out.count("\n"), err) == (0, 0, "Aborted.\n")
    assert out.endswith("? [y/N] ")
    assert node.box.log() == []


@pytest.mark.parametrize("words", [["redis_version"], ["supervisor_enabled", "True"], ["varnish_enabled", "False"]])
def test_nothing_else_is_asked(words: list[str], node: Node):
    assert "?" not in node.settings(*words).out


@pytest.mark.parametrize("fault", ["bad_gateway", "unavailable", "reset", "truncate"])
@pytest.mark.parametrize("words", [["php_version"], ["php_version", "8.5"], []], ids=str)
def test_no_use_of_the_api_is_one_line_and_exit_code_1(fault: str, words: list[str], node: Node):
    node.box.set(SHOP, php_version="8.1")
    node.box.set_faults({fault: 1})
    code, out, err = node.settings(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"hypernode-systemctl: {node.box.url} ")


@pytest.mark.parametrize("tool", [("hypernode-systemctl", "settings", "php_version"), ("hypernode-log",)], ids=str)
def test_where_nobody_listens_it_says_so(tool: tuple[str, ...], tmp_path: Path):
    with Sandbox(nodes=1) as box:
        node = Node(tmp_path, box)
    assert node.run(*tool) == (1, "", f"{tool[0]}: {box.url} gives no answer (ConnectionRefusedError)\n")


def test_a_redirect_does_not_get_the_token(node: Node):
    node.box.set_faults({"redirect": 1})
    assert node.settings("php_version") == (1, "", f"hypernode-systemctl: {node.box.url} answers 302\n")


@pytest.mark.parametrize("words", [(), ("xgrade",), ("settings", "a", "b", "c"), ("settings", "a", "b", "--value=c")])
def test_what_is_no_command_is_a_usage_error(words: tuple[str, ...], node: Node):
    code, out, err = node.run("hypernode-systemctl", *words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: hypernode-systemctl settings ")


def test_each_tool_tells_its_name(node: Node):
    node.settings("php_version", "8.5", "--block")
    node.run("hypernode-log")
    seen = {(entry.method, entry.agent) for entry in node.box.log()}
    assert seen == {("PATCH", "hypernode-systemctl"), ("GET", "hypernode-systemctl"), ("GET", "hypernode-log")}


@pytest.mark.parametrize(("agent", "logged"), [(None, ""), ("curl/8", "curl/8"), ("x" * 101, "x" * 100)])
def test_the_log_of_the_sandbox_shows_who_asked(agent: str | None, logged: str, box: Sandbox):
    connection = HTTPConnection(box.url.removeprefix("http://"), timeout=5)
    connection.request("GET", "/v2/app/", headers={"User-Agent": agent} if agent else {})
    connection.getresponse().read()
    connection.close()
    assert [entry["agent"] for entry in requests.get(f"{box.url}/_sandbox/log", timeout=5).json()] == [logged]
