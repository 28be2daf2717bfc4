"""The way through the node's own tool: what is read and sent, and how an unclear end is settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from memory_store import MemoryReader, MemoryStore
from strategies import CANARY, CATALOGUE

from fake_shell import HEADING, SUCCESS, Answer, Call, FakeShell, said
from hypernode.errors import (
    ConnectionFailed,
    HypernodeError,
    InputError,
    InvalidValue,
    KeyRefused,
    NotApplied,
    NoToken,
    NotVerified,
    OutcomeUnknown,
    ReadOnlySetting,
    Rejected,
    SafetyError,
    ToolAsked,
    ToolMissing,
    ToolTimedOut,
)
from hypernode.fleet.stores import EachReader, EachStore
from hypernode.fleet.tool_stores import ToolReader, ToolStore
from hypernode.node.systemctl import UNREADABLE
from hypernode.secrets import Secret

PHP, REDIS, VARNISH = (
    f"hypernode-systemctl settings {name}" for name in ("php_version", "redis_version", "varnish_enabled")
)
WISHED: dict[str, Any] = {"varnish_enabled": True, "php_version": "8.3", "redis_version": "7.x"}
SENT = ["php_version 8.3", "redis_version 7.x", "varnish_enabled True"]
REFUSED = said("", 'Looks like something went wrong: b\'{"redis_version": ["not on this plan"]}\'', 1)
WORDS_HINT = "Look at the node with `hnctl settings get`, and at its livelog"
LATER = "Run the same command again in a while: it reads first and sends only what is missing"


def node(answers: Mapping[str, Answer | list[Answer]] | None = None, **values: str) -> FakeShell:
    return FakeShell(
        answers, values={"php_version": "8.2", "redis_version": "6.x", "varnish_enabled": "False"} | values
    )


def store(shell: FakeShell, **how: Any) -> ToolStore:
    return ToolStore(lambda name: shell, CATALOGUE, **how)


def written(shell: FakeShell, error: type[HypernodeError], wished: dict[str, Any] = WISHED) -> HypernodeError:
    """Return the error of a write."""
    with pytest.raises(error) as caught:
        store(shell).write("shop1", wished)
    assert type(caught.value) is error
    assert len(shell.writes) == len(set(shell.writes)), "something was sent twice"
    return caught.value


# Reading


def test_settings_come_as_the_api_would_answer_them():
    shell = node(new_relic_secret=f"{CANARY}one", new_relic_app_name="None", mysql_long_query_time="10")
    names = ["varnish_enabled", "new_relic_secret", "new_relic_app_name", "mysql_long_query_time"]
    for way in (store(shell), ToolReader(lambda name: shell, CATALOGUE)):
        assert way.read("shop1", names) == {
            "varnish_enabled": False,
            "new_relic_secret": f"{CANARY}one",
            "new_relic_app_name": None,
            "mysql_long_query_time": 10,
        }


def test_only_what_is_needed_is_asked_for():
    shell = node()
    assert ToolReader(lambda name: shell, CATALOGUE, read_timeout=7).read(
        "shop1", {"php_version", "name", "group"}
    ) == {"php_version": "8.2"}
    assert store(shell).read("shop1", []) == {}
    assert [(call.line, call.timeout) for call in shell.calls] == [(PHP, 7)]


def test_all_that_the_tool_knows_is_read_when_nothing_is_named():
    read = store(node(a_brand_new_setting="a")).read("shop1")
    assert read == {"php_version": "8.2", "redis_version": "6.x", "varnish_enabled": False}


def test_what_the_tool_does_not_tell_is_no_value():
    assert store(node({VARNISH: said("false  true")})).read("shop1", ["varnish_enabled"]) == {
        "varnish_enabled": UNREADABLE
    }


def test_fields_that_only_the_api_tells_cannot_be_asked_for():
    shell = node()
    with pytest.raises(InputError) as caught:
        ToolReader(lambda name: shell, CATALOGUE).read("shop1", ["type", "php_version", "name", "product"])
    assert str(caught.value) == ("shop1: --where asks for product, type, and hypernode-systemctl does not tell that")
    assert caught.value.hint == "Ask for settings, name or group only, or use via: api for this node"
    assert shell.calls == []


def test_each_node_has_a_shell_of_its_own():
    shells = {"a": node(), "b": node(php_version="8.4")}
    reader = ToolReader(shells.__getitem__, CATALOGUE)
    assert [reader.read(name, ["php_version"])["php_version"] for name in "ab"] == ["8.2", "8.4"]

    def refuse(name: str) -> FakeShell:
        raise InputError(f"{name} cannot be reached so")

    for ask in (ToolStore(refuse, CATALOGUE).read, ToolStore(refuse, CATALOGUE).blocking):
        with pytest.raises(InputError, match="cannot be reached so"):
            ask("a")


@pytest.mark.parametrize(
    ("line", "blocking"),
    [
        ("update_node t t running 5/8 x", "update_node is running"),
        ("xgrade_app - - waiting 0/8 ", "xgrade_app is waiting"),
        ("update_node t t success 8/8 finished", None),
        ("update_node t t reverted 8/8 finished", None),
        ("create_backup t t running 1/3 x", None),
        ("create_backup t t background 1/3 x\nrestore_backup_flow t t running 1/2", "restore_backup_flow is running"),
        ("", None),
    ],
)
def test_a_flow_under_way_is_seen_in_the_nodes_own_log(line, blocking):
    assert store(node({"hypernode-log": said(f"{HEADING}{line}\n")})).blocking("shop1") == blocking


# Writing


def test_changes_are_sent_one_after_the_other_by_name_and_waited_for():
    shell = node()
    update = store(shell).write("shop1", WISHED)
    assert shell.lines == [f"hypernode-systemctl settings {sent} --block" for sent in SENT]
    assert [call.stdin for call in shell.calls] == ["", "y\n", ""], "yes is said only where it is known to be asked"
    assert update.wait(900, interval=2, on_look=None) == ()
    assert shell.writes == SENT
    assert shell.values == {"php_version": "8.3", "redis_version": "7.x", "varnish_enabled": "True"}


def test_all_changes_of_a_node_share_the_time():
    now = [100.0]

    def slow(seconds: float) -> Callable[[Call], Answer]:
        def answer(call: Call) -> Answer:
            now[0] += seconds
            return said(SUCCESS)

        return answer

    shell = node({f"{PHP} 8.3 --block": slow(30), f"{REDIS} 7.x --block": slow(50)})
    with pytest.raises(OutcomeUnknown, match="the time was over before varnish_enabled was begun; changed before it"):
        store(shell, timeout=60, clock=lambda: now[0]).write("shop1", WISHED)
    assert [call.timeout for call in shell.calls if "--block" in call.argv] == [60, 30]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"new_relic_secret": Secret(f"{CANARY}one")}, SafetyError),
        ({"new_relic_app_name": None}, SafetyError),
        ({"new_relic_app_name": "-x"}, InvalidValue),
        ({"varnish_secret": "x"}, ReadOnlySetting),
        ({"php_version": "9.9"}, InvalidValue),
    ],
    ids=str,
)
def test_when_one_change_cannot_go_this_way_none_is_sent(bad, kind):
    shell = node()
    assert CANARY not in str(written(shell, kind, WISHED | bad))
    assert shell.calls == []


CERTAIN: list[tuple[Answer, type[HypernodeError]]] = [
    (REFUSED, Rejected),
    (said("Are you sure? [y/N] "), ToolAsked),
    (ConnectionFailed("no line"), ConnectionFailed),
    (KeyRefused("no key"), KeyRefused),
    (ToolMissing("no tool"), ToolMissing),
]


@pytest.mark.parametrize(("answer", "kind"), CERTAIN)
def test_an_error_that_is_certain_stays_itself_and_nothing_more_is_sent(answer, kind):
    shell = node({f"{PHP} 8.3 --block": answer})
    error = written(shell, kind)
    assert "changed before it" not in str(error)
    assert "read back" not in str(error)
    assert shell.writes == SENT[:1]
    assert len(shell.calls) == 1


def test_a_refusal_names_what_was_changed_before_it():
    shell = node({f"{VARNISH} True --block": REFUSED})
    error = written(shell, Rejected)
    assert isinstance(error, Rejected)
    assert error.fields == {"redis_version": ("not on this plan",)}
    assert str(error) == (
        "shop1: the API refused it (400): redis_version: not on this plan; "
        "changed before it: php_version, redis_version"
    )
    assert shell.writes == SENT


@pytest.mark.parametrize("answer", [REFUSED, ToolTimedOut("no end")])
def test_the_causes_of_an_error_come_to_an_end(answer):
    error: BaseException | None = written(
        node({f"{PHP} 8.3 --block": answer}), Rejected if answer is REFUSED else OutcomeUnknown
    )
    seen = []
    while error is not None:
        assert error not in seen, "an error is its own cause"
        seen.append(error)
        error = error.__cause__ or error.__context__


UNCLEAR: list[tuple[Answer, str]] = [
    (ToolTimedOut("no end"), "no end"),
    (ConnectionFailed("it dropped", maybe_applied=True), "it dropped"),
    (said("Hm."), "hypernode-systemctl answered in words that are not known: Hm."),
]


@pytest.mark.parametrize(("answer", "text"), UNCLEAR)
def test_an_unclear_end_is_told_with_what_the_node_has_and_nothing_is_sent_twice(answer, text):
    shell = node({f"{REDIS} 7.x --block": answer})
    error = written(shell, OutcomeUnknown)
    assert str(error) == (
        f"shop1: {text}; changed before it: php_version; read back, the node has "
        "php_version 8.3, redis_version 6.x, varnish_enabled false"
    )
    assert error.hint == (LATER if isinstance(answer, Exception) else WORDS_HINT)
    assert shell.writes == SENT[:2]


def test_a_question_that_was_answered_is_told_with_its_words():
    shell = node({f"{REDIS} 7.x --block": said(f"Redis will be flushed. Go on? [y/N] {SUCCESS}")})
    update = store(shell).write("shop1", WISHED)
    assert len(update.notes) == 1
    assert "Redis will be flushed. Go on? [y/N]" in update.notes[0]


def test_a_second_question_is_not_answered_and_leaves_the_outcome_open():
    shell = node({f"{REDIS} 7.x --block": said("Go on? [y/N] Really? [y/N] ")})
    error = written(shell, OutcomeUnknown)
    assert "was answered with yes, and asked again" in str(error)
    assert error.hint is not None
    assert error.hint.startswith("Do it by hand")


def test_what_is_told_after_an_unclear_end_is_as_much_as_can_be_read():
    log = said(f"{HEADING}update_node t t running 1/8 x\n")
    cut: dict[str, Answer | list[Answer]] = {f"{PHP} 8.3 --block": ToolTimedOut("no end")}
    told = {
        " php_version 8.2, and update_node is running": {"hypernode-log": log},
        " php_version 8.2": {"hypernode-log": said("no columns")},
        " php_version not set": {PHP: said("php_version is set to value None")},
        " php_version (cannot be read)": {PHP: said("8.2 8.3")},
    }
    for text, answers in told.items():
        error = written(node(cut | answers), OutcomeUnknown, {"php_version": "8.3"})
        assert str(error) == f"shop1: no end; read back, the node has{text}"
    error = written(node(cut | {PHP: ConnectionFailed("no line")}), OutcomeUnknown, {"php_version": "8.3"})
    assert str(error) == "shop1: no end; it could not be read back (no line)"


# Reading back


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        (
            {REDIS: said("redis_version is set to value 6.x"), VARNISH: said("false true")},
            NotApplied,
            "hypernode-systemctl says that it is done, and still redis_version is 6.x",
        ),
        (
            {PHP: said("php_version is set to value None")},
            NotApplied,
            "hypernode-systemctl says that it is done, and still php_version is not set",
        ),
        (
            {REDIS: said("6.x 7.x"), VARNISH: said("false true")},
            NotVerified,
            "not verified: hypernode-systemctl says that it is done, and does not tell redis_version, varnish_enabled",
        ),
        (
            {PHP: ConnectionFailed("no line")},
            OutcomeUnknown,
            "hypernode-systemctl says that it is done, and the node cannot be read back: no line",
        ),
        (
            {PHP: said("Hm.")},
            OutcomeUnknown,
            "hypernode-systemctl says that it is done, and the node cannot be read back: "
            "hypernode-systemctl answered in words that are not known: Hm.",
        ),
    ],
)
def test_what_the_tool_says_of_a_change_is_not_relied_on(answers, kind, text):
    shell = node(answers)
    update = store(shell).write("shop1", WISHED)
    with pytest.raises(kind) as caught:
        update.wait(900, interval=2, on_look=None)
    assert type(caught.value) is kind
    assert str(caught.value) == f"shop1: {text}"
    assert shell.writes == SENT


# Each node its own way


def test_each_node_is_reached_its_own_way():
    api = MemoryStore({"a": {"php_version": "8.2"}}, busy={"a": "x is running"})
    shell = node()
    ways: dict[str, Any] = {"a": api, "b": store(shell)}

    def way_of(name: str) -> Any:
        if name not in ways:
            raise NoToken(f"no way to {name}")
        return ways[name]

    each = EachStore(way_of)
    for one in (each, EachReader(way_of)):
        assert [one.read(name, ["php_version"]) for name in "ab"] == [{"php_version": "8.2"}] * 2
    assert [each.blocking(name) for name in "ab"] == ["x is running", None]
    for name in "ab":
        each.write(name, {"php_version": "8.3"}).wait(9, interval=2, on_look=None)
    assert api.writes == [("a", {"php_version": "8.3"})]
    assert shell.writes == SENT[:1]
    for ask in (each.read, each.blocking, EachReader(way_of).read, lambda name: each.write(name, {})):
        with pytest.raises(NoToken, match="no way to c"):
            ask("c")
    assert not hasattr(EachReader(MemoryReader({}).nodes.__getitem__), "write")
