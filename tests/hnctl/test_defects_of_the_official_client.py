"""The 25 defects of the official Python client (CONTRACT.md 5), each with what hnctl does in its place.

A test's number is that of the defect. Where the released client can show its own side without harm, it does so first,
over the same sockets: what is asserted of ours would fail there.
"""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from hypernode_api_python import client as released
from odd_servers import HTML, Odd, Respond, by_path, serving
from runs import Hnctl, point_to

import hypernode
from hnctl.main import main
from hypernode.api.client import Client
from hypernode.api.models import Annotation, ApiModel, Backup, Node
from hypernode.api.transport import Transport
from hypernode.errors import (
    ApiError,
    ConnectionFailed,
    Forbidden,
    HypernodeError,
    InvalidNode,
    NotFound,
    Rejected,
    TokenRefused,
)
from hypernode.sandbox.server import Sandbox
from operations import CALLS, CODE, iter_operations

SHOP = ("-n", "kaasshop")
TESTS = Path(__file__).parents[1]
PRODUCT = {"code": CODE, "name": "Falcon L", "price": 200}
LISTED = {
    "/v2/app/block_attack_descriptions/": {"BlockSqliBruteForce": "Blocks it"},
    "/v2/app/xgrade/kaasshop/check/": {
        "has_valid_vat_number": True,
        "has_valid_payment_method": True,
        "will_change_ip": False,
        "will_do_volswap": False,
        "will_disk_fit": True,
    },
    "/v2/brancher/app/kaasshop/": {"branchers": [{"name": "kaasshop-eph7h2k9q"}]},
    f"/v2/product/{CODE}/": PRODUCT,
    "/v2/product/": {**PRODUCT, "code": "FALCON_M_202203"},
    "/v2/whitelist/kaasshop/?": [],
    "/v2/whitelist/kaasshop/": {"actions": {"POST": {"type": {"choices": ["database"]}}}},
}
"""What an API answers to reads, by the beginning of the path."""

Serve = Callable[..., Odd]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start odd servers; the last one is the API of both clients."""
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "t0ken")
    with ExitStack() as stack:

        def start(respond: Respond, **headers: str) -> Odd:
            odd = stack.enter_context(serving(respond, **headers))
            monkeypatch.setenv("HNCTL_API_URL", odd.url)
            monkeypatch.setattr(released, "HYPERNODE_API_URL", odd.url)
            return odd

        yield start


@pytest.fixture
def theirs() -> Iterator[Any]:
    """The released client."""
    client = released.HypernodeAPIPython("t0ken")
    yield client
    client.session.close()


@pytest.fixture
def ours() -> Iterator[Callable[[], Client]]:
    """Make a client of ours for the API that was started last."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client("kaasshop", token="t0ken"))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(nodes=3, flow_time=0.1) as box:
        point_to(box, monkeypatch)
        yield box


def always(status: int, body: object = None) -> Respond:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return lambda _: (status, "application/json", content)


def paged(path: str, first: list[Any], second: list[Any], *, host: str = "http://elsewhere.invalid") -> Respond:
    """Answer a list in two pages, the second of which is linked to on another host."""
    pages = {path: {"results": first, "next": f"{host}{path}?offset=1"}, f"{path}?offset=1": {"results": second}}
    return lambda asked: (200, "application/json", json.dumps(pages.get(asked, pages[path])).encode())


def test_defect_01_the_address_that_is_given_is_the_one_that_is_asked(serve: Serve):
    given, constant = serve(always(200, {"name": "kaasshop"})), serve(always(200, {"name": "kaasshop"}))
    client = released.HypernodeAPIPython("t0ken", api_url=given.url)
    client.get_app_info_or_404("kaasshop")
    client.session.close()
    assert (given.calls, len(constant.calls)) == ([], 1), "theirs goes to its constant"
    with Client("kaasshop", token="t0ken", api_url=given.url) as node:
        assert node.get_node().name == "kaasshop"
    assert (len(given.calls), len(constant.calls)) == (1, 1)


def test_defect_02_a_silent_api_is_given_up_and_a_stumbling_one_asked_again(serve: Serve, ours: Any):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with Transport(url, timeout=0.1, deadline=0.2) as transport, pytest.raises(ConnectionFailed, match="in time"):
            Client("kaasshop", token="t0ken", transport=transport).get_node()
        assert time.monotonic() - started < 5
    answers = iter([(503, b""), (200, b'{"name": "kaasshop"}')])

    def respond(_: str) -> tuple[int, str, bytes]:
        status, body = next(answers)
        return status, "application/json", body

    stumbling = serve(respond)
    assert ours().get_node().name == "kaasshop"
    assert len(stumbling.calls) == 2


def test_defect_03_answers_are_typed_values_and_never_bare_responses(shop: Sandbox):
    with Client("kaasshop", transport=Transport(shop.url)) as node:
        assert isinstance(node.get_node(), Node)
        assert all(isinstance(backup, Backup) for backup in node.backups.iter())
        reading = {operation.name for operation in iter_operations() if operation.method in ("GET", "OPTIONS")}
        for name in sorted(reading - {"get_next_best_product", "get_sla", "get_product"}):
            answered = CALLS[name](node, "")
            items = answered if isinstance(answered, list | tuple) else [answered]
            assert not [item for item in items if isinstance(item, requests.Response)], name
    assert issubclass(Annotation, ApiModel)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, TokenRefused), (403, Forbidden), (400, Rejected), (404, NotFound), (418, ApiError), (500, ApiError)],
)
def test_defect_04_every_failing_status_is_an_error_with_the_words_of_the_api(
    status: int, error: type[HypernodeError], serve: Serve, ours: Any, theirs: Any
):
    serve(always(status, {"detail": "Not today."}))
    assert theirs.get_slas().json() == {"detail": "Not today."}, "theirs gives the error for the answer"
    with pytest.raises(error, match="Not today"):
        ours().products.slas()


def test_defect_05_pages_are_followed_on_our_own_host_and_come_to_an_end(serve: Serve, ours: Any):
    elsewhere = serve(always(200, {"results": []}))
    path = "/logbook/v1/logbooks/kaasshop/flows/"
    here = serve(paged(path, [{"uuid": "1"}], [{"uuid": "2"}], host=elsewhere.url))
    assert [flow.uuid for flow in ours().flows.iter()] == ["1", "2"]
    assert (elsewhere.calls, len(here.calls)) == ([], 2)
    empty = serve(
        lambda _: (200, "application/json", json.dumps({"results": [], "next": f"{here.url}{path}"}).encode())
    )
    assert list(ours().flows.iter()) == []
    assert len(empty.calls) == 1


def test_defect_06_no_flows_are_asked_for_when_none_are_wanted(serve: Serve, ours: Any, theirs: Any, hnctl: Hnctl):
    api = serve(always(200, {"results": [{"uuid": "1"}], "next": None}))
    assert theirs.get_all_flows("kaasshop", limit=0) == []
    assert len(api.calls) == 1, "theirs downloads all for nothing"
    assert list(ours().flows.iter(0)) == []
    assert len(api.calls) == 1
    assert hnctl("flows", "list", *SHOP, "--limit", "0").status == 64


def test_defect_07_all_pages_of_backups_and_configurations_are_read(serve: Serve, ours: Any, theirs: Any):
    serve(paged("/v2/app/kaasshop/backup/", [{"backup_id": "a"}], [{"backup_id": "b"}]))
    assert len(theirs.get_available_backups_for_app("kaasshop").json()["results"]) == 1
    assert [backup.id for backup in ours().backups.iter()] == ["a", "b"]
    serve(paged("/v2/configuration/", [{"configuration_id": "a"}], [{"configuration_id": "b"}]))
    assert [each.id for each in ours().products.iter_configurations()] == ["a", "b"]


def test_defect_08_a_change_of_a_setting_is_followed_to_its_end(shop: Sandbox, hnctl: Hnctl):
    shop.set("kaasshop", php_version="8.1")
    with Client("kaasshop", sleep=lambda seconds: time.sleep(min(seconds, 0.05))) as node:
        update = node.settings.set(php_version="8.2")
        assert [flow.state for flow in update.wait(timeout=10)] == ["success"]
        assert node.settings.get("php_version") == "8.2"
    assert hnctl("settings", "set", "php_version", "8.3", *SHOP).status == 0
    assert hnctl("flows", "list", *SHOP, "-o", "json").json["flows"][0]["state"] == "success"


def test_defect_09_what_is_sent_is_json_with_its_types(serve: Serve, ours: Any, theirs: Any):
    api = serve(lambda path: (200, "application/json", b'{"name": "kaasshop-eph7h2k9q", "branchers": []}'))
    theirs.set_app_setting("kaasshop", "varnish_enabled", True)
    theirs.set_app_setting("kaasshop", "new_relic_app_name", None)
    theirs.create_brancher("kaasshop", {"clear_services": []})
    assert api.bodies == [b"varnish_enabled=True", b"", b""], "theirs: a text, nothing and nothing"
    node = ours()
    node.settings.set(varnish_enabled=True)
    node.settings.set(new_relic_app_name=None)
    node.branchers.create(labels={"ticket": "42"}, clear_services=())
    sent = [json.loads(body) for body in api.bodies[3:] if body]
    assert sent[:2] == [{"varnish_enabled": True}, {"new_relic_app_name": None}]
    assert sent[2]["clear_services"] == []
    assert api.headers[3]["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["../product", "kaas/shop", "kaasshop?x=1", "", "Kaasshop", "k" * 17, "kaas\nshop"])
def test_defect_10_a_name_that_cannot_be_one_goes_into_no_path(name: str, serve: Serve, theirs: Any, hnctl: Hnctl):
    api = serve(always(200, {}))
    if name == "../product":
        theirs.get_app_flavor(name)
        assert api.calls == ["GET /v2/product/flavor/"], "theirs asks for something else"
        api.calls.clear()
    with pytest.raises(InvalidNode):
        Client(name, token="t0ken")
    assert hnctl("nodes", "show", name or " ").status == 64
    assert hnctl("allowlist", "list", "-n", name).status == 64
    assert api.calls == []


@pytest.mark.parametrize(("status", "body", "exit_"), [(401, {}, 4), (403, {"detail": "no"}, 4), (500, HTML, 1)])
def test_defect_11_a_call_that_failed_says_nothing_of_the_name(
    status: int, body: Any, exit_: int, serve: Serve, theirs: Any, hnctl: Hnctl
):
    serve(always(status, body))
    with pytest.raises((KeyError, ValueError)):
        theirs.validate_app_name("kaasshop")
    asked = hnctl("orders", "check-name", "kaasshop", *SHOP)
    assert (asked.status, asked.out) == (exit_, "")
    assert f"({status})" in asked.err or f"answered {status}" in asked.err
    serve(always(200, ["This name is taken."]))
    assert hnctl("orders", "check-name", "kaasshop", *SHOP).out == "kaasshop cannot be had: This name is taken.\n"


def test_defect_12_every_error_is_of_one_family_and_says_what_happened(serve: Serve, ours: Any, theirs: Any):
    serve(always(404, {"detail": "Not found."}))
    with pytest.raises(RuntimeError) as bare:
        theirs.get_product_info_with_price("NOPE")
    assert str(bare.value) == ""
    with pytest.raises(NotFound) as told:
        ours().products.get("NOPE")
    assert isinstance(told.value, hypernode.HypernodeError)
    assert "NOPE" in told.value.message
    assert (told.value.status, told.value.code, bool(told.value.hint)) == (404, "not_found", True)


def test_defect_13_headers_are_no_argument_that_could_be_overwritten(serve: Serve, ours: Any, theirs: Any):
    api = serve(always(200, {"name": "kaasshop"}))
    theirs.requests("GET", "/v2/app/", headers={"Accept-Language": "nl", "User-Agent": "mine"})
    assert api.headers[0]["Accept-Language"] == "en-US", "theirs takes them and sends its own"
    transport: Any = ours()._transport
    with pytest.raises(TypeError, match="headers"):
        transport.get("/v2/app/", token=None, headers={"Accept-Language": "nl"})
    ours().get_node()
    assert api.headers[1]["User-Agent"] == f"hnctl/{hypernode.__version__}"


def test_defect_14_what_is_missing_there_is_here(shop: Sandbox, theirs: Any):
    missing = {
        "add_allowlist_entry",
        "remove_allowlist_entry",
        "create_backup",
        "list_annotations",
        "create_annotation",
        "change_brancher_labels",
        "list_nodes",
        "cancel_brancher",
        "perform_preinstall",
        "get_brancher_year_history",
        "get_brancher_month_history",
    }
    assert missing <= CALLS.keys()
    assert not [name for name in dir(theirs) if "annotation" in name or "cancel" in name or "preinstall" in name]
    shop.set_product("kaasshop", "FALCON_M_202203")
    with Client("kaasshop") as node:
        assert node.allowlist.add("database", "192.0.2.9")
        assert node.allowlist.remove("database", "192.0.2.9")
        assert node.backups.create()
        assert node.insights.add("release 12", datetime.now(UTC)).name == "release 12"
        assert [each.name for each in node.insights.iter()] == ["release 12"]
        assert [each.name for each in node.iter_nodes()] == ["kaasshop"]
        copy = node.branchers.create(labels={"ticket": "42"}).name
        assert node.branchers.set_labels(copy, {"ticket": "43"})["ticket"] == "43"
        node.branchers.cancel(copy)
        node.branchers.year_history()


def test_defect_15_paths_without_a_shape_are_reached_by_their_path(serve: Serve, hnctl: Hnctl):
    """Nothing attests what they answer, so they have no method (CONTRACT.md 2.1 #4, 2.4 #26 and #31)."""
    api = serve(always(200, [{"any": "thing"}]))
    paths = ["/v2/app/kaasshop/with_addons?destroyed=false", "/v2/product/app/kaasshop/", "/v2/addon/"]
    for path in paths:
        assert hnctl("api", "GET", path, *SHOP).json == [{"any": "thing"}]
    assert api.calls == [f"GET {path}" for path in paths]


def test_defect_16_settings_orders_and_branchers_can_be_had_whole(
    shop: Sandbox, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    assert hnctl("settings", "set", "php_version", "8.2", *SHOP).status == 0
    monkeypatch.setenv("ORDERS", shop.order_token)
    words = ("orders", "create", "nieuw", "FALCON_S_202203", "magento_2", "--order-token", "env:ORDERS")
    assert hnctl(*words, "--confirm", "nieuw:FALCON_S_202203").status == 0
    assert hnctl("brancher", "create", *SHOP, "--label", "ticket=42", "--clear", "cron,supervisor", "--yes").status == 0
    (made,) = shop.branchers()
    assert made["labels"]["ticket"] == "42"
    assert sorted(made["clear_services"]) == ["cron", "supervisor"]


@pytest.mark.parametrize(
    "words",
    [
        ("attacks", "block", "BlockSqliBruteForce", *SHOP, "--yes"),
        ("brancher", "delete", "kaasshop-eph7h2k9q", "--yes"),
        ("products", "change", CODE, *SHOP, "--confirm", f"kaasshop:{CODE}"),
        ("backups", "create", *SHOP, "--yes"),
        ("allowlist", "add", "database", "192.0.2.9", *SHOP),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_defect_17_what_is_refused_is_not_told_as_done(words: tuple[str, ...], serve: Serve, hnctl: Hnctl):
    listed = by_path(LISTED)

    def respond(path: str) -> tuple[int, str, bytes]:
        if api.calls[-1].split()[0] in ("GET", "OPTIONS"):
            return listed(path)
        return 403, "application/json", '{"detail": "Niet „nu”."}'.encode()

    api = serve(respond)
    refused = hnctl(*words)
    assert refused.status == 4, refused.err
    assert refused.out == "" or words[0] == "products", "that shows the check first"
    assert "Niet „nu”." in refused.err
    assert "b'" not in refused.err
    assert api.calls[-1].split()[0] not in ("GET", "OPTIONS"), "it was sent"


def leaves(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, *path, name)


def test_defect_18_no_help_asks_the_api(serve: Serve, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    api = serve(always(401, {}))
    monkeypatch.delenv("HYPERNODE_API_TOKEN")
    for words in leaves(main):
        help_ = hnctl(*words, "--help")
        assert (help_.status, help_.err) == (0, ""), words
    assert api.calls == []


@pytest.mark.parametrize(
    "words",
    [
        ("nodes", "show", "kaasshop"),
        ("flows", "list", *SHOP),
        ("settings", "get", "php_version", *SHOP),
        ("backups", "list", *SHOP),
        ("attacks", "list", *SHOP),
        ("allowlist", "list", *SHOP),
        ("api", "GET", "/v2/app/kaasshop/"),
    ],
    ids=" ".join,
)
def test_defect_19_a_failure_is_told_in_a_line_and_by_the_exit_code(words: tuple[str, ...], serve: Serve, hnctl: Hnctl):
    serve(lambda _: (500, "text/html", HTML))
    failed = hnctl(*words)
    assert (failed.status, failed.out) == (1, "")
    assert "answered 500: an HTML page, Guest portal" in failed.err
    assert len(failed.err.splitlines()) == 1


def test_defect_20_nothing_is_spent_or_destroyed_without_a_yes(
    shop: Sandbox, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORDERS", shop.order_token)
    with Client("kaasshop") as node:
        copy = node.branchers.create().name
        assert node.products.check(CODE).will_disk_fit in (True, False)
    shop.clear_log()
    for words in (
        ("backups", "create", *SHOP),
        ("attacks", "block", "BlockSqliBruteForce", *SHOP),
        ("brancher", "create", *SHOP),
        ("brancher", "delete", copy),
        ("products", "change", CODE, *SHOP),
        ("orders", "create", "nieuw", "FALCON_S_202203", "magento_2", "--order-token", "env:ORDERS"),
        ("allowlist", "add", "database", "0.0.0.0/0", *SHOP),
        ("settings", "set", "mysql_version", "8.4", *SHOP),
        ("api", "PATCH", "/v2/app/xgrade/kaasshop/", "-d", f'{{"product": "{CODE}"}}'),
        ("api", "POST", "/v2/brancher/app/kaasshop/", "-d", "{}"),
        ("api", "DELETE", "/v2/brancher/kaasshop-eph7h2k9q/"),
    ):
        refused = hnctl(*words)
        assert refused.status == 5, words
    assert [entry for entry in shop.log() if entry.method not in ("GET", "OPTIONS")] == []


def test_defect_21_many_nodes_have_a_token_each_from_many_places(
    shop: Sandbox, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    other = next(name for name in shop.names if name != "kaasshop")
    both = hnctl("settings", "get", "php_version", *SHOP, "-n", other, "-o", "json")
    assert (both.status, len(both.json["settings"])) == (0, 2)
    monkeypatch.delenv("HYPERNODE_API_TOKENS")
    assert hnctl("nodes", "show", "kaasshop").status == 4
    token = shop.tokens["kaasshop"]
    assert hnctl("auth", "login", "kaasshop", "--with-token", "--insecure-storage", stdin=token).status == 0
    assert hnctl("nodes", "show", "kaasshop").status == 0
    assert hnctl("nodes", "show", other).status == 4, "a token is of one node"


def test_defect_22_secrets_are_masked_wherever_a_node_is_shown(shop: Sandbox, hnctl: Hnctl):
    shop.set("kaasshop", new_relic_secret="hush-hush")
    hidden = ["hush-hush", str(shop.settings("kaasshop")["varnish_secret"])]
    for words in (
        ("nodes", "show", "kaasshop"),
        ("settings", "list", *SHOP),
        ("settings", "get", "new_relic_secret", *SHOP),
        ("api", "GET", "/v2/app/kaasshop/"),
        ("api", "GET", "/v2/app/", *SHOP),
        ("export", *SHOP),
    ):
        shown = hnctl(*words, "--debug")
        assert shown.status == 0, words
        assert [word for word in hidden if word in shown.out + shown.err] == [], words


def test_defect_23_the_command_is_installed_with_the_package(tmp_path: Path):
    (script,) = metadata.entry_points(group="console_scripts", name="hnctl")
    assert script.value == "hnctl.main:run"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = Path(sys.executable).parent / "hnctl"
    done = subprocess.run([command, "--version"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"hnctl {hypernode.__version__}\n")


def test_defect_24_the_package_asks_for_what_it_needs_and_pins_nothing():
    assert "pip" in (metadata.requires("hypernode-api-python") or [])
    needed = [line for line in metadata.requires("hnctl") or [] if "extra ==" not in line]
    assert any(line.startswith("requests>=") for line in needed)
    assert not [line for line in needed if line.strip() in ("", "pip") or "==" in line.partition(";")[0] or "<" in line]
    classifiers = metadata.metadata("hnctl").get_all("Classifier") or []
    assert "Typing :: Typed" in classifiers


def test_defect_25_tests_look_at_answers_and_replace_nothing_of_ours():
    """Answers come over sockets, from the sandbox that is held against the contract, or from the HTTP border."""
    mocking = []
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            mocking += [path.name for name in names if name.startswith(("unittest.mock", "mock", "pytest_mock"))]
    assert mocking == []
    with Sandbox(nodes=1) as box, Client("kaasshop", token=box.tokens["kaasshop"], api_url=box.url) as node:
        assert node.get_node().host == "kaasshop.hypernode.io"
        with pytest.raises(Rejected, match="php_version"):
            node.raw.write("PATCH", "/v2/app/kaasshop/", {"php_version": "8.99"})
