"""Ansible reading the same nodes with its `uri` module: one task, local connections, as many forks as we have threads.

It is given what makes it fast: no facts are gathered, modules are piped to their interpreter instead of copied, and
the interpreter is named instead of looked for.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.installed import Pinned
from benchmarks.serving import Served, environment

# It asks for jinja2, PyYAML, cryptography and packaging, which our environment has, and for resolvelib, which only
# ansible-galaxy imports.
ANSIBLE = Pinned("ansible-core", "ansible")
NODES = 128
"""Four times the forks. Ansible takes a quarter of a second for each."""

_PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.uri:
        url: "{{ api_url }}/v2/app/{{ inventory_hostname }}/?destroyed=false"
        headers: { Authorization: "Token {{ token }}" }
        return_content: true
      register: detail
      failed_when: detail.json.name != inventory_hostname
"""


def reading(home: Path, served: Served, *, forks: int) -> Callable[[], float] | None:
    """Return a function that reads some nodes with Ansible and returns the seconds that all would take.

    What it takes to start, as it does for listing its tasks only, is counted once, and the rest is scaled.
    """
    folder = ANSIBLE.install()
    if folder is None:
        return None
    work = home / "ansible"
    work.mkdir()
    hosts = {node: {"token": token} for node, token in list(served.tokens.items())[:NODES]}
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "api_url": served.url,
    }
    (work / "inventory.json").write_text(json.dumps({"all": {"vars": shared, "hosts": hosts}}), "utf-8")
    (work / "playbook.yml").write_text(_PLAYBOOK, "utf-8")
    env = {
        **environment(work),
        "PYTHONPATH": str(folder),
        "ANSIBLE_PIPELINING": "1",
        "LC_ALL": "C.UTF-8",  # it refuses any other encoding
        "TMPDIR": str(work),  # its modules unpack themselves there
    }
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", "--forks", str(forks), "playbook.yml"]
    scale = len(served.tokens) / len(hosts)

    def read() -> float:
        start = _time([*argv, "--list-tasks"], env, work)
        return start + (_time(argv, env, work) - start) * scale

    return read


def _time(argv: Sequence[str], env: Mapping[str, str], work: Path) -> float:
    """Run Ansible to its end and return the seconds; when we are interrupted, so are all of its processes.

    Raises:
        RuntimeError: A node was not read.
    """
    alive, held = os.pipe()  # all of Ansible's processes hold the one end, so the other tells when they are gone
    started = time.perf_counter()
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[held],
            start_new_session=True,  # a Ctrl-C of the terminal reaches Ansible only through us
        )
        os.close(held)
        try:
            told, _ = process.communicate()
        except BaseException:
            process.terminate()  # it passes that on to its workers, and each of them to its module
            select.select([alive], [], [], 10)
            process.kill()
            process.wait()
            raise
    finally:
        os.close(alive)
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"ansible ended with {process.returncode}: {told.decode(errors='replace').strip()[-1000:]}")
    return seconds
