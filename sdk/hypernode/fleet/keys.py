"""The keys of the fleet file, once for reading it and for its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hypernode.fleet.gates import LONGEST_TIMEOUT, STATUS, TRIES, URL
from hypernode.fleet.lists import MODES
from hypernode.fleet.rules import ON_FAILURE, ORDERS
from hypernode.fleet.shares import NUMBER, PERCENTAGE
from hypernode.fleet.ways import VIAS

VERSION = 1


class Key(NamedTuple):
    """One key of the file."""

    text: str
    """What it says, in a sentence."""
    schema: Mapping[str, Any]


def _number(*, least: int = 0, percent: bool = False) -> Mapping[str, Any]:
    """Return the schema of what `shares.parse_share` takes; `least` is 0 or 1."""
    not_zero = "(?!0+%?$)" if least else ""
    forms = f"{NUMBER}|{PERCENTAGE}" if percent else NUMBER
    return {
        "oneOf": [
            {"type": "null"},
            {"type": "integer", "minimum": least, "maximum": 999_999_999},
            {"type": "string", "pattern": f"^{not_zero}({forms})$"},
        ]
    }


_TIME: Mapping[str, Any] = {
    "oneOf": [
        {"type": "null"},
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h)?$"},
    ]
}
_PORT: Mapping[str, Any] = {"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]{1,5}$"}
LAYER_KEYS = {
    "settings": Key("The settings that this layer manages.", {"$ref": "#/$defs/settings"}),
    "allowlist": Key("The addresses that may pass, by type.", {"$ref": "#/$defs/allowlist"}),
    "allowlist_mode": Key(
        "Whether entries that are not listed stay (add) or are removed (exact); add if nothing is said.",
        {"enum": [None, *MODES]},
    ),
    "product": Key(
        "The product that the node is to be of, by its code. It is compared, and never changed by apply.",
        {"type": ["null", "string"], "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    ),
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
    "max_monthly_increase": Key(
        "Most that the products that a plan needs may cost more together, in the unit of the API's prices.", _number()
    ),
}
ROLLOUT_KEYS = {
    "waves": Key(
        "How many nodes of the run, counted from its start, are done when each wave ends; the last entry is 100%.",
        {"type": ["array", "null"], "items": _number(least=1, percent=True), "contains": {"const": "100%"}},
    ),
    "order": Key("In which order nodes are begun.", {"enum": [None, *ORDERS]}),
    "canary": Key(
        "Nodes that are a wave of their own before all others.",
        {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True},
    ),
    "pause": Key("Time between two waves, such as 10m; a bare number is seconds.", _TIME),
    "max_failures": Key(
        "Failed nodes after which no more are started, as a number or a percentage.", _number(least=1, percent=True)
    ),
    "on_failure": Key("What happens when the budget is spent or a gate fails.", {"enum": [None, *ON_FAILURE]}),
    "window": Key(
        "When nodes may be begun, such as Mon-Thu 09:00-16:00 Europe/Amsterdam.", {"type": ["string", "null"]}
    ),
    "gates": Key(
        "What has to hold after each wave.",
        {"type": ["array", "null"], "items": {"$ref": "#/$defs/gate"}, "uniqueItems": True},
    ),
}
_TIMEOUT: Mapping[str, Any] = {
    "oneOf": [
        {"type": "null"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_TIMEOUT},
        {"type": "string", "pattern": _TIME["oneOf"][2]["pattern"]},
    ]
}
_WORD: Mapping[str, Any] = {"type": ["string", "number", "boolean"], "pattern": r"^[^\u0000]*$"}
_TEXT: Mapping[str, Any] = {"type": ["null", "string", "number", "boolean"], "minLength": 1}
PAGE: Mapping[str, Any] = {"type": "string", "pattern": f"^{URL}$"}
ARGV: Mapping[str, Any] = {"type": "array", "minItems": 1, "prefixItems": [{**_WORD, "minLength": 1}], "items": _WORD}
HTTP_KEYS = {
    "url": Key("The address of a page; {node} in it stands for the node's name.", PAGE),
    "status": Key(
        "The status that it answers, 200 if nothing is said. Redirects are followed, unless one is expected.",
        {
            "oneOf": [
                {"type": "null"},
                {"type": "integer", "minimum": 200, "maximum": 599},
                {"type": "string", "pattern": f"^{STATUS}$"},
            ]
        },
    ),
    "timeout": Key("The time that one try may take, such as 10s.", _TIMEOUT),
    "contains": Key("A text that the page must have.", _TEXT),
    "lacks": Key("A text that the page must not have.", _TEXT),
    "tries": Key("How many tries have to be good, such as 2 of 3.", {"enum": [None, *TRIES]}),
}
FPM_KEYS = {
    "max_busy": Key(
        "Most workers of PHP-FPM that may be at work.",
        {
            "oneOf": [
                {"type": "integer", "minimum": 0, "maximum": 999_999_999},
                {"type": "string", "pattern": f"^{NUMBER}$"},
            ]
        },
    ),
}
COMMAND_KEYS = {
    "run": Key("The command and its arguments; no shell is between. The node's name is in HNCTL_NODE.", ARGV),
    "timeout": Key("The time that it may take, such as 60s.", _TIMEOUT),
}
_SAYING: Mapping[str, Any] = {"type": ["string", "number", "boolean"], "pattern": r"\S"}  # YAML's types, not ours
IGNORE_KEYS = {
    "node": Key("The node that it is about.", _SAYING),
    "group": Key("In place of a node: all nodes of this group.", _SAYING),
    "setting": Key("The setting that is left as it is.", {"$ref": "#/$defs/name"}),
    "reason": Key("Why.", _SAYING),
    "until": Key(
        "The last day, such as 2026-12-31; after it the file is refused until the entry is renewed or taken out.",
        {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"},
    ),
}
TOP_KEYS = {
    "version": Key("The version of this format.", {"enum": [VERSION, str(VERSION)]}),
    "defaults": Key("The layer below all others.", {"$ref": "#/$defs/layer"}),
    "groups": Key("Layers for several nodes, by name.", {"$ref": "#/$defs/groups"}),
    "nodes": Key("The nodes, by name.", {"$ref": "#/$defs/nodes"}),
    "rollout": Key("How a plan is carried out.", {"$ref": "#/$defs/rollout"}),
    "limits": Key("How large a plan may be without --force.", {"$ref": "#/$defs/limits"}),
    "ignore": Key("Settings that are left as they are until a day.", {"$ref": "#/$defs/ignore"}),
}
