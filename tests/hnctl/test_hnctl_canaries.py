"""Canaries: a token and secret settings that must come out nowhere, and a foreign host that must never be called."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from runs import Hnctl

import hypernode
from hypernode.sandbox.server import Sandbox

OLD, NEW = "canary-old-0f5b", "canary-new-91ce"
FLEET = """\
version: 1
nodes:
  kaasshop: {settings: {new_relic_secret: "env:NR_KEY", php_version: 8.4}}
  theeplein: {settings: {tideways_api_key: "file:key.txt"}}
"""


@pytest.fixture
def guarded(box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Two nodes with secrets, and a fleet file that wishes for new ones."""
    box.set("kaasshop", new_relic_secret=OLD, php_version="8.3", tideways_api_key=OLD)
    box.set("theeplein", tideways_api_key=OLD)
    monkeypatch.setenv("NR_KEY", NEW)
    (folder / "key.txt").write_text(NEW + "\n")
    (folder / "fleet.yaml").write_text(FLEET)
    return box


def tells(text: str, box: Sandbox) -> list[str]:
    """Return the canaries in `text`."""
    return [word for word in (OLD, NEW, *box.tokens.values()) if word in text]


COMMANDS = [
    ["settings", "list", "-n", "kaasshop"],
    ["settings", "list", "-n", "kaasshop", "-o", "json"],
    ["settings", "list", "--all", "-o", "yaml"],
    ["settings", "get", "new_relic_secret", "-n", "kaasshop"],
    ["settings", "get", "new_relic_secret", "--all", "-o", "jsonl"],
    ["settings", "describe", "new_relic_secret"],
    ["validate"],
    ["export", "--all"],
    ["explain", "kaasshop", "new_relic_secret"],
    ["explain", "kaasshop", "new_relic_secret", "-o", "json"],
    ["diff"],
    ["diff", "-v", "-o", "markdown"],
    ["plan", "-o", "json"],
    ["nodes", "list", "-o", "json"],
    ["nodes", "show", "kaasshop", "-o", "yaml"],
    ["flows", "list", "-n", "kaasshop", "-o", "json"],
    ["config", "list"],
    ["apply", "--yes", "-o", "json"],
    ["settings", "set", "new_relic_secret", "env:NR_KEY", "-n", "theeplein"],
    ["settings", "set", "new_relic_secret", NEW, "-n", "theeplein"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_tells_a_token_or_a_secret_not_even_in_its_debugging_output(
    command: list[str], hnctl: Hnctl, guarded: Sandbox
):
    for debug in ([], ["--debug"]):
        run = hnctl(*command, *debug)
        assert run.status in (0, 64), run.err
        assert run.out + run.err
        assert tells(run.out + run.err, guarded) == []


@pytest.mark.parametrize("fault", ["reject", "revert", "api_use_off", "lost_answer"])
def test_no_failure_tells_a_secret(fault: str, hnctl: Hnctl, guarded: Sandbox, monkeypatch: pytest.MonkeyPatch):
    guarded.set_faults({fault: ["theeplein"]})
    monkeypatch.setenv("HNCTL_TIMEOUT", "200ms")
    run = hnctl("settings", "set", "new_relic_secret", "env:NR_KEY", "-n", "theeplein", "--debug", "-o", "json")
    assert tells(run.out + run.err, guarded) == []


def test_a_secret_is_changed_for_real_and_the_plan_file_holds_only_its_reference(
    hnctl: Hnctl, guarded: Sandbox, folder: Path
):
    made = hnctl("plan", "-o", "json")
    assert "env:NR_KEY" in made.out
    (folder / "plan.json").write_text(made.out)
    assert hnctl("apply", "plan.json", "--yes").status == 0
    assert guarded.settings("kaasshop")["new_relic_secret"] == NEW
    assert guarded.settings("theeplein")["tideways_api_key"] == NEW
    assert hnctl("diff", "--detailed-exitcode").status == 0
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "key.txt":
            assert tells(file.read_text(), guarded) == [], file


def test_what_hnctl_leaves_in_the_home_holds_no_secret(hnctl: Hnctl, guarded: Sandbox, clean_environment: Path):
    assert hnctl("settings", "describe", "--refresh", "-n", "kaasshop").status == 0
    assert hnctl("apply", "--yes").status == 0
    left = [file for file in clean_environment.rglob("*") if file.is_file()]
    assert left, "the cache and the locks"
    assert all(tells(file.read_text(), guarded) == [] for file in left)


def test_the_sdk_shows_no_secret_in_any_repr_or_error(guarded: Sandbox, monkeypatch: pytest.MonkeyPatch):
    token = guarded.tokens["kaasshop"]
    monkeypatch.setenv("HNCTL_POLL_INTERVAL", "10ms")
    with hypernode.Client("kaasshop", token=token, api_url=guarded.url) as node:
        value = node.settings.get("new_relic_secret")
        assert isinstance(value, hypernode.Secret)
        assert value.reveal() == OLD
        shown = [repr(node), repr(value), str(value), f"{value}", repr(node.settings.read()), repr(node.settings)]
        guarded.set_faults({"reject": ["kaasshop"]})
        with pytest.raises(hypernode.Rejected) as caught:
            node.settings.set(new_relic_secret=hypernode.Secret(NEW))
        shown += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
        guarded.set_faults({"reset": ["kaasshop"]})
        impatient = hypernode.Transport(guarded.url, deadline=0.1)
        broken = hypernode.Client("kaasshop", token=token, transport=impatient)
        with impatient, pytest.raises(hypernode.HypernodeError) as caught_again:
            broken.settings.set(new_relic_secret=hypernode.Secret(NEW))
        error: BaseException | None = caught_again.value
        while error is not None:  # as whoever reports a crash would
            shown += [repr(error), *(repr(vars(value)) for value in vars(error).values() if hasattr(value, "__dict__"))]
            error = error.__cause__
        assert all(tells(text, guarded) == [] for text in shown)


class Foreign:
    """A host that is not the API, and what it was asked."""

    def __init__(self) -> None:
        calls: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                calls.append(f"{self.command} {self.path} {self.headers}")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            do_PATCH = do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.calls = calls
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    host = Foreign()
    thread = threading.Thread(target=host.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield host
    host.server.shutdown()
    host.server.server_close()


def test_a_foreign_host_in_location_next_or_a_redirect_is_never_called(
    hnctl: Hnctl, guarded: Sandbox, foreign: Foreign
):
    guarded.links(location_base=foreign.url, next_base=foreign.url, redirect_to=f"{foreign.url}/v2/app/kaasshop/")

    applied = hnctl("apply", "--yes")
    assert applied.status == 0, "the uuid in Location is used, its host is not"
    assert any("tracker_uuid=" in entry.path for entry in guarded.log())

    many = next(name for name in guarded.names if len(_flows(guarded, name)) > 100)
    listed = hnctl("flows", "list", "-n", many, "--limit", "110", "-o", "json")
    assert len(listed.json["flows"]) == 110, "the path of next is followed, on our own host"

    guarded.set_faults({"redirect": ["kaasshop"]})
    refused = hnctl("settings", "get", "php_version", "-n", "kaasshop")
    assert refused.status == 1
    assert "was redirected to another host; the token was not sent there" in refused.err

    assert foreign.calls == []


def _flows(box: Sandbox, node: str) -> list[hypernode.Flow]:
    with hypernode.Client(node, token=box.tokens[node], api_url=box.url) as client:
        return list(client.flows.iter())
