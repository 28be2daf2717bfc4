"""What gates found, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hnctl.render.error import error_document
from hnctl.render.listing import Listing
from hypernode.errors import HypernodeError
from hypernode.fleet.gates import Finding


def gate_listing(findings: Iterable[Finding], failures: Mapping[str, HypernodeError], empty: str) -> Listing:
    """Return the findings, and the errors of nodes that were not tried, as every format shows them.

    `empty` is what a person is told when there are none.
    """
    columns = ["node", "gate", "verdict", "reason"]
    rows = [{column: getattr(finding, column) for column in columns} for finding in findings]
    documents = [error_document(error, node=node) for node, error in failures.items()]
    return Listing("findings", columns, rows, documents, "" if failures else empty)
