"""`hnctl preview`: a copy is made, changed, held against the gates and ended, whatever happens on the way."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from greeters import greeting, unused_port
from processes import start
from runs import Hnctl, boxed

from hypernode.api.branchers import Branchers
from hypernode.errors import TryLater
from hypernode.sandbox.server import Sandbox

PREVIEW = ["preview", "-n", "kaasshop", "--yes"]


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """One node and what a Brancher of it needs: an address at once, and an SSH server that greets."""
    with (
        greeting() as port,
        boxed(folder, monkeypatch, nodes=1, settings={"php_version": "8.3"}, poll="5ms", flow_time=0.02) as running,
    ):
        running.set_delivery(brancher_time=0.02)
        monkeypatch.setenv("HNCTL_SSH_HOST", "127.0.0.1")
        monkeypatch.setenv("HNCTL_SSH_PORT", str(port))
        write(folder, running)
        yield running


def write(folder: Path, box: Sandbox, gates: str | None = None, settings: str = "php_version: 8.4") -> None:
    gates = f"[http: '{box.url}/_shops/{{node}}/', fpm: {{max_busy: 5}}]" if gates is None else gates
    (folder / "fleet.yaml").write_text(
        f"version: 1\nnodes: {{kaasshop: {{settings: {{{settings}}}}}}}\nrollout: {{gates: {gates}}}\n"
    )


def wait_until_over(copy: Mapping[str, Any]) -> None:
    """Wait until the copy's time limit is over by the server's Date header, which has whole seconds."""
    while time.time() < int(copy["labels"]["hnctl_until"]) + 1:
        time.sleep(0.05)


def command(folder: Path, code: str) -> str:
    """Return a gate that runs Python."""
    script = folder / "gate.py"
    script.write_text(f"import os, urllib.request as u\n{code}\n")
    return f"[command: ['{sys.executable}', '{script}']]"


def test_a_change_that_does_well_passes_and_leaves_neither_copy_nor_change(hnctl: Hnctl, box: Sandbox):
    run = hnctl(*PREVIEW)
    assert run.status == 0, run.err
    lines = run.out.splitlines()
    assert lines[0].split() == ["on", "the", "copy", "before", "after"]
    assert lines[1].split() == ["php_version", "8.3", "8.4"]
    assert "/_shops/kaasshop-eph" in lines[2]
    assert "200 in 0." in lines[2]
    assert lines[3].startswith("PHP-FPM workers at work  ")
    assert "1 of 10" in lines[3]
    assert "was applied, and 2 gates held." in run.out
    assert "was ended after 1 started minute." in run.err
    assert "Apply it: hnctl apply -n kaasshop" in run.out
    assert "real customer data and live keys" in run.err
    assert "php_version  8.3 -> 8.4" in run.err
    assert box.branchers() == []
    assert box.settings("kaasshop")["php_version"] == "8.3"


def test_as_json_all_of_it_is_one_document(hnctl: Hnctl, box: Sandbox):
    document = hnctl(*PREVIEW, "-o", "json").json
    assert (document["verdict"], document["reasons"], document["state"]) == ("passed", [], "done")
    assert (document["minutes"], document["ended"]) == (1, True)
    assert {"what": "php_version", "before": "8.3", "after": "8.4"} in document["differences"]
    assert [gate["verdict"] for gate in document["gates"]["before"] + document["gates"]["after"]] == ["passed"] * 4


def test_a_change_that_breaks_the_page_fails_and_leaves_no_copy(hnctl: Hnctl, box: Sandbox):
    box.break_page("kaasshop", php_version="8.4")
    run = hnctl(*PREVIEW)
    assert run.status == 3
    assert "FAILED on kaasshop-eph" in run.out
    assert re.search(r"gate http http://\S+/_shops/kaasshop-eph\w+/: failed: status 500 instead of 200", run.out)
    assert "Apply it" not in run.out
    assert box.branchers() == []


def test_a_page_that_is_not_of_the_copy_never_passes(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, box, gates=f"[http: '{box.url}/_shops/kaasshop/']")
    run = hnctl(*PREVIEW)
    assert run.status == 3
    assert "undecided: its url has no {node}, so it is not the copy that answers" in run.out
    assert "_shops/kaasshop/  " not in run.out


def test_a_copy_that_cannot_be_read_any_more_is_ended_all_the_same(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Branchers, "get", _fails)
    assert hnctl(*PREVIEW).status == 0
    assert box.branchers() == []


def test_a_copy_that_could_not_be_ended_is_a_failure_and_named(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Branchers, "destroy", _fails)
    run = hnctl(*PREVIEW)
    (copy,) = box.branchers()
    assert run.status == 1
    assert f"Whether {copy['name']} was ended is not known: no answer" in run.err
    assert f"End it: hnctl brancher delete {copy['name']}" in run.err


def _fails(self: object, *_: object) -> None:
    raise TryLater("no answer", status=503)


def test_interrupted_while_it_is_made_the_copy_is_found_and_ended(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    create = Branchers.create

    def interrupted(self: Branchers, **options: Any) -> None:
        create(self, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Branchers, "create", interrupted)
    monkeypatch.setattr("os._exit", sys.exit)
    assert hnctl(*PREVIEW).status == 130
    assert box.branchers() == []


def test_interrupted_while_it_is_ended_the_copy_is_named(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    def interrupted(self: Branchers, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Branchers, "destroy", interrupted)
    monkeypatch.setattr("os._exit", sys.exit)
    run = hnctl(*PREVIEW)
    (copy,) = box.branchers()
    assert run.status == 130
    assert f"Whether {copy['name']} was ended is not known: it was interrupted" in run.err


def test_a_page_that_was_down_already_is_not_held_against_the_change(hnctl: Hnctl, box: Sandbox):
    box.break_page("kaasshop")
    assert hnctl(*PREVIEW).status == 0


def test_without_gates_only_the_change_itself_is_tried(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, box, gates="[]")
    assert "the file has no gates that can be tried" in hnctl(*PREVIEW).out


def test_it_is_agreed_to_before_anything_is_made(hnctl: Hnctl, box: Sandbox):
    refused = hnctl("preview", "-n", "kaasshop", "--clear", "cron,mysql", "--ttl", "30m")
    assert refused.status == 5
    assert "Cleared: cron, mysql." in refused.err
    assert "Its time limit is 30m" in refused.err
    assert "nobody is there to say yes; nothing was made" in refused.err
    assert [entry.method for entry in box.log() if entry.method != "GET"] == []


def test_a_node_that_is_as_the_file_says_needs_no_copy(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.4")
    run = hnctl(*PREVIEW)
    assert (run.status, run.out) == (0, "In sync: kaasshop is as the file says; there is nothing to try on a copy.\n")
    assert [entry.method for entry in box.log() if entry.method != "GET"] == []


def test_a_copy_can_be_kept_until_its_time_limit(hnctl: Hnctl, box: Sandbox):
    run = hnctl(*PREVIEW, "--keep", "--ttl", "1s")
    (copy,) = box.branchers()
    assert copy["labels"]["preview"] == "kaasshop"
    assert f"{copy['name']} is still there, and paid for. End it: hnctl brancher delete {copy['name']}" in run.out
    wait_until_over(copy)
    assert hnctl("brancher", "reap", "-n", "kaasshop").status == 0
    assert box.branchers() == []


def test_one_that_never_gets_an_address_is_given_up_and_ended(hnctl: Hnctl, box: Sandbox):
    box.set_delivery(brancher_time=None)
    run = hnctl(*PREVIEW, "--within", "300ms")
    assert run.status == 6
    assert "still waiting for its flow ensure_app" in run.err
    assert box.branchers() == []


def test_one_whose_ssh_never_answers_is_given_up_and_ended(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_SSH_PORT", str(unused_port()))
    run = hnctl(*PREVIEW, "--within", "300ms")
    assert run.status == 6
    assert "0 of 6 times in a row" in run.err
    assert box.branchers() == []


def test_one_that_cannot_be_made_is_told_and_ended(hnctl: Hnctl, box: Sandbox):
    box.set_delivery(ending="reverted")
    run = hnctl(*PREVIEW)
    assert run.status == 1
    assert "could not make it" in run.err
    assert "End it" not in run.err, "it was ended"
    assert "was ended after 1 started minute." in run.err
    assert box.branchers() == []


def test_a_creation_whose_answer_is_lost_makes_one_copy_and_ends_it(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"lost_answer": ["kaasshop"]})
    run = hnctl(*PREVIEW)
    box.set_faults({})
    assert len([entry for entry in box.log() if entry.method == "POST" and "/v2/brancher/app" in entry.path]) == 1
    assert run.status in (0, 6)
    assert box.branchers() == []


def test_one_that_dies_in_the_middle_is_told(hnctl: Hnctl, box: Sandbox, folder: Path):
    url = f"'{box.url}/_sandbox/branchers/' + os.environ['HNCTL_NODE']"
    write(folder, box, gates=command(folder, f"u.urlopen(u.Request({url}, method='DELETE'))"))
    run = hnctl(*PREVIEW)
    assert run.status == 1
    assert "is gone: somebody ended it, or the platform did" in run.err
    assert box.branchers() == []


def test_a_reverted_change_fails(hnctl: Hnctl, box: Sandbox, folder: Path):
    faults = "data=b'{\"revert\": 1.0}', method='PUT'"
    write(folder, box, gates=command(folder, f"u.urlopen(u.Request('{box.url}/_sandbox/faults', {faults}))"))
    run = hnctl(*PREVIEW)
    assert run.status == 3
    assert "FAILED on" in run.out
    assert "was reverted" in run.out
    assert box.branchers() == []


def test_allowlists_are_not_tried(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(
        "version: 1\nnodes: {kaasshop: {settings: {php_version: 8.4}, allowlist: {database: [192.0.2.9]}}}\n"
    )
    run = hnctl(*PREVIEW)
    assert run.status == 0
    assert "Not tried on a copy: allowlist.database." in run.err


def test_secrets_are_shown_nowhere(hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NR_KEY", "hush-hush-5e3f")
    write(folder, box, settings="new_relic_secret: env:NR_KEY")
    for output in ("table", "json"):
        run = hnctl(*PREVIEW, "-o", output)
        assert run.status == 0, run.err
        assert "hush-hush" not in run.out + run.err


def test_what_cannot_be_undone_is_better_tried_on_a_copy_first(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set("kaasshop", mysql_version="8.0")
    write(folder, box, gates="[]", settings="mysql_version: 8.4")
    assert hnctl("diff").err == "Try mysql_version on a copy first: hnctl preview -n kaasshop\n"
    (folder / "fleet.yaml").rename(folder / "my fleet.yaml")
    advice = "Try mysql_version on a copy first: hnctl preview -f 'my fleet.yaml' -n kaasshop\n"
    assert hnctl("plan", "-f", "my fleet.yaml").err.startswith(advice)
    tried = hnctl(*PREVIEW, "-f", "my fleet.yaml")
    assert "mysql_version" in tried.err
    assert "on a copy first" not in tried.err, "it is being tried on one"
    assert tried.out.endswith("Apply it: hnctl apply -f 'my fleet.yaml' -n kaasshop\n")


@pytest.mark.parametrize("phase", ["A Brancher of", "was made", "Changing"])
def test_killed_in_any_phase_the_copy_is_found_and_ended_after_its_time_limit(phase: str, hnctl: Hnctl, box: Sandbox):
    with start(*PREVIEW, "--ttl", "1s", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if phase.encode() in line:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.1)  # what it sent last may still arrive
    for copy in box.branchers():
        wait_until_over(copy)
    assert hnctl("brancher", "reap", "--all").status == 0
    assert box.branchers() == []


def test_a_signal_ends_the_copy_too(box: Sandbox):
    with start(*PREVIEW, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"was made" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert box.branchers() == []


def test_a_brancher_is_no_node_to_preview(hnctl: Hnctl, box: Sandbox):
    assert hnctl("preview", "-n", "kaasshop-eph7h2k9q", "-y").status == 64
    assert hnctl("preview", "-y", "-n", "kaasshop", "-n", "theeplein").status == 64
