"""Pipes that close early, streams that are closed from the start, full disks and odd locales."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from processes import run, run_in_shell, start
from runs import Hnctl, Result, point_to, writes

from hnctl.command import Command
from hnctl.render.listing import plain_table
from hypernode.sandbox.server import Sandbox

C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LONG = ["settings", "list", "--all", "-o", "json"]
"""Prints some 150 kB, more than a pipe takes at once."""


def run_with_a_reader_who_leaves(*arguments: str, after: int = 0) -> Result:
    """Read `after` lines of stdout, and close the pipe."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(*arguments, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out = b"".join(process.stdout.readline() for _ in range(after))
        process.stdout.close()
        err = process.stderr.read()
        process.wait(20)
    return Result(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize(
    "arguments",
    [
        LONG,
        ["settings", "list", "--all"],
        ["settings", "get", "php_version", "-n", "kaasshop"],
        ["export", "--all"],
        ["nodes", "show", "kaasshop"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_a_reader_who_has_left_is_no_failure(arguments: list[str], box: Sandbox, folder: Path):
    assert run_with_a_reader_who_leaves(*arguments) == (0, "", "")


def test_a_reader_may_leave_after_the_first_line_of_many(box: Sandbox, folder: Path):
    assert run_with_a_reader_who_leaves(*LONG, after=1) == (0, "{\n", "")


def test_the_status_is_told_to_a_reader_who_has_left_too(box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.0}}}\n")
    assert run_with_a_reader_who_leaves("diff", "--detailed-exitcode") == (2, "", "")


def test_a_rollout_is_carried_out_to_the_end_though_nobody_reads_its_output(box: Sandbox, folder: Path):
    for node in box.names:
        box.set(node, php_version="8.3")
    done = run_with_a_reader_who_leaves(
        "settings", "set", "php_version", "8.0", "--all", "--yes", "--parallel", "2", after=1
    )
    assert done.status == 0, done.err
    assert {box.settings(node)["php_version"] for node in box.names} == {"8.0"}


def test_a_rollout_is_carried_out_to_the_end_though_stderr_is_gone(box: Sandbox, folder: Path):
    for node in box.names:
        box.set(node, php_version="8.3")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with start("settings", "set", "php_version", "8.0", "--all", "--yes", "--parallel", "2", **pipes) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        process.wait(20)
    assert process.returncode == 0
    assert len(writes(box)) == 12
    assert {box.settings(node)["php_version"] for node in box.names} == {"8.0"}


def test_following_ends_when_nobody_listens_any_more(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with Sandbox(nodes=4, flow_time=60) as box:
        point_to(box, monkeypatch)
        box.start_flow("kaasshop", "xgrade_app", 2.0)
        box.start_flow("kaasshop", "create_backup", 60)
        assert run_with_a_reader_who_leaves("flows", "watch", "-n", "kaasshop", after=1).status == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 1), (["settings", "get", "php_version", "-n", "kaasshop"], 1), (LONG, 1), (["schema"], 1)],
)
def test_a_full_disk_is_told(arguments: Sequence[str], status: int, box: Sandbox, folder: Path):
    full = run_in_shell('"$@" > /dev/full', *arguments)
    assert full == (status, "", "Error: stdout cannot be written: No space left on device\n")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "markdown"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_run_whose_output_finds_the_disk_full_says_so_and_its_journal_is_true(
    form: str, unbuffered: str, box: Sandbox, folder: Path, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    """As a table the plan comes first, and without it nothing is done; else the end of the run cannot be told."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {kaasshop: {settings: {php_version: 8.0}}}\n")
    box.set("kaasshop", php_version="8.3")
    variables = {"PYTHONUNBUFFERED": unbuffered}
    full = run_in_shell('"$@" > /dev/full', "apply", "--yes", "-o", form, variables=variables)
    assert (full.status, full.out) == (1, "")
    assert full.err.splitlines()[-1] == "Error: stdout cannot be written: No space left on device"
    assert "bug" not in full.err
    done = form != "table"
    assert box.settings("kaasshop")["php_version"] == ("8.0" if done else "8.3")
    assert [run["state"] for run in hnctl("history", "-o", "json").json["runs"]] == ["done"] * done


def test_a_table_is_made_without_touching_the_stream_that_it_is_made_for(monkeypatch: pytest.MonkeyPatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert plain_table(["node"], [["kaasshop"]]) == "node\nkaasshop"


def test_a_disk_that_is_full_elsewhere_is_no_bug_of_ours(own_process: None, capsys: pytest.CaptureFixture[str]):
    @click.command(cls=Command)
    def write() -> None:
        raise OSError(28, "No space left on device", "/state/locks/kaasshop")

    assert write.main([], standalone_mode=False) == 1
    assert capsys.readouterr() == ("", "Error: /state/locks/kaasshop: No space left on device\n")


def test_an_error_whose_document_cannot_be_written_is_told_in_words_and_keeps_its_status(box: Sandbox, folder: Path):
    full = run_in_shell('"$@" > /dev/full', "settings", "get", "nope", "-n", "kaasshop", "-o", "json")
    assert (full.status, full.out) == (64, "")
    unwritten, unknown = (line for line in full.err.splitlines() if not line.startswith("  hint:"))
    assert unwritten == "Error: stdout cannot be written: No space left on device"
    assert "nope" in unknown


def test_following_ends_when_the_disk_is_full(box: Sandbox, folder: Path):
    box.start_flow("theeplein", "xgrade_app", 30)
    full = run_in_shell('"$@" > /dev/full', "flows", "watch", "-n", "theeplein")
    assert full == (1, "", "Error: stdout cannot be written: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["settings", "get", "php_version", "-n", "kaasshop"], 0),
        (["settings", "set", "php_version", "8.0", "--all"], 5),
        (["diff"], 65),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_closed_streams_change_nothing_but_what_is_heard(
    arguments: list[str], status: int, closed: str, box: Sandbox, folder: Path
):
    run = run_in_shell(f'"$@" {closed}', *arguments)
    assert run.status == status
    assert "Traceback" not in run.out + run.err
    assert "itself failed" not in run.err
    assert writes(box) == []


def test_a_secret_cannot_come_from_a_closed_stdin(box: Sandbox, folder: Path):
    refused = run_in_shell('"$@" <&-', "settings", "set", "new_relic_secret", "-", "-n", "kaasshop")
    assert refused == (64, "", "Error: stdin is closed: there is no secret to read\n")


def test_text_that_is_not_ascii_goes_to_the_node_as_it_is_in_every_locale(box: Sandbox, folder: Path):
    done = run("settings", "set", "new_relic_app_name", "wink€l", "-n", "kaasshop", variables=C_LOCALE)
    assert done.status == 0, done.err
    assert box.settings("kaasshop")["new_relic_app_name"] == "wink€l"


@pytest.mark.parametrize(
    ("variables", "spelt"),
    [(C_LOCALE, "wink€l"), ({"PYTHONIOENCODING": "latin-1"}, r"wink\u20acl")],
    ids=["C", "latin-1"],
)
def test_what_the_locale_cannot_spell_is_shown_all_the_same(
    variables: dict[str, str], spelt: str, box: Sandbox, folder: Path
):
    box.set("kaasshop", new_relic_app_name="wink€l")
    (folder / "fleet.yaml").write_text(
        "version: 1\nnodes: {kaasshop: {settings: {new_relic_app_name: wînkel}}}\n", "utf-8"
    )
    for arguments in (
        ["settings", "get", "new_relic_app_name", "-n", "kaasshop"],
        ["settings", "list", "-n", "kaasshop"],
        ["diff"],
    ):
        shown = run(*arguments, variables=variables)
        assert (shown.status, shown.err) == (0, "")
        assert spelt in shown.out
    assert "wink\\u20acl" in run("settings", "list", "-n", "kaasshop", "-o", "json", variables=variables).out


def test_a_file_whose_name_is_no_text_can_be_told(folder: Path):
    bad = run_in_shell('"$@" -f "$(printf \'\\377\')"', "validate", variables=C_LOCALE)
    assert bad.status == 65
    assert "the file cannot be read: No such file or directory" in bad.err
