"""Looking at what a run has set, and planning how it is set back."""

from __future__ import annotations

from collections.abc import Sequence

from hnctl.connection import Connection
from hnctl.printing import print_note
from hnctl.render.progress import progress
from hypernode.catalogue import Catalogue
from hypernode.errors import HypernodeError
from hypernode.fleet.history import RunLog
from hypernode.fleet.plan import Plan
from hypernode.fleet.rollback import Rollback, Settling, plan_rollback, settings_to_read
from hypernode.fleet.stores import read_nodes


def plan_back(
    link: Connection,
    catalogue: Catalogue,
    log: RunLog,
    planned: Plan,
    chosen: Sequence[str] = (),
    *,
    settle: bool = True,
) -> tuple[Rollback, dict[str, HypernodeError]]:
    """Read what a run has set, and plan how it is set back; nodes that cannot be read come with their errors.

    Args:
        link: The way to the nodes.
        catalogue: The settings.
        log: The run.
        planned: Its plan, read back.
        chosen: Nodes to take back; none: all.
        settle: Whether writes whose end is not known are looked for and waited for; if not, they are left.
    """
    wanted = settings_to_read(log, chosen)
    link.address(list(wanted))
    pending = {name for name in wanted if log.nodes[name].sent_at is not None}
    reader = link.reader(catalogue, planned.ways)
    if settle and pending:
        nodes = f"{len(pending)} node{'s' * (len(pending) != 1)}"
        print_note(f"Looking for what became of the change that was sent to {nodes}.")
        store = link.store(catalogue, planned.ways)
        timeout, interval = float(link.value("wait")), float(link.value("poll_interval"))
        reader, pending = Settling(store, log, planned, timeout=timeout, interval=interval), set()
    with progress("reading", len(wanted)) as bar, link.executor() as executor:
        live, failures = read_nodes(
            reader,
            wanted,
            executor,
            keep=lambda node, detail: {name: detail.get(name) for name in wanted[node]},
            names=wanted.__getitem__,
            on_node=bar.step,
        )
    return plan_rollback(log, planned, live, catalogue, pending=pending), failures
