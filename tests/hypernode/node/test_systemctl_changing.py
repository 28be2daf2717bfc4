"""Changing settings through hypernode-systemctl: what is sent, what its answer means, and what is not sent at all."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fake_shell import SUCCESS, FakeShell, said
from hypernode.catalogue import Catalogue, Setting
from hypernode.errors import (
    ConnectionFailed,
    InvalidValue,
    OutcomeUnknown,
    ReadOnlySetting,
    Rejected,
    SafetyError,
    ToolAsked,
    ToolTimedOut,
    UnknownSetting,
)
from hypernode.node.systemctl import UNREADABLE, Systemctl, spelled
from hypernode.refusals import failure
from hypernode.secrets import Secret

CANARY = "canary-5e3f"
CATALOGUE = Catalogue.bundled()
OPEN = [setting for setting in CATALOGUE.values() if not setting.read_only and not setting.secret]


def change(answer: Any, name: str = "php_version", value: Any = "8.2", **how: Any) -> FakeShell:
    """Change a setting through a tool that answers so, and return what was run."""
    line = shlex.join(["hypernode-systemctl", "settings", name, str(value), "--block"])
    shell = FakeShell({line: answer})
    Systemctl(shell, node="shop1").set(name, value, **how)
    return shell


# What is sent


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("varnish_enabled", True, "True"),
        ("varnish_enabled", False, "False"),
        ("varnish_enabled", "true", "True"),
        ("varnish_enabled", "off", "False"),
        ("php_version", "8.4", "8.4"),
        ("mysql_ft_min_word_len", "4", "4"),
        ("mysql_ft_min_word_len", 4, "4"),
        ("mysql_long_query_time", 10, "10"),
        ("mysql_long_query_time", "10", "10"),
        ("tideways_sample_rate", 0, "0"),
        ("new_relic_app_name", "It's $HOME; `id` --block", "It's $HOME; `id` --block"),
        ("new_relic_app_name", " ", " "),
        ("new_relic_app_name", "one\ntwo", "one\ntwo"),
    ],
)
def test_a_value_is_handed_over_as_one_word_as_the_tool_spells_it(name, value, text):
    shell = FakeShell(values={name: ""})
    Systemctl(shell).set(name, value)
    assert shell.calls == [(("hypernode-systemctl", "settings", name, text, "--block"), "", 900.0)]


def test_without_blocking_it_is_not_told_to_wait():
    shell = FakeShell(values={"php_version": ""})
    Systemctl(shell).set("php_version", "8.2", block=False, timeout=33)
    assert shell.calls == [(("hypernode-systemctl", "settings", "php_version", "8.2"), "", 33)]


@pytest.mark.parametrize(
    ("name", "value", "agreed", "stdin"),
    [
        ("redis_version", "7.x", True, "y\n"),
        ("elasticsearch_enabled", True, True, "y\n"),
        ("redis_version", "7.x", False, ""),
        ("varnish_enabled", True, True, ""),
        ("php_version", "8.2", True, ""),
        ("php_version", "8.2", False, ""),
    ],
    ids=["known", "known boolean", "known, not agreed", "known not to ask", "unknown", "unknown, not agreed"],
)
def test_yes_is_said_only_where_it_is_known_to_be_asked_and_agreed(name, value, agreed, stdin):
    (call,) = change(said(SUCCESS), name, value, agreed=agreed).calls
    assert call.stdin == stdin


# What is not sent


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        ("new_relic_secret", Secret(CANARY), SafetyError, "new_relic_secret is secret, and hypernode-systemctl takes"),
        ("new_relic_secret", CANARY, SafetyError, "new_relic_secret is secret, and hypernode-systemctl takes"),
        ("new_relic_secret", None, SafetyError, "new_relic_secret is secret, and hypernode-systemctl takes"),
        ("new_relic_app_name", Secret(CANARY), SafetyError, "new_relic_app_name is secret, and hypernode-systemctl"),
        ("php_version", None, SafetyError, "hypernode-systemctl has no known way to clear php_version"),
        ("new_relic_app_name", None, SafetyError, "hypernode-systemctl has no known way to clear new_relic_app_name"),
        ("new_relic_app_name", "", InvalidValue, "hypernode-systemctl would not take '' for the value of"),
        ("new_relic_app_name", "-", InvalidValue, "hypernode-systemctl would not take '-' for the value of"),
        ("new_relic_app_name", "--block", InvalidValue, "hypernode-systemctl would not take '--block' for the value"),
        ("tideways_sample_rate", -1, InvalidValue, "hypernode-systemctl would not take '-1' for the value of"),
        ("new_relic_app_name", "a\0b", InvalidValue, r"hypernode-systemctl would not take 'a\x00b' for the value"),
        ("php_version", "9.9", InvalidValue, "php_version cannot be 9.9"),
        ("mysql_long_query_time", True, InvalidValue, "mysql_long_query_time cannot be true"),
        ("varnish_enabled", 1, InvalidValue, "varnish_enabled cannot be 1"),
        ("varnish_secret", CANARY, ReadOnlySetting, "varnish_secret is read-only"),
        ("mysql_innodb_buffer_pool_size", 5, ReadOnlySetting, "mysql_innodb_buffer_pool_size is read-only"),
        ("php_versoin", "8.2", UnknownSetting, "there is no setting php_versoin"),
    ],
)
def test_what_cannot_go_this_way_is_refused_before_anything_is_run(name, value, kind, text):
    shell = FakeShell()
    with pytest.raises(kind) as caught:
        Systemctl(shell).set(name, value, agreed=True)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(text)
    assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.hint}"
    assert shell.calls == []


@pytest.mark.parametrize("text", ["None", "line\n", "line\r", "line\r\n", UNREADABLE])
def test_a_text_that_the_tool_could_not_tell_as_it_is_is_refused_before_anything_is_run(text):
    shell = FakeShell(values={"new_relic_app_name": "before"})
    with pytest.raises(InvalidValue):
        Systemctl(shell).set("new_relic_app_name", text)
    assert shell.calls == []


@st.composite
def values(draw: st.DrawFn) -> tuple[Setting, Any]:
    setting = draw(st.sampled_from(OPEN))
    if setting.values is not None:
        return setting, draw(st.sampled_from(setting.values))
    if setting.type == "integer":
        return setting, draw(st.integers(0, 10**17))
    text = draw(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
    assume(not text.startswith("-") and not text.endswith(("\r", "\n")) and text not in ("None", UNREADABLE))
    return setting, text


@given(values())
def test_what_is_set_reads_back_as_the_same_value_of_the_same_type(drawn):
    setting, value = drawn
    tool = Systemctl(FakeShell(values={setting.name: "None"}))
    tool.set(setting.name, value)
    got = tool.get(setting.name)
    assert (got, type(got)) == (value, type(value))


def test_every_listed_value_of_the_catalogue_reads_back_as_it_was_set():
    for setting in OPEN:
        for value in setting.values or ():
            tool = Systemctl(FakeShell(values={setting.name: "None"}))
            tool.set(setting.name, value)
            assert repr(tool.get(setting.name)) == repr(value)
            assert isinstance(spelled(setting, value), str)


# What its answer means


@pytest.mark.parametrize(
    "text",
    [
        "Operation was successful, use `livelog` to see the progress\n",
        "Operation was successful. Run livelog to watch, is anything unclear?\n",
        "a warning\nOperation was successful\n",
        "Are you sure you want to change this? [y/N] Operation was successful, use livelog\n",
        "This restarts Redis. Continue? (yes/no): Operation was successful\n",
    ],
)
def test_success_is_told_by_its_words(speak, text):
    change(speak(text))


def test_success_on_one_stream_counts_whatever_is_on_the_other():
    change(said("Are you sure? [y/N] ", "Operation was successful"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"php_version": ["\\"9.9\\" is not a valid choice."]}',
        b'{"non_field_errors": ["it\'s busy?"]}',
        b'["Are you sure? [y/N]"]',
        b'{"detail": "confirm:"}',
        b"<html></html>",
        b"",
    ],
)
def test_a_refusal_is_the_same_error_as_through_the_api(speak, body):
    api = failure(400, body, what="hypernode-systemctl", node="shop1")
    with pytest.raises(Rejected) as caught:
        change(speak(f"Looks like something went wrong: {body!r}\n"))
    assert isinstance(api, Rejected)
    assert (caught.value.message, caught.value.fields) == (api.message, api.fields)


QUESTIONS = [
    "Are you sure?",
    "Are you sure? ",
    "Are you sure you want to change redis_version? [y/N] ",
    "Are you sure [Y/n]: ",
    "Proceed (y/n)",
    "Proceed (yes/no)? ",
    "Do you want to continue? [yes/No]",
    "Do you want to continue [ y / n ] > ",
    "Type yes to continue:",
    "Type 'yes' to continue: ",
    "Please confirm (yes) > ",
    "Please type the name of the setting to confirm: ",
    "This will remove all of your data.\nAre you sure?\n",
    "WARNING: Redis restarts.\nContinue?\n> ",
    "This changes the version. Do you want to continue? (y/N): \nAborted!\n",
    "Are you sure? [y/N] Traceback (most recent call last):\n  File x\nEOFError: EOF when reading a line\n",
]


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize(("name", "value", "agreed"), [("redis_version", "7.x", False), ("php_version", "8.2", True)])
def test_a_question_that_nobody_agreed_to_is_told_and_not_answered(speak, text, name, value, agreed):
    with pytest.raises(ToolAsked) as caught:
        change(speak(text), name, value, agreed=agreed)
    shown = " / ".join(line.strip() for line in text.strip().split("\n"))
    assert str(caught.value) == f"shop1: hypernode-systemctl asked about {name} and was not answered; it said: {shown}"
    assert caught.value.hint == (
        "If it is to be done, answer it by hand on the node, or use via: api, which does not ask"
    )


@pytest.mark.parametrize("text", ["Are you sure? ", "Type yes to continue: "])
@pytest.mark.parametrize(
    "stumbled", ["\nAborted!\n", "Traceback (most recent call last):\n  File x\nEOFError: EOF when reading a line\n"]
)
def test_a_question_is_one_too_when_the_tool_stumbles_over_the_missing_answer(text, stumbled):
    for answer in (said(text, stumbled, 1), said(text + stumbled, "", 1), said("", text + stumbled, 1)):
        with pytest.raises(ToolAsked):
            change(answer)


PLAIN = [
    "",
    "Done.",
    "The value is 8.2 already, nothing to do",
    "Nothing to do (see https://example.com/?a=b for more)",
    "Are the values right? See --help.",
    "We cannot continue: the node is busy.",
    "Set yes/no settings with True or False",
    "The change was posted; confirm it with livelog.",
    "Killed",
    "\x1b[31mError\x1b[0m: [Errno 111] Connection refused",
    "error: connection timed out after 10 s",
    "Traceback (most recent call last):\n  File x\nKeyError: 'php_version'",
]


@pytest.mark.parametrize("text", PLAIN)
def test_unknown_words_leave_the_outcome_open_and_are_shown_whole(speak, text):
    with pytest.raises(OutcomeUnknown) as caught:
        change(speak(text), agreed=True)
    shown = " / ".join(line.replace("\x1b", " ").strip() for line in text.split("\n")) or "(nothing)"
    assert str(caught.value) == f"shop1: hypernode-systemctl answered in words that are not known: {shown}"
    assert caught.value.hint == "Look at the node with `hnctl settings get`, and at its livelog"


@pytest.mark.parametrize("after", ["", "The change was posted.\n", "Killed\n"])
def test_a_question_that_was_answered_with_yes_is_not_said_to_be_unanswered(after):
    with pytest.raises(OutcomeUnknown):
        change(said(f"Redis restarts. Are you sure? [y/N] {after}"), "redis_version", "7.x", agreed=True)


@given(st.text(), st.text())
def test_whatever_it_says_the_change_is_made_refused_or_open(out, err):
    try:
        change(said(out, err))
    except (OutcomeUnknown, ToolAsked):
        return
    assert "Operation was successful" in out + err


@pytest.mark.parametrize("error", [ToolTimedOut("no end"), ConnectionFailed("no line", maybe_applied=True)])
def test_a_change_that_was_cut_off_stays_that_error_and_is_not_sent_again(error):
    shell = FakeShell({"hypernode-systemctl settings php_version 8.2 --block": error})
    with pytest.raises(type(error)) as caught:
        Systemctl(shell).set("php_version", "8.2")
    assert caught.value is error
    assert len(shell.calls) == 1
