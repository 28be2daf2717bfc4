"""Apps, as the API calls its nodes: what it says of one, and the live list of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypernode.api.answers import read_as
from hypernode.api.transport import Transport
from hypernode.errors import BadAnswer
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Node


def get_detail(transport: Transport, node: str, token: Secret) -> Mapping[str, Any]:
    """Return all that the API says of `node`, as decoded: settings flat beside the rest, secrets in clear.

    Kept as plain JSON: a diff of thousands of nodes reads this and needs a few fields of each (benchmarks/README.md).
    """
    # Without destroyed=false an app destroyed earlier under the same name may answer (CONTRACT.md 1.8).
    data = transport.get(f"/v2/app/{node}/", token=token, node=node, query={"destroyed": "false"}).data
    if not isinstance(data, dict):
        raise BadAnswer("the API answered no object for the node", status=200, node=node)
    return data


def make_node(detail: object, node: str) -> Node:
    """Return the node that `detail`, an app as the API answers it, describes; errors as for `read_as`."""
    from hypernode.api.models import Node  # here, since reading a setting does without models

    return read_as(Node, detail, "node", node=node)


def get_descriptions(transport: Transport, token: Secret) -> Mapping[str, Any]:
    """Return the live list of settings: name to allowed values (CONTRACT.md 2.8, eav_descriptions)."""
    data = transport.get("/v2/app/eav_descriptions/", token=token).data
    if not isinstance(data, dict):
        raise BadAnswer("the API answered no object for the list of settings", status=200)
    return data
