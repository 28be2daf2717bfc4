"""Commands over SSH, with an `ssh` that notes how it is called; against a real server they are tested elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ssh import FakeSsh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypernode.errors import ConnectionFailed, InputError, ToolMissing, ToolTimedOut
from hypernode.node.shell import Output
from hypernode.node.ssh import Ssh, quote
from hypernode.node.target import Target

SHOP1 = Target("shop1.hypernode.io")
CANARY = "canary-5e3f"
REAL_SSH = shutil.which("ssh")
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
shared = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def ssh(fake: FakeSsh) -> Iterator[Ssh]:
    with Ssh() as ssh:
        yield ssh


def sh(ssh: Ssh, script: str, *more: str, timeout: float = 20.0, stdin: str = "") -> Output:
    return ssh.shell(SHOP1).run(["/bin/sh", "-c", script, "sh", *more], timeout=timeout, stdin=stdin)


# The line for the remote shell


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=5))
def test_every_word_arrives_as_it_is_through_a_shell(argv):
    argv = [*argv, "", "~", "$HOME `id` $(id) ; * && ! #", "'\"\\", "a\nb", "-x"]
    done = subprocess.run(["/bin/sh", "-c", f"printf '%s\\0' {quote(argv)}"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == argv


def test_a_nul_cannot_be_handed_over(ssh, fake):
    with pytest.raises(InputError) as caught:
        sh(ssh, "true", "a\0b")
    assert str(caught.value) == "a value with a NUL character cannot be handed to a command"
    assert fake.calls == []


@shared
@given(words, words, st.sampled_from([0, 1, 2, 126, 128, 137, 254, 255]))
def test_both_streams_and_the_status_come_back_as_they_are(ssh, out, err, status):
    done = sh(ssh, 'printf %s "$1"; printf %s "$2" >&2; exit "$3"', out, err, str(status))
    assert (done.out.encode(), done.err.encode(), done.status) == (out.encode(), err.encode(), status)


@pytest.mark.parametrize(
    "text",
    [
        "app@127.0.0.1: Permission denied (publickey).\r\n",
        "ssh: connect to host 127.0.0.1 port 22: Connection refused\r\n",
        "Host key verification failed.\r\n",
        "\nhnctl-0123456789abcdef 0\n",
        "hnctl-0123456789abcdef\n",
    ],
)
def test_what_the_command_says_is_never_taken_for_words_of_ssh(ssh, text):
    assert sh(ssh, 'printf %s "$1" >&2; exit 255', text) == Output(255, "", text)


def test_odd_bytes_are_no_error(ssh):
    done = sh(ssh, r"printf 'a\377\000z'; printf '\200' >&2")
    assert (done.out, done.err) == ("a\ufffd\0z", "\ufffd")


def test_what_the_remote_shell_says_at_its_start_is_no_part_of_the_answer(ssh, fake):
    fake.answers('printf "profile: oops" >&2; exec /bin/sh -c "$line"')
    assert sh(ssh, "echo err >&2; exit 3") == Output(3, "", "err\n")


@pytest.mark.parametrize("stdin", ["y\n", "é\n" * 100_000])
def test_what_it_may_read_arrives_and_then_ends(ssh, stdin):
    assert sh(ssh, "cat", stdin=stdin).out == stdin
    assert sh(ssh, "cat").out == ""


def test_a_command_that_is_not_there_is_missing(ssh):
    with pytest.raises(ToolMissing) as caught:
        ssh.shell(SHOP1).run(["hypernode-no-such-tool", "x"], timeout=5)
    assert str(caught.value) == "there is no hypernode-no-such-tool on shop1.hypernode.io"
    assert caught.value.hint == "Every Hypernode has it: is this one?"


def test_at_the_time_limit_it_is_killed(fake):
    with Ssh(connect_timeout=0.2) as ssh, pytest.raises(ToolTimedOut) as caught:
        sh(ssh, "sleep 60", timeout=0.2)
    assert str(caught.value) == "/bin/sh on shop1.hypernode.io gave no answer within 0.4 s"


# A line that drops

_CUT = """
/bin/sh -c "$line" >{folder}/out 2>{folder}/err
cat {folder}/out
head -c -{missing} {folder}/err >&2
printf %s {words} >&2
exit 255
"""


@pytest.mark.parametrize("closing", ["''", "'Connection to 127.0.0.1 closed by remote host.\r\n'"], ids=["", "words"])
@pytest.mark.parametrize("missing", [*range(1, 8), 20, 25, 26, 30, 31, 40, 57])
def test_an_answer_that_is_cut_anywhere_is_never_taken_for_a_whole_one(ssh, fake, tmp_path, missing, closing):
    fake.answers(_CUT.format(folder=tmp_path, missing=missing, words=closing))
    try:
        done = sh(ssh, "echo out; echo err >&2; exit 12")
    except ConnectionFailed as exc:
        assert exc.maybe_applied  # noqa: PT017  # a status that came whole is right too
    else:
        assert (done.status, done.err) == (12, "err\n")


@pytest.mark.parametrize("closing", ["", "Connection to 127.0.0.1 closed by remote host.\r\n"])
def test_a_line_that_dropped_after_the_command_began_shows_nothing_of_what_it_said(ssh, fake, closing):
    begin = 'printf "%s\\n" "$line" | sed -n "s/.* \\(hnctl-[0-9a-f]*\\) >&2; .*; printf.*/\\1/p" >&2'
    fake.answers(f"{begin}; printf %s '{CANARY}{closing}' >&2; echo {CANARY}; exit 255")
    with pytest.raises(ConnectionFailed) as caught:
        sh(ssh, "true")
    assert type(caught.value) is ConnectionFailed
    assert caught.value.maybe_applied
    assert str(caught.value).startswith("the SSH line to shop1.hypernode.io dropped before the answer was whole")
    assert caught.value.hint == "Run the same command again: it reads first and sends only what is missing"
    assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__context__}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", ""),
        (
            "Connection to 127.0.0.1 closed by remote host.\r\n",
            " (Connection to 127.0.0.1 closed by remote host.)",
        ),
        ("odd\x1b[2J\r\nwords\n", " (odd [2J words)"),
    ],
)
def test_a_line_that_dropped_before_the_command_began_may_have_been_used_all_the_same(ssh, fake, said, shown):
    fake.says(said)
    with pytest.raises(ConnectionFailed) as caught:
        sh(ssh, "true")
    assert caught.value.maybe_applied
    assert str(caught.value) == f"the SSH line to shop1.hypernode.io dropped before the answer was whole{shown}"


# How ssh is called


def test_ssh_gets_what_the_target_says(fake, tmp_path):
    config = tmp_path / "my config"
    with Ssh(config=config, connect_timeout=7) as ssh:
        ssh.shell(Target("2001:db8::7", "deploy", 2222)).run(["echo", "it's"], timeout=20)
        (call,) = fake.calls
        assert call.argv[:2] == ["-F", str(config)]
        assert (call.after("-l"), call.after("-p")) == ("deploy", "2222")
        assert call.argv[-3:-1] == ["--", "2001:db8::7"]
        assert "; echo 'it'\"'\"'s'; " in call.argv[-1]
        assert call.options["ConnectTimeout"] == "7"


def test_what_is_not_said_is_left_to_the_configuration_of_ssh(ssh, fake):
    sh(ssh, "true")
    (call,) = fake.calls
    assert not {"-F", "-p"} & set(call.argv)
    assert call.after("-l") == "app"
    assert call.locale == "C"


SAFE = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "ControlMaster": "auto",
    "ControlPersist": "60",
    "ConnectTimeout": "10",
}


def test_nothing_is_asked_or_trusted_or_forwarded(ssh, fake):
    sh(ssh, "true")
    options = fake.calls[0].options
    assert options | SAFE == options


@pytest.mark.skipif(REAL_SSH is None, reason="no OpenSSH here")
def test_openssh_understands_every_option(fake):
    with Ssh(config=Path("/dev/null")) as ssh:
        ssh.shell(SHOP1).run(["true"], timeout=20)
        call = fake.calls[0]
    done = subprocess.run([str(REAL_SSH), "-G", *call.argv], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    effective = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    for name, value in SAFE.items():
        assert effective.get(name.lower(), value) in (value, {"yes": "true", "no": "false"}.get(value)), name
    assert (effective["hostname"], effective["user"]) == ("shop1.hypernode.io", "app")
    assert effective["controlpath"] == call.after("-S")


@pytest.mark.parametrize("target", [Target("-oProxyCommand=id"), Target("a b"), Target("shop1", user="-l")])
def test_a_target_that_ssh_could_take_for_an_option_is_refused_before_anything_is_run(ssh, fake, target):
    with pytest.raises(InputError):
        ssh.shell(target).run(["true"], timeout=5)
    assert fake.calls == []


@pytest.mark.parametrize("there", ["nothing", "no program"])
def test_without_ssh_it_is_said_what_to_install(tmp_path, monkeypatch, there):
    if there == "no program":
        (tmp_path / "ssh").write_text("not executable")
    monkeypatch.setenv("PATH", str(tmp_path))
    with Ssh() as ssh, pytest.raises(ToolMissing) as caught:
        sh(ssh, "true")
    assert str(caught.value) == "there is no ssh on this machine"
    assert caught.value.hint == "Install OpenSSH's client"
