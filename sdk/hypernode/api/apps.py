"""Apps, as the API calls its nodes: one node's detail, the nodes a token may see, the live list of settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

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


def make_node(detail: Mapping[str, Any], node: str) -> Node:
    """Return the node that `detail` describes.

    Raises:
        BadAnswer: A field has a type that nothing attests. The message names the field and not its value.
    """
    from pydantic import ValidationError

    from hypernode.api.models import Node

    try:
        return Node.model_validate(detail)
    except ValidationError as exc:
        where = ", ".join(".".join(map(str, error["loc"])) for error in exc.errors())
        raise BadAnswer(f"the API answered a node that cannot be read ({where})", status=200, node=node) from None


def iter_nodes(transport: Transport, token: Secret) -> Iterator[Node]:
    """Yield the nodes that `token` may see, page by page: its own, and its Branchers (CONTRACT.md 2.1)."""
    for page in transport.iter_pages("/v2/app/", token=token, query={"destroyed": "false"}):
        for item in page:
            yield make_node(item, str(item.get("name")) if isinstance(item, dict) else "?")


def get_descriptions(transport: Transport, token: Secret) -> Mapping[str, Any]:
    """Return the live list of settings: name to allowed values (CONTRACT.md 2.8, eav_descriptions)."""
    data = transport.get("/v2/app/eav_descriptions/", token=token).data
    if not isinstance(data, dict):
        raise BadAnswer("the API answered no object for the list of settings", status=200)
    return data
