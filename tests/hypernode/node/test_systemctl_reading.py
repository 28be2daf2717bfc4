"""Reading settings through hypernode-systemctl: prose on either stream becomes typed values (CONTRACT.md 4.1)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_shell import FakeShell, said
from hypernode.catalogue import SettingValue
from hypernode.errors import ConnectionFailed, HypernodeError, Rejected, ToolError, UnknownSetting
from hypernode.node.shell import Output
from hypernode.node.systemctl import UNREADABLE, Systemctl
from hypernode.refusals import failure
from hypernode.secrets import Secret

CANARY = "canary-5e3f"
LIST = """usage: hypernode-systemctl settings [-h] [--value VALUE] [--block] [setting] [value]

possible values
blackfire_enabled        \t['True', 'False']
php_version              \t['8.1', '8.2', '8.10']
mysql_long_query_time\t[2, 5]
new_relic_app_name       \t[]
a_brand_new_setting      \t['a']
"""


def tool(name: str, answer: Output | HypernodeError) -> Systemctl:
    return Systemctl(FakeShell({f"hypernode-systemctl settings {name}": answer}), node="shop1")


VALUES: list[tuple[str, str, SettingValue]] = [
    ("varnish_enabled", "True", True),
    ("varnish_enabled", "False", False),
    ("varnish_enabled", "None", None),
    ("mysql_long_query_time", "10", 10),
    ("autoscale_trigger_load_percentage", "70", 70),
    ("tideways_sample_rate", "None", None),
    ("php_version", "8.1", "8.1"),
    ("php_version", "8.10", "8.10"),
    ("mysql_ft_min_word_len", "4", "4"),
    ("nodejs_version", "22", "22"),
    ("opensearch_version", "2.12", "2.12"),
    ("magerun2_version", "latest", "latest"),
    ("varnish_http_resp_size", "256k", "256k"),
    ("new_relic_app_name", "My shop, is set to value 5", "My shop, is set to value 5"),
    ("new_relic_app_name", " two  blanks ", " two  blanks "),
    ("new_relic_app_name", "one\n\ntwo\nthree", "one\n\ntwo\nthree"),
    ("new_relic_app_name", "", ""),
    ("new_relic_app_name", "None of it", "None of it"),
    ("override_sendmail_return_path", "5", "5"),
    ("new_relic_secret", CANARY, Secret(CANARY)),
    ("new_relic_secret", "None", None),
    ("new_relic_secret", "", None),
    ("varnish_secret", CANARY, Secret(CANARY)),
    ("varnish_enabled", "perhaps", "perhaps"),
    ("mysql_long_query_time", "a while", "a while"),
]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=repr)
@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_a_value_comes_as_the_catalogue_types_it(speak, name, text, value, end):
    got = tool(name, speak(f"{name} is set to value {text}{end}")).get(name)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize("name", ["new_relic_app_name", "tideways_env_name"])
def test_an_empty_text_may_come_without_the_blank_before_it(speak, name):
    assert tool(name, speak(f"{name} is set to value\n")).get(name) == ""


def test_a_value_is_found_among_other_lines(speak):
    text = "DeprecationWarning: ssl\nphp_version is set to value 8.2\nSee https://example.com\n"
    assert tool("php_version", speak(text)).get("php_version") == "8.2"


def test_a_warning_on_the_other_stream_is_no_part_of_the_value():
    right, warning = "new_relic_app_name is set to value a\nb\n", "DeprecationWarning: ssl\n"
    for answer in (said(right, warning), said(warning, right)):
        assert tool("new_relic_app_name", answer).get("new_relic_app_name") == "a\nb"


def test_the_value_of_another_setting_is_not_taken(speak):
    for text in ("varnish_version is set to value 6.0", "my php_version is set to value 8.2"):
        with pytest.raises(ToolError):
            tool("php_version", speak(text)).get("php_version")


def test_the_tool_is_asked_once_with_nothing_to_read():
    shell = FakeShell(values={"php_version": "8.2"})
    assert Systemctl(shell, read_timeout=7).get("php_version") == "8.2"
    assert Systemctl(shell).get("php_version") == "8.2"
    line = ("hypernode-systemctl", "settings", "php_version")
    assert shell.calls == [(line, "", 7), (line, "", 60)]


def test_several_values_come_sorted_and_are_asked_for_one_after_the_other():
    shell = FakeShell(values={"php_version": "8.2", "blackfire_enabled": "False", "new_relic_secret": CANARY})
    names = ["php_version", "new_relic_secret", "blackfire_enabled"]
    read = Systemctl(shell).read(names)
    assert list(read.items()) == [
        ("blackfire_enabled", False),
        ("new_relic_secret", Secret(CANARY)),
        ("php_version", "8.2"),
    ]
    assert [call.argv[2] for call in shell.calls] == sorted(names)


def test_nothing_is_asked_for_no_names_and_for_an_unknown_one():
    shell = FakeShell()
    assert Systemctl(shell).read([]) == {}
    for ask in (lambda: Systemctl(shell).get("php_versoin"), lambda: Systemctl(shell).read(["php_versoin"])):
        with pytest.raises(UnknownSetting):
            ask()
    assert shell.calls == []


def test_all_that_both_the_tool_and_the_catalogue_know_is_read_when_nothing_is_named():
    values = {"php_version": "8.2", "a_brand_new_setting": "a", "blackfire_enabled": "True"}
    shell = FakeShell(values=values)
    assert Systemctl(shell).read() == {"blackfire_enabled": True, "php_version": "8.2"}
    assert [call.argv[2:] for call in shell.calls] == [(), ("blackfire_enabled",), ("php_version",)]


# Answers in other words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(nothing)"),
        (" \n\n", "(nothing)"),
        ("Sorry, no.", "Sorry, no."),
        ("one\x1b[2J\r\n\n  two\x07\x9b \nthree\n", "one [2J / two / three"),
        ("x" * 4_000, "x" * 4_000),
        ("x" * 4_001, "x" * 4_000 + "..."),
        ("é ☃ 日本", "é ☃ 日本"),
    ],
    ids=["nothing", "blank", "words", "several lines", "long", "too long", "letters"],
)
def test_unknown_words_are_shown_whole_and_on_one_line(speak, text, shown):
    with pytest.raises(ToolError) as caught:
        tool("php_version", speak(text)).get("php_version")
    assert str(caught.value) == f"shop1: hypernode-systemctl answered in words that are not known: {shown}"
    assert caught.value.hint == "Try it by hand on the node, or use via: api"


def test_unknown_words_about_a_secret_are_not_shown(speak):
    for text in (CANARY, f"The value is {CANARY}", f"x new_relic_secret is set to value {CANARY}"):
        with pytest.raises(ToolError) as caught:
            tool("new_relic_secret", speak(text)).get("new_relic_secret")
        error = caught.value
        assert "(not shown, as it may hold the secret)" in str(error)
        assert CANARY not in f"{error} {error!r} {error.hint} {error.__cause__} {error.__context__}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("modern_ssl_config_enabled", "false  true"),
        ("modern_ssl_config_enabled", "True False\n"),
        ("php_version", "8.1  8.2\n8.3"),
        ("varnish_http_max_hdr", "32 64\t128 256"),
    ],
)
def test_the_possible_values_in_place_of_the_value_tell_nothing(speak, name, text):
    with pytest.raises(ToolError) as caught:
        tool(name, speak(text)).get(name)
    assert str(caught.value) == f"shop1: hypernode-systemctl does not tell the value of {name}"
    assert tool(name, speak(text)).read([name]) == {name: UNREADABLE}


@pytest.mark.parametrize(("name", "text"), [("php_version", "8.1 nine"), ("new_relic_app_name", "false true")])
def test_other_words_among_them_are_unknown_words(speak, name, text):
    with pytest.raises(ToolError, match="in words that are not known"):
        tool(name, speak(text)).read([name])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"rabbitmq_enabled": ["not on this plan"]}',
        b'{"non_field_errors": ["one", "two"]}',
        b'{"detail": "Not found."}',
        b'{"errors": ["one"], "php_version": ["two"]}',
        b'["Brancher app x-eph1 is gone"]',
        b'"a bare text"',
        b'{"a": "it\'s"}',
        b"it's no JSON",
        '{"a": ["\\u00e9 é ☃", "a\\nb"]}'.encode(),
        b"<html><head><title>502 Bad Gateway</title></head></html>",
        b"\xff\x00\\",
    ],
)
def test_a_refusal_is_the_same_error_as_through_the_api(speak, body):
    api = failure(400, body, what="hypernode-systemctl", node="shop1")
    for spelled in (repr(body), _in_double(body)):
        for text in (
            f"Looks like something went wrong: {spelled}\n",
            f"Hm.\nLooks like something went wrong:{spelled}",
        ):
            with pytest.raises(Rejected) as caught:
                tool("rabbitmq_enabled", speak(text)).get("rabbitmq_enabled")
            assert isinstance(api, Rejected)
            assert (caught.value.message, caught.value.fields) == (api.message, api.fields)
            assert (caught.value.status, caught.value.node, caught.value.hint) == (400, "shop1", api.hint)


def _in_double(body: bytes) -> str:
    return 'b"' + repr(body + b"'\"")[2:-4].replace("\\'", "'").replace('"', '\\"') + '"'


def test_a_refusal_without_a_body_in_bytes_is_one_too(speak):
    with pytest.raises(Rejected) as caught:
        tool("php_version", speak("Looks like something went wrong: no such plan\n")).get("php_version")
    assert caught.value.fields == {"": ("no such plan",)}


@given(st.text())
@example("b'é'")
@example(r"b'\x'")
@example("b'cut\nin two'")
@example("b'\0'")
@example(r"b'\d'")
@example("b'cut sho")
def test_a_refusal_in_any_words_is_a_refusal(words):
    with pytest.raises(Rejected):
        tool("php_version", said(f"Looks like something went wrong: {words}")).get("php_version")


@given(st.text(), st.text())
def test_whatever_it_says_only_our_errors_come_out(out, err):
    for name in ("php_version", "new_relic_secret", "new_relic_app_name"):
        try:
            tool(name, said(out, err)).read([name])
        except ToolError as exc:
            assert "in words that are not known" in exc.message  # noqa: PT017  # a value would be right too


def test_a_node_that_cannot_be_reached_stays_that():
    error = ConnectionFailed("no line")
    for ask in (lambda one: one.get("php_version"), lambda one: one.read(["php_version"])):
        with pytest.raises(ConnectionFailed) as caught:
            ask(tool("php_version", error))
        assert caught.value is error


# What it takes


def test_the_choices_are_those_that_the_tool_lists(speak):
    assert tool("", speak(LIST)).choices() == {
        "blackfire_enabled": ("True", "False"),
        "php_version": ("8.1", "8.2", "8.10"),
        "mysql_long_query_time": ("2", "5"),
        "new_relic_app_name": (),
        "a_brand_new_setting": ("a",),
    }


@pytest.mark.parametrize("listed", ["[broken]", "['a', ...]", "[1 +]", "[x for x in y]", "[[[]]", "[{[]: 1}]"])
def test_choices_that_cannot_be_read_are_none(listed):
    answer = said(f"php_version\t{listed}\nvarnish_enabled\t['True', 'False']\n")
    choices = tool("", answer).choices()
    assert choices["varnish_enabled"] == ("True", "False")
    assert all(isinstance(value, str) for value in choices["php_version"])


@pytest.mark.parametrize("text", ["", "usage: hypernode-systemctl", "php_version ['8.1']", "Php_Version\t['8.1']"])
def test_a_tool_that_lists_nothing_is_not_understood(speak, text):
    for ask in (lambda one: one.choices(), lambda one: one.read()):
        with pytest.raises(ToolError, match="in words that are not known: "):
            ask(tool("", speak(text)))


@given(st.text() | st.from_regex(r"[a-z_]+ *\t *\[[^\n]*\]", fullmatch=True))
def test_any_list_of_choices_is_read_or_told_to_be_none(text):
    try:
        choices = tool("", said(text)).choices()
    except ToolError:
        return
    assert all(isinstance(value, str) for values in choices.values() for value in values)
