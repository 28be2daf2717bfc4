"""Nodes to reach over SSH: a real server on 127.0.0.1, a port for each node, and all that can go wrong on the way.

It runs in a thread of its own. Faults are set from the thread of the test and count for what comes in after
that; connections that stand are left alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import asyncssh
import pytest

HOST = "127.0.0.1"
DOMAIN = "hypernode.io"
_KEY_TYPE = "ssh-ed25519"
_FIRST_PART = 16_384
"""Most bytes of an answer that is cut: small enough to be on its way at once, before the line is cut."""
_LONGEST = 10.0
_Process = asyncssh.SSHServerProcess[bytes]


@dataclass
class _Drop:
    pattern: str
    mid_answer: bool
    times: int


@dataclass
class _Node:
    """One node; its fields are replaced by the test's thread and read by the server's."""

    host_key: asyncssh.SSHKey
    listening: socket.socket
    known_key: asyncssh.SSHKey | None
    """What known_hosts says; ``None`` for no entry."""
    accepts_key: bool = True
    hangs: Literal["connect", "command"] | None = None
    drops: list[_Drop] = field(default_factory=list)


def need_ssh() -> None:
    """Skip the test where there is no OpenSSH; in CI there has to be one."""
    if shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("no ssh in PATH; in CI these tests must run")
        pytest.skip("no ssh in PATH: these tests need OpenSSH's client")


class SshNodes:
    """Nodes that listen while the ``with`` block runs; ``ssh -F CONFIG NODE.hypernode.io`` reaches them.

    A command is run for real, by ``/bin/sh -c`` in an empty folder of the node's. As with sshd it goes on when its
    client goes away; but what it leaves in the background is killed at its end, and everything at the end of the block.

    Attributes:
        config: For ``ssh -F``.
        known_hosts: The host keys that `config` trusts.
        user: The only one who is let in.
        ports: The port of each node, from the start of the block on.
        environment: The variables a node's commands get, nothing else; may be changed at any time.
        commands: (node, command line) of each command that arrived, exactly as it came, before it is run.
        logins: (node, user) of each login that succeeded.
        connections: TCP connections that each node accepted.
    """

    def __init__(self, folder: Path, nodes: Sequence[str], *, user: str = "app") -> None:
        self.folder = folder.resolve()
        self.config = self.folder / "config"
        self.known_hosts = self.folder / "known_hosts"
        self.user = user
        self.ports: Mapping[str, int] = {}
        self.environment = {node: {"PATH": os.defpath} for node in nodes}
        # The server's thread appends and adds; each such step is atomic, and no key comes or goes.
        self.commands: list[tuple[str, str]] = []
        self.logins: list[tuple[str, str]] = []
        self.connections = dict.fromkeys(nodes, 0)
        self._names = tuple(nodes)
        self._nodes: dict[str, _Node] = {}
        self._user_key = asyncssh.generate_private_key(_KEY_TYPE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._acceptors: dict[str, asyncio.Task[None]] = {}
        self._failures: list[BaseException] = []
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        host_key = asyncssh.generate_private_key(_KEY_TYPE)
        for name in self._names:
            self._home(name).mkdir(parents=True)
            listening = _bound(0)
            listening.listen(128)
            self._nodes[name] = _Node(host_key, listening, known_key=host_key)
        self.ports = {name: node.listening.getsockname()[1] for name, node in self._nodes.items()}
        self._write_files()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ssh nodes", daemon=True)
        self._thread.start()
        assert self._ready.wait(_LONGEST), "the SSH nodes did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LONGEST)
        assert not self._thread.is_alive(), "the SSH nodes did not stop"
        if self._failures:
            raise self._failures[0]

    # What can go wrong

    def refuse_key(self, node: str) -> None:
        """Let nobody in any more, whatever the key."""
        self._nodes[node].accepts_key = False

    def change_host_key(self, node: str) -> None:
        """Give the node another host key than known_hosts says."""
        self._nodes[node].host_key = asyncssh.generate_private_key(_KEY_TYPE)

    def forget_host_key(self, node: str) -> None:
        """Take the node out of known_hosts."""
        self._nodes[node].known_key = None
        self._write_known_hosts()

    def hang(self, node: str, when: Literal["connect", "command"]) -> None:
        """Never say a word, not even the version ("connect"), or after the login never run a command ("command")."""
        self._nodes[node].hangs = when

    def drop_after(self, node: str, pattern: str, *, times: int = 1) -> None:
        """Run a command that contains `pattern` to its end, then cut the connection before any of its answer."""
        self._nodes[node].drops.append(_Drop(pattern, mid_answer=False, times=times))

    def drop_mid_answer(self, node: str, pattern: str, *, times: int = 1) -> None:
        """Like `drop_after`, but the first half of stdout and of stderr is sent before the cut (16 KiB at most)."""
        self._nodes[node].drops.append(_Drop(pattern, mid_answer=True, times=times))

    def refuse_connection(self, node: str) -> None:
        """Close the port."""
        asyncio.run_coroutine_threadsafe(self._close_port(node), self._loop).result(_LONGEST)

    # Files

    def _write_files(self) -> None:
        key = self.folder / "id_ed25519"
        key.touch(0o600)
        self._user_key.write_private_key(key)
        self._write_known_hosts()
        self.config.write_text("".join(map(self._block, self._names)))

    def _home(self, node: str) -> Path:
        return self.folder / "home" / node

    def _block(self, node: str) -> str:
        return (
            f"Host {node}.{DOMAIN}\n"
            f"  HostName {HOST}\n"
            f"  Port {self.ports[node]}\n"
            f"  IdentityFile {_quoted(self.folder / 'id_ed25519')}\n"
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f"  UserKnownHostsFile {_quoted(self.known_hosts)}\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )

    def _write_known_hosts(self) -> None:
        lines = [
            f"[{HOST}]:{self.ports[name]} {node.known_key.export_public_key().decode().strip()}\n"
            for name, node in self._nodes.items()
            if node.known_key
        ]
        new = self.known_hosts.with_suffix(".new")
        new.write_text("".join(lines))
        new.replace(self.known_hosts)  # at once: an ssh to another node may be reading it

    # The server's thread

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        for name in self._names:
            self._acceptors[name] = self._start(self._accept(name))
        self._ready.set()
        await self._stop.wait()
        while self._tasks:  # a task may have started another one before it heard of the end
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        for node in self._nodes.values():
            node.listening.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._failures.append(failure)

    async def _accept(self, name: str) -> None:
        while True:
            connected, _ = await self._loop.sock_accept(self._nodes[name].listening)
            self.connections[name] += 1
            self._start(self._talk(name, connected))

    async def _close_port(self, name: str) -> None:
        self._acceptors[name].cancel()
        await asyncio.wait([self._acceptors[name]])
        node = self._nodes[name]
        node.listening.close()
        node.listening = _bound(self.ports[name])  # bound and not listening: refused, and nobody else gets the port

    async def _talk(self, name: str, connected: socket.socket) -> None:
        node = self._nodes[name]
        with connected:
            if node.hangs == "connect":
                await asyncio.Event().wait()
            with suppress(asyncssh.Error, OSError):  # the client's business: it went away, or was not let in
                connection = await asyncssh.run_server(
                    connected,
                    server_factory=lambda: _Login(self, name),
                    server_host_keys=[node.host_key],
                    process_factory=lambda process: self._receive(name, process),
                    encoding=None,
                    line_editor=False,
                    allow_pty=False,
                    x11_forwarding=False,
                    agent_forwarding=False,
                    password_auth=False,
                    kbdint_auth=False,
                    gss_host=None,
                )
                try:
                    await connection.wait_closed()
                finally:
                    connection.abort()
                    await connection.wait_closed()

    def _lets_in(self, name: str, user: str, key: asyncssh.SSHKey) -> bool:
        return self._nodes[name].accepts_key and user == self.user and key.public_data == self._user_key.public_data

    def _receive(self, name: str, process: _Process) -> None:
        if process.command is None:
            process.stderr.write(b"these nodes run commands only\n")
            process.exit(1)
            return
        self.commands.append((name, process.command))
        # Not a task of the connection's: the command goes on without it.
        self._start(self._run(name, process.command, process, process.channel.get_connection().abort))

    async def _run(self, name: str, command: str, process: _Process, cut: Callable[[], None]) -> None:
        if self._nodes[name].hangs == "command":
            await process.wait_closed()
            return
        drop = self._next_drop(name, command)
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._home(name),
            env=self.environment[name],
            start_new_session=True,
        )
        assert child.stdin
        feeding = asyncio.ensure_future(_feed(process.stdin, child.stdin))
        try:
            if drop:
                await _cut_off(child, process, cut, mid_answer=drop.mid_answer)
            else:
                await _answer(child, process)
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            child._transport.close()  # type: ignore[attr-defined]  # its pipes, which a grandchild may still hold

    def _next_drop(self, name: str, command: str) -> _Drop | None:
        for drop in self._nodes[name].drops:
            if drop.times and drop.pattern in command:
                drop.times -= 1
                return drop
        return None


class _Login(asyncssh.SSHServer):
    """Decides who is let in, by public key and nothing else."""

    def __init__(self, nodes: SshNodes, name: str) -> None:
        self._nodes, self._name = nodes, name

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True

    def auth_completed(self) -> None:
        self._nodes.logins.append((self._name, self._user))

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._nodes._lets_in(self._name, username, key)


# asyncssh's own `redirect` ends the answer with the first of stdout and stderr that is closed, and reads a stream twice
# at once when the client reads slowly; so each stream is passed on by a few lines here.


async def _answer(child: asyncio.subprocess.Process, process: _Process) -> None:
    assert child.stdout
    assert child.stderr
    await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
    status = await child.wait()
    with suppress(OSError):  # the client is gone
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)


async def _cut_off(
    child: asyncio.subprocess.Process, process: _Process, cut: Callable[[], None], *, mid_answer: bool
) -> None:
    assert child.stdout
    assert child.stderr
    out, err, _ = await asyncio.gather(child.stdout.read(), child.stderr.read(), child.wait())
    if mid_answer:
        with suppress(OSError):
            process.stdout.write(_first_part(out))
            process.stderr.write(_first_part(err))
    cut()


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncssh.Error):  # the command closed its stdin, or ended; the client is gone
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


async def _copy(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(65_536):
        with suppress(OSError, asyncssh.Error):  # the client is gone, the command goes on
            target.write(data)
            await target.drain()


def _first_part(data: bytes) -> bytes:
    return data[: min((len(data) + 1) // 2, _FIRST_PART)]


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
