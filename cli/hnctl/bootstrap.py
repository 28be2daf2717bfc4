"""Fetching the tokens of many nodes over SSH, trying each against the API, and keeping or exporting them.

Tokens go from the line into the keyring, a private file or the stdin of a command; nothing else ever sees one.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from hnctl.connection import Connection
from hnctl.printing import print_note
from hnctl.render.progress import progress
from hypernode.api.client import Client
from hypernode.credentials import TOKEN_FILE, explicit
from hypernode.errors import CredentialsError, HypernodeError, ToolError
from hypernode.fleet.executors import as_they_end
from hypernode.names import parent_of
from hypernode.node.shell import Shell
from hypernode.places import cat_on_node
from hypernode.private_files import replace_file
from hypernode.secrets import Secret

Form = Literal["github", "gitlab", "env"]
_LONGEST_GITHUB_SECRET = 48 * 1024


def owners(nodes: Sequence[str]) -> list[str]:
    """Return the nodes whose tokens `nodes` use: a Brancher uses its parent's (CONTRACT.md 1.1)."""
    return list(dict.fromkeys(parent_of(node) or node for node in nodes))


def fetch_tokens(
    link: Connection, nodes: Sequence[str], shell_of: Callable[[str], Shell], keep: Callable[[str, Secret], None]
) -> dict[str, HypernodeError]:
    """Read the token of each node on the node itself, try it, and hand those that work to `keep`.

    Args:
        link: The way to the API.
        nodes: Their names.
        shell_of: Returns what runs commands on a node.
        keep: Called on this thread, node by node as they come in; what it raises ends everything.

    Returns:
        Why it failed for the others, in the order of `nodes`.
    """
    timeout = float(link.value("timeout"))

    def fetch(node: str) -> Secret:
        token = explicit(_read(shell_of(node), timeout, node), node).secret
        with Client(node, token=token, transport=link.transport) as client:
            client.get_node()
        return token

    failures: dict[str, HypernodeError] = {}
    with progress("fetching", len(nodes)) as bar, link.executor() as executor:
        tasks = {executor.submit(fetch, node): node for node in nodes}
        for task in as_they_end(tasks):
            node = tasks[task]
            try:
                token = task.result()
            except HypernodeError as exc:
                failures[node] = exc
            else:
                keep(node, token)
            bar.step(node)
    return {node: failures[node] for node in nodes if node in failures}


def _read(shell: Shell, timeout: float, node: str) -> Secret:
    answer = shell.run(cat_on_node(TOKEN_FILE), timeout=timeout)
    if answer.status != 0:
        words = answer.err.strip().rpartition(": ")[2][:200] or f"cat ended with {answer.status}"
        raise ToolError(f"{TOKEN_FILE} cannot be read: {words}", hint="Is this a Hypernode, and the user app?")
    if not answer.out.strip():
        raise CredentialsError(f"{TOKEN_FILE} is empty", node=node)
    return Secret(answer.out.strip())


def export(tokens: Mapping[str, Secret], form: Form, command: Sequence[str]) -> str:
    """Hand the value for HYPERNODE_API_TOKENS to the stdin of `command`, or without one write it to a private file.

    Args:
        tokens: By node.
        form: ``github`` and ``gitlab`` want the value alone; ``env`` a line that a shell can source.
        command: argv; run without a shell.

    Returns:
        Where it went, in words.

    Raises:
        ToolError: The command fails or is not there.
        HypernodeError: The file cannot be written.
    """
    value = json.dumps({node: token.reveal() for node, token in sorted(tokens.items())}, separators=(",", ":"))
    if form == "github" and len(value) > _LONGEST_GITHUB_SECRET:
        print_note(f"These are {len(value)} bytes; GitHub takes 48 KB a secret. Export them group by group.")
    text = f"export HYPERNODE_API_TOKENS={shlex.quote(value)}\n" if form == "env" else value
    if command:
        return _hand_to(command, text)
    path = Path("hypernode-api-tokens.env" if form == "env" else "hypernode-api-tokens.json")
    try:
        replace_file(path, text)
    except OSError as exc:
        raise HypernodeError(f"{path} cannot be written: {exc.strerror}") from None
    return f"{path}, which only you can read; delete it when it has done its work"


def _hand_to(command: Sequence[str], text: str) -> str:
    try:
        # What it says goes to stderr: stdout is for our own rows.
        done = subprocess.run(command, input=text.encode(), stdout=sys.stderr.fileno(), check=False)
    except OSError as exc:
        raise ToolError(f"{command[0]} cannot be run: {exc.strerror}; nothing was exported") from None
    if done.returncode != 0:
        raise ToolError(f"{command[0]} ended with {done.returncode}; whether it kept the tokens is its to say")
    return f"the stdin of {command[0]}"
