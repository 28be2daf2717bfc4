"""The keys of the fleet file, once for reading it and for its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hypernode.fleet.ways import VIAS

VERSION = 1
NUMBER = "[0-9]{1,9}"
PERCENTAGE = "(100|[0-9]{1,2})%"


class Key(NamedTuple):
    """One key of the file."""

    text: str
    """What it says, in a sentence."""
    schema: Mapping[str, Any]


def _number(*, least: int = 0, percent: bool = False) -> Mapping[str, Any]:
    """Return the schema of what `spec.parse_share` takes; `least` is 0 or 1."""
    not_zero = "(?!0+%?$)" if least else ""
    forms = f"{NUMBER}|{PERCENTAGE}" if percent else NUMBER
    return {
        "oneOf": [
            {"type": "null"},
            {"type": "integer", "minimum": least, "maximum": 999_999_999},
            {"type": "string", "pattern": f"^{not_zero}({forms})$"},
        ]
    }


_PORT: Mapping[str, Any] = {"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]{1,5}$"}
LAYER_KEYS = {
    "settings": Key("The settings that this layer manages.", {"$ref": "#/$defs/settings"}),
    "via": Key(
        "The way to the node's settings: the API, or the node's own tool over SSH or on this machine.",
        {"enum": [None, *VIAS]},
    ),
    "ssh": Key("Where the node is reached over SSH.", {"$ref": "#/$defs/ssh"}),
}
SSH_KEYS = {
    "host": Key("Name or address; {node} in it stands for the node's name.", {"type": ["null", "string"]}),
    "port": Key("Port.", {"oneOf": [{"type": "null"}, _PORT]}),
    "user": Key("User; on a Hypernode it is app.", {"type": ["null", "string"]}),
}
NODE_KEYS = {
    "groups": Key(
        "The groups of the node; later ones win.",
        # YAML takes some names of groups for numbers or booleans.
        {"type": ["array", "null"], "items": {"type": ["string", "number", "boolean"]}, "uniqueItems": True},
    ),
    **LAYER_KEYS,
}
LIMIT_KEYS = {
    "max_nodes": Key(
        "Most nodes that a plan may change, as a number or a percentage of the fleet.", _number(percent=True)
    ),
    "max_changes": Key("Most changes that a plan may hold.", _number()),
}
ROLLOUT_KEYS = {
    "max_failures": Key(
        "Failed nodes after which no more are started, as a number or a percentage.", _number(least=1, percent=True)
    ),
}
TOP_KEYS = {
    "version": Key("The version of this format.", {"enum": [VERSION, str(VERSION)]}),
    "defaults": Key("The layer below all others.", {"$ref": "#/$defs/layer"}),
    "groups": Key("Layers for several nodes, by name.", {"$ref": "#/$defs/groups"}),
    "nodes": Key("The nodes, by name.", {"$ref": "#/$defs/nodes"}),
    "rollout": Key("How a plan is carried out.", {"$ref": "#/$defs/rollout"}),
    "limits": Key("How large a plan may be without --force.", {"$ref": "#/$defs/limits"}),
}
LATER_ROLLOUT_KEYS = {"waves": "waves are", "gates": "gates are"}
"""Keys that a later version will know, with the subject and verb for saying so."""
