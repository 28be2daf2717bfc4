"""A fleet file of what exists. What all nodes share goes into the defaults, the rest to the nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from hypernode.catalogue import Catalogue
from hypernode.fleet.spec import VERSION
from hypernode.secrets import Secret


def make_file(live: Mapping[str, Mapping[str, Any]], catalogue: Catalogue, *, with_defaults: bool = False) -> str:
    """Return the text of a fleet file that wishes for `live` what it has.

    Left out are settings that are not set, that a token cannot change, and, without `with_defaults`, those with the
    value that a new node starts with. A secret becomes a reference to a variable that is to be filled in.
    """
    nodes = {node: _managed(node, detail, catalogue, with_defaults=with_defaults) for node, detail in live.items()}
    shared = _shared(list(nodes.values()))
    variables = sorted(
        text.removeprefix("env:")
        for settings in nodes.values()
        for name, text in settings.items()
        if catalogue[name].secret
    )
    head = "# Made by hnctl export.\n"
    if variables:
        head += "# Secrets are read from these variables; set them, or refer to another place:\n"
        head += "".join(f"#   {name}\n" for name in variables)
    document: dict[str, Any] = {"version": VERSION}
    if shared:
        document["defaults"] = {"settings": shared}
    document["nodes"] = {
        node: {"settings": own} if (own := {n: v for n, v in settings.items() if n not in shared}) else {}
        for node, settings in sorted(nodes.items())
    }
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


def _managed(node: str, detail: Mapping[str, Any], catalogue: Catalogue, *, with_defaults: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, setting in catalogue.items():
        value = setting.typed(detail.get(name))
        if value is None or setting.read_only or (value == setting.default and not with_defaults):
            continue
        if isinstance(value, Secret):
            settings[name] = "env:" + f"{node}_{name}".replace("-", "_").upper()
        else:
            settings[name] = value
    return settings


def _shared(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings that all nodes have with the same value; a single node shares nothing."""
    if len(nodes) < 2:
        return {}
    first, rest = nodes[0], nodes[1:]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in rest)}
