"""Marks on the graphs of Insights (CONTRACT.md 2.7).

Where the contract is open: a token sees the annotations of its own node and its Branchers.
"""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.operations.queries import check_name, check_pages


def list_annotations(call: Call) -> Answer:
    """Answer GET ``/v2/insights-annotation/``."""
    if problems := check_pages(call.query) | check_name(call.query, "app"):
        return answers.json_answer(problems, 400)
    own = {node.name for node in (call.caller, *call.caller.branchers)} if call.caller else set()
    if "app" in call.query:
        own &= {call.query["app"]}
    url = f"{call.stage.links.next_base}/v2/insights-annotation/"
    return answers.page(call.stage.annotations.show(own), url=url, query=call.query)


def create_annotation(call: Call) -> Done:
    """Answer POST ``/v2/insights-annotation/create/``."""
    reader, given = Reader(call.fields), call.fields.given
    said: dict[str, object] = {"name": reader.text("name"), "x_axis": reader.whole("x_axis")}
    app = reader.text("app")
    said["metrics"] = reader.text("metrics", "")
    if "metadata" in given:
        said["metadata"] = given["metadata"]
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    node = call.own(app)
    if node is None:
        return Done(answers.NOT_YOURS)
    return Done(answers.json_answer(call.stage.annotations.add(node, said), 201), changed=True)
