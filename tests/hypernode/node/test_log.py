"""hypernode-log: what is under way on a node, whatever the columns look like (CONTRACT.md 4.2)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_shell import FakeShell, said
from hypernode.errors import ConnectionFailed, ToolError
from hypernode.node.log import LogEntry, read_log

IN_TABS = (
    "ACTION\tSTART\tEND\tSTATE\tTASKS\tRUNNING\n"
    "update_node\t2018-03-07T09:00:00Z\t2018-03-07T09:00:31Z\trunning\t5/8\tphp_update_node_to_update_flow\n"
    "create_backup\t2018-03-06T09:00:00Z\t2018-03-06T09:12:00Z\tsuccess\t3/3\tfinished\n"
)
IN_WIDTHS = (
    "ACTION                  START                  END                    STATE       TASKS  RUNNING\n"
    "update_node             2026-08-20T09:00:00Z   2026-08-20T09:00:31Z   running     5/8    update_flow\n"
    "create_backup           2026-08-19T09:00:00Z   2026-08-19T09:12:00Z   success     3/3    finished\n"
)
WITH_BLANKS_IN_DATES = (
    "ACTION        START                 END                   STATE    TASKS  RUNNING\n"
    "update_node   2026-08-20 09:00:00   2026-08-20 09:00:31   running  5/8    update_flow\n"
    "create_backup 2026-08-19 09:00:00   2026-08-19 09:12:00   success  3/3    finished\n"
)
ENTRIES = [LogEntry("update_node", "running"), LogEntry("create_backup", "success")]


def entries(out: str = "", err: str = "", status: int = 0) -> list[LogEntry]:
    return read_log(FakeShell({"hypernode-log": said(out, err, status)}))


@pytest.mark.parametrize("log", [IN_TABS, IN_WIDTHS, WITH_BLANKS_IN_DATES, IN_WIDTHS.replace("\n", "\r\n")])
def test_columns_are_found_in_tabs_and_in_any_width(log):
    assert entries(log) == ENTRIES


@pytest.mark.parametrize("status", [0, 1])
def test_it_may_answer_on_either_stream_and_with_any_status(status):
    assert entries(IN_WIDTHS, status=status) == entries("", IN_WIDTHS, status) == ENTRIES
    assert entries(IN_WIDTHS, "a warning", status) == ENTRIES


def test_it_is_asked_once_and_given_nothing_to_read():
    shell = FakeShell({"hypernode-log": said(IN_TABS)})
    read_log(shell)
    assert shell.calls == [(("hypernode-log",), "", 60.0)]


@pytest.mark.parametrize(
    ("state", "over"),
    [("success", True), ("reverted", True), ("running", False), ("waiting", False), ("background", False)],
)
def test_only_success_and_reverted_are_an_end(state, over):
    log = f"ACTION START END STATE TASKS RUNNING\ncreate_backup 2026-08-20T09:00:00Z 2026-08-20T09:00:31Z {state} 1/2 x"
    (entry,) = entries(log)
    assert entry == ("create_backup", state)
    assert entry.is_over is over


@pytest.mark.parametrize(
    "line",
    [
        "update_node\t2026-08-20T09:00:00Z\t\trunning\t0/8\t",
        "update_node 2026-08-20T09:00:00Z running 0/8",
        "update_node - - running 0/8 a_task another_task",
        "  update_node 2026-08-20T09:00:00Z - running 12/345 finished  ",
    ],
)
def test_a_column_may_be_empty(line):
    assert entries(f"ACTION START END STATE TASKS RUNNING\n{line}\n") == [("update_node", "running")]


@pytest.mark.parametrize("odd", ["", "   ", "update_node", "update_node 1/2", "--- --- ---", "loading ... done", "5/8"])
def test_odd_lines_are_passed_over(odd):
    heading, first, second, _ = IN_WIDTHS.split("\n")
    assert entries("\n".join([heading, odd, first, odd, second, odd])) == ENTRIES


def test_a_node_on_which_nothing_ever_ran_has_no_entries():
    assert entries("ACTION  START  END  STATE  TASKS  RUNNING\n") == []


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("", "(nothing)"),
        (" \n ", "(nothing)"),
        ("No logbook found", "No logbook found"),
        (IN_TABS.partition("\n")[2], "update_node"),
        ("Traceback (most recent call last):\n  File", "Traceback (most recent call last):"),
        ("x" * 300, "x" * 200),
    ],
    ids=["nothing", "blank", "words", "no heading", "a traceback", "long"],
)
def test_what_is_no_log_is_shown(out, words):
    with pytest.raises(ToolError) as caught:
        entries(out)
    assert str(caught.value).startswith(f"hypernode-log does not show its columns: {words}")
    assert len(str(caught.value)) < 300


def test_what_is_shown_of_it_cannot_move_the_cursor():
    with pytest.raises(ToolError) as caught:
        entries("\x1b[2Jno\x07 log\rbook")
    assert not any(letter in str(caught.value) for letter in "\x1b\x07\r")


def test_a_node_that_cannot_be_reached_stays_that():
    error = ConnectionFailed("the line dropped")
    with pytest.raises(ConnectionFailed) as caught:
        read_log(FakeShell({"hypernode-log": error}))
    assert caught.value is error


@given(st.text())
@example(IN_TABS)
@example("1/2 1/2 1/2")
def test_any_text_is_a_log_or_told_to_be_none(text):
    for log in (text, f"ACTION\n{text}"):
        try:
            found = entries(log)
        except ToolError:
            continue
        assert all(entry.action and entry.state for entry in found)
