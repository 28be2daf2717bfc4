"""Branchers of the sandbox: what they copy, when they come, what they cost and how they go."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from patience import until

from hypernode.errors import InputError
from hypernode.sandbox.branchers import Branchers, Delivery
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.server import Sandbox
from hypernode.sandbox.world import World

SHOP, OTHER = "kaasshop", "theeplein"


@pytest.fixture
def world(clock: Any) -> World:
    return World(3, flow_time=100.0, clock=clock, wall_clock=lambda: 1_780_000_000.0)  # 2026-05-28


@pytest.fixture
def branchers(world: World) -> Branchers:
    return Branchers(world, Delivery(brancher_time=100.0))


@pytest.fixture
def parent(world: World) -> Node:
    return world.nodes[SHOP]


def states(world: World, node: Node) -> dict[str, object] | None:
    flows = world.visible_flows(node)
    return None if flows is None else {flow.name: world.show(flow, node)["state"] for flow in flows}


def test_a_brancher_gets_its_address_when_both_flows_are_done_and_its_logbook_comes_late(
    world: World, clock: Any, branchers: Branchers, parent: Node
) -> None:
    node = branchers.create(parent, [])
    seen = []
    for clock.now in (1009.9, 1010, 1059.9, 1060, 1099.9, 1100):
        world.settle(node)
        seen.append((round(clock.now - 1000, 1), states(world, node), node.fields["ip"] is not None))
    assert seen == [
        (9.9, None, False),
        (10, {"ensure_app": "running", "ensure_copied_app": "waiting"}, False),
        (59.9, {"ensure_app": "running", "ensure_copied_app": "waiting"}, False),
        (60, {"ensure_app": "success", "ensure_copied_app": "running"}, False),
        (99.9, {"ensure_app": "success", "ensure_copied_app": "running"}, False),
        (100, {"ensure_app": "success", "ensure_copied_app": "success"}, True),
    ]


def test_one_that_never_gets_an_address_runs_for_ever(
    world: World, clock: Any, branchers: Branchers, parent: Node
) -> None:
    branchers.delivery = Delivery(brancher_time=None)
    node = branchers.create(parent, [])
    clock.now = 1e6
    world.settle(node)
    assert states(world, node) == {"ensure_app": "running", "ensure_copied_app": "waiting"}
    assert node.fields["ip"] is None


@pytest.mark.parametrize("by", ["delivery", "fault"])
def test_a_delivery_that_is_rolled_back_ends_without_an_address(
    by: str, world: World, clock: Any, branchers: Branchers, parent: Node
) -> None:
    branchers.delivery = Delivery(100.0, logbook_delay=150.0, ending="reverted" if by == "delivery" else "success")
    node = branchers.create(parent, [], (), Fault.REVERT if by == "fault" else None)
    clock.now = 1149
    assert states(world, node) is None
    clock.now = 1150
    assert states(world, node) == {"ensure_app": "reverted", "ensure_copied_app": "reverted"}
    assert node.fields["ip"] is None


@pytest.mark.parametrize(
    ("seconds", "cost"), [(0, 1), (60, 1), (61, 2), (332, 6), (7224, 121), (7824, 131), (91693, 1529)]
)
def test_a_started_minute_is_paid_as_in_the_samples_of_the_contract(
    seconds: int, cost: int, clock: Any, branchers: Branchers, parent: Node
) -> None:
    branchers.create(parent, [])
    clock.now = 1000.0 + seconds
    bill: Any = branchers.bill(parent)
    assert (bill["branchers"][0]["elapsed_time"], bill["branchers"][0]["cost"]) == (seconds, cost)
    assert (bill["monthly_total_time"], bill["total_minutes_elapsed"], bill["actual_monthly_total_cost"]) == (
        seconds,
        cost,
        cost,
    )
    assert bill["monthly_total_cost"] == max(cost - 400, 0)


def test_one_that_was_destroyed_costs_no_more_but_is_still_billed(
    clock: Any, branchers: Branchers, parent: Node
) -> None:
    node = branchers.create(parent, [])
    clock.now = 1090.0
    assert branchers.end(node)
    clock.now = 5000.0
    assert not branchers.end(node)
    bill: Any = branchers.bill(parent)
    assert (bill["branchers"], bill["monthly_total_time"], bill["total_minutes_elapsed"]) == ([], 90, 2)


def test_the_history_sums_up_months_and_a_new_month_starts_at_nothing(
    clock: Any, branchers: Branchers, parent: Node
) -> None:
    assert branchers.history(parent) == {"years": []}
    node = branchers.create(parent, [])
    clock.now = 1090.0
    branchers.end(node)
    clock.now += 30 * 86400
    branchers.create(parent, [])
    clock.now += 30
    may, june = {"month": 5, "total_time": 90, "total_cost": 2}, {"month": 6, "total_time": 30, "total_cost": 1}
    assert branchers.history(parent) == {"years": [{"year": 2026, "months": [may, june]}]}
    assert branchers.history(parent, (2026, 5)) == {"years": [{"year": 2026, "months": [may]}]}
    assert branchers.history(parent, (2025, 5)) == {"years": []}
    assert branchers.bill(parent)["total_minutes_elapsed"] == 1


def test_what_is_under_way_on_a_brancher_is_rolled_back_when_it_is_destroyed(
    world: World, clock: Any, branchers: Branchers, parent: Node
) -> None:
    node = branchers.create(parent, [])
    clock.now = 1070
    branchers.end(node)
    flows = {"ensure_app": "success", "ensure_copied_app": "reverted"}
    assert states(world, node) == {**flows, "destroying_node": "running"}
    assert not node.is_gone(clock.now)
    clock.now = 1170
    world.settle(node)
    assert states(world, node) == {**flows, "destroying_node": "success"}
    assert node.is_gone(clock.now)
    assert (node.fields["destroyed"], node.fields["ip"]) == (True, None)


def test_names_are_the_same_for_the_same_seed_and_all_different(parent: Node, branchers: Branchers) -> None:
    names = [branchers.create(parent, []).name for _ in range(50)]
    assert len(set(names)) == 50
    assert all(re.fullmatch(r"kaasshop-eph[a-z0-9]{6}", name) for name in names)
    again = World(3)
    assert Branchers(again, Delivery()).create(again.nodes[SHOP], []).name == names[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"brancher_time": -1}, "brancher_time is -1, which is no number of seconds"),
        ({"logbook_delay": "soon"}, "logbook_delay is 'soon', which is no number of seconds"),
        ({"brancher_time": math.nan}, "brancher_time is nan, which is no number of seconds"),
        ({"ending": "well"}, "ending is 'well': it is one of success, reverted"),
        ({"seconds": 3}, "seconds is not one of brancher_time, logbook_delay, ending"),
    ],
)
def test_a_delivery_that_cannot_be_is_refused(given: dict[str, Any], says: str, branchers: Branchers) -> None:
    before = branchers.delivery
    with pytest.raises(InputError) as caught:
        branchers.set_delivery(given)
    assert str(caught.value) == says
    assert branchers.delivery == before


def test_a_delivery_changes_in_what_is_named(branchers: Branchers) -> None:
    branchers.set_delivery({"ending": "reverted"})
    branchers.set_delivery({"logbook_delay": 5})
    assert branchers.delivery == Delivery(100.0, 5, "reverted")


# Over a socket from here on.


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=4, flow_time=0.1, brancher_time=0.1) as box:
        yield box


def make(ask: Callable[..., requests.Response], **body: Any) -> Any:
    answer = ask("POST", f"/v2/brancher/app/{SHOP}/", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_brancher_is_a_copy_of_its_parent_under_a_name_of_its_own(box: Sandbox, ask: Any) -> None:
    box.set(SHOP, php_version="8.1", varnish_enabled=True)
    made = make(ask, labels=["ticket=42", "demo"], clear_services=["cron"])
    name = made["name"]
    assert (made["type"], made["parent"], made["ip"], made["product"]) == (
        "brancher",
        SHOP,
        None,
        "FALCON_S_202203DEV",
    )
    assert made["domainname"] == f"{name}.hypernode.io"
    box.set(SHOP, php_version="8.4")
    detail = ask("GET", f"/v2/app/{name}/?destroyed=false").json()
    assert (detail["php_version"], detail["varnish_enabled"], detail["product"]["name"]) == (
        "8.1",
        True,
        "Falcon S Development",
    )
    assert box.settings(name) == {**box.settings(SHOP), "php_version": "8.1"}


def test_labels_come_in_three_forms_and_put_replaces_all_of_them(ask: Any) -> None:
    name = make(ask, labels=["query=a=b", "demo", "empty="])["name"]

    def read() -> tuple[Any, Any]:
        listed = ask("GET", f"/v2/brancher/app/{SHOP}/").json()["branchers"][0]["labels"]
        return listed, ask("GET", f"/v2/app/?parent={SHOP}").json()["results"][0]["labels"]

    assert read() == ({"query": "a=b", "demo": None, "empty": ""}, ["query=a=b", "demo", "empty="])
    changed = ask("PUT", f"/v2/brancher/{name}/", json={"labels": ["new=1"]})
    assert changed.json() == {"labels": {"new": "1"}}
    assert read() == ({"new": "1"}, ["new=1"])
    assert ask("PUT", f"/v2/brancher/{name}/", data=[("labels", "a"), ("labels", "b=2")]).json() == {
        "labels": {"a": None, "b": "2"}
    }
    assert ask("PUT", f"/v2/brancher/{name}/", json={"labels": []}).json() == {"labels": {}}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"labels": "demo"}, {"labels": ['Expected a list of items but got type "str".']}),
        ({"labels": [1]}, {"labels": ["Not a valid string."]}),
        ({"labels": None}, {"labels": ["This field may not be null."]}),
        ({"clear_services": ["cron", "nginx"]}, {"clear_services": ['"nginx" is not a valid choice.']}),
    ],
)
def test_a_bad_order_is_refused_by_field(body: Any, problems: Any, box: Sandbox, ask: Any) -> None:
    answer = ask("POST", f"/v2/brancher/app/{SHOP}/", json=body)
    assert (answer.status_code, answer.json()) == (400, problems)
    assert box.branchers() == []


def test_only_falcon_products_have_branchers(box: Sandbox, ask: Any) -> None:
    box.set_product(SHOP, "EAGLE_M_202203")
    answer = ask("POST", f"/v2/brancher/app/{SHOP}/")
    assert (answer.status_code, answer.json()) == (400, {"non_field_errors": ["Eagle M cannot have Branchers."]})


def test_the_parent_s_token_works_for_its_branchers_and_nobody_else_s_does(ask: Any) -> None:
    name = make(ask)["name"]
    paths = [
        ("GET", f"/v2/app/{name}/"),
        ("POST", f"/v2/nats/{name}/hypernode.show-fpm-status"),
        ("GET", f"/v2/brancher/app/{name}/"),
        ("PUT", f"/v2/brancher/{name}/"),
        ("DELETE", f"/v2/brancher/{name}/"),
        ("GET", f"/logbook/v1/logbooks/{name}/flows/"),
    ]
    assert [ask(*path, token=OTHER, json={"labels": []}).status_code for path in paths] == [403] * 6
    until(lambda: ask("GET", paths[-1][1]).status_code, lambda status: status == 200)
    assert [ask(*path, json={"labels": []}).status_code for path in paths] == [200, 200, 200, 200, 204, 200]


def test_the_list_of_nodes_has_them_and_can_be_narrowed(ask: Any) -> None:
    name = make(ask)["name"]

    def names(**query: str) -> list[str]:
        return [node["name"] for node in ask("GET", "/v2/app/", params=query).json()["results"]]

    assert names() == [SHOP, name]
    assert names(type="persistent") == [SHOP]
    assert names(type="brancher", destroyed="False") == [name]
    assert names(parent=SHOP) == [name]
    assert names(parent=OTHER) == []
    assert names(destroyed="true") == []


def test_a_brancher_s_settings_change_as_any_node_s(box: Sandbox, ask: Any) -> None:
    name = make(ask)["name"]
    answer = ask("PATCH", f"/v2/app/{name}/", data={"php_version": "8.5"})
    assert answer.status_code == 202
    until(lambda: box.settings(name)["php_version"], lambda version: version == "8.5")
    assert box.settings(SHOP)["php_version"] != "8.5"


def test_it_goes_once_and_is_then_a_node_of_the_past(box: Sandbox, ask: Any) -> None:
    name = make(ask)["name"]
    assert ask("DELETE", f"/v2/brancher/{name}/").content == b""
    again = ask("DELETE", f"/v2/brancher/{name}/")
    assert (again.status_code, again.json()) == (400, [f"Brancher app {name} has already been cancelled."])
    assert ask("POST", f"/v2/app/{name}/cancel/").json() == again.json()
    assert ask("GET", f"/v2/brancher/app/{SHOP}/").json()["branchers"] == []
    until(lambda: ask("GET", f"/v2/app/{name}/?destroyed=false").status_code, lambda status: status == 404)
    assert ask("GET", f"/v2/app/{name}/").json()["destroyed"] is True
    assert [node["name"] for node in ask("GET", "/v2/app/?destroyed=true").json()["results"]] == [name]
    assert ask("GET", f"/v2/app/?destroyed=false&parent={SHOP}").json()["count"] == 0
    assert ask("PATCH", f"/v2/app/{name}/", json={"php_version": "8.5"}).status_code == 404
    assert ask("GET", f"/logbook/v1/logbooks/{name}/flows/").json()["results"][0]["name"] == "destroying_node"
    assert requests.get(box.shop_url(name), timeout=5).status_code == 404


def test_cancelling_works_on_branchers_only(box: Sandbox, ask: Any) -> None:
    name = make(ask)["name"]
    assert ask("POST", f"/v2/app/{name}/cancel/").status_code == 204
    refused = ask("POST", f"/v2/app/{SHOP}/cancel/")
    assert (refused.status_code, refused.json()) == (400, {"non_field_errors": [f"{SHOP} is no Brancher."]})
    assert ask("GET", f"/v2/app/{SHOP}/?destroyed=false").status_code == 200


def test_without_api_token_usage_every_call_about_branchers_is_forbidden(box: Sandbox, ask: Any) -> None:
    name = make(ask)["name"]
    box.set(SHOP, allow_api_token_usage=False)
    for method, path in (
        ("GET", f"/v2/brancher/app/{SHOP}/"),
        ("POST", f"/v2/brancher/app/{SHOP}/"),
        ("PUT", f"/v2/brancher/{name}/"),
        ("DELETE", f"/v2/brancher/{name}/"),
        ("POST", f"/v2/app/{name}/cancel/"),
        ("GET", f"/v2/brancher/app/{SHOP}/year-history/"),
        ("GET", f"/v2/brancher/app/{SHOP}/month-history/2026/5"),
    ):
        answer = ask(method, path)
        assert (answer.status_code, "financial nature" in answer.text) == (403, True), path
    assert len(box.branchers()) == 1


def test_a_shop_that_is_broken_with_a_setting_is_broken_so_on_its_branchers_too(box: Sandbox, ask: Any) -> None:
    box.set(SHOP, php_version="8.3")
    box.break_page(SHOP, php_version="8.5")
    name = make(ask)["name"]
    assert requests.get(box.shop_url(name), timeout=5).status_code == 503  # it has no address yet
    until(lambda: requests.get(box.shop_url(name), timeout=5).status_code, lambda status: status == 200)
    box.set(name, php_version="8.5")
    assert requests.get(box.shop_url(name), timeout=5).status_code == 500
    assert requests.get(box.shop_url(SHOP), timeout=5).status_code == 200


def test_a_lost_answer_leaves_a_brancher_that_the_list_shows(box: Sandbox, ask: Any) -> None:
    box.set_faults({"lost_answer": [SHOP]})
    with pytest.raises(requests.ConnectionError):
        ask("POST", f"/v2/brancher/app/{SHOP}/", json={"labels": ["run=7"]})
    box.set_faults({})
    listed = ask("GET", f"/v2/brancher/app/{SHOP}/").json()["branchers"]
    assert [brancher["labels"] for brancher in listed] == [{"run": "7"}]
    assert next((e.status, e.fault, e.changed) for e in box.log()) == (None, "lost_answer", True)


def test_a_fault_can_be_for_one_brancher(box: Sandbox, ask: Any) -> None:
    name = make(ask)["name"]
    box.set_faults({"unavailable": [name]})
    assert ask("GET", f"/v2/app/{name}/").status_code == 503
    assert ask("GET", f"/v2/app/{SHOP}/").status_code == 200
    with pytest.raises(InputError):
        box.set_faults({"unavailable": ["kaasshop-ephnowhere"]})


def test_branchers_are_steered_from_behind_and_by_the_control_path(box: Sandbox, ask: Any) -> None:
    control = f"{box.url}/_sandbox/branchers"
    box.set_delivery(brancher_time=None)
    stuck = make(ask)["name"]
    assert requests.put(control, json={"brancher_time": 0, "ending": "success"}, timeout=5).status_code == 200
    ready = make(ask, clear_services=["mysql"])["name"]
    until(lambda: ask("GET", f"/v2/app/{ready}/").json()["ip"], bool)
    living = requests.get(control, timeout=5).json()
    assert living == box.branchers()
    assert [(each["name"], each["parent"], each["clear_services"]) for each in living] == [
        (stuck, SHOP, []),
        (ready, SHOP, ["mysql"]),
    ]
    box.destroy(stuck)
    assert requests.delete(f"{control}/{ready}", timeout=5).status_code == 200
    assert box.branchers() == []
    assert ask("GET", f"/v2/app/{ready}/?destroyed=false").status_code == 404
    assert ask("DELETE", f"/v2/brancher/{ready}/").status_code == 400
    for wrong in (lambda: box.destroy(SHOP), lambda: box.destroy("nowhere"), lambda: box.set_delivery(ending="well")):
        with pytest.raises(InputError):
            wrong()
    assert requests.delete(f"{control}/{SHOP}", timeout=5).status_code == 400
    assert requests.put(control, json={"brancher_time": "soon"}, timeout=5).status_code == 400
