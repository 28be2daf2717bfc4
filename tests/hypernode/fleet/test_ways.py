"""The way to each node, as the fleet file says it, and what a way cannot do."""

from __future__ import annotations

import pytest
from strategies import CATALOGUE

from hypernode.errors import FileError
from hypernode.fleet.spec import parse
from hypernode.fleet.ways import DEFAULT, Way


def test_the_way_to_a_node_is_laid_over_key_by_key():
    text = """\
version: 1
defaults: {via: ssh, ssh: {port: 2222}}
groups: {g: {ssh: {user: ops, host: 'h-{node}'}}, k: {via: }}
nodes: {a: , b: {groups: [g, k]}, c: {groups: [g], via: local, ssh: {port: 22}}, d: {via: api}}
"""
    fleet = parse(text.encode(), CATALOGUE)
    assert {node: fleet.way(node) for node in fleet.nodes} == {
        "a": Way("ssh", None, 2222, None),
        "b": Way("ssh", "h-{node}", 2222, "ops"),
        "c": Way("local", "h-{node}", 22, "ops"),
        "d": Way("api", None, 2222, None),
    }


def test_a_node_that_nothing_is_said_of_is_reached_through_the_api():
    fleet = parse(b"version: 1\nnodes: {a: {}, b: {via: api}, c: {ssh: {user: ops}}}", CATALOGUE)
    assert [fleet.way(node).by_tool for node in "abc"] == [False, False, False]
    assert fleet.way("a") == DEFAULT


def test_what_a_nodes_tool_cannot_be_given_is_told_with_its_place_once():
    text = """\
version: 1
defaults: {via: ssh}
groups:
  g: {settings: {new_relic_secret: env:PATH, php_version: 8.3}}
nodes:
  a: {groups: [g]}
  b: {groups: [g]}
  c: {groups: [g], via: api}
  d: {via: local, settings: {new_relic_app_name: !clear }}
  e: {groups: [g], settings: {new_relic_secret: null}}
"""
    with pytest.raises(FileError) as caught:
        parse(text.encode(), CATALOGUE)
    assert [problem[:3] for problem in caught.value.problems] == [
        (4, 36, "new_relic_secret is secret and cannot be set on a, which is reached via: ssh"),
        (9, 50, "new_relic_app_name cannot be cleared on d, which is reached via: local"),
    ]
    assert {problem.hint for problem in caught.value.problems} == {
        "The node's tool takes plain values from its command line only; use via: api there"
    }
