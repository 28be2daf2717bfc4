"""Products and SLAs: which there are, which a node has, and changing it (CONTRACT.md 2.4, 2.11).

Where the contract is open: a change to the product that the node has already is accepted and starts nothing, one to a
product with too small a disk is refused, and one that is scheduled never comes.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.products import all_products, compare, find

SLAS: dict[str, dict[str, object]] = {
    "sla-standard": {
        "id": 7,
        "code": "sla-standard",
        "name": "SLA Standard",
        "price": 100,
        "billing_period": 1,
        "billing_period_unit": "month",
    }
}


def list_products(call: Call) -> Answer:
    """Answer GET ``/v2/product/``."""
    return _list_products()


@cache
def _list_products() -> Answer:
    return answers.json_answer([product.long() for product in all_products().values()])


def get_current_product(call: Call) -> Answer:
    """Answer GET ``/v2/product/app/{app}/current/``."""
    call.stage.world.settle(call.node)
    return answers.json_answer(call.node.product.long())


def get_product(call: Call) -> Answer:
    """Answer GET ``/v2/product/{code}/with_price/``."""
    product = find(call.args["code"])
    return answers.json_answer(product.short()) if product else answers.NOT_FOUND


def get_next_best_product(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/next_best_plan/``; 404 at the top of a family."""
    call.stage.world.settle(call.node)
    larger = find(call.node.product.next_larger or "")
    return answers.json_answer({"code": larger.code, "name": larger.name}) if larger else answers.NOT_FOUND


def check_product_change(call: Call) -> Answer:
    """Answer GET ``/v2/app/xgrade/{app}/check/{code}/``."""
    node, product = call.node, find(call.args["code"])
    if product is None:
        return answers.NOT_FOUND
    call.stage.world.settle(node)
    return answers.json_answer(compare(node.product, product, used_gb=node.used_gb))


def change_product(call: Call) -> Done:
    """Answer PATCH ``/v2/app/xgrade/{app}/``: the node is of its new product when its flow is over."""
    world, node = call.stage.world, call.node
    if not node.settings["allow_api_token_usage"]:
        return Done(answers.API_USE_OFF)
    reader = Reader(call.fields)
    product = find(reader.choice("product", all_products()))
    is_scheduled = "scheduled_at" in call.fields.given
    if is_scheduled and not _has_offset(reader.text("scheduled_at")):
        reader.refuse("scheduled_at", "Give a date and a time with an offset.")
    if product is None or reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    world.settle(node)
    if not compare(node.product, product, used_gb=node.used_gb)["will_disk_fit"]:
        return Done(answers.refuse(f"{node.used_gb} GB are in use, and {product.name} has {product.disk_gb} GB."))
    if is_scheduled or product == node.product:
        return Done(answers.EMPTY)
    _, overlap = world.post(node, "xgrade_app", call.fault, product=product)
    return Done(answers.EMPTY, changed=True, overlap=overlap)


def list_slas(call: Call) -> Answer:
    """Answer GET ``/v2/addon/slas/``."""
    return answers.json_answer(list(SLAS.values()))


def get_sla(call: Call) -> Answer:
    """Answer GET ``/v2/addon/{code}/``."""
    sla = SLAS.get(call.args["code"])
    return answers.json_answer(sla) if sla else answers.NOT_FOUND


def _has_offset(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False
