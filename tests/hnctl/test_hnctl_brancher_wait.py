"""Waiting for a Brancher: its flows, its address, SSH six times in a row, each in its own words when it is late."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from greeters import greeting, unused_port
from odd_servers import Respond, by_path, serving
from processes import run_in_terminal, start
from runs import Hnctl, point_to

from hypernode.sandbox.server import Sandbox

CREATE = ["brancher", "create", "-n", "kaasshop", "--wait"]
NAME = "kaasshop-eph7h2k9q"


@pytest.fixture
def port() -> Iterator[int]:
    with greeting() as port:
        yield port


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[Sandbox]:
    """Two nodes whose Branchers are there after a fifth of a second, and their SSH somewhere here."""
    monkeypatch.setenv("HNCTL_SSH_HOST", "127.0.0.1")
    monkeypatch.setenv("HNCTL_SSH_PORT", str(port))
    with Sandbox(nodes=2, brancher_time=0.2) as box:
        point_to(box, monkeypatch)
        monkeypatch.setenv("HNCTL_POLL_INTERVAL", "10ms")
        yield box


def waited_for(err: str) -> list[str]:
    """Return what was waited for, in order, without the name and without the counts of SSH."""
    lines = [line.partition("waiting for ")[2] for line in err.splitlines() if "waiting for" in line]
    return list(dict.fromkeys(line.partition(", which")[0] for line in lines))


def test_one_with_a_late_logbook_is_there_in_the_end(hnctl: Hnctl, box: Sandbox, port: int):
    box.set_delivery(brancher_time=0.2, logbook_delay=0.3)
    run = hnctl(*CREATE, "--yes", "-o", "json")
    assert run.status == 0, run.err
    (one,) = box.branchers()
    assert run.json["brancher"]["ip"] == one["ip"] is not None
    assert run.json["month"]["free_minutes_left"] == 399
    assert waited_for(run.err) == ["its first flow in the logbook", "SSH"]
    tries = [f"SSH, which answered {count} of 6 times in a row at 127.0.0.1:{port}" for count in range(1, 6)]
    assert [line.partition("waiting for ")[2] for line in run.err.splitlines() if " of 6 " in line] == tries
    assert run.err.splitlines()[-3:] == [
        f"{one['name']} is there: SSH answers at 127.0.0.1:{port}. Its files may still change for a minute.",
        f"{one['name']} came to 1 minute so far.",
        "This month: about 1 minute used, 399 left of 400 free (by the documentation).",
    ]


def test_each_flow_is_waited_for_and_told_once(hnctl: Hnctl, box: Sandbox):
    box.set_delivery(brancher_time=0.5)
    run = hnctl(*CREATE, "--yes")
    assert run.status == 0, run.err
    assert waited_for(run.err)[-3:] == ["its flow ensure_app", "its flow ensure_copied_app", "SSH"]
    assert run.err.count("its flow ensure_app\n") == 1
    assert "ip        203.0.113.1\n" in run.out


def test_one_whose_flows_never_end_is_told_with_what_goes_on_and_what_ends_it(hnctl: Hnctl, box: Sandbox):
    box.set_delivery(brancher_time=None)
    run = hnctl(*CREATE, "--yes", "--within", "150ms", "-o", "json")
    assert run.status == 6
    (one,) = box.branchers()
    error = run.json["error"]
    assert (error["code"], error["node"]) == ("flow_timed_out", one["name"])
    assert error["message"] == "not there after 0.15 seconds; still waiting for its flow ensure_app"
    assert error["hint"] == (
        f"It is paid for: wait on with `hnctl brancher wait {one['name']}`, or end it with "
        f"`hnctl brancher delete {one['name']}`"
    )


def test_one_that_could_not_be_made_fails(hnctl: Hnctl, box: Sandbox):
    box.set_delivery(brancher_time=0.1, ending="reverted")
    run = hnctl(*CREATE, "--yes")
    assert run.status == 1
    assert "the flow ensure_app was reverted" in run.err
    assert f"End it with `hnctl brancher delete {box.branchers()[0]['name']}`, since it is paid for" in run.err


def test_one_that_was_made_before_is_waited_for_with_its_parents_token(hnctl: Hnctl, box: Sandbox):
    name = hnctl("brancher", "create", "-n", "kaasshop", "-y", "-o", "json").json["brancher"]["name"]
    assert hnctl("brancher", "wait", name, "-n", "fietsenwinkel").status == 64
    waited = hnctl("brancher", "wait", name)
    assert waited.status == 0, waited.err
    assert f"name      {name}" in waited.out


def test_one_that_is_gone_is_told(hnctl: Hnctl, box: Sandbox):
    gone = hnctl("brancher", "wait", NAME)
    assert (gone.status, gone.err) == (1, f"Error: {NAME} is gone: it is not among the Branchers of kaasshop\n")


def made(*, ip: str | None) -> Respond:
    """Answer that a Brancher is made, by its flows, and has this address."""
    flows = [{"uuid": name, "name": name, "state": "success"} for name in ("ensure_app", "ensure_copied_app")]
    return by_path(
        {
            "/logbook/": {"results": flows, "next": None},
            "/v2/brancher/app/kaasshop/": {"branchers": [{"name": NAME, "ip": ip, "elapsed_time": 90}]},
        }
    )


def wait_at(respond: Respond, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    monkeypatch.setenv("HNCTL_SSH_HOST", "127.0.0.1")
    monkeypatch.setenv("HNCTL_SSH_PORT", str(unused_port()))
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "10ms")
    with serving(respond) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        return hnctl("brancher", "wait", NAME, "--within", "150ms")


@pytest.mark.parametrize(
    ("ip", "words"),
    [(None, "still waiting for its address\n"), ("192.0.2.9", "which answered 0 of 6 times in a row at 127.0.0.1:")],
    ids=["no address", "no SSH"],
)
def test_what_takes_too_long_is_told_in_its_own_words(
    ip: str | None, words: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    waited = wait_at(made(ip=ip), hnctl, monkeypatch)
    assert waited.status == 6
    assert words in waited.err


def test_when_the_api_can_no_longer_be_asked_the_outcome_is_unknown(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    asked = 0

    def failing(path: str) -> tuple[int, str, bytes]:
        nonlocal asked
        asked += 1
        return made(ip=None)(path) if asked < 4 else (500, "text/html", b"<html>500</html>")

    waited = wait_at(failing, hnctl, monkeypatch)
    assert waited.status == 6
    assert f"{NAME} was made, and whether it can be used is not known" in waited.err
    assert f"hnctl brancher delete {NAME}" in waited.err


def test_on_a_terminal_it_is_asked_about_and_the_wait_is_one_line(box: Sandbox):
    run = run_in_terminal(*CREATE, answers=[("Make a Brancher of kaasshop? [y/N]:", "y\n")])
    assert run.status == 0, run.out
    assert "waiting for SSH, which answered 5 of 6 times" in run.out
    assert max(map(len, run.out.partition("[y/N]")[0].splitlines())) <= 80
    assert len(box.branchers()) == 1


def test_a_no_makes_none(box: Sandbox):
    run = run_in_terminal(*CREATE, answers=[("Make a Brancher of kaasshop? [y/N]:", "\n")])
    assert run.status == 5
    assert "not agreed; nothing was made" in run.out
    assert box.branchers() == []


def test_who_interrupts_the_wait_is_told_what_goes_on(box: Sandbox):
    box.set_delivery(brancher_time=None)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(*CREATE, "--yes", **pipes) as process:
        deadline = time.monotonic() + 10
        while not box.branchers() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=10)[1].decode()
    assert process.returncode == 130
    (one,) = box.branchers()
    assert f"{one['name']} goes on. It is paid for: wait on with `hnctl brancher wait {one['name']}`" in err
