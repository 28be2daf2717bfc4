"""The allowlist of a node, which the API spells whitelist (CONTRACT.md 2.6).

Where the contract is open: adding answers 201, an entry that is there already is refused, removing one that is not
there is a 404, and no change starts a flow.
"""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.allowlists import Network, parse_network
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.operations.queries import check_choice


def describe_allowlist(call: Call) -> Answer:
    """Answer OPTIONS ``/v2/whitelist/{app}/``, the only place that tells which types there are."""
    choices = [{"value": type_, "display_name": type_} for type_ in call.stage.allowlists.types]
    fields: dict[str, object] = {
        "type": {"type": "choice", "required": True, "read_only": False, "label": "Type", "choices": choices},
        "ip": {"type": "string", "required": True, "read_only": False, "label": "Ip"},
        "description": {"type": "string", "required": False, "read_only": False, "label": "Description"},
    }
    described = {**answers.METADATA, "name": "Whitelist", "actions": {"POST": fields}}
    return answers.json_answer(described)


def list_allowlist(call: Call) -> Answer:
    """Answer GET ``/v2/whitelist/{app}/``."""
    if problems := check_choice(call.query, "type", call.stage.allowlists.types):
        return answers.json_answer(problems, 400)
    entries = call.stage.allowlists.entries(call.node)
    wanted = call.query.get("type")
    return answers.json_answer([e.as_json(call.node) for e in entries if wanted is None or e.type == wanted])


def add_allowlist_entry(call: Call) -> Done:
    """Answer POST ``/v2/whitelist/{app}/``."""
    reader = Reader(call.fields)
    type_, network = _read_key(call, reader)
    description = reader.text("description", "")
    if network is None or reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    if call.stage.allowlists.find(call.node, type_, network):
        return Done(answers.refuse("The fields type, ip must make a unique set."))
    entry = call.stage.allowlists.add(call.node, type_, reader.text("ip"), description)
    return Done(answers.json_answer(entry.as_json(call.node), 201), changed=True)


def remove_allowlist_entry(call: Call) -> Done:
    """Answer DELETE ``/v2/whitelist/{app}/``; the body names the entry."""
    reader = Reader(call.fields)
    type_, network = _read_key(call, reader)
    if network is None or reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    entry = call.stage.allowlists.find(call.node, type_, network)
    if entry is None:
        return Done(answers.NOT_FOUND)
    call.stage.allowlists.remove(call.node, entry)
    return Done(answers.NO_CONTENT, changed=True)


def _read_key(call: Call, reader: Reader) -> tuple[str, Network | None]:
    type_, ip = reader.choice("type", call.stage.allowlists.types), reader.text("ip")
    try:
        return type_, parse_network(ip)
    except ValueError:
        reader.refuse("ip", "Enter a valid IPv4 or IPv6 address, or a range in CIDR form.")
        return type_, None
