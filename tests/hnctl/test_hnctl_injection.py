"""What nodes and servers answer is shown as text: it cannot steer the terminal of whoever reads it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
import yaml
from odd_servers import Odd, Respond, serving
from processes import run_in_terminal
from runs import Hnctl

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eabc\r\nnext\ud800|<b>`"
STEERING = ("\x1b", "\x07", "\x9b", "\u202e", "\r")
APP = {
    "name": EVIL,
    "state": EVIL,
    "type": EVIL,
    "product": {"code": EVIL, "name": EVIL},
    "ip": EVIL,
    "domainname": EVIL,
    "labels": [EVIL],
    "new_relic_app_name": EVIL,
    "php_version": EVIL,
}
FLOW = {"uuid": EVIL, "name": EVIL, "progress": {"running": [EVIL], "total": 1, "completed": 1}}
COMMANDS = [
    ["settings", "get", "new_relic_app_name", "-n", "kaasshop"],
    ["settings", "get", "php_version", "-n", "kaasshop", "--where", "name ~ kaas"],
    ["settings", "list", "-n", "kaasshop"],
    ["settings", "set", "php_version", "8.4", "-n", "kaasshop"],
    ["settings", "describe", "evil_setting"],
    ["nodes", "list", "-n", "kaasshop"],
    ["nodes", "show", "kaasshop"],
    ["flows", "list", "-n", "kaasshop"],
    ["flows", "watch", "-n", "kaasshop"],
    ["explain", "kaasshop", "php_version"],
    ["diff"],
    ["diff", "--verbose"],
    ["plan"],
    ["apply", "--yes"],
    ["export", "-n", "kaasshop"],
]


def make_respond() -> Respond:
    states = itertools.cycle(["running", "success"])

    def respond(path: str) -> tuple[int, str, bytes]:
        status = 200
        answer: object = APP
        if "eav_descriptions" in path:
            answer = {"evil_setting": [EVIL], "php_version": [EVIL]}
        elif "/logbook/" in path:
            answer = {"next": None, "results": [{**FLOW, "state": next(states)}]}
        elif not path.startswith("/v2/app/kaasshop/"):
            status, answer = 400, {EVIL: [EVIL]}
        return status, "application/json", json.dumps(answer).encode()

    return respond


@pytest.fixture
def evil(monkeypatch: pytest.MonkeyPatch, hnctl: Hnctl) -> Iterator[Odd]:
    """An API that answers escape sequences in every text; its list of settings is known."""
    with open("fleet.yaml", "w", encoding="utf-8") as file:
        file.write("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4}}}\n")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "token", "theeplein": "token"}')
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "10ms")
    with serving(make_respond()) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        assert hnctl("settings", "describe", "--refresh", "-n", "kaasshop").status == 0
        yield odd


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_answer_can_steer_the_terminal(command: list[str], hnctl: Hnctl, evil: Odd):
    for form in ("table", "markdown", "json", "jsonl", "yaml"):
        run = hnctl(*command, *(["-o", form] if command[0] != "export" else []))
        assert run.out, run.err
        assert [sign for sign in STEERING if sign in run.out + run.err] == []


def test_the_text_is_still_to_be_seen_and_exact_for_machines(hnctl: Hnctl, evil: Odd):
    get = ["settings", "get", "new_relic_app_name", "-n", "kaasshop"]
    assert hnctl(*get).out == r"\x1b[2J\x1b]0;owned\x07\x9b31m\u202eabc\r\nnext\ud800|<b>`" + "\n"
    assert hnctl(*get, "-o", "json").json["settings"][0]["value"] == EVIL
    assert yaml.safe_load(hnctl(*get, "-o", "jsonl").out)["value"] == EVIL


def test_a_refusal_of_the_server_cannot_steer_the_terminal_either(hnctl: Hnctl, evil: Odd):
    refused = hnctl("settings", "get", "php_version", "-n", "theeplein")
    assert refused.status == 1
    assert "the API refused it (400)" in refused.err
    assert [sign for sign in STEERING if sign in refused.err] == []


def test_on_a_terminal_the_only_escapes_are_colours_of_our_own(evil: Odd):
    shown = run_in_terminal("settings", "list", "-n", "kaasshop")
    assert shown.status == 0, shown.out
    assert r"\x1b[2J\x1b]0;owned" in shown.out.replace("\r\n", "").replace(" ", "")
    assert "\x1b[2J" not in shown.out
    assert "\x1b]0" not in shown.out
    assert "\x07" not in shown.out


def test_a_cell_cannot_end_a_row_of_markdown(hnctl: Hnctl, evil: Odd):
    lines = hnctl("nodes", "list", "-n", "kaasshop", "-o", "markdown").out.splitlines()
    assert len(lines) == 3
    assert lines[2].replace("\\|", "").count("|") == lines[0].count("|")
    assert "<b>" not in lines[2]
