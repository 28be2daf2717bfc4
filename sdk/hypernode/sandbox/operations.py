"""The operations behind the paths: what each of them answers (CONTRACT.md 2.1, 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from uuid import UUID

from hypernode.catalogue import Catalogue
from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Refusal, Settings
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.stage import Stage
from hypernode.sandbox.world import Posted

Query = Mapping[str, str]

_TRUTHS = {"true": True, "True": True, "false": False, "False": False}  # CONTRACT.md 1.8
NODE_NAME = r"[a-z0-9]{1,16}(-eph[a-z0-9]+)?"  # CONTRACT.md 2.9
_TYPES = ("persistent", "brancher")
_WORKERS = 10
_AGENT = "ExampleAgent/1.0"


def list_apps(stage: Stage, node: Node, query: Query) -> Answer:
    """Answer GET ``/v2/app/``: a node's token sees that node."""
    problems = _check_pages(query) | _check_destroyed(query)
    if query.get("type", "persistent") not in _TYPES:
        problems["type"] = ["Select a valid choice."]
    if not re.fullmatch(NODE_NAME, query.get("parent", "any")):
        problems["parent"] = ["Enter the name of an app."]
    if problems:
        return answers.json_answer(problems, 400)
    stage.world.settle(node)
    fits = (
        "parent" not in query  # none is a Brancher
        and query.get("type", "persistent") == "persistent"
        and not _TRUTHS[query.get("destroyed", "false")]
    )
    url = f"{stage.links.next_base}/v2/app/"
    return answers.page([node.as_json()] if fits else [], url=url, query=query)


def show_app(stage: Stage, node: Node, query: Query) -> Answer:
    """Answer GET ``/v2/app/{app}/``."""
    if query and (problems := _check_destroyed(query)):
        return answers.json_answer(problems, 400)
    if query and _TRUTHS[query.get("destroyed", "false")]:
        return answers.NOT_FOUND
    stage.world.settle(node)
    return answers.json_bytes(node.body())


def change_app(
    stage: Stage, node: Node, settings: Settings | Refusal, fault: Fault | None
) -> tuple[Answer, Posted | None]:
    """Answer PATCH ``/v2/app/{app}/``; all of `settings` or none of them is applied."""
    if fault is Fault.API_USE_OFF or not node.settings["allow_api_token_usage"]:
        return answers.API_USE_OFF, None
    if isinstance(settings, Refusal):
        return answers.json_answer(settings.problems, settings.status), None
    if fault is Fault.REJECT:
        first = next(iter(settings))
        return answers.json_answer({first: [f"{first} is not available on this node."]}, 400), None
    posted = stage.world.write(node, settings, fault)
    if posted.job is None:
        return answers.EMPTY, posted
    accepted = answers.ACCEPTED
    if fault is not Fault.NO_LOCATION:
        url = f"{stage.links.location_base}/logbook/v1/jobs/{posted.job.tracker}/"
        accepted = accepted.with_header("location", url)
    return accepted, posted


def list_flows(stage: Stage, node: Node, query: Query) -> Answer:
    """Answer GET ``/logbook/v1/logbooks/{app}/flows/``; 404 while the node has no logbook."""
    problems = _check_pages(query)
    tracker = query.get("tracker_uuid")
    if tracker is not None and not _is_uuid(tracker):
        problems["tracker_uuid"] = ["Enter a valid UUID."]
    if problems:
        return answers.json_answer(problems, 400)
    flows = stage.world.visible_flows(node)
    if flows is None:
        return answers.NOT_FOUND
    if tracker is not None:
        flows = [flow for flow in flows if flow.tracker == tracker.lower()]
    url = f"{stage.links.next_base}/logbook/v1/logbooks/{node.name}/flows/"
    return answers.page([stage.world.show(flow, node) for flow in flows], url=url, query=query)


def show_fpm_status(node: Node) -> Answer:
    """Answer POST ``/v2/nats/{app}/hypernode.show-fpm-status``, with lines as in CONTRACT.md 2.8."""
    lines = []
    for number in range(max(_WORKERS, node.busy)):
        visitor = f"192.0.2.{number % 250 + 1}"
        if number < node.busy:
            lines.append(
                f"{4711 + number} RUNNING {0.4 * (number + 1):.1f}s NL phpfpm {visitor} GET /checkout/ ({_AGENT})"
            )
        else:
            lines.append(f"{4711 + number} IDLE 0.1s - {visitor} GET / ({_AGENT})")
    return answers.json_answer({"message": None, "data": "\n".join(lines) + "\n", "status": 200})


@cache
def describe_values() -> Answer:
    """Answer GET ``/v2/app/eav_descriptions/``; free settings come in all three forms of CONTRACT.md 2.8."""
    described: dict[str, object] = {}
    for setting in Catalogue.bundled().values():
        if setting.values is not None:
            described[setting.name] = list(setting.values)
        elif setting.type == "integer":
            described[setting.name] = None
        elif not setting.secret:
            described[setting.name] = []
    return answers.json_answer(described)


def describe_path(allow: str) -> Answer:
    """Answer OPTIONS in Django REST framework's manner (CONTRACT.md 2.7, row 54)."""
    parses = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    metadata = {"name": "Sandbox", "description": "", "renders": ["application/json"], "parses": parses}
    return answers.json_answer(metadata).with_header("allow", allow)


def _check_pages(query: Query) -> dict[str, object]:
    problems: dict[str, object] = {}
    if not re.fullmatch(r"[1-9][0-9]?|100", query.get("limit", "1")):
        problems["limit"] = ["Enter a whole number from 1 to 100."]
    if not re.fullmatch(r"[0-9]{1,18}", query.get("offset", "0")):
        problems["offset"] = ["Enter a whole number."]
    return problems


def _check_destroyed(query: Query) -> dict[str, object]:
    if query.get("destroyed", "false") in _TRUTHS:
        return {}
    return {"destroyed": ["Must be a valid boolean."]}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
