from __future__ import annotations

import warnings
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import CATALOGUE

from hypernode.errors import InputError
from hypernode.fleet.where import FIELDS, facts_of, order_key, parse_where

SHOP = facts_of(
    {
        "name": "ignored",
        "type": "persistent",
        "product": {"code": "FALCON_M_202203", "name": "Falcon M"},
        "flavor": {"name": "16CPU-64GB", "redis_size": "1024"},
        "ip": "192.0.2.10",
        "state": "running",
        "provider": "combell",
        "in_production": True,
        "parent": None,
        "php_version": "8.3",
        "mysql_version": "8.0",
        "nodejs_version": 22,
        "mysql_long_query_time": 10,
        "varnish_enabled": True,
        "permissive_memory_management": False,
        "opensearch_version": "2.12",
        "new_relic_app_name": "Kaas shop",
    },
    "kaasshop",
    ["magento", "staging"],
)


def holds(text: str, facts=SHOP) -> bool:
    test, _ = parse_where(text, CATALOGUE)
    return test(facts)


def error(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_where(text, CATALOGUE)
    assert caught.value.hint == "Example: --where 'php_version < 8.2 and product ~ FALCON'"
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "php_version == 8.3",
        "php_version = 8.3",
        "php_version==8.3",
        "  php_version  ==  8.3  ",
        "php_version == '8.3'",
        'php_version == "8.3"',
        "php_version != 8.2",
        "php_version < 8.4",
        "php_version <= 8.3",
        "php_version > 8.2",
        "php_version >= 8.3",
        "nodejs_version == 22",
        "nodejs_version < 100",
        "mysql_long_query_time > 9",
        "name == kaasshop",
        "type == persistent",
        "state == running",
        "provider == combell",
        "ip == 192.0.2.10",
        "product == FALCON_M_202203",
        "product ~ falcon",
        "product ~ ^FALCON_",
        "product !~ PELICAN",
        "flavor == 16CPU-64GB",
        "new_relic_app_name == 'Kaas shop'",
        "new_relic_app_name ~ 's s'",
        "group == magento",
        "group == staging",
        "group ~ ^mag",
        "group != brancher",
        "in_production",
        "varnish_enabled",
        "varnish_enabled == true",
        "varnish_enabled == YES",
        "varnish_enabled = on",
        "varnish_enabled != off",
        "permissive_memory_management == no",
        "not permissive_memory_management",
        "NOT permissive_memory_management",
        "not not varnish_enabled",
        "name == kaasshop AND varnish_enabled",
        "name == x Or varnish_enabled",
    ],
)
def test_what_is_so_holds(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "php_version == 8.30",
        "php_version == 8",
        "php_version != 8.3",
        "php_version < 8.3",
        "php_version > 8.3",
        "product == FALCON",
        "product == falcon_m_202203",
        "product !~ falcon",
        "group == brancher",
        "group != magento",
        "group !~ mag",
        "permissive_memory_management",
        "not varnish_enabled",
        "varnish_enabled == false",
        "php_version",
        "name",
    ],
)
def test_what_is_not_so_does_not_hold(text):
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parent == x", False),
        ("parent != x", True),
        ("parent < z", False),
        ("parent >= a", False),
        ("parent ~ .", False),
        ("parent !~ .", True),
        ("parent", False),
        ("redis_version == 7.x", False),
        ("not redis_version == 7.x", True),
        ("redis_version < 9", False),
        ("valkey_enabled", False),
        ("valkey_enabled == false", False),
        ("not valkey_enabled", True),
    ],
)
def test_a_field_that_the_node_does_not_have_equals_nothing_and_is_in_no_order(text, expected):
    assert holds(text) is expected


# Order


@pytest.mark.parametrize(
    "ascending",
    [
        ["8.1", "8.2", "8.9", "8.10", "8.11", "9.0", "10.0"],
        ["2.6", "2.12", "2.19", "3.3"],
        ["4k", "8k", "16k", "32k", "64k", "128k"],
        ["1.x", "2.2", "2.10", "2.x"],
        ["6", "10", "16"],
        ["8", "8.0"],
        ["a", "b", "ba"],
    ],
)
def test_versions_are_ordered_part_by_part(ascending):
    assert sorted(set(ascending), key=order_key) == ascending
    for low, high in pairwise(ascending):
        facts = {"php_version": high}
        assert holds(f"php_version > {low}", facts)
        assert holds(f"php_version >= {low}", facts)
        assert not holds(f"php_version < {low}", facts)
        assert not holds(f"php_version <= {low}", facts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_versions_are_ordered_as_lists_of_numbers_are(left, right):
    facts = {"php_version": ".".join(map(str, left))}
    bound = ".".join(map(str, right))
    assert holds(f"php_version < {bound}", facts) is (left < right)
    assert holds(f"php_version <= {bound}", facts) is (left <= right)
    assert holds(f"php_version > {bound}", facts) is (left > right)
    assert holds(f"php_version >= {bound}", facts) is (left >= right)
    assert holds(f"php_version == {bound}", facts) is (left == right)


def test_zeros_before_a_number_count_for_nothing_in_the_order():
    assert order_key("8.03") == order_key("8.3") < order_key("8.030") == order_key("08.30")
    assert order_key("0") == order_key("00") < order_key("1")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
@example("²", "1")
@example("9" * 5000, "1")
@example("\u0661", "1")  # a digit for Python, as all Arabic ones
def test_any_two_texts_can_be_ordered(left, right):
    low, high = sorted([left, right], key=order_key)
    assert order_key(low) <= order_key(high)


# Grammar

T, F = "varnish_enabled", "permissive_memory_management"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{T} or {F} and {F}", True),
        (f"({T} or {F}) and {F}", False),
        (f"{F} and {F} or {T}", True),
        (f"{F} and ({F} or {T})", False),
        (f"not {T} or {T}", True),
        (f"not ({T} or {T})", False),
        (f"not {F} and {F}", False),
        (f"not ({F} and {F})", True),
        (f"(({T}))", True),
        (f"({T})and({T})", True),
        (f"not(({F}))", True),
    ],
)
def test_not_binds_closer_than_and_and_that_closer_than_or(text, expected):
    assert holds(text) is expected


def _trees() -> st.SearchStrategy[tuple[str, bool]]:
    return st.recursive(
        st.sampled_from([(T, True), (F, False), ("php_version == 8.3", True), ("php_version > 8.3", False)]),
        lambda inner: (
            st.tuples(inner).map(lambda x: (f"not ({x[0][0]})", not x[0][1]))
            | st.tuples(inner, inner).map(lambda x: (f"({x[0][0]}) and ({x[1][0]})", x[0][1] and x[1][1]))
            | st.tuples(inner, inner).map(lambda x: (f"({x[0][0]}) or ({x[1][0]})", x[0][1] or x[1][1]))
        ),
        max_leaves=8,
    )


@settings(max_examples=75, deadline=None)
@given(_trees())
def test_any_bracketed_expression_means_what_python_makes_of_it(tree):
    text, expected = tree
    assert holds(text) is expected


@settings(max_examples=75, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["and", "or"]), st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_any_flat_expression_means_what_python_makes_of_it(parts):
    words = [f"{joint} {'not ' * negated}{T if value else F}" for joint, negated, value in parts]
    python = [f"{joint} {'not ' * negated}{value}" for joint, negated, value in parts]
    text = " ".join(words).removeprefix("and ").removeprefix("or ")
    assert holds(text) is eval(" ".join(python).removeprefix("and ").removeprefix("or "))


def test_the_fields_looked_at_are_told():
    _, fields = parse_where("php_version < 8 and (name ~ x or not varnish_enabled) and php_version != 7.0", CATALOGUE)
    assert fields == {"php_version", "name", "varnish_enabled"}


def test_every_field_and_every_open_setting_can_be_asked_for():
    for name in [*FIELDS, *(setting.name for setting in CATALOGUE.values() if not setting.secret)]:
        parse_where(f"{name} ~ x", CATALOGUE)


def test_words_of_the_grammar_can_be_values():
    facts = {"name": "and", "group": ("or", "not")}
    assert holds("name == and and group == or", facts)
    assert holds("group == not or name == x", facts)


def test_what_was_quoted_keeps_its_spaces_signs_and_brackets():
    facts = {"new_relic_app_name": "a (b) = <c> ! it's"}
    assert holds('new_relic_app_name == "a (b) = <c> ! it\'s"', facts)
    assert holds("new_relic_app_name == ''", {"new_relic_app_name": ""})
    assert holds("new_relic_app_name ~ 'a|z'", {"new_relic_app_name": "xz"})


def test_a_pattern_ignores_case_and_searches_anywhere():
    assert holds("product ~ 'con_m'")
    assert not holds("product ~ '^con_m'")
    assert holds("product ~ '[0-9]{6}$'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the name of a field at the end (character 1)"),
        ("   ", "expected the name of a field at the end (character 4)"),
        ("php_versoin == 8", "there is no field php_versoin; did you mean php_version? (character 1)"),
        ("name == x and grup == y", "there is no field grup; did you mean group? (character 15)"),
        ("xyzzy", "there is no field xyzzy (character 1)"),
        ("new_relic_secret == x", "new_relic_secret is secret and cannot be asked for (character 1)"),
        ("name == x or varnish_secret", "varnish_secret is secret and cannot be asked for (character 14)"),
        ("php_version ==", "expected a value at the end (character 15)"),
        ("php_version == ==", "expected a value, not '==' (character 16)"),
        ("php_version == )", "expected a value, not ')' (character 16)"),
        ("php_version 8.3", "did not expect '8.3' (character 13)"),
        ("== 8.3", "expected the name of a field, not '==' (character 1)"),
        ("'php_version' == 8.3", "expected the name of a field, not \"'php_version'\" (character 1)"),
        ("name ~ (shop)", "expected a value, not '(' (character 8)"),
        ("(varnish_enabled", "a bracket is not closed (character 17)"),
        ("varnish_enabled)", "did not expect ')' (character 16)"),
        ("()", "expected the name of a field, not ')' (character 2)"),
        ("varnish_enabled and", "expected the name of a field at the end (character 20)"),
        ("varnish_enabled varnish_enabled", "did not expect 'varnish_enabled' (character 17)"),
        ("not", "expected the name of a field at the end (character 4)"),
        ("varnish_enabled == maybe", "varnish_enabled cannot be maybe (character 20)"),
        ("name ~ '['", "'[' is no regular expression: unterminated character set at position 0 (character 8)"),
        ("name == 'x", 'cannot read "\'x" (character 9)'),
        ("name ! x", "cannot read '! x' (character 6)"),
        ("name    ==    'x", 'cannot read "\'x" (character 15)'),
    ],
)
def test_a_mistake_is_told_with_its_place(text, message):
    assert error(text) == f"--where: {message}"


def test_deep_nesting_is_refused():
    holds("(" * 50 + T + ")" * 50)
    assert error("(" * 5000 + T + ")" * 5000) == "--where: too many brackets (character 1)"
    assert error("not " * 5000 + T) == "--where: too many nots (character 1)"
    assert "too many" in error("not (" * 5000 + T + ")" * 5000)


def test_a_long_flat_expression_is_no_deep_one():
    assert holds(" or ".join([F] * 5000 + [T]))
    assert not holds(" and ".join([T] * 5000 + [F]))


@pytest.mark.parametrize(
    "text",
    [
        "php_version < ²",
        "php_version < 8.²",
        f"php_version < {'1' * 5000}",
        "php_version < \u0661",
        "name ~ 'a{99999999999999999999}'",
        "name ~ 'a{,4294967296}'",
        "name ~ '" + "(" * 3000 + "'",
        "name ~ '" + "(" * 3000 + ")" * 3000 + "'",
        "name ~ '(?P<x>a)(?P<x>b)'",
        "name ~ '(?i)a(?i)'",
        "name ~ '\\8'",
        "name ~ '[[a]'",
        "name ~ '[a&&b]'",
        "\x00",
        "\ud83d == x",
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_odd_values_give_a_test_or_an_input_error(text):
    try:
        test, _ = parse_where(text, CATALOGUE)
    except InputError as exc:
        assert "character" in exc.message  # noqa: PT017  # either answer is right
    else:
        test(SHOP)
        test({"php_version": "8.²", "name": "9" * 5000})


def test_pythons_own_warnings_about_a_pattern_are_not_shown_to_its_user():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        parse_where("name ~ '[[a]'", CATALOGUE)
    assert not shown


_fields = ["php_version", "name", "varnish_enabled", "new_relic_secret"]
_signs = ["and", "or", "not", "(", ")", "==", "!=", "<", ">=", "~", "!~", "!", "=", "'", '"', " "]
_pieces = st.sampled_from([*_fields, *_signs, "8.3", "'a b'", "x", "[", "*", "²", "(?", "{1,"])


@settings(max_examples=150, deadline=None)
@given(st.lists(_pieces, max_size=9).map(" ".join) | st.lists(_pieces, max_size=9).map("".join) | st.text(max_size=40))
def test_any_text_parses_or_raises_an_input_error(text):
    try:
        test, fields = parse_where(text, CATALOGUE)
    except InputError as exc:
        assert "character" in exc.message  # noqa: PT017  # either answer is right
        return
    assert fields
    assert test(SHOP) in (True, False)
    assert test({}) in (True, False)


def test_facts_tell_the_code_of_a_product_however_it_is_answered():
    assert SHOP["product"] == "FALCON_M_202203"
    assert SHOP["flavor"] == "16CPU-64GB"
    assert SHOP["name"] == "kaasshop"
    assert SHOP["group"] == ("magento", "staging")
    short = facts_of({"product": "FALCON_M_202203"}, "a", [])
    assert (short["product"], short["flavor"], short["group"]) == ("FALCON_M_202203", None, ())
