"""Products, backups, attacks, names and marks: what each form of an answer becomes (CONTRACT.md 2, 6)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from hypernode.api.client import Client
from hypernode.api.transport import Transport
from hypernode.errors import Forbidden, InputError, InvalidNode, NotApplied, NotFound, OutcomeUnknown

API = "https://api.hypernode.com"
SHORT = {
    "code": "FALCON_M_202203",
    "name": "Falcon M",
    "price": 100,
    "provider": "combell",
    "storage_size_in_gb": 75,
    "varnish_supported": True,
    "related_product": {"code": "FALCON_M_202203DEV", "is_development": True},
}
LONG = {
    "code": "FALCON_M_202203",
    "is_active": True,
    "flavor": {"anything": 1},
    "provider_flavors": [
        {"vcpus": 3, "ram_in_mb": 16384, "disk_size_in_gb": 80, "provider": {"name": "combell", "display_name": "C"}}
    ],
}

Net = responses.RequestsMock


@pytest.fixture
def node(transport: Transport) -> Client:
    return Client("kaasshop", token="t0ken", transport=transport)


def test_the_long_and_the_short_form_of_a_product_are_one_model(net: Net, node: Client):
    net.get(f"{API}/v2/product/FALCON_M_202203/with_price/", json=SHORT)
    net.get(f"{API}/v2/product/app/kaasshop/current/", json=LONG)
    short, long = node.products.get("FALCON_M_202203"), node.products.current()
    assert (short.price, short.storage_size_in_gb, short.is_active, short.machines) == (100, 75, None, ())
    assert short.related_product is not None
    assert short.related_product.code == "FALCON_M_202203DEV"
    assert (long.price, long.is_active, long.machines[0].ram_in_mb) == (None, True, 16384)


@pytest.mark.parametrize("code", ["", "../x", "FALCON M", "A/B", "A?x=1", "é"])
def test_what_can_be_no_code_never_gets_into_a_path(net: Net, node: Client, code: str):
    for call in (node.products.get, node.products.check, node.products.change, node.products.sla):
        with pytest.raises(InputError):
            call(code)
    assert not net.calls


def test_a_product_is_changed_at_a_moment_with_its_offset(net: Net, node: Client):
    net.patch(f"{API}/v2/app/xgrade/kaasshop/")
    node.products.change("FALCON_L_202203", at=datetime.fromisoformat("2026-09-01T03:00:00+02:00"))
    assert json.loads(net.calls[0].request.body or "") == {
        "product": "FALCON_L_202203",
        "scheduled_at": "2026-09-01T03:00:00+02:00",
    }


@pytest.mark.parametrize(
    ("at", "look"), [(None, "hnctl flows list -n kaasshop"), ("2026-09-01T03:00:00+02:00", "in the control panel")]
)
def test_a_change_whose_answer_is_lost_says_where_to_look(net: Net, node: Client, at: str | None, look: str):
    """Only what began has a flow; no call lists what is scheduled (CONTRACT.md 2.4)."""
    net.patch(f"{API}/v2/app/xgrade/kaasshop/", status=502)
    with pytest.raises(OutcomeUnknown) as caught:
        node.products.change("FALCON_L_202203", at=None if at is None else datetime.fromisoformat(at))
    assert look in (caught.value.hint or "")
    assert len(net.calls) == 1


LOG = f"{API}/logbook/v1/logbooks/kaasshop/flows/"
CURRENT = f"{API}/v2/product/app/kaasshop/current/"


def logged(net: Net, **states: str | None) -> None:
    """Let the next look find these flows besides one that was there before; ``_`` is cut off their names."""
    before = {"uuid": "old", "name": "xgrade_app", "state": "success"}
    flows = [{"uuid": name, "name": name.rstrip("_"), "state": state} for name, state in states.items()]
    net.get(LOG, json={"results": [*flows, before]})


def test_a_change_is_followed_by_the_flow_that_was_not_there_before(net: Net, transport: Transport, clock: Any):
    node = Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep)
    logged(net)
    before = node.products.moves()
    logged(net, update_node="running")
    logged(net, xgrade_app_flow=None)
    logged(net, xgrade_app_="running", xgrade_app_flow="success")
    logged(net, xgrade_app_="success", xgrade_app_flow="success")
    net.get(CURRENT, json=LONG)
    looks: list[int] = []
    moved = node.products.wait(
        "FALCON_M_202203", before, timeout=900, on_look=lambda flows: looks.append(len(flows)), clock=clock
    )
    assert moved is not None
    assert moved.code == "FALCON_M_202203"
    assert (before, looks) == ({"old"}, [0, 1, 2, 2])


def test_a_flow_that_never_shows_up_is_given_up_after_a_minute(net: Net, transport: Transport, clock: Any):
    node = Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep)
    logged(net)
    started = clock.now
    assert node.products.wait("FALCON_M_202203", {"old"}, timeout=900, clock=clock) is None
    assert 60 <= clock.now - started < 80
    assert node.products.wait("FALCON_M_202203", {"old"}, timeout=10, clock=clock) is None


def test_a_change_that_has_succeeded_and_is_not_there_is_told(net: Net, transport: Transport, clock: Any):
    node = Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep)
    logged(net, xgrade_app_="success")
    net.get(CURRENT, json=LONG)
    with pytest.raises(NotApplied, match="the node is of FALCON_M_202203 and not of FALCON_L_202203"):
        node.products.wait("FALCON_L_202203", {"old"}, timeout=900, clock=clock)


def test_a_moment_without_a_zone_is_refused(net: Net, node: Client):
    naive = datetime(2026, 9, 1, 3)
    with pytest.raises(InputError, match="without a zone"):
        node.products.change("FALCON_L_202203", at=naive)
    with pytest.raises(InputError, match="without a zone"):
        node.insights.add("release", naive)
    assert not net.calls


def test_a_configuration_keeps_the_settings_beside_its_name(net: Net, node: Client):
    item = {"name": "Akeneo 6.0", "configuration_id": "akeneo_6_0", "allow_preinstall": True, "php_version": "8.0"}
    net.get(f"{API}/v2/configuration/", json={"results": [item]})
    (configuration,) = node.products.iter_configurations()
    assert (configuration.id, configuration.allow_preinstall, configuration.settings) == (
        "akeneo_6_0",
        True,
        {"php_version": "8.0"},
    )


def test_a_backup_keeps_the_offset_it_came_with(net: Net, node: Client):
    item = {"backup_id": "6c0e", "type": "periodic", "backup_created_at": "2026-08-20T03:00:00+02:00"}
    net.get(f"{API}/v2/app/kaasshop/backup/", json={"results": [item]})
    (backup,) = node.backups.iter()
    assert (backup.id, backup.type, backup.expired_at) == ("6c0e", "periodic", None)
    assert backup.created_at is not None
    assert backup.created_at.isoformat() == "2026-08-20T03:00:00+02:00"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, "", ()),
        (200, "[]", ()),
        (200, '{"errors": []}', ()),
        (200, '["This name is taken."]', ("This name is taken.",)),
        (200, '{"errors": ["Too long."]}', ("Too long.",)),
        (400, '{"errors": ["Too long."]}', ("Too long.",)),
        (400, '["This name is taken."]', ("This name is taken.",)),
    ],
)
def test_a_name_is_judged_in_every_form(net: Net, node: Client, status: int, body: str, said: tuple[str, ...]):
    net.get(f"{API}/v2/app/name/validate/", body=body, status=status)
    assert node.check_name("../odd name") == said
    assert net.calls[0].request.url == f"{API}/v2/app/name/validate/?name=..%2Fodd+name"


def test_a_refused_call_says_nothing_of_the_name(net: Net, node: Client):
    net.get(f"{API}/v2/app/name/validate/", json={"detail": "No."}, status=403)
    with pytest.raises(Forbidden):
        node.check_name("kaasshop")


def test_an_order_with_the_token_of_a_node_tells_whose_may(net: Net, node: Client):
    net.post(f"{API}/v2/app/order/", json={"detail": "You do not have permission."}, status=403)
    with pytest.raises(Forbidden) as refused:
        node.products.order("kaasshop", "FALCON_M_202203", "magento_2")
    assert refused.value.hint == "The token of a node may not order; support@hypernode.com hands out tokens that may"


def test_an_order_is_checked_before_it_is_sent(net: Net, node: Client):
    with pytest.raises(InvalidNode):
        node.products.order("Kaas_Shop", "FALCON_M_202203", "magento_2")
    assert not net.calls


def test_a_check_of_no_product_names_all_that_it_can_mean(net: Net, node: Client):
    net.get(f"{API}/v2/app/xgrade/kaasshop/check/NOPE/", json={"detail": "Not found."}, status=404)
    with pytest.raises(NotFound) as told:
        node.products.check("NOPE")
    assert told.value.hint == (
        "Either there is no product NOPE (see `hnctl products list -n kaasshop`) or no such node, or the token belongs "
        "to another one"
    )


def test_a_service_level_that_is_not_there_is_named_and_no_node_is_blamed(net: Net, node: Client):
    net.get(f"{API}/v2/addon/NOPE/", json={"detail": "Not found."}, status=404)
    with pytest.raises(NotFound, match="there is no service level NOPE") as told:
        node.products.sla("NOPE")
    assert told.value.hint is None


def test_there_may_be_no_larger_product(net: Net, node: Client):
    net.get(f"{API}/v2/app/kaasshop/next_best_plan/", json={"detail": "Not found."}, status=404)
    with pytest.raises(NotFound):
        node.products.next_best()


@pytest.mark.parametrize(
    ("x_axis", "metrics"),
    [(1_780_000_000, "memory_usage, load"), ("2026-05-28T20:26:40Z", ["memory_usage", "load"])],
    ids=["row annotation: int and text", "row annotation: ISO text and list"],
)
def test_an_annotation_is_read_in_both_forms(net: Net, node: Client, x_axis: Any, metrics: Any):
    item = {"name": "release 12", "x_axis": x_axis, "app": "kaasshop", "metrics": metrics}
    net.get(f"{API}/v2/insights-annotation/", json={"results": [item, item | {"app": "fietsenwinkel"}]})
    (annotation,) = node.insights.iter()
    assert annotation.at == datetime.fromtimestamp(1_780_000_000, UTC)
    assert (annotation.node, annotation.metrics) == ("kaasshop", ("memory_usage", "load"))


def test_ten_thousand_flows_come_page_by_page(net: Net, node: Client):
    def page(request: Any) -> tuple[int, dict[str, str], str]:
        offset = int(request.params.get("offset", 0))
        flows = [{"uuid": f"6c0e0000-0000-4000-8000-{offset + n:012}", "name": "update_node"} for n in range(50)]
        following = f"{API}/logbook/v1/logbooks/kaasshop/flows/?limit=50&offset={offset + 50}"
        return 200, {}, json.dumps({"next": following if offset < 9950 else None, "results": flows})

    net.add_callback(responses.GET, f"{API}/logbook/v1/logbooks/kaasshop/flows/", page)
    assert len({flow.uuid for flow in node.flows.iter()}) == 10_000
    assert len(net.calls) == 200


def test_a_next_link_that_loops_ends_the_list(net: Net, node: Client):
    url = f"{API}/v2/app/kaasshop/backup/"
    net.get(url, json={"next": url, "results": [{"backup_id": "6c0e"}]})
    assert len(list(node.backups.iter())) == 2
