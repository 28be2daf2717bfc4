"""`hnctl gates check` against a sandbox and its shops."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_servers import serving
from processes import start
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

FLEET = """\
version: 1
groups: {{magento: {{}}}}
nodes: {{kaasshop: {{groups: [magento]}}, theeplein: {{}}}}
rollout:
  gates: [{}]
"""


@pytest.fixture
def gates(box: Sandbox, folder: Path) -> Sandbox:
    """Four gates in the fleet file, all of which pass."""
    write(
        folder,
        f"flows, http: {{url: '{box.shop_url('{node}')}', contains: Welcome, lacks: Fatal error}}",
        "fpm: {max_busy: 3}",
        "command: [sh, -c, 'echo $HNCTL_NODE; test $HNCTL_NODE != wijnkelder']",
    )
    return box


def write(folder: Path, *gates: str) -> None:
    (folder / "fleet.yaml").write_text(FLEET.format(", ".join(gates)))


def test_every_gate_is_tried_on_every_node_and_nothing_is_changed(hnctl: Hnctl, gates: Sandbox):
    done = hnctl("gates", "check")
    assert (done.status, done.err) == (0, "")
    assert done.out.split("\n")[0].split() == ["node", "gate", "verdict", "reason"]
    assert [line.split()[:2] for line in done.out.split("\n")[1:-1]] == [
        [node, gate] for node in ("kaasshop", "theeplein") for gate in ("http", "fpm", "command")
    ]
    assert done.out.count(" passed ") == 6
    assert {entry.method for entry in gates.log()} == {"POST"}
    assert all(entry.path.endswith("show-fpm-status") for entry in gates.log())


def test_a_broken_shop_fails(hnctl: Hnctl, gates: Sandbox):
    gates.break_page("theeplein")
    done = hnctl("gates", "check", "-o", "json")
    assert done.status == 1
    assert done.json["format_version"] == 1
    assert [row for row in done.json["findings"] if row["verdict"] != "passed"] == [
        {
            "node": "theeplein",
            "gate": f"http {gates.url}/_shops/{{node}}/",
            "address": f"{gates.url}/_shops/theeplein/",
            "verdict": "failed",
            "reason": "status 500 instead of 200",
        }
    ]
    for form in ("table", "markdown"):
        shown = hnctl("gates", "check", "-o", form).out
        assert f" http {gates.url}/_shops/theeplein/ " in shown
        assert "{node}" not in shown


def test_only_the_chosen_nodes_are_tried(hnctl: Hnctl, gates: Sandbox):
    gates.break_page("theeplein")
    gates.set("kaasshop", php_version="8.1")
    gates.set("theeplein", php_version="8.3")
    for chosen in (
        ["-n", "kaasshop"],
        ["--group", "magento"],
        ["--exclude", "theeplein"],
        ["--where", "php_version < 8.2"],
    ):
        done = hnctl("gates", "check", *chosen, "-o", "jsonl")
        assert (done.status, done.out.count('"node": "kaasshop"'), "theeplein" in done.out) == (0, 3, False), chosen
    assert hnctl("gates", "check", "--where", "php_version == 5.6") == (0, "", "No nodes.\n")


def test_a_busy_node_fails_and_a_silent_api_is_undecided(hnctl: Hnctl, gates: Sandbox, monkeypatch: pytest.MonkeyPatch):
    gates.keep_busy("kaasshop", 4)
    done = hnctl("gates", "check", "-o", "markdown")
    assert done.status == 1
    assert "| kaasshop | fpm | failed | 4 of 10 workers at work |" in done.out
    gates.keep_busy("kaasshop", 3)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"theeplein": gates.tokens["theeplein"]}))
    done = hnctl("gates", "check", "-o", "markdown")
    assert done.status == 3
    assert "| kaasshop | fpm | undecided |" in done.out
    assert "| theeplein | fpm | passed |" in done.out


def test_what_nobody_can_know_is_undecided_and_a_failure_outranks_it(hnctl: Hnctl, folder: Path, box: Sandbox):
    write(folder, "http: 'http://{node}.invalid/'")
    assert hnctl("gates", "check", "-n", "kaasshop").status == 3
    write(folder, "http: 'http://{node}.invalid/'", "command: ['false']")
    assert hnctl("gates", "check", "-n", "kaasshop").status == 1


def test_a_node_that_where_could_not_be_asked_of_is_told_and_passes_nothing(
    hnctl: Hnctl, gates: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({"kaasshop": gates.tokens["kaasshop"]}))
    done = hnctl("gates", "check", "--where", "name ~ e", "-o", "json")
    assert done.status == 3
    assert [failure["node"] for failure in done.json["failures"]] == ["theeplein"]
    assert done.err.startswith("theeplein: ")


def test_what_a_shop_says_cannot_command_the_terminal(hnctl: Hnctl, folder: Path, box: Sandbox):
    write(folder, "command: [printf, 'a\\033[2Jb']", "command: [sh, -c, 'printf \"a\\033[2Jb\"; exit 1']")
    done = hnctl("gates", "check", "-n", "kaasshop")
    assert (done.status, "\x1b" in done.out) == (1, False)


def test_a_shop_gets_no_token(hnctl: Hnctl, folder: Path, box: Sandbox):
    with serving(lambda path: (200, "text/html", b"kaas")) as shop:
        write(folder, f"http: '{shop.url}/{{node}}'")
        assert hnctl("gates", "check").status == 0
    assert sorted(shop.calls) == ["GET /kaasshop", "GET /theeplein"]


@pytest.mark.parametrize("gates", ["", "flows"])
def test_a_file_without_gates_is_no_failure(hnctl: Hnctl, folder: Path, gates: str):
    write(folder, gates)
    done = hnctl("gates", "check")
    assert (done.status, done.out, done.err) == (0, "", "fleet.yaml has no gates that can be tried.\n")
    assert hnctl("gates", "check", "-o", "json").json == {"format_version": 1, "findings": []}


def test_a_mistake_in_a_gate_is_told_with_its_place(hnctl: Hnctl, folder: Path):
    write(folder, "htp: 'http://{node}/'")
    done = hnctl("gates", "check")
    assert done.status == 65
    assert "fleet.yaml:5:11: unknown key htp in a gate" in done.err
    assert "Did you mean http?" in done.err


def test_an_interrupted_check_leaves_no_command_behind(folder: Path, box: Sandbox):
    write(folder, "command: [sh, -c, 'echo $$ > pid.$HNCTL_NODE; exec sleep 60']")
    pids = [folder / "pid.kaasshop", folder / "pid.theeplein"]
    with start("gates", "check") as process:
        _until(lambda: all(path.exists() and path.read_text() for path in pids))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    _until(lambda: not any(_runs(int(path.read_text())) for path in pids))


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline, "it did not happen within 10 seconds"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
