from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernode.errors import FileError
from hypernode.fleet.gates import (
    CommandGate,
    Finding,
    FlowsGate,
    FpmGate,
    Gate,
    HttpGate,
    judge,
    names_of,
    read_gates,
    spell_gate,
)
from hypernode.fleet.keys import COMMAND_KEYS, FPM_KEYS, HTTP_KEYS
from hypernode.fleet.tree import Problems

SHOP = "https://{node}.hypernode.io/"


def gates(text: str) -> tuple[Gate, ...]:
    problems = Problems("gates.yaml")
    read = read_gates(yaml.compose(text, yaml.SafeLoader), problems)
    problems.raise_if_any()
    return read


def mistakes(text: str) -> list[tuple[int, int, str, str | None]]:
    with pytest.raises(FileError) as told:
        gates(text)
    return [(each.line, each.column, each.message, each.hint) for each in told.value.problems]


def test_every_gate_is_read_with_all_that_it_can_say():
    text = """\
- flows
- http: { url: "https://{node}.hypernode.io/", status: 503, timeout: 250ms,
          contains: "</html>", lacks: yes, tries: 2 of 3 }
- fpm: { max_busy: 20 }
- command: { run: [./smoke-test, --fast, 8.10], timeout: 1.5m }
"""
    assert gates(text) == (
        FlowsGate(),
        HttpGate(SHOP, 503, 0.25, "</html>", "yes", needed=2, tries=3),
        FpmGate(20),
        CommandGate(("./smoke-test", "--fast", "8.10"), 90.0),
    )


def test_what_is_not_said_is_the_default():
    read = gates("- http: https://{node}.hypernode.io/\n- command: [./smoke-test]\n- http: {url: http://a, status: }")
    assert read == (
        HttpGate(SHOP, 200, 10.0, None, None, needed=1, tries=1),
        CommandGate(("./smoke-test",), 60.0),
        HttpGate("http://a"),
    )


_TIMEOUT = "timeout must be a time from 1ms to 10m, such as 10s"
_RUN = "run must be a list of words, the command first"
_NO_SHELL = "Write run: [./smoke-test, --fast]; there is no shell between"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flows", (1, 1, "gates must be a list", "Write gates: [flows]")),
        ("- flow", (1, 3, "there is no gate flow", "Did you mean flows?")),
        ("- xyzzy", (1, 3, "there is no gate xyzzy", "Known are flows, http, fpm, command")),
        ("- fpm", (1, 3, "fpm says not what has to hold", "Write fpm: {max_busy: 20}")),
        ("- {}", (1, 3, "a gate must be a word or a mapping", "Write gates: [flows]")),
        ("- []", (1, 3, "a gate must be a word or a mapping", "Write gates: [flows]")),
        ("- htp: a", (1, 3, "unknown key htp in a gate", "Did you mean http?")),
        (
            "- fpm: {max_busy: 1}\n  command: [a]",
            (1, 3, "fpm and command are two gates", "Begin each with a - of its own"),
        ),
        ("- flows\n- flows", (2, 3, "this gate stands twice in gates", None)),
        ("- http: ftp://a/", (1, 9, "url must begin with http:// or https://, not with ftp://", None)),
        ("- http: {url: 'http://a:0/'}", (1, 15, "url must have a port from 1 to 65535, not 0", None)),
        (
            "- http: {status: 200}",
            (1, 9, "http needs url, the address of a page", "Write http: https://{node}.hypernode.io/"),
        ),
        ("- http: {url: http://a, status: 20}", (1, 33, "status must be a number from 200 to 599", None)),
        ("- http: {url: http://a, timeout: 0.4ms}", (1, 34, _TIMEOUT, None)),
        ("- http: {url: http://a, timeout: 11m}", (1, 34, _TIMEOUT, None)),
        ("- http: {url: http://a, contains: ''}", (1, 35, "contains must be a text", None)),
        ("- http: {url: http://a, tries: 4 of 3}", (1, 32, "tries must be such as 2 of 3, of 10 at most", None)),
        ("- http: {url: http://a, statis: 1}", (1, 25, "unknown key statis in http", "Did you mean status?")),
        (
            "- fpm: {}",
            (1, 8, "fpm needs max_busy, the most workers that may be at work", "Write fpm: {max_busy: 20}"),
        ),
        ("- fpm: {max_busy: many}", (1, 19, "max_busy must be a number from 0", None)),
        ("- command: ./smoke-test --fast", (1, 12, _RUN, _NO_SHELL)),
        ("- command: {run: []}", (1, 18, _RUN, _NO_SHELL)),
        ('- command: ["a\\0"]', (1, 12, _RUN, _NO_SHELL)),
    ],
)
def test_a_mistake_is_told_with_its_place(text, expected):
    assert mistakes(text) == [expected]


def test_all_mistakes_of_one_gate_are_told():
    found = mistakes("- http: {url: a, status: b, tries: c}\n- command: {run: a, timeout: b}")
    assert [place[:2] for place in found] == [(1, 15), (1, 26), (1, 36), (2, 18), (2, 30)]


def test_the_schema_has_the_keys_that_are_read():
    for kind, keys, rest in (
        ("http", HTTP_KEYS, "url: 'http://a'"),
        ("fpm", FPM_KEYS, "max_busy: 1"),
        ("command", COMMAND_KEYS, "run: [a]"),
    ):
        assert {hint for *_, hint in mistakes(f"- {kind}: {{{rest}, xyzzy: 1}}")} == {f"Known are {', '.join(keys)}"}


_lines = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_seconds = st.integers(1, 600_000).map(lambda milliseconds: milliseconds / 1000)
_tries = st.integers(1, 10).flatmap(lambda tries: st.tuples(st.integers(1, tries), st.just(tries)))
_gates: st.SearchStrategy[Gate] = st.one_of(
    st.just(FlowsGate()),
    st.builds(FpmGate, st.integers(0, 999_999_999)),
    st.builds(CommandGate, st.lists(_words, min_size=1).filter(lambda words: words[0] != "").map(tuple), _seconds),
    _tries.flatmap(
        lambda tries: st.builds(
            HttpGate,
            st.sampled_from([SHOP, "http://a", "http://127.0.0.1:8800/_shops/{node}/?a=b"]),
            st.integers(200, 599),
            _seconds,
            st.none() | _lines,
            st.none() | _lines,
            st.just(tries[0]),
            st.just(tries[1]),
        )
    ),
)


@settings(max_examples=75, deadline=None)
@given(_gates)
def test_a_gate_reads_back_from_its_spelling(gate):
    assert gates(yaml.safe_dump([spell_gate(gate)])) == (gate,)


def test_a_gate_is_spelled_without_its_defaults():
    assert [spell_gate(each) for each in gates("[flows, http: 'http://a/', fpm: {max_busy: 3}, command: [a, b]]")] == [
        "flows",
        {"http": {"url": "http://a/"}},
        {"fpm": {"max_busy": 3}},
        {"command": {"run": ["a", "b"]}},
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(_gates, max_size=8))
def test_no_two_gates_have_the_same_name(several):
    names = names_of(several)
    assert len(names) == len(several) == len(set(names))


def test_a_name_cannot_command_the_terminal():
    assert names_of([CommandGate(("a\x1b[2J",))]) == (r"command a\x1b[2J",)


def test_names_tell_gates_apart_and_no_argument_of_a_command():
    several = (HttpGate(SHOP), HttpGate(SHOP, 404), FpmGate(1), CommandGate(("./smoke-test", "--key", "hunter2")))
    assert names_of(several) == (
        "http https://{node}.hypernode.io/",
        "http https://{node}.hypernode.io/ #2",
        "fpm",
        "command ./smoke-test",
    )


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        (None, "failed", "failed", "down"),
        ("passed", "passed", "passed", "down"),
        ("passed", "failed", "failed", "down"),
        ("passed", "undecided", "undecided", "down"),
        ("failed", "failed", "passed", "failed before the change too: down"),
        ("failed", "undecided", "undecided", "down"),
        ("undecided", "passed", "passed", "down"),
        ("undecided", "failed", "undecided", "down; before the change: odd"),
    ],
)
def test_a_finding_is_judged_by_what_was_found_before(before, after, verdict, reason):
    first = None if before is None else Finding("fpm", "shop", before, "odd")
    assert judge(first, Finding("fpm", "shop", after, "down")) == Finding("fpm", "shop", verdict, reason)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://a/", "begin with http:// or https://, not with ftp://"),
        ("HTTPS://a/", "begin with http:// or https://, not with HTTPS://"),
        ("a.hypernode.io", "begin with http:// or https://"),
        ("", "begin with http:// or https://"),
        ("jan:canary://a", "begin with http:// or https://"),
        (
            "https://jan:canary@a/",
            "have no user or password, as plans and journals keep it; a command gate can send one",
        ),
        ("https://{nod}.a/", "not have {nod}: only {node} stands for something"),
        ("https://a/{node}/{}", "not have {}: only {node} stands for something"),
        ("https://kaasb\u00f6rse/", "be in ASCII: a host as xn--..., and elsewhere %.. for each byte"),
        ("https://", "name a host, such as https://{node}.hypernode.io/"),
        ("https://:80/", "name a host, such as https://{node}.hypernode.io/"),
        ("https://a/ b", "not have ' '"),
        ("https://a/b#c", "not have '#', as nothing behind it is sent"),
        ("https://{node/", "not have '{'"),
        ("https://[::1]/", "not have '['"),
        ("https://a:65536/", "have a port from 1 to 65535, not 65536"),
        ("https://a:b:80/", "have a port from 1 to 65535, not b:80"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_and_no_password_shown(url, told):
    ((_, _, text, _),) = mistakes(f"- http: {{url: {json.dumps(url)}}}")
    assert text == f"url must {told}"
    assert "canary" not in text


@pytest.mark.parametrize(
    ("gate", "address", "shown"),
    [
        ("http https://{node}.io/?{node} #2", "https://shop.io/?shop", "http https://shop.io/?shop #2"),
        ("http https://a.io/", "https://a.io/", "http https://a.io/"),
        ("command ./{node}", None, "command ./{node}"),
        ("fpm", None, "fpm"),
    ],
)
def test_a_person_is_shown_the_address_of_the_node_and_findings_keep_the_name_they_are_compared_by(
    gate, address, shown
):
    finding = Finding(gate, "shop", "failed", "down")
    assert (finding.gate, finding.address, finding.shown) == (gate, address, shown)
