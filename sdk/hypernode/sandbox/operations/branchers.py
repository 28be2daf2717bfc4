"""Branchers (CONTRACT.md 2.5). All calls need API token usage to be on for the account (CONTRACT.md 1.4).

Where the contract is open: creating answers 201, and the history of a month is that of the years, cut to it.
"""

from __future__ import annotations

import re

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.branchers import SERVICES
from hypernode.sandbox.calls import Call, Done


def list_branchers(call: Call) -> Answer:
    """Answer GET ``/v2/brancher/app/{app}/``."""
    return _refuse(call) or answers.json_answer(call.stage.branchers.bill(call.node))


def create_brancher(call: Call) -> Done:
    """Answer POST ``/v2/brancher/app/{app}/``."""
    if refused := _refuse(call):
        return Done(refused)
    parent, reader = call.node, Reader(call.fields)
    labels = reader.texts("labels")
    cleared = reader.texts("clear_services", SERVICES)
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    call.stage.world.settle(parent)
    if parent.brancher is not None:
        return Done(answers.refuse("A Brancher cannot have Branchers."))
    if "FALCON" not in parent.product.code:
        return Done(answers.refuse(f"{parent.product.name} cannot have Branchers."))
    made = call.stage.branchers.create(parent, labels, cleared, call.fault)
    return Done(answers.json_answer(made.as_json(), 201), changed=True)


def change_brancher_labels(call: Call) -> Done:
    """Answer PUT ``/v2/brancher/{brancher}/``."""
    if refused := _refuse(call):
        return Done(refused)
    reader = Reader(call.fields)
    labels = reader.texts("labels")
    if not call.fields.is_form and "labels" not in call.fields.given:  # a form cannot say that there are none
        reader.refuse("labels", "This field is required.")
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    return Done(answers.json_answer({"labels": call.stage.branchers.label(call.node, labels)}), changed=True)


def destroy_brancher(call: Call) -> Done:
    """Answer DELETE ``/v2/brancher/{brancher}/``."""
    if refused := _refuse(call):
        return Done(refused)
    if not call.stage.branchers.end(call.node):
        return Done(answers.json_answer([f"Brancher app {call.node.name} has already been cancelled."], 400))
    return Done(answers.NO_CONTENT, changed=True)


def cancel_brancher(call: Call) -> Done:
    """Answer POST ``/v2/app/{app}/cancel/``; the subscription of a node that is no Brancher is left alone."""
    if call.node.brancher is None:
        return Done(answers.refuse(f"{call.node.name} is no Brancher."))
    return destroy_brancher(call)


def get_brancher_year_history(call: Call) -> Answer:
    """Answer GET ``/v2/brancher/app/{app}/year-history/``."""
    return _refuse(call) or answers.json_answer(call.stage.branchers.history(call.node))


def get_brancher_month_history(call: Call) -> Answer:
    """Answer GET ``/v2/brancher/app/{app}/month-history/{year}/{month}``."""
    year, month = call.args["year"], call.args["month"]
    if not re.fullmatch(r"[2-9][0-9]{3}", year) or not re.fullmatch(r"0?[1-9]|1[0-2]", month):
        return answers.NOT_FOUND
    only = (int(year), int(month))
    return _refuse(call) or answers.json_answer(call.stage.branchers.history(call.node, only))


def _refuse(call: Call) -> Answer | None:
    """Return the 403 of an account without API token usage; a Brancher's account is its parent's."""
    allowed = call.caller is None or call.caller.settings["allow_api_token_usage"]
    return None if allowed else answers.API_USE_OFF
