"""`hnctl auth bootstrap --export`: the tokens of a fleet for a CI system, or none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nodes_by_ssh import NodesBySsh, write_fleet
from processes import run_in_shell
from runs import Hnctl, Result

from fake_keyring import Memory
from hnctl.bootstrap import export
from hypernode.errors import ToolError
from hypernode.secrets import Secret

pytestmark = pytest.mark.usefixtures("openssh")

EXPORT = ["auth", "bootstrap", "--all", "--export"]
FILES = {
    "github": "hypernode-api-tokens.json",
    "gitlab": "hypernode-api-tokens.json",
    "env": "hypernode-api-tokens.env",
}
CATCH = """\
import os, sys
open("stdin", "wb").write(sys.stdin.buffer.read())
open("argv", "w").write(repr(sys.argv) + repr(dict(os.environ)))
print("said on stdout")
print("said on stderr", file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def fleet(nodes: NodesBySsh, folder: Path, memory: Memory) -> None:
    """A fleet file of all nodes, and an empty keyring."""
    write_fleet(dict.fromkeys(nodes.box.names, ""), {"php_version": "8.3"})


def told(nodes: NodesBySsh, *runs: Result) -> list[Result]:
    """Return the runs that show a token."""
    return [run for run in runs if any(token in run.out + run.err for token in nodes.box.tokens.values())]


def kept(memory: Memory, home: Path) -> list[object]:
    """Return what is kept of tokens outside of the current folder."""
    return [*memory.entries, *(path for path in home.rglob("*") if path.is_file())]


@pytest.mark.parametrize("form", ["github", "gitlab"])
def test_the_value_goes_into_a_file_for_its_owner(
    form: str, nodes: NodesBySsh, hnctl: Hnctl, memory: Memory, clean_environment: Path
):
    done = hnctl(*EXPORT, form, "--debug")
    assert done.status == 0, done.err
    assert f"went to {FILES[form]}, which only you can read; delete it" in done.err
    assert done.out.count("exported") == 4
    path = Path(FILES[form])
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == dict(nodes.box.tokens)
    assert "\n" not in path.read_text(), "a secret is the value alone"
    assert told(nodes, done) == []
    assert kept(memory, clean_environment) == []


def test_an_env_file_gives_a_shell_the_tokens_that_a_check_works_with(
    nodes: NodesBySsh, memory: Memory, clean_environment: Path
):
    done = run_in_shell('umask 0; "$@"', *EXPORT, "env")
    assert done.status == 0, done.err
    assert Path(FILES["env"]).stat().st_mode & 0o777 == 0o600
    checked = run_in_shell(f'. ./{FILES["env"]}; rm fleet.yaml; "$@"', "auth", "check", "--all", "-o", "json")
    assert checked.status == 0, checked.err
    assert [(row["node"], row["result"], row["source"]) for row in checked.json["nodes"]] == [
        (node, "works", "HYPERNODE_API_TOKENS") for node in sorted(nodes.box.names)
    ]
    assert told(nodes, done, checked) == []
    assert kept(memory, clean_environment) == []


def test_an_older_file_that_others_can_read_is_replaced_and_no_longer_so(nodes: NodesBySsh, hnctl: Hnctl):
    path = Path(FILES["env"])
    path.write_text("old")
    path.chmod(0o644)
    assert hnctl(*EXPORT, "env").status == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert "old" not in path.read_text()
    assert sorted(each.name for each in Path().iterdir()) == ["fleet.yaml", path.name]


@pytest.mark.parametrize("form", ["github", "gitlab", "env"])
def test_the_value_goes_to_the_stdin_of_a_command_and_nowhere_else(
    form: str, nodes: NodesBySsh, hnctl: Hnctl, memory: Memory, clean_environment: Path
):
    done = hnctl(*EXPORT, form, "-o", "json", "--debug", "--", sys.executable, "-c", CATCH, "--secret", "$HOME;x")
    assert done.status == 0, done.err
    assert [(row["node"], row["result"], row["kept_in"]) for row in done.json["nodes"]] == [
        (node, "exported", None) for node in nodes.box.names
    ]
    assert "said on stdout" in done.err
    assert "said on stderr" in done.err
    given = Path("stdin").read_text()
    if form == "env":
        line = ["sh", "-c", '. ./stdin; printf %s "$HYPERNODE_API_TOKENS"']
        given = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert json.loads(given) == dict(nodes.box.tokens)
    argv = Path("argv").read_text()
    assert "'--secret', '$HOME;x'" in argv
    assert not any(token in argv for token in nodes.box.tokens.values())
    assert not Path(FILES[form]).exists()
    assert told(nodes, done) == []
    assert kept(memory, clean_environment) == []


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        (["false"], 1, "false ended with 1; whether it kept the tokens is its to say"),
        (["sh", "-c", "exit 9"], 1, "sh ended with 9"),
        (["sh", "-c", "kill $$"], 1, "sh ended with -15"),
        (["./missing"], 1, "./missing cannot be run: No such file or directory; nothing was exported"),
        (["/"], 1, "/ cannot be run: Permission denied; nothing was exported"),
    ],
    ids=["fails", "9", "killed", "missing", "folder"],
)
def test_a_command_that_does_not_take_them_is_a_failure(
    command: list[str],
    status: int,
    says: str,
    nodes: NodesBySsh,
    hnctl: Hnctl,
    memory: Memory,
    clean_environment: Path,
):
    done = hnctl(*EXPORT, "github", "-o", "json", "--", *command)
    assert done.status == status
    assert says in done.err
    assert says in done.json["error"]["message"]
    assert not Path(FILES["github"]).exists()
    assert told(nodes, done) == []
    assert kept(memory, clean_environment) == []


def test_a_command_that_does_not_read_is_left_to_itself(nodes: NodesBySsh, hnctl: Hnctl):
    done = hnctl(*EXPORT, "github", "--", "true")
    assert done.status == 0, done.err


@pytest.mark.parametrize("command", [[], ["--", sys.executable, "-c", CATCH]], ids=["file", "command"])
def test_one_node_that_fails_lets_nothing_be_exported(
    command: list[str], nodes: NodesBySsh, hnctl: Hnctl, memory: Memory, clean_environment: Path
):
    nodes.ssh.refuse_key("theeplein")
    done = hnctl(*EXPORT, "env", "-o", "json", *command)
    assert done.status == 4, done.err
    assert "theeplein: theeplein.hypernode.io takes none of your SSH keys" in done.err
    assert "Nothing was exported: leave out those that failed with --exclude" in done.err
    assert {row["node"]: row["result"] for row in done.json["nodes"]} == {
        node: "failed" if node == "theeplein" else "read, not exported" for node in nodes.box.names
    }
    assert [path.name for path in Path().iterdir()] == ["fleet.yaml"]
    assert kept(memory, clean_environment) == []
    left_out = hnctl(*EXPORT, "env", "--exclude", "theeplein", *command)
    assert left_out.status == 0, left_out.err
    assert "theeplein" not in Path("stdin" if command else FILES["env"]).read_text()


@pytest.mark.parametrize(
    "words",
    [
        [*EXPORT, "github", "--insecure-storage"],
        ["auth", "bootstrap", "--all", "--", "touch", "made"],
        ["auth", "bootstrap", "--all", "--insecure-storage", "--", "touch", "made"],
        [*EXPORT, "bitbucket"],
        EXPORT,
    ],
    ids=["insecure", "command alone", "command and insecure", "unknown form", "no form"],
)
def test_what_makes_no_sense_is_a_usage_error_before_any_node_is_asked(
    words: list[str], nodes: NodesBySsh, hnctl: Hnctl
):
    assert hnctl(*words).status == 64
    assert not Path("made").exists()
    assert nodes.ssh.commands == []


def test_a_folder_that_cannot_be_written_is_told(nodes: NodesBySsh, hnctl: Hnctl):
    Path(FILES["env"]).mkdir()
    done = hnctl(*EXPORT, "env")
    assert done.status == 1
    assert f"{FILES['env']} cannot be written: " in done.err
    assert sorted(each.name for each in Path().iterdir()) == ["fleet.yaml", FILES["env"]]
    assert told(nodes, done) == []


def test_ctrl_c_at_the_command_leaves_no_token_behind(nodes: NodesBySsh):
    done = run_in_shell('"$@"', *EXPORT, "github", "--", "sh", "-c", "kill -INT $PPID; sleep 0.2")
    assert done.status == 130, done.err
    assert [path.name for path in Path().iterdir()] == ["fleet.yaml"]
    assert told(nodes, done) == []


@pytest.mark.parametrize(("form", "over"), [("github", True), ("github", False), ("gitlab", True), ("env", True)])
def test_more_than_a_github_secret_takes_is_warned_about(
    form: str, over: bool, folder: Path, capsys: pytest.CaptureFixture[str]
):
    limit = 48 * 1024
    tokens = {"shop1": Secret("x" * (limit - len('{"shop1":""}') + over))}
    where = export(tokens, form, [])  # type: ignore[arg-type]
    assert where.startswith(FILES[form])
    warned = f"These are {limit + 1} bytes; GitHub takes 48 KB a secret. Export them group by group.\n"
    assert capsys.readouterr().err == (warned if form == "github" and over else "")
    with pytest.raises(ToolError) as failed:
        export(tokens, "github", ["false"])
    assert "xxxx" not in str(failed.value)


def test_odd_tokens_and_names_survive_the_shell(folder: Path):
    tokens = {"shop1": Secret("a'b\"c$d`e\\f!g"), "shop2": Secret("$(touch made);&|<>*?~#")}
    export(tokens, "env", [])
    line = f'. ./{FILES["env"]}; printf %s "$HYPERNODE_API_TOKENS"'
    given = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert json.loads(given) == {node: token.reveal() for node, token in tokens.items()}
    assert not Path("made").exists()


def test_a_closed_stderr_is_no_reason_to_fail(nodes: NodesBySsh):
    done = run_in_shell('"$@" 2>&-', *EXPORT, "github", "--", "sh", "-c", "cat > stdin; echo said")
    assert done.status == 0, done.out
    assert "said" not in done.out
    assert json.loads(Path("stdin").read_text()) == dict(nodes.box.tokens)
