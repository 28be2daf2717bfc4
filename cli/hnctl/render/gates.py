"""What gates found, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hnctl.render.error import error_document
from hnctl.render.listing import Listing
from hypernode.errors import HypernodeError
from hypernode.fleet.gates import Finding


def gate_listing(
    findings: Iterable[Finding], failures: Mapping[str, HypernodeError], *, for_person: bool, empty: str
) -> Listing:
    """Return the findings, and the errors of nodes that were not tried, as rows.

    A person is shown the address that was asked for; documents have it besides the gate, which is called the same on
    every node. `empty` is what a person is told when there are none.
    """
    rows = [
        {
            "node": finding.node,
            "gate": finding.shown if for_person else finding.gate,
            "address": finding.address,
            "verdict": finding.verdict,
            "reason": finding.reason,
        }
        for finding in findings
    ]
    documents = [error_document(error, node=node) for node, error in failures.items()]
    return Listing("findings", ["node", "gate", "verdict", "reason"], rows, documents, "" if failures else empty)
