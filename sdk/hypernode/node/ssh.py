"""Reaching nodes over SSH by the system's OpenSSH: users have their configuration, agents, jump hosts and keys there.

Nothing is ever asked (BatchMode), no unknown host is trusted, and the connection to a node is shared by all commands
of a run. How ssh failed is told by its words, since its exit status is 255 for everything.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from hypernode.errors import (
    ConnectionFailed,
    HostKeyRefused,
    HypernodeError,
    InputError,
    KeyRefused,
    ToolMissing,
    ToolTimedOut,
    WrongNode,
)
from hypernode.names import parent_of
from hypernode.node.shell import Output, kill, missing, run_process
from hypernode.node.sink import Sink
from hypernode.node.target import Target, check_host, check_user
from hypernode.places import APP_FILE, cat_on_node
from hypernode.refusals import tidy

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
_PERSIST = 60
"""Seconds that an unused connection outlives its last command, for the case that nobody is left to close it."""
_COMMAND_NOT_THERE = 127
_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "LogLevel=ERROR",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=auto",
    f"ControlPersist={_PERSIST}",
)


def quote(argv: Sequence[str]) -> str:
    """Return `argv` as one line for a POSIX shell, each word arriving as it is.

    Raises:
        InputError: A word holds what no command line can.
    """
    if any("\0" in word for word in argv):
        raise InputError("a value with a NUL character cannot be handed to a command")
    return shlex.join(argv)


class Ssh:
    """OpenSSH for one run; use it in a `with` block, or call `close`, which ends the shared connections.

    Args:
        config: A file for ``ssh -F``; None: the user's own configuration.
        connect_timeout: Seconds until a connection counts as impossible.
    """

    def __init__(self, *, config: Path | None = None, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._config = config
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._sockets: dict[Target, Path] = {}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._names: dict[Target, str | None] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def shell(self, target: Target, node: str | None = None) -> SshShell:
        """Return the shell for one machine; nothing is connected yet.

        Args:
            target: Where it is.
            node: Which node that has to be; None: any machine will do.
        """
        return SshShell(self, target, node)

    def name_of(self, target: Target, *, what: str, timeout: float) -> str | None:
        """Return which node a machine is by its own files, asked once; None when they do not tell (CONTRACT.md 4.4)."""
        with self._lock:
            if target in self._names:
                return self._names[target]
        answer = self.run(target, quote(cat_on_node(APP_FILE)), what=what, timeout=timeout)
        try:
            tag = json.loads(answer.out).get("tag")
        except (ValueError, RecursionError, AttributeError):
            tag = None
        name = tag if isinstance(tag, str) else None
        with self._lock:
            self._names[target] = name
        return name

    def run(
        self, target: Target, command: str, *, what: str, timeout: float, stdin: str = "", into: Sink | None = None
    ) -> Output:
        """Run one line in the remote shell; `what` names it in errors. See `SshShell.run`, and with `into` `save`."""
        # ssh answers 255 when it could not connect, when the line dropped, and when the command itself ended with 255.
        # So the remote shell says that the command begins and that it has ended, with a word that no output can hold.
        mark = f"hnctl-{secrets.token_hex(8)}"
        line = f"printf '%s\\n' {mark} >&2; {command}; printf '\\n%s %d\\n' {mark} $? >&2"
        argv = [*self._argv(target), "--", target.host, line]
        logger.debug("ssh %s@%s: %s", target.user, target.host, command)
        try:
            done = run_process(
                argv,
                timeout=self._connect_timeout + timeout,
                stdin=stdin,
                into=into,
                environment={**os.environ, "LC_ALL": "C"},  # ssh's own words are told apart
                running=self._running,
            )
        except ToolTimedOut:
            raise ToolTimedOut(
                f"{what} on {target.host} gave no answer within {self._connect_timeout + timeout:.3g} s",
                hint="The node may be overloaded; look at it with ssh, or wait longer with --timeout",
            ) from None
        except OSError as exc:
            raise ToolMissing("there is no ssh on this machine", hint="Install OpenSSH's client") from exc
        logger.debug("ssh %s@%s ended with %d", target.user, target.host, done.status)
        before, began, said = done.err.partition(f"{mark}\n")
        if not began:
            raise failure(before, target, self._config)
        ended = re.search(f"\n{mark} ([0-9]+)\n", said)
        if ended is None:
            raise dropped(target)  # without what came of the answer: it may hold a secret
        return Output(int(ended[1]), done.out, said[: ended.start()])

    def close(self) -> None:
        """End the shared connections, and what is still being asked."""
        with self._lock:
            self._closed = True
            folder, self._folder = self._folder, None
            sockets, self._sockets = self._sockets, {}
        for process in list(self._running):
            kill(process)
        for target, socket in sockets.items():
            if socket.exists():
                try:
                    run_process(["ssh", *self._file(), "-O", "exit", "-S", str(socket), "--", target.host], timeout=5)
                except (OSError, HypernodeError):
                    continue  # it ends by itself
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _argv(self, target: Target) -> list[str]:
        options = [*_OPTIONS, f"ConnectTimeout={max(1, round(self._connect_timeout))}"]
        port = [] if target.port is None else ["-p", str(target.port)]
        return [
            "ssh",
            *self._file(),
            *(word for option in options for word in ("-o", option)),
            *("-S", str(self._socket(target))),
            *("-l", check_user(target.user)),
            *port,
        ]

    def _file(self) -> list[str]:
        return [] if self._config is None else ["-F", str(self._config)]

    def _socket(self, target: Target) -> Path:
        """Return where the connection to `target` is shared: short, as a socket's path has some 100 characters."""
        with self._lock:
            if self._closed:
                raise ConnectionFailed("the run has ended, and nothing more is sent")
            if self._folder is None:
                self._folder = _private_folder()
            return self._sockets.setdefault(target, self._folder / str(len(self._sockets)))


def _private_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if 0 < len(runtime) < 40:
        with suppress(OSError):  # after su it may still be another user's
            return Path(tempfile.mkdtemp(prefix="hnctl-", dir=runtime))
    return Path(tempfile.mkdtemp(prefix="hnctl-", dir="/tmp"))  # the folder in it is ours alone


class SshShell:
    """Runs commands on one machine over SSH."""

    def __init__(self, ssh: Ssh, target: Target, node: str | None = None) -> None:
        check_host(target.host)
        self._ssh = ssh
        self._target = target
        self._node = node

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "") -> Output:
        """Run a command; see `Shell.run`.

        Raises:
            KeyRefused: The node takes none of our keys.
            HostKeyRefused: Its host key is unknown, or has changed.
            ConnectionFailed: It cannot be reached, or the line dropped; then `maybe_applied` is set.
            WrongNode: It is another node than was named; nothing was run.
        """
        return self._run(argv, timeout=timeout, stdin=stdin)

    def save(self, argv: Sequence[str], into: Sink, *, timeout: float) -> Output:
        """Run a command; see `Shell.save`, and `run` for its errors."""
        return self._run(argv, timeout=timeout, into=into)

    def _run(self, argv: Sequence[str], *, timeout: float, stdin: str = "", into: Sink | None = None) -> Output:
        if self._node is not None:
            name = self._ssh.name_of(self._target, what=argv[0], timeout=timeout)
            if name is not None and name not in (self._node, parent_of(self._node)):
                raise WrongNode(
                    f"{self._target.host} is the node {tidy(name, 60)}; nothing was done on it",
                    hint="Look at ssh: {host, port, user} in the fleet file, and at ssh's own configuration",
                    node=self._node,
                )
        done = self._ssh.run(self._target, quote(argv), what=argv[0], timeout=timeout, stdin=stdin, into=into)
        if done.status == _COMMAND_NOT_THERE:
            raise missing(argv[0], f"on {self._target.host}")
        return done


def dropped(target: Target, said: str = "") -> ConnectionFailed:
    """Return the error for a line that dropped when the command may have run; `said` are ssh's own words."""
    words = tidy(" ".join(said.split()), 300)
    return ConnectionFailed(
        f"the SSH line to {target.host} dropped before the answer was whole" + (f" ({words})" if words else ""),
        maybe_applied=True,
        hint="Run the same command again: it reads first and sends only what is missing",
    )


def failure(said: str, target: Target, config: Path | None = None) -> HypernodeError:
    """Return the error that ssh's own words stand for, when no command was begun as far as we know."""
    file = [] if config is None else ["-F", str(config)]
    port = [] if target.port is None else ["-p", str(target.port)]
    by_hand = quote(["ssh", *file, *port, f"{target.user}@{target.host}"])
    for pattern, kind, text, hint in _FAILURES:
        if re.search(pattern, said, re.MULTILINE):
            removing = re.search(r"ssh-keygen -f .+ -R .+", said)  # ssh's own advice knows the file and the port
            remove = removing[0].strip() if removing else f"ssh-keygen -R {quote([target.host])}"
            told = {"host": target.host, "user": target.user, "by_hand": by_hand, "remove": tidy(remove, 300)}
            return kind(text.format(**told), hint=hint.format(**told))
    return dropped(target, said)


_FAILURES: tuple[tuple[str, type[HypernodeError], str, str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        HostKeyRefused,
        "the host key of {host} has CHANGED: somebody may stand between, or the node was set up anew; nothing was sent",
        "Ask the platform for its key; only when it is the new one, forget the old one: {remove}",
    ),
    (
        "^No .* host key is known for|^Host key verification failed",
        HostKeyRefused,
        "the host key of {host} is unknown, and a program must not trust it for you; nothing was sent",
        "Log in once by hand, compare the key and accept it: {by_hand}",
    ),
    (
        r"^\S+: Permission denied \(|Too many authentication failures",
        KeyRefused,
        "{host} takes none of your SSH keys for the user {user}; nothing was sent",
        "Is your key on the node, and is it in your agent (ssh-add -l)? Try by hand: {by_hand}",
    ),
    (
        "^ssh: Could not resolve hostname",
        ConnectionFailed,
        "there is no address for the name {host}; nothing was sent",
        "Is the node's name right? Where else it is reached stands in the fleet file: ssh: {{host: ...}}",
    ),
    (
        "^ssh: connect to host .*: Connection refused",
        ConnectionFailed,
        "{host} refuses SSH connections; nothing was sent",
        "Is the port right, and is your address allowed on the node? Try by hand: {by_hand}",
    ),
    (
        "^ssh: connect to host .* timed out|[Tt]imed out during banner exchange",
        ConnectionFailed,
        "{host} did not answer over SSH in time; nothing was sent",
        "Is the node up, and is your address allowed on it? Try by hand: {by_hand}",
    ),
    (
        "^kex_exchange_identification: ",
        ConnectionFailed,
        "{host} closed the SSH connection before it began; nothing was sent",
        "It may have too many connections, or block your address. Try by hand: {by_hand}",
    ),
    (
        "^ssh: connect to host ",
        ConnectionFailed,
        "there is no way to {host} on the network; nothing was sent",
        "Is this machine online? Try by hand: {by_hand}",
    ),
    (
        "[Bb]ad configuration option|^Can't open user config file|^Bad owner or permissions",
        InputError,
        "ssh cannot use its configuration file",
        "Its own words are shown by: {by_hand}",
    ),
)
