"""What the history and the logbooks tell of values that are not as the fleet file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import tee

from hnctl.connection import Connection
from hnctl.printing import print_file_error, print_note
from hypernode.api.flows import Flows
from hypernode.api.models import Flow
from hypernode.errors import FileError
from hypernode.fleet.drift import Drift, find_drift, flows_since, put_back
from hypernode.fleet.executors import for_each_node
from hypernode.fleet.history import RunLog, find_runs, read_run
from hypernode.fleet.plan import Plan
from hypernode.places import state_folder
from hypernode.printable import printable


def find_causes(link: Connection, plan: Plan) -> list[Drift]:
    """Return why the values of `plan` differ; it is told of how many nobody can say."""
    found = find_drift(plan, _runs(), api_url=link.api_url)
    if hidden := len(plan.changes) - len(found):
        which = "1 value is" if hidden == 1 else f"{hidden:,} values are"
        print_note(f"{which} not told by the node's tool, and so no cause can be told either; `hnctl diff` shows more.")
    return found


def cut_to_drift(link: Connection, plan: Plan) -> Plan:
    """Return `plan` with only what puts back a value that was changed on a node; how much is left out is told."""
    cut = put_back(plan, find_causes(link, plan))
    if left_out := len(plan.changes) - len(cut.changes):
        which = "1 other change is" if left_out == 1 else f"{left_out:,} other changes are"
        print_note(f"{which} left out: --only-drift puts back what was applied before and was changed on the node.")
    return cut


def _runs() -> Iterator[RunLog]:
    """Yield the runs of before, the newest first, each read when it is asked for; one that cannot be is told."""
    for path in find_runs(state_folder() / "runs"):
        try:
            yield read_run(path)
        except FileError as exc:
            print_file_error(exc)
            print_note("  The run is passed over: what it applied counts as not applied.")


Since = Mapping[tuple[str, str], Sequence[Flow]]
"""Node and setting to the flows of others since it was applied; what is not in it is not known."""


def read_flows_since(link: Connection, plan: Plan, drift: Sequence[Drift]) -> Since:
    """Read the logbooks of those nodes on which something was changed; one that cannot be read is told."""
    by_node: dict[str, list[Drift]] = {}
    for one in drift:
        if one.cause == "changed there" and one.change.node not in plan.ways:
            by_node.setdefault(one.change.node, []).append(one)

    def work(node: str) -> list[list[Flow]]:
        logbook = Flows(link.transport, node, link.token(node)).iter()
        copies = tee(logbook, len(by_node[node]))  # read once, and no further than the oldest needs
        return [
            flows_since(copy, one.applied)
            for one, copy in zip(by_node[node], copies, strict=True)
            if one.applied is not None
        ]

    with link.executor() as executor:
        found, failures = for_each_node(executor, list(by_node), work)
    for node, error in failures.items():
        print_note(printable(f"{node}: its logbook cannot be read: {error.message.removeprefix(f'{node}: ')}"))
    return {
        (node, one.change.setting): flows
        for node, lists in found.items()
        for one, flows in zip(by_node[node], lists, strict=True)
    }
