"""hnctl on a real terminal: what it asks, what an answer does, what it shows while it works."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from processes import run, run_in_terminal, start
from runs import Result, point_to, writes

from hypernode.catalogue import Catalogue
from hypernode.sandbox.server import Sandbox

SET = ["settings", "set", "php_version", "8.0", "-n", "kaasshop", "-n", "theeplein", "-n", "boekenhal"]
UPGRADE = ["settings", "set", "mysql_version", "8.4"]
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")


@pytest.fixture
def three(box: Sandbox, folder: Path) -> Sandbox:
    for node in ("kaasshop", "theeplein", "boekenhal"):
        box.set(node, php_version="8.3", mysql_version="8.0")
    return box


def plain(shown: Result) -> str:
    """Return what was shown without colours, and with the line ends of a file."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.out).replace("\r\n", "\n")


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_a_yes_carries_the_plan_out(answer: str, three: Sandbox):
    shown = run_in_terminal(*SET, answers=[("Change 3 nodes? [y/N]:", answer)])
    assert shown.status == 0, shown.out
    assert "3 done, 0 unchanged" in shown.out
    assert len(writes(three)) == 3


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_anything_else_changes_nothing(answer: str, three: Sandbox):
    shown = run_in_terminal(*SET, answers=[("Change 3 nodes? [y/N]:", answer)])
    assert shown.status == 5
    assert "not agreed; nothing was changed" in shown.out
    assert writes(three) == []


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_leaving_at_the_question_changes_nothing(key: str, three: Sandbox):
    shown = run_in_terminal(*SET, answers=[("Change 3 nodes? [y/N]:", key)])
    assert shown.status == 130
    assert "Aborted; nothing more was done." in shown.out
    assert writes(three) == []


def test_the_plan_stands_above_the_question(three: Sandbox):
    text = plain(run_in_terminal(*SET, answers=[("[y/N]:", "n\n")]))
    assert (
        text.index("3 changes on 3 of 3 nodes") < text.index("php_version  8.3 -> 8.0") < text.index("Change 3 nodes?")
    )


def test_a_single_node_is_not_asked_about(three: Sandbox):
    shown = run_in_terminal("settings", "set", "php_version", "8.0", "-n", "kaasshop")
    assert shown.status == 0
    assert "?" not in plain(shown)
    assert len(writes(three)) == 1


def test_with_yes_nothing_is_asked(three: Sandbox):
    shown = run_in_terminal(*SET, "--yes")
    assert shown.status == 0
    assert "Change 3 nodes?" not in shown.out


def test_what_cannot_be_undone_asks_for_the_name_of_the_node(three: Sandbox):
    shown = run_in_terminal(*UPGRADE, "-n", "kaasshop", "--yes", answers=[("Type kaasshop to agree", "kaasshop\n")])
    assert shown.status == 0, shown.out
    assert [entry.node for entry in writes(three)] == ["kaasshop"]


@pytest.mark.parametrize("answer", ["y\n", "kaasshp\n"])
def test_no_other_word_agrees_to_it(answer: str, three: Sandbox):
    shown = run_in_terminal(*UPGRADE, "-n", "kaasshop", "--yes", answers=[("Type kaasshop to agree", answer)])
    assert shown.status == 5
    assert "--confirm kaasshop:mysql_version allows it" in plain(shown)
    assert writes(three) == []


def test_for_several_nodes_their_number_is_asked_for_and_then_the_ordinary_yes(three: Sandbox):
    nodes = ["-n", "kaasshop", "-n", "theeplein"]
    word = "mysql_version=2"
    answers = [(f"Type {word} to agree", f"{word}\n"), ("Change 2 nodes? [y/N]:", "y\n")]
    shown = run_in_terminal(*UPGRADE, *nodes, answers=answers)
    assert shown.status == 0, shown.out
    assert len(writes(three)) == 2


def test_what_was_confirmed_is_not_asked_for_again(three: Sandbox):
    shown = run_in_terminal(*UPGRADE, "-n", "kaasshop", "--confirm", "kaasshop:mysql_version")
    assert shown.status == 0
    assert "Type " not in shown.out


def test_a_secret_is_typed_unseen(three: Sandbox):
    shown = run_in_terminal(
        "settings", "set", "new_relic_secret", "-", "-n", "kaasshop", answers=[("new_relic_secret:", "s3cr3t\n")]
    )
    assert shown.status == 0, shown.out
    assert three.settings("kaasshop")["new_relic_secret"] == "s3cr3t"
    assert "s3cr3t" not in shown.out


def test_a_bar_counts_the_nodes_and_is_gone_at_the_end(three: Sandbox):
    shown = run_in_terminal(*SET, "--yes")
    assert re.search(r"reading .*0/3", shown.out)
    assert re.search(r"applying .*3/3", shown.out)
    assert shown.out.index("\x1b[?25l") < shown.out.rindex("\x1b[?25h"), "the cursor is back"
    for node in ("kaasshop", "theeplein", "boekenhal"):
        assert f"{node}: " in shown.out


@pytest.mark.parametrize("nodes", [["kaasshop"], ["kaasshop", "theeplein"]], ids=["one", "two"])
def test_the_bar_tells_what_the_last_look_at_a_flow_saw(nodes: list[str], monkeypatch: pytest.MonkeyPatch):
    with Sandbox(nodes=4, flow_time=1.5) as box:
        point_to(box, monkeypatch)
        for node in nodes:
            box.set(node, php_version="8.3")
        named = [word for node in nodes for word in ("-n", node)]
        shown = run_in_terminal("settings", "set", "php_version", "8.0", *named, "--yes", columns=120)
        assert shown.status == 0
        assert re.search(rf"applying .*({'|'.join(nodes)}): update_node running \d/\d", plain(shown))
        for node in nodes:
            box.set(node, php_version="8.3")
        assert "update_node" not in run("settings", "set", "php_version", "8.0", *named, "--yes").err


def test_there_is_no_bar_for_a_single_node_that_is_read_and_none_without_a_terminal(three: Sandbox):
    assert "reading" not in run_in_terminal("settings", "get", "php_version", "-n", "kaasshop").out
    done = run(*SET, "--yes")
    assert done.status == 0
    assert "\x1b" not in done.out + done.err
    assert "applying" not in done.err
    assert len(done.err.splitlines()) == 4, "a line for each node in its place, and one for the run"


def test_colours_are_shown_on_a_terminal_and_can_be_switched_off(three: Sandbox):
    three.set_faults({"reject": ["kaasshop"]})
    words = ["settings", "set", "php_version", "8.1", "-n", "kaasshop"]
    assert COLOUR.search(run_in_terminal(*words).out)
    assert COLOUR.search(run_in_terminal("settings", "get", "php_versio").out)
    for command in (words, ["settings", "get", "php_versio"], ["settings", "get", "php_version", "--all"]):
        assert not COLOUR.search(run_in_terminal(*command, variables={"NO_COLOR": "1"}).out)


def test_a_dumb_terminal_gets_no_escapes(three: Sandbox):
    shown = run_in_terminal("settings", "get", "php_version", "--all", variables={"TERM": "dumb", "NO_COLOR": "1"})
    assert shown.status == 0
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("columns", [40, 0])
def test_a_narrow_terminal_shows_everything(columns: int, three: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(
        "version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4, mysql_version: 8.4}}}\n"
    )
    for command in (["settings", "describe"], ["nodes", "list"]):
        shown = run_in_terminal(*command, columns=columns)
        assert shown.status == 0
        assert "Traceback" not in shown.out
    listed = plain(run_in_terminal("settings", "list", "-n", "kaasshop", columns=columns))
    assert all(name in listed for name in Catalogue.bundled()), "no name is broken in two"
    assert "kaasshop" in plain(run_in_terminal("diff", columns=columns)).replace("\n", "")


@pytest.mark.parametrize("redirected", ["stdin", "stderr"])
def test_nothing_is_asked_when_the_answer_or_the_question_would_be_lost(redirected: str, three: Sandbox):
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, redirected: subprocess.DEVNULL}
    with start(*SET, **streams) as process:
        os.close(theirs)
        process.wait(20)
    os.close(ours)
    assert process.returncode == 5
    assert writes(three) == []


def test_ctrl_c_finishes_the_node_under_way_and_shows_the_way_on(three: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "400ms")
    shown = run_in_terminal(
        *SET, "--parallel", "1", "--yes", answers=[("boekenhal: done", "\x03")], variables={"TERM": "dumb"}
    )
    assert shown.status == 130
    told = plain(shown)
    assert "Interrupted: no more nodes are started. Once more to leave at once." in told
    assert "kaasshop: done in" in told
    assert "theeplein: not attempted: the run was interrupted" in told
    assert "2 done, 0 unchanged, 0 failed, 0 outcome unknown, 1 not attempted" in told
    assert re.search(r"\nThe run was interrupted\.\nGo on: hnctl resume (\S+)\nTake back what was done: .* \1\n$", told)
    resumed = run_in_terminal("resume", "last", answers=[("Change 1 node? [y/N]:", "y\n")])
    assert resumed.status == 0
    assert [entry.node for entry in writes(three)] == ["boekenhal", "kaasshop", "theeplein"]


def test_ctrl_c_twice_leaves_at_once_and_the_run_can_be_gone_on_with(three: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "2s")
    answers = [("Change 3 nodes", "y\n"), (lambda: writes(three), "\x03"), ("Interrupted", "\x03")]
    shown = run_in_terminal(*SET, "--parallel", "1", answers=answers, variables={"TERM": "dumb"})
    assert shown.status == 130
    assert "\nLeft at once, with 1 node under way: what was sent goes on.\n" in plain(shown)
    assert len(writes(three)) == 1
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "50ms")
    assert run("resume", "last", "--yes").status == 0
    assert sorted(entry.node for entry in writes(three) if entry.changed) == ["boekenhal", "kaasshop", "theeplein"]


@pytest.mark.parametrize("columns", [80, 160])
def test_neither_ctrl_c_spoils_the_screen_and_the_cursor_comes_back(
    columns: int, three: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "2s")
    answers = [(lambda: writes(three), "\x03"), ("Interrupted", "\x03")]
    shown = run_in_terminal(*SET, "--yes", "--parallel", "1", answers=answers, columns=columns)
    assert shown.status == 130
    assert shown.out.count("^C") == 2
    assert shown.out.rindex("\x1b[?25h") > shown.out.rindex("\x1b[?25l"), "the cursor is back"
    lines = screen(shown.out, columns)
    told = lines.index("Interrupted: no more nodes are started. Once more to leave at once.")
    assert lines[told - 1].startswith("checksum "), "nothing is left of the bar, nor of what was typed"
    assert re.fullmatch(
        r"Left at once, with 1 node under way: what was sent goes on\.\n"
        r"What is known of it: hnctl history (\S+)\nGo on with the run: hnctl resume \1\n",
        "\n".join(lines[told + 1 :]),
    )


def screen(out: str, columns: int) -> list[str]:
    """Return the lines of a terminal that was shown `out`, as far as a bar of rich needs one."""
    lines, row, column = [""], 0, 0
    for code in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", out, re.DOTALL):
        if code == "\r":
            column = 0
        elif code == "\n":
            row += 1
        elif code == "\x1b[2K":
            lines[row] = ""
        elif code == "\x1b[1A":
            row -= 1
        elif len(code) == 1:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            line = lines[row].ljust(column)
            lines[row] = line[:column] + code + line[column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
