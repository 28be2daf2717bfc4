"""The logbook of a node (CONTRACT.md 1.7, 2.7)."""

from __future__ import annotations

from uuid import UUID

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.calls import Call
from hypernode.sandbox.operations.queries import check_pages


def list_flows(call: Call) -> Answer:
    """Answer GET ``/logbook/v1/logbooks/{app}/flows/``; 404 while the node has no logbook."""
    world, node, query = call.stage.world, call.node, call.query
    problems = check_pages(query)
    tracker = query.get("tracker_uuid")
    if tracker is not None and not _is_uuid(tracker):
        problems["tracker_uuid"] = ["Enter a valid UUID."]
    if problems:
        return answers.json_answer(problems, 400)
    flows = world.visible_flows(node)
    if flows is None:
        return answers.NOT_FOUND
    if tracker is not None:
        flows = [flow for flow in flows if flow.tracker == tracker.lower()]
    url = f"{call.stage.links.next_base}/logbook/v1/logbooks/{node.name}/flows/"
    return answers.page([world.show(flow, node) for flow in flows], url=url, query=query)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
