"""Flows over time, with a clock of our own."""

from __future__ import annotations

from typing import Any

import pytest

from hypernode.errors import InvalidNode, InvalidValue, UnknownSetting
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.flows import UNKNOWN_STATE
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.world import World

ONE_FLOW, TWO_FLOWS = "kaasshop", "bloemenhuis"


@pytest.fixture
def world(clock: Any) -> World:
    return World(5, flow_time=100.0, clock=clock, wall_clock=lambda: 1_780_000_000.0)


def states(world: World, node: Node) -> list[object] | None:
    """The flows posted in the test, newest first; None without a logbook."""
    flows = world.visible_flows(node)
    return None if flows is None else [world.show(f, node)["state"] for f in flows if f.created_at >= 1000]


def test_a_change_is_invisible_then_null_then_running_then_done(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    world.write(node, {"php_version": "8.5"})
    seen = []
    for clock.now in (1000, 1009.9, 1010, 1024.9, 1025, 1099.9, 1100, 9000):
        seen.append((round(clock.now - 1000, 1), states(world, node), node.settings["php_version"] == "8.5"))
    assert seen == [
        (0, None, False),
        (9.9, None, False),
        (10, [None], False),
        (24.9, [None], False),
        (25, ["running"], False),
        (99.9, ["running"], False),
        (100, ["success"], True),
        (8000, ["success"], True),
    ]


def test_a_flow_shows_its_progress_and_its_dates(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    job = world.write(node, {"php_version": "8.5"}).job
    assert job is not None
    clock.now = 1010
    before = world.show(job.flows[0], node)
    assert before["progress"] == {"running": [], "total": 0, "completed": 0}
    assert before["created_at"] == "2026-05-28T20:26:40Z"
    assert before["updated_at"] is None
    clock.now = 1075
    during = world.show(job.flows[0], node)
    assert during["progress"] == {"running": ["php_update_node_to_update_flow"], "total": 8, "completed": 5}
    assert during["updated_at"] == "2026-05-28T20:27:55Z"
    clock.now = 2000
    after = world.show(job.flows[0], node)
    assert after["progress"] == {"running": [], "total": 8, "completed": 8}
    assert after["updated_at"] == "2026-05-28T20:28:20Z"
    assert (after["name"], after["logbook"]) == ("update_node", ONE_FLOW)


def test_every_third_node_needs_two_flows_of_one_tracker_one_after_the_other(world: World, clock: Any) -> None:
    node = world.nodes[TWO_FLOWS]
    job = world.write(node, {"php_version": "8.5"}).job
    assert job is not None
    assert len(job.flows) == 2
    assert {flow.tracker for flow in job.flows} == {job.tracker}
    seen = []
    for clock.now in (1010, 1030, 1060, 1100):
        seen.append((states(world, node), node.settings["php_version"] == "8.5"))
    assert seen == [
        ([None, None], False),
        ([None, "running"], False),
        (["running", "success"], False),
        (["success", "success"], True),
    ]


def test_a_second_change_waits_for_the_first_and_is_marked_as_an_overlap(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    assert not world.write(node, {"php_version": "8.5"}).overlap
    clock.now = 1050
    assert world.write(node, {"php_version": "8.0"}).overlap
    seen = []
    for clock.now in (1060, 1100, 1125, 1200):
        seen.append((states(world, node), node.settings["php_version"]))
    assert [(list(flows or []), version) for flows, version in seen[1:]] == [
        ([None, "success"], "8.5"),
        (["running", "success"], "8.5"),
        (["success", "success"], "8.0"),
    ]
    assert seen[0][0] == ["waiting", "running"]
    assert not world.write(node, {"php_version": "8.4"}).overlap


def test_a_change_to_what_a_read_shows_starts_nothing(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    world.set(node, {"php_version": "8.3"})
    assert world.write(node, {"php_version": "8.3"}).job is None
    assert world.write(node, {"php_version": "8.3", "php_apcu_enabled": None}).job is not None


def test_a_write_sent_twice_before_the_first_is_over_starts_two_jobs(world: World) -> None:
    node = world.nodes[ONE_FLOW]
    world.write(node, {"php_version": "8.5"})
    assert world.write(node, {"php_version": "8.5"}).job is not None


def test_a_reverted_job_leaves_the_node_as_it_was(world: World, clock: Any) -> None:
    node = world.nodes[TWO_FLOWS]
    before = dict(node.settings)
    world.write(node, {"php_version": "8.5"}, Fault.REVERT)
    clock.now = 1100
    assert states(world, node) == ["reverted", "success"]
    assert node.settings == before


def test_an_unknown_state_shows_for_a_third_of_the_flow_and_ends_well(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    world.write(node, {"php_version": "8.5"}, Fault.UNKNOWN_STATE)
    seen = []
    for clock.now in (1049, 1051, 1074, 1076, 1100):
        seen.extend(states(world, node) or [])
    assert seen == ["running", UNKNOWN_STATE, UNKNOWN_STATE, "running", "success"]
    assert node.settings["php_version"] == "8.5"


def test_other_flows_run_as_long_as_told_and_keep_changes_waiting(world: World, clock: Any) -> None:
    node = world.nodes[ONE_FLOW]
    world.start_flow(node, "xgrade_app", 500, "reverted")
    assert states(world, node) == ["running"]
    assert world.write(node, {"php_version": "8.5"}).overlap
    clock.now = 1550
    assert states(world, node) == ["running", "reverted"]


def test_a_third_of_the_nodes_starts_without_a_logbook_and_one_has_several_pages(world: World) -> None:
    counts = [len(world.visible_flows(node) or []) for node in world.nodes.values()]
    assert counts[0] == counts[3] == 0
    assert counts[1] > 0
    assert counts[4] == 120


def test_flows_are_listed_newest_first(world: World, clock: Any) -> None:
    node = list(world.nodes.values())[4]
    world.write(node, {"php_version": "8.5"})
    clock.now = 1010
    created = [flow.created_at for flow in world.visible_flows(node) or []]
    assert created == sorted(created, reverse=True)
    assert created[0] == 1000


def test_uuids_do_not_depend_on_other_nodes(clock: Any) -> None:
    alone, busy = World(5, clock=clock), World(5, clock=clock)
    busy.write(busy.nodes[TWO_FLOWS], {"php_version": "8.5"})
    first = alone.write(alone.nodes[ONE_FLOW], {"php_version": "8.5"}).job
    second = busy.write(busy.nodes[ONE_FLOW], {"php_version": "8.5"}).job
    assert first == second


def test_a_value_set_from_behind_shows_at_once_even_a_read_only_or_an_unheard_of_one(world: World) -> None:
    node = world.nodes[ONE_FLOW]
    world.set(node, {"varnish_secret": "new", "php_version": "9.9"})
    assert (node.settings["varnish_secret"], node.settings["php_version"]) == ("new", "9.9")
    assert b'"9.9"' in node.body()


def test_what_is_set_from_behind_is_all_set_or_not_at_all(world: World) -> None:
    node = world.nodes[ONE_FLOW]
    before = dict(node.settings)
    with pytest.raises(InvalidValue) as caught:
        world.set(node, {"php_version": "8.5", "php_apcu_enabled": "yes"})
    assert str(caught.value) == "kaasshop: php_apcu_enabled: Must be a valid boolean."
    with pytest.raises(UnknownSetting):
        world.set(node, {"php_version": "8.5", "php_versoin": "8.5"})
    assert node.settings == before


def test_a_node_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InvalidNode) as caught:
        World(1).find("nosuchshop")
    assert str(caught.value) == "the sandbox has no node 'nosuchshop'"
