"""The kernel logs of many nodes: fetched over SSH side by side, looked at, and thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.oom_logs import Logs
from hnctl.printing import print_note
from hnctl.reading import tell_failures
from hnctl.render.error import error_document
from hnctl.render.progress import progress
from hnctl.selection import Selection, choose, load_fleet
from hnctl.ways import shell_of
from hypernode.errors import HypernodeError, InputError
from hypernode.printable import printable

if TYPE_CHECKING:
    from hypernode.node.shell import Shell

Seen = TypeVar("Seen")
_LEAST_TIME = 120.0


@dataclass(frozen=True)
class Nodes:
    """The nodes that a command is about, and the way to them."""

    names: Sequence[str]
    shell: Callable[[str], Shell]


@dataclass(frozen=True)
class Looked(Generic[Seen]):
    """What the logs of several nodes tell."""

    seen: Mapping[str, Seen]
    """By node, in the order of the choice."""
    failures: Mapping[str, HypernodeError]
    """Why the logs of others could not be read."""
    is_whole: bool
    """Whether each log of the nodes that were seen could be read to its end."""

    def documents(self) -> list[dict[str, Any]]:
        """Return the failures for a machine."""
        return [error_document(error, node=node) for node, error in self.failures.items()]

    def end(self) -> Exit:
        """Tell which logs could not be read, and return the status."""
        tell_failures(self.failures)
        status = exit_for_failures(self.failures.values(), some_succeeded=bool(self.seen))
        return Exit.PARTLY if status is Exit.OK and not self.is_whole else status


def is_chosen(selection: Selection) -> bool:
    """Tell whether the command is about nodes that were named, and not about this one."""
    return bool(selection.nodes or selection.groups)


def choose_nodes(link: Connection, selection: Selection, files: Sequence[Path]) -> Nodes:
    """Return the nodes whose logs are to be fetched.

    Raises:
        InputError: The choice is wrong.
    """
    if files:
        raise click.UsageError("Name files or nodes, not both: the logs of nodes are fetched from them.")
    fleet = load_fleet(selection, link, link.catalogue()) if selection.groups else None
    names = choose(selection, link, fleet)
    if not names:
        raise InputError("no node is left", hint="Look at --group and --exclude")
    return Nodes(names, shell_of(link, selection, fleet))


def look_at_each(link: Connection, nodes: Nodes, look: Callable[[Logs], Seen]) -> Looked[Seen]:
    """Fetch the logs of nodes side by side, and return what `look` makes of each node's; nothing is kept."""
    from hypernode.fleet.executors import for_each_node
    from hypernode.node.kernel_logs import LIMIT, fetch

    # A node first counts its logs, and then packs them: an answer of the API is there sooner.
    timeout = max(_LEAST_TIME, float(link.value("timeout")))
    notes: list[str] = []
    unread: list[str] = []

    def work(node: str) -> Seen:
        # One folder for each, gone before the next begins: a fleet's logs need not fit on this disk.
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as place:
            fetched = fetch(nodes.shell(node), Path(place), limit=LIMIT, timeout=timeout)
            unread.extend(f"{node}:{name}: {text}" for name, text in fetched.unread.items())
            notes.extend(f"{node}:{name}: {text}" for name, text in fetched.cut.items())
            return look(Logs(fetched.paths, of=node, say=unread.append))

    # After a Ctrl-C a thread may still be writing.
    with (
        tempfile.TemporaryDirectory(prefix="hnctl-oom-", ignore_cleanup_errors=True) as folder,
        progress("fetching", len(nodes.names)) as bar,
        link.executor() as executor,
    ):
        seen, failures = for_each_node(executor, nodes.names, work, on_node=bar.step)
    for note in sorted([*notes, *unread]):
        print_note(printable(note))
    return Looked(seen, failures, not unread)


def look_at(link: Connection, nodes: Nodes, look: Callable[[Logs], Seen]) -> tuple[Seen, Exit]:
    """Fetch the logs of the only one of `nodes`, and return what `look` makes of them, and the status.

    Raises:
        HypernodeError: They cannot be fetched, or what `look` raises.
    """
    looked = look_at_each(link, nodes, look)
    for error in looked.failures.values():
        raise error
    return looked.seen[nodes.names[0]], looked.end()
