"""Marks on the graphs of Insights (CONTRACT.md 2.7). No call that removes one is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from hypernode.api.answers import read_as
from hypernode.api.models import Annotation
from hypernode.api.resource import Resource
from hypernode.errors import BadAnswer, InputError


class Insights(Resource):
    """The annotations that the token of one node may see."""

    def iter(self) -> Iterator[Annotation]:
        """Yield the node's annotations, page by page (source: GET /v2/insights-annotation/).

        The API is asked for this node's only; those of others that it answers all the same are passed over, as only
        third parties attest that it can be asked so.
        """
        for item in self._iter("/v2/insights-annotation/", {"app": self._node}):
            annotation = read_as(Annotation, item, "annotation", node=self._node)
            if annotation.node in (None, self._node):
                yield annotation

    def add(self, name: str, at: datetime, *, metrics: Sequence[str] = (), metadata: Any = None) -> Annotation:
        """Mark a moment on the node's graphs (source: POST /v2/insights-annotation/create/). Sent once.

        Args:
            name: What happened then.
            at: When, aware; whole seconds are kept.
            metrics: Names of the graphs; none: left out.
            metadata: Anything that JSON can say; no source tells what is done with it. None: left out.

        Raises:
            InputError: `at` names no time zone.
            OutcomeUnknown: The answer was lost.
        """
        if at.utcoffset() is None:
            raise InputError("a time without a zone could be meant in several", hint="Write 2026-09-01T03:00+02:00")
        body: dict[str, Any] = {"name": name, "x_axis": int(at.timestamp()), "app": self._node}
        if metrics:
            body["metrics"] = ",".join(metrics)
        if metadata is not None:
            body["metadata"] = metadata
        look = f"Look for it with `hnctl insights list -n {self._node}` before you try again"
        answer = self._send_once("POST", "/v2/insights-annotation/create/", body, look=look)
        try:
            return read_as(Annotation, answer.data, "annotation", node=self._node)
        except BadAnswer:  # it is there all the same, and nothing takes a second one away
            return read_as(Annotation, body, "annotation", node=self._node)
