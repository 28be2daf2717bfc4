"""Trying the gates of a fleet file: what it takes, made from a connection, and what the findings amount to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hnctl.connection import Connection
from hnctl.exits import Exit
from hypernode.fleet.gates import Finding, FlowsGate, Gate

if TYPE_CHECKING:
    from hypernode.api.fpm import FpmStatus
    from hypernode.fleet.probes import Probes


def make_prober(link: Connection, gates: Sequence[Gate]) -> Probes | None:
    """Return what tries `gates`; None if there is nothing to try, as `FlowsGate` asks nobody.

    Pages are fetched with the certificates that --ca-file names, since a proxy that opens TLS opens all of it.

    Raises:
        InputError: That file is not there.
    """
    if all(isinstance(gate, FlowsGate) for gate in gates):
        return None
    from hypernode.api.fpm import get_fpm_status
    from hypernode.api.pages import Pages
    from hypernode.fleet.probes import Probes

    def ask_fpm(node: str) -> FpmStatus:
        return get_fpm_status(link.transport, node, link.token(node))

    return Probes(gates, fetch=Pages(ca_file=link.value("ca_file")).fetch, ask_fpm=ask_fpm)


def exit_for_findings(findings: Iterable[Finding], *, all_tried: bool) -> Exit:
    """Return the status for what gates found; nodes that were not tried are as good as undecided."""
    verdicts = {finding.verdict for finding in findings}
    if "failed" in verdicts:
        return Exit.FAILED
    return Exit.OK if all_tried and "undecided" not in verdicts else Exit.PARTLY
