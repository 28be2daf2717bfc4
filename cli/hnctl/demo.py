"""The main job, played against a sandbox: every command is run as a user would, and every outcome is checked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from hnctl.exits import Exit

if TYPE_CHECKING:
    from hypernode.sandbox.server import Sandbox

NODES = 12
FLOW_TIME = 2.0
TIMEOUT = 50.0
"""Seconds after which a command of the demo counts as stuck."""

_GROUPS = (
    ("magento", "{ php_version: 8.3, permissive_memory_management: false }"),
    ("shopware", "{ php_version: 8.2, nodejs_version: 22 }"),
    ("staging", "{ php_version: 8.4, supervisor_enabled: false }"),
)


def play() -> Exit:
    """Play the demo and tell whether every step gave what it should; it leaves nothing behind."""
    from hypernode.sandbox.server import Sandbox

    with TemporaryDirectory(prefix="hnctl-demo-") as folder, Sandbox(nodes=NODES, flow_time=FLOW_TIME) as box:
        stage = _Stage(box, Path(folder))
        drifting = box.names[0]
        stage.become(box.names[-1])
        stage.write_file()
        stage.run("validate", why="Is the fleet file good? Nothing is sent.")
        stage.run("diff", "--detailed-exitcode", why="How do the nodes differ from it?", expect=Exit.DIFFERENT)
        stage.run("apply", "--yes", why="Bring them to it, each its own way, followed until it is applied.")
        stage.run("diff", "--detailed-exitcode", why="Is anything left?")
        box.set(drifting, php_version="8.1")
        stage.say(f"Meanwhile somebody sets php_version to 8.1 on {drifting}, in the control panel.")
        stage.run("diff", "--detailed-exitcode", why="Does diff find it?", expect=Exit.DIFFERENT)
        stage.run("apply", "--yes", why="Mend it.")
        stage.run("settings", "get", "php_version", "-n", drifting, why="Is it back?", prints="8.3")
        stage.run("diff", "--detailed-exitcode", why="And all nodes are as the file says.")
        return stage.end()


class _Stage:
    """Runs one command after the other until one of them does not give what it should."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self._box = box
        self._folder = folder
        self._environment = _environment(box.url, folder)
        self._failure: str | None = None

    def become(self, node: str) -> None:
        """Make this machine the node that is reached via: local, with the node's own tools and without a token."""
        from hypernode.sandbox.node_tools import write_node_tools

        tools = self._folder / "node"
        write_node_tools(tools, node=node, token=self._box.tokens[node], api_url=self._box.url)
        tokens = {name: token for name, token in self._box.tokens.items() if name != node}
        self._environment |= {
            "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HNCTL_NODE_ROOT": str(tools / "root"),
            "HYPERNODE_API_TOKENS": json.dumps(tokens),
        }

    def write_file(self) -> None:
        text = _fleet_file(self._box.names)
        (self._folder / "fleet.yaml").write_text(text, "utf-8")
        self.say(
            f"A sandbox with {NODES} nodes in {len(_GROUPS)} groups; this machine plays the last of them, whose own "
            "hypernode-systemctl is used. The file:"
        )
        click.echo("\n".join(f"    {line}" for line in text.splitlines()))

    def say(self, text: str) -> None:
        if self._failure is None:
            click.echo("\n" + click.style(f"# {text}", fg="cyan"))

    def run(self, *arguments: str, why: str, expect: Exit = Exit.OK, prints: str | None = None) -> None:
        """Run one command; a step that does not give what it should ends the play."""
        if self._failure is not None:
            return
        self.say(why)
        shown = shlex.join(["hnctl", *arguments])
        click.echo(click.style(f"$ {shown}", bold=True))
        sys.stdout.flush()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "hnctl", *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if prints is not None else None,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._failure = f"{shown} did not end within {TIMEOUT:.0f} seconds"
            return
        if prints is not None:
            click.echo(done.stdout, nl=False)
        if done.returncode != expect:
            self._failure = f"{shown} ended with {done.returncode}, and {expect.value} was expected"
        elif prints is not None and done.stdout.strip() != prints:
            self._failure = f"{shown} did not print {prints}"

    def end(self) -> Exit:
        """Say how it went."""
        writes = [entry for entry in self._box.log() if entry.method == "PATCH"]
        if self._failure is None and any(entry.overlap for entry in writes):
            self._failure = "two changes of one node overlapped"
        tools = {entry.node for entry in writes if entry.agent == "hypernode-systemctl"}
        if self._failure is None and tools != {self._box.names[-1]}:
            self._failure = f"the node's own tool changed {', '.join(sorted(map(str, tools))) or 'nothing'}"
        if self._failure is not None:
            click.echo(f"\nThe demo failed: {self._failure}", err=True)
            return Exit.FAILED
        self.say(f"Done: {len(writes)} changes sent. Nothing is left behind.")
        return Exit.OK


def _fleet_file(names: tuple[str, ...]) -> str:
    lines = ["version: 1", "defaults:", "  settings: { modern_ssl_config_enabled: true }", "groups:"]
    for group, settings in _GROUPS:
        lines += [f"  {group}:", f"    settings: {settings}"]
    lines.append("nodes:")
    share = len(names) // len(_GROUPS)
    for index, name in enumerate(names):
        own = ", settings: { permissive_memory_management: true }" if index == 1 else ""
        own += ", via: local" if index == len(names) - 1 else ""
        lines.append(f"  {name}: {{ groups: [{_GROUPS[index // share][0]}]{own} }}")
    return "\n".join([*lines, "limits: { max_changes: 100 }", ""])


def _environment(url: str, folder: Path) -> dict[str, str]:
    """Return an environment without anything of the user's own configuration."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("HNCTL_", "HYPERNODE_", "XDG_"))
    }
    return {
        **inherited,
        "HOME": str(folder),
        "HNCTL_API_URL": url,
        "HNCTL_POLL_INTERVAL": "0.5",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
