"""Where the value of a setting comes from, as text and as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnctl.render.listing import FORMAT_VERSION, cell
from hnctl.render.setting import card, list_card
from hypernode.allowlists import Entries
from hypernode.catalogue import Setting
from hypernode.fleet.managed import AddressList, Managed, as_json
from hypernode.fleet.spec import LIFTED, Fleet, Wish
from hypernode.printable import printable
from hypernode.secrets import MASK, Reference, Secret

if TYPE_CHECKING:
    from hypernode.api.models import Flow

_MODES = {"add": "add: entries that are not listed stay", "exact": "exact: entries that are not listed are removed"}


def explanation_document(
    fleet: Fleet, node: str, setting: Setting | AddressList, live: Managed, flow: Flow | None
) -> dict[str, Any]:
    """Return everything that `hnctl explain` tells, as JSON values.

    Args:
        fleet: The fleet file.
        node: A node of it.
        setting: What is explained; an allowlist comes with its ``mode``.
        live: Its value on the node.
        flow: The newest flow that changed settings of the node, or None.
    """
    layers = fleet.layers(node, setting.name)
    ignored = fleet.ignored(node).get(setting.name)
    winner = layers[-1] if layers and layers[-1].value is not LIFTED else None
    return {
        "format_version": FORMAT_VERSION,
        "node": node,
        "setting": setting.name,
        "managed": winner is not None,
        "desired": _wished(winner) if winner else None,
        "ignored": {"until": ignored.until.isoformat(), "reason": ignored.reason} if ignored else None,
        "live": MASK if isinstance(live, Secret) else as_json(live),
        "layers": [
            {
                "layer": wish.layer,
                "value": _wished(wish),
                "place": f"{fleet.path}:{wish.line}:{wish.column}",
                "wins": wish is layers[-1],
            }
            for wish in reversed(layers)
        ],
        "last_flow": {
            "name": flow.name,
            "state": flow.state,
            "created_at": flow.created_at.isoformat() if flow.created_at else None,
            "uuid": flow.uuid,
        }
        if flow
        else None,
        "about": list_card(setting) if isinstance(setting, AddressList) else card(setting),
        **({"mode": "exact" if fleet.is_exact(node) else "add"} if isinstance(setting, AddressList) else {}),
    }


def render_explanation(document: Mapping[str, Any]) -> str:
    """Return an explanation for a person."""
    about, flow = document["about"], document["last_flow"]
    lines = [f"{document['setting']} on {document['node']}"]
    lines.append(f"  live      {_live(document['live'])}")
    lines.append(f"  desired   {_value(document['desired']) if document['managed'] else 'not managed by the file'}")
    if ignored := document["ignored"]:
        lines.append(f"  ignored   until {ignored['until']}: {ignored['reason']}")
    for layer in document["layers"]:
        role = "wins  " if layer["wins"] else "loses "
        lines.append(f"    {role}{_value(layer['value'])}  {layer['layer']}, {layer['place']}")
    if "mode" in document:
        lines.append(f"  mode      {_MODES[document['mode']]}")
    else:
        lines.append(f"  default   {_live(about['default'])}")
    lines.append(f"  takes     {cell(about['values']) if about['values'] else about['type']}")
    lines += [f"  needs     {text}" for text in about["needs"]]
    lines += [f"  risk      {text}" for text in about["risk"]]
    if flow:
        lines.append(
            f"  last flow {flow['name']} {flow['state'] or 'not started'}, {flow['created_at']}, {flow['uuid']}"
        )
    return "\n".join(map(printable, lines))


def _live(value: object) -> str:
    return "not set" if value is None else _value(value)


def _value(value: object) -> str:
    """Return a value for a person; of an allowlist each address with its description."""
    if not isinstance(value, Mapping):
        return cell(value)
    return ", ".join(f"{ip} ({text})" if text else ip for ip, text in value.items()) or "no entries"


def _wished(wish: Wish) -> Any:
    match wish.value:
        case None:
            return "!clear"
        case Reference():
            return str(wish.value)
        case value if value is LIFTED:
            return "null (not managed)"
        case Entries():
            return dict(wish.value)
        case value:
            return value
