"""The connection that the commands to a node share: where its socket is, and that it ends with the run."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from hypernode.node.ssh import Ssh
from hypernode.node.target import Target

SHOP1 = Target("shop1.hypernode.io")


def true(ssh: Ssh) -> None:
    ssh.shell(SHOP1).run(["true"], timeout=20)


def test_the_connection_is_shared_in_a_folder_of_ones_own_and_ended_at_the_close(fake, tmp_path):
    config = tmp_path / "config"
    with Ssh(config=config) as ssh:
        for host in ("shop1.hypernode.io", "shop2.hypernode.io", "shop1.hypernode.io"):
            ssh.shell(Target(host)).run(["true"], timeout=20)
        first, second, third = (Path(call.after("-S")) for call in fake.calls)
        assert first == third != second
        assert first.parent == second.parent
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
        assert len(str(first)) + 20 < 100, "ssh binds it with a suffix first, and a path may have some 100 characters"
    assert [call.argv for call in fake.calls[3:]] == [
        ["-F", str(config), "-O", "exit", "-S", str(first), "--", "shop1.hypernode.io"],
        ["-F", str(config), "-O", "exit", "-S", str(second), "--", "shop2.hypernode.io"],
    ]
    assert not first.parent.exists()


def test_it_is_ended_when_the_run_fails_and_only_once(fake):
    ssh = Ssh()

    def fail() -> None:
        with ssh:
            true(ssh)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    ssh.close()
    assert len(fake.calls) == 2
    assert not Path(fake.calls[0].after("-S")).parent.exists()


def test_a_connection_that_never_was_is_not_ended(fake):
    ssh = Ssh()
    fake.answers('exec /bin/sh -c "$line"')
    true(ssh)
    ssh.close()
    (call,) = fake.calls
    assert not Path(call.after("-S")).parent.exists()


def test_nothing_is_made_before_the_first_command(fake):
    with Ssh() as ssh:
        ssh.shell(SHOP1)
    assert fake.calls == []


def test_the_folder_is_made_where_the_session_keeps_such_things(fake, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with Ssh() as ssh:
            true(ssh)
            assert Path(fake.calls[0].after("-S")).parent.parent == Path(runtime)


@pytest.mark.parametrize("runtime", ["", "/no/such/folder", "/sys", "/proc", "too long"])
def test_the_folder_is_made_elsewhere_where_that_place_cannot_be_used(fake, monkeypatch, tmp_path, runtime):
    # /run/user/1000 stays in the environment of whoever becomes another user with su.
    long = tmp_path / ("x" * 50)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long) if runtime == "too long" else runtime)
    with Ssh() as ssh:
        true(ssh)
        assert Path(fake.calls[0].after("-S")).parent.parent == Path("/tmp")
