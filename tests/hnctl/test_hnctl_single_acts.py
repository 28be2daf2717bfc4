"""Backups, attacks, marks, relations and orders: what one call does, agreed to and sent once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from odd_servers import Odd, by_path, serving
from processes import run_in_terminal
from runs import Hnctl, point_to

from hypernode.sandbox.server import Sandbox

SHOP = ("-n", "kaasshop")
ORDER = ("orders", "create", "nieuw", "FALCON_S_202203", "magento_2", "--order-token", "env:ORDERS")
NODE = {"app_name": "nieuw", "product": "FALCON_S_202203", "initial_app_configuration": "magento_2"}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox whose first node has a product that backups on request can be had for."""
    with Sandbox(nodes=12, flow_time=0.05) as box:
        point_to(box, monkeypatch)
        box.set_product("kaasshop", "FALCON_M_202203")
        monkeypatch.setenv("ORDERS", box.order_token)
        yield box


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Odd]:
    """An API that lists what there is, and whose answers to writes are lost in a gateway."""
    listed = by_path(
        {
            "/v2/app/block_attack_descriptions/": {"BlockSqliBruteForce": "Blocks it"},
            "/v2/app/name/validate/": [],
            "/v2/product/": {"code": "FALCON_S_202203", "price": 60},
        }
    )

    def respond(path: str) -> tuple[int, str, bytes]:
        found = listed(path)
        return found if found[0] == 200 else (502, "text/html", b"<html><title>Bad gateway</title></html>")

    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    monkeypatch.setenv("ORDERS", "special")
    with serving(respond) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        yield odd


def posts(box: Sandbox) -> list[str]:
    return [entry.path for entry in box.log() if entry.method == "POST"]


def test_all_backups_are_listed_with_when_they_end(hnctl: Hnctl, shop: Sandbox):
    listed = hnctl("backups", "list", *SHOP, "-o", "json").json["backups"]
    assert len(listed) == 9
    assert set(listed[0]) == {"node", "id", "type", "created_at", "expires_at"}
    both = hnctl("backups", "list", *SHOP, "-n", "theeplein").out.splitlines()
    assert both[0].split() == ["node", "created", "at", "type", "expires", "at", "id"]
    assert len(both) == 1 + 2 * 9


def test_a_backup_is_asked_about_and_how_to_look_for_it_is_told(hnctl: Hnctl, shop: Sandbox):
    refused = hnctl("backups", "create", *SHOP)
    assert (refused.status, refused.out) == (5, "")
    assert refused.err.startswith(
        "kaasshop: the platform is about to be asked for a backup.\n"
        "Error: nobody is there to say yes; nothing was sent\n"
    )
    assert posts(shop) == []
    made = hnctl("backups", "create", *SHOP, "--yes")
    assert (made.status, made.out) == (0, "kaasshop: the API took it and said: The backup is being made.\n")
    assert "hnctl flows watch -n kaasshop" in made.err
    assert "reverted it is often only slow" in made.err
    assert "hnctl backups list -n kaasshop" in made.err
    assert posts(shop) == ["/v2/app/kaasshop/backup/"]


def test_a_backup_that_the_api_refuses_is_a_failure_with_its_words(hnctl: Hnctl, shop: Sandbox):
    shop.set_product("kaasshop", "FALCON_S_202203DEV")
    refused = hnctl("backups", "create", *SHOP, "-y", "-o", "json")
    assert refused.status == 1
    assert refused.json["error"]["message"].endswith("(400): This node has no SLA Standard.")
    assert "needs SLA Standard" in refused.json["error"]["hint"]


def test_an_attack_is_blocked_once_it_is_agreed_to(hnctl: Hnctl, shop: Sandbox):
    assert "BlockSqliBruteForce" in hnctl("attacks", "list", *SHOP).out
    words = ("attacks", "block", "BlockSqliBruteForce", *SHOP)
    refused = hnctl(*words)
    assert refused.status == 5
    assert "no call undoes that, the file is removed by hand" in refused.err
    assert posts(shop) == []
    blocked = hnctl(*words, "-y")
    assert (blocked.status, blocked.out) == (0, "kaasshop: the job to block BlockSqliBruteForce is posted\n")
    assert "The file lies in /data/web/nginx" in blocked.err
    assert posts(shop) == ["/v2/app/kaasshop/block_attack/"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BlockSqli", "Did you mean BlockSqliBruteForce?"),
        ("blocksqlibruteforce", "BlockSqliBruteForce"),
        ("\x1b[2J", "hnctl attacks list"),
    ],
    ids=ascii,
)
def test_an_attack_that_is_not_there_is_refused_with_the_nearest(name: str, hint: str, hnctl: Hnctl, shop: Sandbox):
    refused = hnctl("attacks", "block", name, *SHOP, "-y")
    assert (refused.status, "the API knows no attack" in refused.err, hint in refused.err) == (64, True, True)
    assert "\x1b[2J" not in refused.err
    assert posts(shop) == []


@pytest.mark.parametrize(
    ("words", "path", "hint"),
    [
        (("backups", "create", *SHOP, "-y"), "/v2/app/kaasshop/backup/", "hnctl flows list -n kaasshop"),
        (
            ("attacks", "block", "BlockSqliBruteForce", *SHOP, "-y"),
            "/v2/app/kaasshop/block_attack/",
            "hnctl flows list",
        ),
        (
            ("insights", "add", "release 12", *SHOP),
            "/v2/insights-annotation/create/",
            "hnctl insights list -n kaasshop",
        ),
        ((*ORDER, "--confirm", "nieuw:FALCON_S_202203"), "/v2/app/order/", "control panel"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_a_write_whose_answer_is_lost_is_not_sent_again(
    words: tuple[str, ...], path: str, hint: str, hnctl: Hnctl, failing: Odd
):
    lost = hnctl(*words)
    assert lost.status == 6
    node = "nieuw" if words[0] == "orders" else "kaasshop"
    assert lost.err.endswith(
        f"Error: {node}: POST {path} was sent once and its answer was lost "
        f"(it answered 502: an HTML page, Bad gateway)\n"
        f"{lost.err[lost.err.index('  hint: ') :]}"
    )
    assert hint in lost.err
    assert failing.calls.count(f"POST {path}") == 1


def test_a_moment_is_marked_and_listed(hnctl: Hnctl, shop: Sandbox):
    marked = hnctl(
        "insights", "add", "release 12", "--at", "2026-03-05T10:15+01:00", "--metrics", "memory_usage, load,", *SHOP
    )
    assert marked == (0, "kaasshop: marked release 12 at 2026-03-05T09:15:00Z\n", "")
    (mark,) = hnctl("insights", "list", *SHOP, "-o", "json").json["annotations"]
    assert {name: mark[name] for name in ("node", "name", "at", "metrics")} == {
        "node": "kaasshop",
        "name": "release 12",
        "at": "2026-03-05T09:15:00Z",
        "metrics": ["memory_usage", "load"],
    }
    assert hnctl("insights", "list", "-n", "theeplein") == (0, "", "No annotations.\n")


@pytest.mark.parametrize(("words", "says"), [(["x", "--at", "soon"], "is no time"), (["  "], "a mark needs a name")])
def test_a_mark_without_a_time_or_a_name_is_refused(words: list[str], says: str, hnctl: Hnctl, shop: Sandbox):
    refused = hnctl("insights", "add", *words, *SHOP)
    assert (refused.status, says in refused.err) == (64, True)
    assert shop.log() == []


def test_relations_are_told_from_both_sides(hnctl: Hnctl, shop: Sandbox):
    (line,) = hnctl("nodes", "relations", "fietsenwinkel").out.splitlines()[1:]
    assert line.split()[:3] == ["bloemenhuis", "child", "mysql"]
    (row,) = hnctl("nodes", "relations", "bloemenhuis", "-o", "json").json["relations"]
    assert (row["node"], row["is"], row["parent"]) == ("fietsenwinkel", "parent", "fietsenwinkel")
    assert hnctl("nodes", "relations", "kaasshop") == (0, "", "kaasshop has no relations.\n")


def test_what_a_new_node_can_start_with_is_listed(hnctl: Hnctl, shop: Sandbox):
    table = hnctl("orders", "configurations", *SHOP).out.splitlines()
    assert table[1].split() == ["magento_2", "Magento", "2", "8.3", "8.0", "true"]
    found = hnctl("orders", "configurations", *SHOP, "-o", "json").json["configurations"]
    assert found[0]["settings"]["opensearch_version"] == "2.12"


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [("nieuw", 0, "nieuw is free"), ("kaasshop", 1, "This name is taken."), ("../odd name", 1, "1 to 16 characters")],
)
def test_a_name_is_judged_by_the_api(name: str, status: int, says: str, hnctl: Hnctl, shop: Sandbox):
    asked = hnctl("orders", "check-name", name, *SHOP)
    assert (asked.status, asked.err) == (status, "")
    assert says in asked.out


def test_an_order_shows_a_price_without_a_unit_and_is_confirmed_by_name(hnctl: Hnctl, shop: Sandbox):
    refused = hnctl(*ORDER)
    assert refused.status == 5
    assert "nieuw: Falcon S (FALCON_S_202203) with magento_2, price 60 (unit not stated by the API)\n" in refused.err
    assert "hint: --confirm nieuw:FALCON_S_202203 allows it" in refused.err
    assert not any(sign in refused.err for sign in "€$£")
    assert posts(shop) == []
    ordered = hnctl(*ORDER, "--confirm", "nieuw:FALCON_S_202203", "-o", "json")
    assert ordered.json == {
        "format_version": 1,
        "node": "nieuw",
        "product": "FALCON_S_202203",
        "configuration": "magento_2",
        "price": 60,
        "price_unit": "not stated by the API",
        "answer": {},
    }
    assert posts(shop) == ["/v2/app/order/"]
    again = hnctl(*ORDER, "--confirm", "nieuw:FALCON_S_202203")
    assert (again.status, "nieuw cannot be had: This name is taken." in again.err) == (64, True)


def test_the_token_of_a_node_may_not_order(hnctl: Hnctl, shop: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ORDERS", shop.tokens["kaasshop"])
    refused = hnctl(*ORDER, "--confirm", "nieuw:FALCON_S_202203")
    assert (refused.status, refused.out) == (4, "")
    assert "The token of a node may not order; support@hypernode.com hands out tokens that may" in refused.err


def test_a_token_for_orders_that_is_wrong_is_not_looked_for_on_the_node(
    hnctl: Hnctl, shop: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORDERS", "wrong")
    refused = hnctl(*ORDER, "--confirm", "nieuw:FALCON_S_202203")
    assert (refused.status, refused.out) == (4, "")
    assert "hint: It is the one that --order-token names; support@hypernode.com" in refused.err


def test_what_to_do_once_an_ordered_node_is_there_is_told(hnctl: Hnctl, shop: Sandbox):
    ordered = hnctl(*ORDER, "--confirm", "nieuw:FALCON_S_202203")
    assert ordered.status == 0
    assert ordered.err.endswith(
        "No call of the API tells how far an order is; the control panel does. Once the node is there:\n"
        "  hnctl auth bootstrap -n nieuw\n  hnctl flows watch -n nieuw\n"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nieuw", "FALCON_S_202203", "magento_2"), "an order needs a token of its own"),
        (("nieuw", "FALCON_S_202203", "magento_2", "--order-token", "abc123"), "must not stand on the command line"),
        (("nieuw", "FALCON_S_202203", "magento_2", "--order-token", "env:NOPE"), "NOPE is not set"),
        (("nieuw-eph1", "FALCON_S_202203", "magento_2"), "is the name of a Brancher"),
        (("Nieuw", "FALCON_S_202203", "magento_2"), "cannot be the name of a node"),
        (("nieuw", "../x", "magento_2"), "cannot be the code of a product"),
        (("nieuw", "FALCON_S_202203", " "), "which configuration?"),
    ],
    ids=str,
)
def test_an_order_that_cannot_be_one_sends_nothing(words: tuple[str, ...], says: str, hnctl: Hnctl, shop: Sandbox):
    refused = hnctl("orders", "create", *words, "--confirm", "nieuw:FALCON_S_202203")
    assert (refused.status, says in refused.err) == (64, True), refused.err
    assert "abc123" not in refused.err
    assert shop.log() == []


def test_a_product_that_is_not_there_is_not_ordered(hnctl: Hnctl, shop: Sandbox):
    refused = hnctl(
        "orders", "create", "nieuw", "NOPE", "magento_2", "--order-token", "env:ORDERS", "--confirm", "nieuw:NOPE"
    )
    assert (refused.status, "there is no product NOPE" in refused.err) == (1, True)
    assert "hint: With the token of a node that is there: hnctl products list -n NODE\n" in refused.err
    assert posts(shop) == []


def test_no_yes_at_a_terminal_sends_nothing(shop: Sandbox):
    refused = run_in_terminal("backups", "create", *SHOP, answers=[("Go on? [y/N]", "n\n")])
    assert (refused.status, "not agreed; nothing was sent" in refused.out) == (5, True)
    assert posts(shop) == []


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
def test_no_token_is_shown_in_any_format(output: str, hnctl: Hnctl, shop: Sandbox):
    for words in (
        ["backups", "list", "--all"],
        ["attacks", "list", *SHOP],
        ["fpm", "status", "-v", *SHOP],
        ["nodes", "relations", "kaasshop"],
        ["insights", "list", *SHOP],
        ["orders", "configurations", *SHOP],
        ["allowlist", "types", *SHOP],
        [*ORDER],
    ):
        run = hnctl(*words, "-o", output)
        assert not [token for token in (*shop.tokens.values(), shop.order_token) if token in run.out + run.err]
        if output == "json":
            assert json.loads(run.out)["format_version"] == 1


@pytest.mark.parametrize("answer", [b"null", b"[]", b'{"results": {}}', b'"text"', b'{"results": [3]}'])
def test_an_answer_of_any_shape_ends_in_words(answer: bytes, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    monkeypatch.setenv("ORDERS", "special")
    with serving(lambda _: (200, "application/json", answer)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        for words in (
            ["backups", "list", *SHOP],
            ["attacks", "list", *SHOP],
            ["attacks", "block", "BlockSqliBruteForce", *SHOP, "-y"],
            ["fpm", "status", *SHOP],
            ["nodes", "relations", "kaasshop"],
            ["insights", "list", *SHOP],
            ["orders", "configurations", *SHOP],
            [*ORDER, "--confirm", "nieuw:FALCON_S_202203"],
        ):
            run = hnctl(*words)
            assert run.status in (0, 1, 64), words
            assert "This is a bug" not in run.err, words
