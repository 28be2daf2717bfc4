"""Any call of the API by its path, for what has no method of its own. Reads are retried, writes are sent once.

What must stay true: a path stays on the configured API whatever is written in it, and what would end a node is never
sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from hypernode.api.answers import Answer
from hypernode.api.resource import Resource
from hypernode.errors import InputError, SafetyError
from hypernode.names import is_node, parent_of
from hypernode.secrets import Secret

# Escapes are not taken: no path of the API needs one, and %2e would be a dot to whoever decodes it.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@:+,=-]+)+/?")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;:@/?=-]|%[0-9A-Fa-f]{2})*")
_ROOT = r"(?:/api)?/(?:logbook/)?v[0-9]+"
_NODE = re.compile(_ROOT + r"/app/([^/]+)", re.IGNORECASE)
_CANCEL = re.compile(_ROOT + r"/app/([^/]+)/cancel", re.IGNORECASE)
_BRANCHER = re.compile(_ROOT + r"/brancher/([^/]+)", re.IGNORECASE)
_NAMING = re.compile(
    _ROOT + r"/(?:app/xgrade|brancher/app|product/app|app|nats|whitelist|logbooks|brancher)/([^/]+)(?:/.*)?",
)
_NO_NODES = frozenset({"block_attack_descriptions", "eav_descriptions", "name", "order", "xgrade"})
"""What stands in the place of a node in some paths (CONTRACT.md 2.1)."""


def check_path(path: str) -> str:
    """Return `path` if it is one of the API, perhaps with a query.

    Raises:
        InputError: It names another host, leaves its place with ``..``, or has characters that no path here has.
    """
    bare, _, query = path.partition("?")
    if "://" in bare or bare.startswith("//"):
        raise InputError(
            f"{path[:80]!r} names a host: the token goes to the configured API only",
            hint="Write the path alone, such as /v2/app/kaasshop/",
        )
    parts = bare.split("/")
    if not _PATH.fullmatch(bare) or not _QUERY.fullmatch(query) or "." in parts or ".." in parts:
        raise InputError(
            f"{path[:80]!r} is no path of the API",
            hint="It begins with one /, has neither .. nor // nor blanks, and %XX in its query only",
        )
    return path


def check_call(method: str, path: str) -> None:
    """Refuse what would end a node, and no more than a Brancher can be ended.

    Raises:
        SafetyError: `method` on `path` is such a call.
    """
    bare = path.partition("?")[0].rstrip("/")
    if method in ("PUT", "DELETE") and _NODE.fullmatch(bare):
        raise SafetyError(
            f"{method} {bare}/ is never sent: the API lists it in a header, and no source says what it does to the "
            "node. By its name it replaces or ends it",
            hint="What a node is set to is changed with PATCH; a contract is ended in the control panel",
        )
    found = _CANCEL.fullmatch(bare) or (_BRANCHER.fullmatch(bare) if method in ("PUT", "DELETE") else None)
    if method != "GET" and found and not (is_node(found[1]) and parent_of(found[1])):
        raise SafetyError(
            f"{method} {bare}/ is never sent: {found[1]} is no Brancher, and it would end the node's contract "
            "(inferred, nothing attests it)",
            hint="The name of a Brancher ends in -eph and its id",
        )


def node_in(path: str) -> str | None:
    """Return the node that `path` is about, as far as its form tells; None: none."""
    found = _NAMING.fullmatch(path.partition("?")[0].rstrip("/"))
    return found[1] if found and found[1] not in _NO_NODES and is_node(found[1]) else None


class Raw(Resource):
    """Calls by path, with the token of one node. What they answer is as decoded: secrets are in clear."""

    def read(self, path: str, *, method: str = "GET") -> Any:
        """Return the decoded answer to a GET, or to an OPTIONS; None: it was empty.

        Raises:
            InputError: `path` is none.
        """
        if method == "GET":
            return self._get(check_path(path))
        return self._transport.ask(check_path(path), method=method, token=self._token, node=self._node).data

    def iter(self, path: str) -> Iterator[Any]:
        """Yield the items of all pages of a list, fetched as they are consumed.

        Raises:
            InputError: `path` is none.
            BadAnswer: What is answered has no pages.
        """
        return self._iter(check_path(path))

    def write(self, method: str, path: str, body: object | None = None, *, secrets: Iterable[Secret] = ()) -> Answer:
        """Send a write once, whatever happens.

        Args:
            method: HTTP method.
            path: Below the API's base.
            body: Sent as JSON; None: nothing is sent.
            secrets: Values in `body` that must not come back in an error's text.

        Raises:
            InputError: `path` is none.
            SafetyError: It would end a node (see `check_call`).
            OutcomeUnknown: The answer was lost.
        """
        check_call(method, check_path(path))
        look = "Find out what became of it before you send it again"
        return self._send_once(method, path, body, look=look, secrets=secrets)
