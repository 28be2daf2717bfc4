"""Backups (CONTRACT.md 2.3)."""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.operations.queries import check_pages


def list_backups(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/backup/``."""
    if problems := check_pages(call.query):
        return answers.json_answer(problems, 400)
    url = f"{call.stage.links.next_base}/v2/app/{call.node.name}/backup/"
    return answers.page(call.stage.backups.show(call.node), url=url, query=call.query)


def create_backup(call: Call) -> Done:
    """Answer POST ``/v2/app/{app}/backup/``; every node has the SLA that its product can have."""
    call.stage.world.settle(call.node)
    if not call.node.product.supports_sla:
        return Done(answers.refuse("This node has no SLA Standard."))
    overlap = call.stage.backups.create(call.node, call.fault)
    return Done(answers.json_answer("The backup is being made."), changed=True, overlap=overlap)
