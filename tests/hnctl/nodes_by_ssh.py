"""Nodes of a sandbox that are reached in every way: through the API, by a real SSH server, and as this machine."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypernode.sandbox.node_tools import write_node_tools
from hypernode.sandbox.server import Sandbox
from ssh_nodes import SshNodes

TOOL = "hypernode-systemctl"
WHEN_CHANGED = '[ $# = 2 ] && exec "$OWN" "$@"'
"""For a stand-in of the tool: reading a setting is left to its own one."""


class NodesBySsh:
    """The nodes of a sandbox, each with its tools, behind an SSH server.

    Attributes:
        box: The sandbox.
        ssh: The server.
        folder: Holds all that belongs to the nodes.
        runtime: Where hnctl keeps its connections for the time of a run.
    """

    def __init__(self, box: Sandbox, ssh: SshNodes, folder: Path, runtime: Path) -> None:
        self.box, self.ssh, self.folder, self.runtime = box, ssh, folder, runtime
        self._tools = folder / "tools"
        for node in box.names:
            tools = self._tools / node
            write_node_tools(tools, node=node, token=box.tokens[node], api_url=box.url)
            (tools / "first").mkdir()
            path = f"{tools / 'first'}:{tools / 'bin'}:/usr/bin:/bin"
            ssh.environment[node] = {"PATH": path, "HNCTL_NODE_ROOT": str(tools / "root")}

    def stand_in(self, node: str, script: str, tool: str = TOOL) -> None:
        """Put a script for sh before the node's own tool, which it can call as "$OWN"."""
        path = self._tools / node / "first" / tool
        path.write_text(f"#!/bin/sh\nOWN='{self._tools / node / 'bin' / tool}'\n{script}\n")
        path.chmod(0o755)

    def remove(self, node: str, tool: str = TOOL) -> None:
        """Take a tool off the node."""
        (self._tools / node / "bin" / tool).unlink()

    def root(self, node: str) -> Path:
        """Return what is ``/`` on the node."""
        return self._tools / node / "root"

    def stand_on(self, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this machine be `node`; ssh is still found."""
        variables = self.ssh.environment[node]
        monkeypatch.setenv("PATH", f"{variables['PATH']}:{os.environ['PATH']}")
        monkeypatch.setenv("HNCTL_NODE_ROOT", variables["HNCTL_NODE_ROOT"])

    def only(self, way: str, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, Any] | None = None) -> str:
        """Return the one node of a fleet file, with all that it takes to reach it by `way`: api, ssh or local."""
        node = self.box.names[0]
        write_fleet({node: f"via: {way}"}, settings or {})
        if way == "api":
            give_tokens(self.box, monkeypatch, node)
        elif way == "local":
            self.stand_on(node, monkeypatch)
        return node

    def log(self) -> list[tuple[str, str, str]]:
        """Return (node, settings, way) of each write that the sandbox saw, sorted."""
        return sorted(
            (entry.node, ", ".join(entry.settings), "tool" if entry.agent == TOOL else entry.agent.partition("/")[0])
            for entry in self.box.log()
            if entry.method == "PATCH"
        )

    def sent(self) -> str:
        """Return all command lines that arrived over SSH."""
        return "\n".join(command for _, command in self.ssh.commands)

    def left_behind(self) -> list[str]:
        """Return folders and processes of SSH connections that outlive their run."""
        return [*map(str, self.runtime.iterdir()), *_processes_with(str(self.runtime))]


@contextmanager
def reach_nodes(folder: Path, monkeypatch: pytest.MonkeyPatch, *, nodes: int) -> Iterator[NodesBySsh]:
    """Start a sandbox with its nodes behind SSH, and let hnctl find both.

    Without a token in the environment; at the end no connection may be left.
    """
    runtime = Path(tempfile.mkdtemp(prefix="hn-"))  # not below tmp_path: a socket's path has to be short
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    try:
        with Sandbox(nodes=nodes, flow_time=0.1) as box, SshNodes(folder / "ssh", box.names) as ssh:
            monkeypatch.setenv("HNCTL_API_URL", box.url)
            monkeypatch.setenv("HNCTL_POLL_INTERVAL", "50ms")
            monkeypatch.setenv("HNCTL_TIMEOUT", "5s")
            monkeypatch.setenv("HNCTL_SSH_CONFIG", str(ssh.config))
            reached = NodesBySsh(box, ssh, folder, runtime)
            yield reached
            assert soon(lambda: not reached.left_behind()), reached.left_behind()
    finally:
        shutil.rmtree(runtime)


def give_tokens(box: Sandbox, monkeypatch: pytest.MonkeyPatch, *nodes: str) -> None:
    """Put the tokens of `nodes` into the environment, and no others."""
    monkeypatch.setenv("HYPERNODE_API_TOKENS", json.dumps({node: box.tokens[node] for node in nodes}))


def write_fleet(nodes: Mapping[str, str], settings: Mapping[str, Any], path: Path = Path("fleet.yaml")) -> None:
    """Write a fleet file; `nodes` maps each to what the file says of its way, such as ``via: ssh``."""
    lines = ["version: 1", f"defaults: {{settings: {json.dumps(settings)}}}", "nodes:"]
    lines += [f"  {node}: {{{way}}}" for node, way in nodes.items()]
    path.write_text("\n".join([*lines, ""]))


def soon(true: Callable[[], object], *, seconds: float = 5.0) -> bool:
    """Wait until it is true, but not for long, and tell whether it is."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(true())


def _processes_with(text: str) -> list[str]:
    """Return the command lines of processes that hold `text`; a shared connection has the path of its socket there."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if text in line:
            found.append(line)
    return found
