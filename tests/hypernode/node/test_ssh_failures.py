"""Why ssh did not get to a command is told by its words (OpenSSH 9.2), as its exit status is 255 for everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import ConnectionFailed, HostKeyRefused, HypernodeError, InputError, KeyRefused
from hypernode.node.ssh import Ssh, failure
from hypernode.node.target import Target

CHANGED = (
    f"{'@' * 59}\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n{'@' * 59}\r\n"
    "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n"
    "Host key for [127.0.0.1]:2222 has changed and you have requested strict checking.\r\n"
    "Host key verification failed.\r\n"
)
UNKNOWN = (
    "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\n"
    "Host key verification failed.\r\n"
)
BAD_CONFIG = (
    "/x/config: line 1: Bad configuration option: hots\r\n/x/config: terminating, 1 bad configuration options\r\n"
)
NO_CONFIG = "Can't open user config file /x/config: No such file or directory\r\n"
CONNECT = "ssh: connect to host 127.0.0.1 port 2222: "
BY_HAND = "ssh app@shop1.io"

FAILURES: list[tuple[str, type[HypernodeError], str, str]] = [
    (
        CHANGED,
        HostKeyRefused,
        "the host key of shop1.io has CHANGED: somebody may stand between, or the node was set up anew; "
        "nothing was sent",
        "Ask the platform for its key; only when it is the new one, forget the old one: ssh-keygen -R shop1.io",
    ),
    (
        UNKNOWN,
        HostKeyRefused,
        "the host key of shop1.io is unknown, and a program must not trust it for you; nothing was sent",
        f"Log in once by hand, compare the key and accept it: {BY_HAND}",
    ),
    (
        "app@127.0.0.1: Permission denied (publickey).\r\n",
        KeyRefused,
        "shop1.io takes none of your SSH keys for the user app; nothing was sent",
        f"Is your key on the node, and is it in your agent (ssh-add -l)? Try by hand: {BY_HAND}",
    ),
    (
        "ssh: Could not resolve hostname nosuch.invalid: Name or service not known\r\n",
        ConnectionFailed,
        "there is no address for the name shop1.io; nothing was sent",
        "Is the node's name right? Where else it is reached stands in the fleet file: ssh: {host: ...}",
    ),
    (
        f"{CONNECT}Connection refused\r\n",
        ConnectionFailed,
        "shop1.io refuses SSH connections; nothing was sent",
        f"Is the port right, and is your address allowed on the node? Try by hand: {BY_HAND}",
    ),
    *(
        (
            words,
            ConnectionFailed,
            "shop1.io did not answer over SSH in time; nothing was sent",
            f"Is the node up, and is your address allowed on it? Try by hand: {BY_HAND}",
        )
        for words in (f"{CONNECT}Connection timed out\r\n", "Connection timed out during banner exchange\r\n")
    ),
    *(
        (
            words,
            ConnectionFailed,
            "shop1.io closed the SSH connection before it began; nothing was sent",
            f"It may have too many connections, or block your address. Try by hand: {BY_HAND}",
        )
        for words in (
            "kex_exchange_identification: Connection closed by remote host\r\n",
            "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 127.0.0.1\r\n",
        )
    ),
    *(
        (
            f"{CONNECT}{words}\r\n",
            ConnectionFailed,
            "there is no way to shop1.io on the network; nothing was sent",
            f"Is this machine online? Try by hand: {BY_HAND}",
        )
        for words in ("No route to host", "Network is unreachable")
    ),
    *(
        (words, InputError, "ssh cannot use its configuration file", f"Its own words are shown by: {BY_HAND}")
        for words in (BAD_CONFIG, NO_CONFIG)
    ),
]


@pytest.mark.parametrize(("said", "kind", "text", "hint"), FAILURES)
def test_each_failure_of_ssh_is_an_error_of_its_own(said, kind, text, hint):
    error = failure(said, Target("shop1.io"))
    assert type(error) is kind
    assert (error.message, error.hint) == (text, hint)
    if isinstance(error, ConnectionFailed):
        assert not error.maybe_applied


@pytest.mark.parametrize(("said", "kind", "text", "hint"), FAILURES)
def test_a_failure_is_told_the_same_through_the_shell_and_nothing_is_sent_twice(fake, said, kind, text, hint):
    fake.says(said)
    with Ssh() as ssh, pytest.raises(kind) as caught:
        ssh.shell(Target("shop1.io")).run(["hypernode-log"], timeout=20)
    assert (type(caught.value), caught.value.message, caught.value.hint) == (kind, text, hint)
    assert len(fake.calls) == 1


@pytest.mark.parametrize("before", ["Warning: odd\r\n", "** WARNING: connection is not using post-quantum\r\n\r\n"])
@pytest.mark.parametrize(("said", "kind", "text", "hint"), FAILURES)
def test_a_warning_before_it_changes_nothing(before, said, kind, text, hint):
    error = failure(before + said, Target("shop1.io"))
    assert (type(error), error.message) == (kind, text)


def test_what_to_try_by_hand_reaches_the_same_place_and_can_be_pasted():
    target = Target("shop1.io", "deploy", 2222)
    error = failure(f"{CONNECT}Connection refused\r\n", target, Path("/home/jane/my config"))
    assert error.hint is not None
    assert error.hint.endswith("Try by hand: ssh -F '/home/jane/my config' -p 2222 deploy@shop1.io")


@pytest.mark.parametrize("config", ["/x/{host}", "/x/{", "/x/%s"])
def test_a_place_with_odd_letters_is_shown_as_it_is(config):
    error = failure("app@127.0.0.1: Permission denied (publickey).\r\n", Target("shop1.io"), Path(config))
    assert error.hint is not None
    assert config in error.hint


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Connection to 127.0.0.1 closed by remote host.\r\n",
        "cat: /x: Permission denied\n",
        "the host said: ssh: connect to host\n",
        "Connection reset by 127.0.0.1 port 2222\r\n",
    ],
)
def test_other_words_may_mean_that_the_command_was_run(said):
    error = failure(said, Target("shop1.io"))
    assert type(error) is ConnectionFailed
    assert error.maybe_applied


@given(st.text())
def test_any_words_are_one_printable_line_of_bounded_length(said):
    error = failure(said, Target("shop1.io"))
    assert len(str(error)) < 500
    assert not any(letter in str(error) for letter in "\n\r\x1b\x07\x9b")
