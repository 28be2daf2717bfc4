"""Nodes: which there are, what they are like, what they belong to; new ones (CONTRACT.md 2.1).

Where the contract is open: an order answers an empty object and the node never comes, but its name is taken; a shop is
installed by a flow called `perform_preinstall`, after a 202 with an empty object.
"""

from __future__ import annotations

import re

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.operations.configurations import CONFIGURATIONS
from hypernode.sandbox.operations.queries import TRUTHS, check_choice, check_destroyed, check_name, check_pages
from hypernode.sandbox.products import all_products

NEW_NAME = r"[a-z0-9]{1,16}"  # CONTRACT.md 2.9
_TYPES = ("persistent", "brancher")
_PREINSTALLS = (
    *("magento_1", "magento_2", "shopware_5", "shopware_6", "woocommerce", "laravel"),
    *("akeneo_3_2", "akeneo_4_0", "akeneo_5_0", "akeneo_6_0", "akeneo_7_0"),
)
"""Those of the API of 2020 and those of the node's own tool (CONTRACT.md 2.1, 4.1)."""
_CLUSTER = {
    "id": 9,
    "parent": "fietsenwinkel",
    "child": "bloemenhuis",
    "relation_type": "mysql",
    "cluster_description": None,
}
"""The one relation in the sandbox, between two of the first twelve nodes."""


def list_nodes(call: Call) -> Answer:
    """Answer GET ``/v2/app/``: a node's token sees that node and its Branchers."""
    query, stage = call.query, call.stage
    problems = check_pages(query) | check_destroyed(query) | check_name(query, "parent")
    if problems := problems | check_choice(query, "type", _TYPES):
        return answers.json_answer(problems, 400)
    seen = [call.caller, *call.caller.branchers] if call.caller else []
    for node in seen:
        stage.world.settle(node)
    wanted = {
        "type": query.get("type"),
        "parent": query.get("parent"),
        "destroyed": TRUTHS.get(query.get("destroyed", "")),
    }
    fitting = [
        node.as_json()
        for node in seen
        if all(value is None or node.fields[name] == value for name, value in wanted.items())
    ]
    return answers.page(fitting, url=f"{stage.links.next_base}/v2/app/", query=query)


def get_node(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/``; without ``destroyed`` a node of the past answers, too (CONTRACT.md 1.8)."""
    node, query = call.node, call.query
    if query and (problems := check_destroyed(query)):
        return answers.json_answer(problems, 400)
    call.stage.world.settle(node)
    if "destroyed" in query and TRUTHS[query["destroyed"]] != node.fields["destroyed"]:
        return answers.NOT_FOUND
    return answers.json_bytes(node.body())


def get_flavor(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/flavor/``."""
    call.stage.world.settle(call.node)
    return answers.json_answer(call.node.fields["flavor"])


def check_payment_information(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/check-payment-information/``: everybody can pay."""
    return answers.json_answer({"has_valid_vat_number": True, "has_valid_payment_method": True})


def list_relations(call: Call) -> Answer:
    """Answer GET ``/v2/app/{app}/relations/``."""
    name = call.node.name
    both = _CLUSTER["parent"] in call.stage.world.nodes and _CLUSTER["child"] in call.stage.world.nodes
    return answers.json_answer(
        {
            "parents": [_CLUSTER] if both and _CLUSTER["child"] == name else [],
            "children": [_CLUSTER] if both and _CLUSTER["parent"] == name else [],
        }
    )


def check_node_name(call: Call) -> Answer:
    """Answer GET ``/v2/app/name/validate/``, in both shapes that messages were seen in (CONTRACT.md 1.5)."""
    if "name" not in call.query:
        return answers.json_answer({"errors": ["Give a name."]}, 400)
    name = call.query["name"]
    if not re.fullmatch(NEW_NAME, name):
        return answers.json_answer(["A name has 1 to 16 characters out of a-z and 0-9."])
    if _is_taken(call, name):
        return answers.json_answer({"errors": ["This name is taken."]})
    return answers.json_answer([])


def order_node(call: Call) -> Done:
    """Answer POST ``/v2/app/order/``; the token of a node may not."""
    if call.caller is not None:
        return Done(answers.NOT_YOURS)
    reader = Reader(call.fields)
    name = reader.text("app_name")
    reader.choice("product", all_products())
    if "initial_app_configuration" in call.fields.given:
        reader.choice("initial_app_configuration", CONFIGURATIONS)
    if not re.fullmatch(NEW_NAME, name):
        reader.refuse("app_name", "A name has 1 to 16 characters out of a-z and 0-9.")
    elif _is_taken(call, name):
        reader.refuse("app_name", "This name is taken.")
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    call.stage.orders.add(name)
    return Done(answers.json_answer({}), changed=True)


def perform_preinstall(call: Call) -> Done:
    """Answer POST ``/v2/app/{app}/perform_preinstall/``."""
    reader = Reader(call.fields)
    reader.choice("preinstall_type", _PREINSTALLS)
    reader.truth("sample_data", False)
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    _, overlap = call.stage.world.post(call.node, "perform_preinstall", call.fault)
    return Done(answers.json_answer({}, 202), changed=True, overlap=overlap)


def _is_taken(call: Call, name: str) -> bool:
    return name in call.stage.world.nodes or name in call.stage.orders
