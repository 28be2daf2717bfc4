"""From wishes to a plan: secrets fetched, nodes read side by side through a reader or a store, differences planned."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryReader, OneWorker
from strategies import CANARY, CATALOGUE, fleets

from hypernode.api.transport import Transport
from hypernode.errors import (
    ConnectionFailed,
    CredentialsError,
    FileError,
    InvalidValue,
    NoToken,
    SecretUnavailable,
)
from hypernode.fleet import planfile
from hypernode.fleet.compare import Comparison, Desired, compare, desired_of
from hypernode.fleet.plan import make_plan
from hypernode.fleet.shares import Share
from hypernode.fleet.spec import Fleet, Limits, parse
from hypernode.fleet.stores import ApiReader, ApiStore, read_nodes
from hypernode.fleet.where import parse_where
from hypernode.secrets import Reference, Secret

TEXT = """\
version: 1
defaults:
  settings: {varnish_enabled: true}
groups:
  magento: {settings: {php_version: 8.3}}
  staging: {settings: {varnish_enabled: false}}
nodes:
  one: {groups: [magento]}
  two: {groups: [magento]}
  three: {groups: [magento, staging]}
  four: {groups: [magento], settings: {nodejs_version: 20}}
limits: {max_nodes: 50%, max_changes: 9}
"""


def fleet(text: str = TEXT) -> Fleet:
    return parse(text.encode(), CATALOGUE)


def no_secrets(reference: Reference) -> Secret:
    pytest.fail(f"{reference} was asked for")


def desired(text: str = TEXT, nodes: Iterable[str] | None = None) -> Desired:
    made = fleet(text)
    return desired_of(made, made.nodes if nodes is None else nodes, no_secrets)


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


# What is wished


def test_wishes_are_the_typed_values_of_the_winning_layers():
    assert desired().values == {
        "one": {"varnish_enabled": True, "php_version": "8.3"},
        "two": {"varnish_enabled": True, "php_version": "8.3"},
        "three": {"varnish_enabled": False, "php_version": "8.3"},
        "four": {"varnish_enabled": True, "php_version": "8.3", "nodejs_version": "20"},
    }


def test_nodes_with_the_same_layers_share_their_wishes():
    values = desired().values
    assert values["one"] is values["two"]
    assert values["one"] is not values["three"]


def test_some_nodes_are_wished_for_and_percentages_are_of_the_whole_fleet_all_the_same():
    some = desired(nodes=["three", "one"])
    assert list(some.values) == ["three", "one"]
    assert some.fleet_size == 4
    assert some.groups == {"magento": ["one", "two", "three", "four"], "staging": ["three"]}
    assert some.limits == Limits(Share(50, True), 9)


def test_a_lifted_setting_is_not_wished_and_a_cleared_one_is_wished_to_be_null():
    text = "version: 1\ndefaults: {settings: {php_version: 8.3}}\nnodes: {a: {settings: {php_version: %s}}}"
    assert desired(text % "null").values == {"a": {}}
    assert desired(text % "!clear ").values == {"a": {"php_version": None}}


SECRETIVE = """\
version: 1
groups:
  g: {settings: {new_relic_secret: keyring:hnctl/nr}}
nodes:
  a: {groups: [g]}
  b: {groups: [g], settings: {varnish_enabled: true}}
  c: {settings: {tideways_api_key: keyring:hnctl/tw, new_relic_secret: keyring:hnctl/nr}}
"""


def test_each_secret_is_fetched_once_and_known_by_its_reference():
    asked = []

    def resolve(reference: Reference) -> Secret:
        asked.append(str(reference))
        return Secret(f"{CANARY}{reference.target}")

    made = fleet(SECRETIVE)
    wished = desired_of(made, made.nodes, resolve)
    assert sorted(asked) == ["keyring:hnctl/nr", "keyring:hnctl/tw"]
    assert wished.values["b"]["new_relic_secret"] == Secret("canary-hnctl/nr")
    assert {secret: wished.references[secret] for secret in wished.references} == {
        Secret("canary-hnctl/nr"): "keyring:hnctl/nr",
        Secret("canary-hnctl/tw"): "keyring:hnctl/tw",
    }
    assert len(wished.references) == 2
    assert CANARY not in repr(wished)


def test_secrets_of_nodes_that_are_not_chosen_are_not_fetched():
    text = SECRETIVE + "  d: {}\n"
    assert desired(text, ["d"]).values == {"d": {}}


def test_two_places_that_keep_the_same_secret_are_told_apart_in_the_plan(executor):
    made = fleet(SECRETIVE)
    wished = desired_of(made, made.nodes, lambda reference: Secret("canary-the-same"))
    plan = compare(wished, MemoryReader({"a": {}, "c": {}, "b": {"varnish_enabled": True}}), CATALOGUE, executor).plan
    assert {(change.node, change.setting): change.reference for change in plan.changes} == {
        ("a", "new_relic_secret"): "keyring:hnctl/nr",
        ("b", "new_relic_secret"): "keyring:hnctl/nr",
        ("c", "new_relic_secret"): "keyring:hnctl/nr",
        ("c", "tideways_api_key"): "keyring:hnctl/tw",
    }


@pytest.mark.parametrize("kind", [SecretUnavailable, CredentialsError])
def test_references_that_lead_nowhere_are_told_together_with_their_places(kind):
    def resolve(reference: Reference) -> Secret:
        raise kind(f"the keyring has nothing for {reference.target}", hint="Look there")

    with pytest.raises(FileError) as caught:
        desired_of(made := fleet(SECRETIVE), made.nodes, resolve)
    assert str(caught.value) == (
        "fleet.yaml:3:36: new_relic_secret: the keyring has nothing for hnctl/nr\n  hint: Look there\n"
        "fleet.yaml:7:36: tideways_api_key: the keyring has nothing for hnctl/tw\n  hint: Look there"
    )


# Comparing


def compared(wished: Desired, reader: MemoryReader, where: str | None = None, **more: Any) -> Comparison:
    test = parse_where(where, CATALOGUE)[0] if where else None
    with ThreadPoolExecutor(3) as executor:
        return compare(wished, reader, CATALOGUE, executor, where=test, **more)


def live(**changed: Mapping[str, Any]) -> MemoryReader:
    """Return a reader of nodes that are as TEXT wishes them, but for what is `changed`."""
    nodes = {node: dict(values) for node, values in desired().values.items()}
    return MemoryReader(
        {node: {**values, "ip": "192.0.2.1", **changed.get(node, {})} for node, values in nodes.items()}
    )


def test_what_differs_is_planned_with_everything_that_the_verdict_needs():
    comparison = compared(desired(), live(two={"php_version": "8.1"}, four={"nodejs_version": 18}))
    plan = comparison.plan
    assert [(c.node, c.setting, c.current, c.desired) for c in plan.changes] == [
        ("four", "nodejs_version", "18", "20"),
        ("two", "php_version", "8.1", "8.3"),
    ]
    assert plan.compared == ("four", "one", "three", "two")
    assert (plan.fleet_size, plan.limits) == (4, Limits(Share(50, True), 9))
    assert plan.groups == {"magento": ("four", "two")}
    assert comparison.failures == {}


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_a_comparison_plans_what_a_plan_of_all_answers_would(drawn):
    wished = Desired(drawn.desired, drawn.references, 9, {"g": list(drawn.wished)})
    plan = compared(wished, MemoryReader(drawn.answers)).plan
    assert plan == make_plan(
        drawn.answers,
        drawn.desired,
        CATALOGUE,
        references=drawn.references,
        fleet_size=9,
        groups={"g": list(drawn.wished)},
    )
    assert CANARY not in json.dumps(planfile.dump(plan, api_url="https://api.hypernode.com"))


def test_each_node_is_read_once_and_told_once():
    told: list[str] = []
    reader = live()
    reader.broken["two"] = ConnectionFailed("no route")
    compared(desired(), reader, on_node=told.append)
    assert sorted(reader.reads) == sorted(told) == ["four", "one", "three", "two"]


def test_nodes_that_cannot_be_read_are_told_and_are_no_part_of_the_plan():
    reader = live(three={"php_version": "8.1"})
    reader.broken = {"two": ConnectionFailed("no route"), "one": NoToken("no token")}
    comparison = compared(desired(), reader)
    assert list(comparison.failures) == ["one", "two"]
    assert comparison.failures["two"] is reader.broken["two"]
    assert comparison.plan.compared == ("four", "three")
    assert [change.node for change in comparison.plan.changes] == ["three"]
    assert comparison.plan.fleet_size == 4


def test_a_setting_that_the_node_does_not_answer_is_not_set():
    reader = live()
    del reader.nodes["one"]["php_version"]
    (change,) = compared(desired(), reader).plan.changes
    assert (change.node, change.current, change.desired) == ("one", None, "8.3")


@pytest.mark.parametrize(
    ("where", "nodes"),
    [
        ("php_version < 8.3", ("one",)),
        ("group == staging", ("three",)),
        ("group == magento and not group == staging", ("four", "one", "two")),
        ("name ~ ^t and ip == 192.0.2.1", ("three", "two")),
        ("ip == 192.0.2.9", ()),
    ],
)
def test_only_nodes_whose_facts_pass_are_compared(where, nodes):
    comparison = compared(desired(), live(one={"php_version": "8.1"}), where)
    assert comparison.plan.compared == nodes
    assert comparison.plan.nodes == (("one",) if "one" in nodes else ())


# Reading many nodes


def read_all(reader: MemoryReader, nodes: Iterable[str], executor: Executor) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_nodes(reader, nodes, executor, keep=lambda node, detail: detail if detail else None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["read", "empty", "broken"]), max_size=12), st.randoms(use_true_random=False))
def test_every_node_is_kept_left_out_or_failed_in_the_order_it_was_asked_for(kinds, random):
    nodes = {f"n{n}": kind for n, kind in enumerate(kinds)}
    reader = MemoryReader({node: {"x": node} if kind == "read" else {} for node, kind in nodes.items()})
    reader.broken = {node: ConnectionFailed("no") for node, kind in nodes.items() if kind == "broken"}
    order = list(nodes)
    random.shuffle(order)
    with ThreadPoolExecutor(3) as executor:
        kept, failed = read_all(reader, order, executor)
    assert list(kept.items()) == [(node, {"x": node}) for node in order if nodes[node] == "read"]
    assert list(failed.items()) == [(node, reader.broken[node]) for node in order if nodes[node] == "broken"]


def test_nodes_are_read_side_by_side(executor):
    meeting = threading.Barrier(4, timeout=20)

    class Meeting(MemoryReader):
        def read(self, node: str, names: Any = None) -> Mapping[str, Any]:
            meeting.wait()
            return super().read(node)

    nodes = {f"n{n}": {"x": n} for n in range(8)}
    assert read_all(Meeting(nodes), nodes, executor) == (nodes, {})


def test_an_error_that_nobody_foresaw_ends_the_reading():
    read: list[str] = []
    with OneWorker() as executor:

        class Reader(MemoryReader):
            def read(self, node: str, names: Any = None) -> Mapping[str, Any]:
                read.append(node)
                if node == "n0":
                    raise ZeroDivisionError
                # The worker is kept here until the reads after this one have been taken back.
                assert executor.taken_back.wait(20)
                return {}

        with pytest.raises(ZeroDivisionError):
            read_all(Reader({}), [f"n{n}" for n in range(9)], executor)
    assert set(read) <= {"n0", "n1"}


# The ways through the API

APP = "https://api.hypernode.com/v2/app/"
FLOWS = "https://api.hypernode.com/logbook/v1/logbooks/"


def token_of(node: str) -> Secret:
    return Secret(f"token-of-{node}")


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport() as transport:
        yield transport


def test_a_node_is_read_with_its_own_token(net, transport):
    for node in ("shop", "other"):
        net.get(f"{APP}{node}/", json={"name": node, "php_version": "8.3"})
    reader = ApiReader(transport, token_of)
    assert reader.read("shop") == {"name": "shop", "php_version": "8.3"}
    reader.read("other")
    assert [call.request.headers["Authorization"] for call in net.calls] == [
        "Token token-of-shop",
        "Token token-of-other",
    ]


def test_a_node_without_a_token_is_not_asked(net, transport):
    def no_token(node: str) -> Secret:
        raise NoToken(f"there is no token for {node}")

    with pytest.raises(NoToken):
        ApiReader(transport, no_token).read("shop")
    assert len(net.calls) == 0


def test_a_reader_has_no_method_that_writes(transport):
    public = {name for name in dir(ApiReader(transport, token_of)) if not name.startswith("_")}
    assert public == {"read"}


def test_all_settings_of_a_node_are_written_with_one_request(net, transport):
    net.patch(f"{APP}shop/", status=200, json={})
    store = ApiStore(transport, token_of, CATALOGUE)
    wished = {
        "php_version": "8.3",
        "varnish_enabled": True,
        "new_relic_secret": Secret("canary-x"),
        "nodejs_version": None,
    }
    store.write("shop", wished)
    (call,) = net.calls
    assert call.request.headers["Authorization"] == "Token token-of-shop"
    assert json.loads(call.request.body) == {
        "php_version": "8.3",
        "varnish_enabled": True,
        "new_relic_secret": "canary-x",
        "nodejs_version": None,
    }


def test_what_a_setting_does_not_take_is_not_sent(net, transport):
    with pytest.raises(InvalidValue):
        ApiStore(transport, token_of, CATALOGUE).write("shop", {"php_version": "9.9"})
    assert len(net.calls) == 0


@pytest.mark.parametrize(
    ("state", "told"),
    [("running", "update_node is running"), (None, "update_node is about to start"), ("success", None)],
)
def test_a_flow_that_changes_the_node_blocks_it_while_it_is_under_way(net, transport, state, told):
    flow = {"uuid": "f-1", "name": "update_node", "state": state}
    net.get(f"{FLOWS}shop/flows/", json={"count": 1, "next": None, "results": [flow]})
    assert ApiStore(transport, token_of, CATALOGUE).blocking("shop") == told
    assert net.calls[0].request.headers["Authorization"] == "Token token-of-shop"
