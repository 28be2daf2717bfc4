"""Where a node is reached: nothing that ssh could take for anything but a host, a user and a port."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import InputError
from hypernode.node.target import DEFAULT_HOST, DEFAULT_USER, Target, check_host, check_port, check_user


@pytest.mark.parametrize(
    "host",
    [
        "shop1.hypernode.io",
        "shop1-eph7h2k9q.hypernode.io",
        "SHOP_1",
        "my_alias",
        "192.0.2.7",
        "2001:db8::7",
        "fe80::1",
        "::1",
        "2001:db8::",
        "{node}",
        "{node}.hypernode.io",
        "jump-{node}",
        "x",
        "x" * 254,
    ],
)
def test_names_and_addresses_are_hosts(host):
    assert check_host(host) == host


NO_WORDS = ["", " ", "a b", "a\tb", "a\n", "\na", "a\0", "é", "a;id", "$(id)", "`id`", "a'b", 'a"b', "a\\b", "*"]


@pytest.mark.parametrize(
    "host",
    [
        *NO_WORDS,
        "-oProxyCommand=id",
        "-v",
        "--",
        "-{node}",
        "app@shop1",
        "ssh://shop1",
        "shop1/x",
        "[2001:db8::7]",
        "{node",
        "{}",
        "{name}",
        "{node.__class__}",
        "%h",
        "x" * 255,
    ],
)
def test_what_ssh_could_take_for_something_else_is_no_host(host):
    with pytest.raises(InputError) as caught:
        check_host(host)
    assert str(caught.value).endswith(" is no host")
    assert caught.value.hint == "Write a name or an address, such as {node}.hypernode.io"


@pytest.mark.parametrize("user", ["app", "root", "_deploy", "jane.doe", "x-1", "A" * 32])
def test_names_of_users(user):
    assert check_user(user) == user


@pytest.mark.parametrize("user", [*NO_WORDS, "-l", "-oProxyCommand=id", "app@shop1", "1app", "a:b", "a/b", "A" * 33])
def test_what_is_no_name_of_a_user(user):
    with pytest.raises(InputError) as caught:
        check_user(user)
    assert str(caught.value).endswith(" is no name of a user")
    assert caught.value.hint == "On a Hypernode it is app"


@pytest.mark.parametrize("check", [check_host, check_user])
def test_what_is_refused_is_shown_short_and_on_one_line(check):
    with pytest.raises(InputError) as caught:
        check("a\x1b[2J\n" + "x" * 500)
    assert len(str(caught.value)) < 100
    assert str(caught.value).isprintable()


@given(st.integers(1, 65535))
def test_every_port_is_one(port):
    assert check_port(str(port)) == port


@pytest.mark.parametrize(
    "text",
    ["", "0", "00000", "65536", "99999", "100000", "-1", "+22", " 22", "22 ", "22\n", "2_2", "22.0", "٢٢", "ssh"],
)
def test_what_is_no_port(text):
    with pytest.raises(InputError) as caught:
        check_port(text)
    assert str(caught.value) == "the port must be a number from 1 to 65535"


@given(st.text() | st.from_regex(r"[-\[]?[A-Za-z0-9.:@{}%_-]*\n?", fullmatch=True))
def test_no_host_and_no_user_has_anything_that_ssh_or_a_shell_reads_otherwise(text):
    for check in (check_host, check_user):
        try:
            check(text)
        except InputError:
            continue
        assert re.fullmatch(r"[A-Za-z0-9_.:-]+", text.replace("{node}", "node"), re.ASCII)
        assert not text.startswith("-")


def test_the_defaults_are_those_of_a_hypernode():
    assert Target("shop1.hypernode.io") == ("shop1.hypernode.io", "app", None)
    assert check_host(DEFAULT_HOST) == "{node}.hypernode.io"
    assert check_user(DEFAULT_USER) == "app"
