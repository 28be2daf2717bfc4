"""hypernode-servicectl, and the questions to MySQL around a restart (CONTRACT.md 4.2)."""

from __future__ import annotations

import pytest

from fake_shell import FakeShell, said
from hypernode.errors import (
    ConnectionFailed,
    InputError,
    KeyRefused,
    OutcomeUnknown,
    ToolError,
    ToolMissing,
    ToolTimedOut,
)
from hypernode.node.servicectl import Servicectl, check_service, known_services
from hypernode.node.shell import Output, Shell

PING = "mysqladmin ping"


class Clock:
    """Seconds that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 100, "it waits for ever"
        self.slept.append(seconds)
        self.now += seconds


class AnyQuery(FakeShell):
    """Answers whatever is asked of ``mysql`` with `answer`."""

    def __init__(self, answer: Output | Exception) -> None:
        super().__init__()
        self.answer = answer

    def run(self, argv, *, timeout, stdin=""):
        assert argv[0] == "mysql"
        if isinstance(self.answer, Exception):
            raise self.answer
        self._answers[tuple(argv)] = [self.answer]
        return super().run(argv, timeout=timeout, stdin=stdin)


def tool(shell: Shell, clock: Clock | None = None) -> Servicectl:
    clock = clock or Clock()
    return Servicectl(shell, node="shop1", sleep=clock.sleep, clock=clock)


@pytest.mark.parametrize("action", ["restart", "reload"])
@pytest.mark.parametrize("services", [["mysql"], ["php8.3-fpm", "nginx"], ["techaro-botstopper@default"]])
def test_services_are_handed_over_as_they_are(action, services):
    line = f"hypernode-servicectl {action} {' '.join(services)}"
    shell = FakeShell({line: said("anything at all", "and more")})
    tool(shell).do(action, services, timeout=33)
    assert shell.calls == [(tuple(line.split()), "", 33)]


def test_what_the_tool_says_of_a_failure_is_shown_whole():
    shell = FakeShell({"hypernode-servicectl restart mysql": said("out\n", "no such\nservice\x1b[2J", 3)})
    with pytest.raises(ToolError) as caught:
        tool(shell).do("restart", ["mysql"])
    assert str(caught.value) == "shop1: hypernode-servicectl ended with 3: out / no such / service [2J"
    assert shell.calls[0].timeout == 120


@pytest.mark.parametrize("error", [ToolMissing("no tool"), KeyRefused("no key"), ConnectionFailed("no way")])
def test_a_command_that_was_never_run_stays_that_error(error):
    shell = FakeShell({"hypernode-servicectl reload nginx": error})
    with pytest.raises(type(error)) as caught:
        tool(shell).do("reload", ["nginx"])
    assert caught.value is error


@pytest.mark.parametrize("error", [ToolTimedOut("no end"), ConnectionFailed("no end", maybe_applied=True)])
def test_a_command_that_was_cut_off_may_have_been_done_and_is_not_run_again(error):
    shell = FakeShell({"hypernode-servicectl restart nginx": error})
    with pytest.raises(OutcomeUnknown) as caught:
        tool(shell).do("restart", ["nginx"])
    assert str(caught.value) == "shop1: no end; whether the restart was done is not known"
    assert caught.value.hint == "Look at the services on the node before it is done again"
    assert len(shell.calls) == 1


@pytest.mark.parametrize(
    "name", ["", "-h", "--version", "my sql", "mysql;id", "mysql\n", "../x", "@default", "MySQL", "é", "x" * 101]
)
def test_what_cannot_be_a_service_is_refused_before_anything_is_run(name):
    shell = FakeShell()
    with pytest.raises(InputError) as caught:
        tool(shell).do("restart", ["mysql", name])
    assert str(caught.value) == f"{name[:60]!r} is no name of a service"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Known are mysql, nginx, php5.6-fpm, ")
    assert shell.calls == []


def test_every_known_service_can_be_named():
    services = known_services()
    assert services == sorted(set(services))
    assert {"mysql", "php8.3-fpm", "redis", "techaro-botstopper@default"} <= set(services)
    assert [check_service(name) for name in services] == services


def test_running_queries_come_line_by_line():
    shell = AnyQuery(said("12 s: SELECT 1\n\n3 s: UPDATE orders SET x = 'a  b'\n"))
    assert tool(shell).running_queries() == ["12 s: SELECT 1", "3 s: UPDATE orders SET x = 'a  b'"]
    (call,) = shell.calls
    assert call.argv[:4] == ("mysql", "--batch", "--raw", "--skip-column-names")
    assert call.argv[4].startswith("--execute=SELECT ")
    assert "information_schema.PROCESSLIST" in call.argv[4]
    assert (call.stdin, call.timeout) == ("", 10)


@pytest.mark.parametrize("out", ["", "\n"])
def test_no_running_query_is_an_empty_list(out):
    assert tool(AnyQuery(said(out))).running_queries() == []


@pytest.mark.parametrize("answer", [said("half\n", "Access denied", 1), ToolMissing("no mysql"), ToolTimedOut("busy")])
def test_queries_that_cannot_be_seen_are_none(answer):
    assert tool(AnyQuery(answer)).running_queries() is None


def test_a_node_that_cannot_be_reached_is_no_node_without_queries():
    with pytest.raises(ConnectionFailed):
        tool(AnyQuery(ConnectionFailed("no line"))).running_queries()


def test_waiting_ends_as_soon_as_mysql_answers():
    clock = Clock()
    shell = FakeShell({PING: [said("", "no", 1), ToolTimedOut("busy"), said("mysqld is alive\n")]})
    assert tool(shell, clock).wait_for_mysql(60) is True
    assert shell.lines == [PING] * 3
    assert clock.slept == [1.0, 1.0]


def test_waiting_ends_at_its_time_limit():
    clock = Clock()
    shell = FakeShell({PING: said("", "no", 1)})
    assert tool(shell, clock).wait_for_mysql(3) is False
    assert clock.slept == [1.0] * 3


def test_mysql_is_asked_once_even_without_time():
    shell = FakeShell({PING: said()})
    assert tool(shell).wait_for_mysql(0) is True


def test_without_mysqladmin_nobody_knows():
    shell = FakeShell({PING: ToolMissing("no mysqladmin")})
    assert tool(shell).wait_for_mysql(60) is None
    assert shell.lines == [PING]
