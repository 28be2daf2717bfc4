"""An error as a document."""

from __future__ import annotations

import re
from typing import Any

from hypernode.errors import FileError, HypernodeError


def without_node(text: str, node: str) -> str:
    """Return `text` with NODE in place of a node's name: texts that differ in nothing else are the same then."""
    return re.sub(rf"(?<![\w-]){re.escape(node)}(?![\w-])", "NODE", text)


def error_document(error: HypernodeError, *, node: str | None = None) -> dict[str, Any]:
    """Return `error` as JSON values; `node` is the one it is about when the error itself names none."""
    document: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "node": error.node or node,
    }
    if isinstance(error, FileError):
        document["problems"] = [
            {"file": error.path, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
            for p in error.problems
        ]
    return document
