"""A fleet file of fifty nodes in three layers, for the tests of whole rollouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

GROUPS: Mapping[str, Mapping[str, Any]] = {
    "magento": {"php_version": "8.3", "permissive_memory_management": False},
    "shopware": {"php_version": "8.2", "nodejs_version": "22"},
}
DEFAULTS: Mapping[str, Any] = {"modern_ssl_config_enabled": True, "supervisor_enabled": False}
OWN: Mapping[str, Any] = {"permissive_memory_management": True, "mysql_long_query_time": 5}


def wished(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the file wishes for each node: defaults, then its group, then what every fifth has of its own."""
    wishes = {}
    for index, name in enumerate(names):
        own = OWN if index % 5 == 0 else {}
        wishes[name] = {**DEFAULTS, **GROUPS[_group(index)], **own}
    return wishes


def fleet_file(names: Iterable[str], more: str = "") -> str:
    """Return the file's text; `more` is put at its end."""
    lines = ["version: 1", f"defaults: {{ settings: {_flow(DEFAULTS)} }}", "groups:"]
    lines += [f"  {group}: {{ settings: {_flow(settings)} }}" for group, settings in GROUPS.items()]
    lines.append("nodes:")
    for index, name in enumerate(names):
        own = f", settings: {_flow(OWN)}" if index % 5 == 0 else ""
        lines.append(f"  {name}: {{ groups: [{_group(index)}]{own} }}")
    return "\n".join([*lines, more, ""])


def _group(index: int) -> str:
    return ("magento", "shopware")[index % 2]


def _flow(settings: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name}: {str(value).lower()}" for name, value in settings.items()) + " }"
