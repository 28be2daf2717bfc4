"""`hnctl config`: what is configured, and by what."""

from __future__ import annotations

import os
from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.options import output_option
from hypernode.secrets import MASK


@click.group()
def config() -> None:
    """Show the configuration and where each value came from."""


@config.command("list", cls=Command)
@output_option
def list_(output: str | None) -> None:
    """List every value with its source.

    That is a variable, the config file or the default. Tokens are never shown.

    Example: hnctl config list
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hypernode.config import KEYS
    from hypernode.credentials import own_name, tokens_in_environment
    from hypernode.places import cache_folder, state_folder

    link = Connection(output=output)
    rows: list[dict[str, Any]] = []
    for key, (_, _, text) in KEYS.items():
        value, source = link.config.find(key)
        rows.append({"key": key, "value": _without_password(value), "source": source, "about": text})
    for name in ("https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        variable = name if name in os.environ else name.upper()
        if value := os.environ.get(variable):
            about = "used by the API client"
            rows.append({"key": name, "value": _without_password(value), "source": variable, "about": about})
    tokens = tokens_in_environment()
    found = "set" if os.environ.get("HYPERNODE_API_TOKEN") else None
    node = os.environ.get("HYPERNODE_APP_NAME")
    rows += [
        {"key": "tokens", "value": f"of {len(tokens)} nodes" if tokens else None, "source": "HYPERNODE_API_TOKENS"},
        {"key": "token", "value": found, "source": "HYPERNODE_API_TOKEN"},
        {"key": "node", "value": node or own_name(), "source": "HYPERNODE_APP_NAME" if node else "/etc/hypernode"},
        {"key": "config_file", "value": str(link.config.path), "source": "HNCTL_CONFIG or the system"},
        {"key": "cache_folder", "value": str(cache_folder()), "source": "the system"},
        {"key": "state_folder", "value": str(state_folder()), "source": "the system"},
    ]
    print_listing(Listing("config", ["key", "value", "source"], rows), link.value("output"))


def _without_password(value: object) -> object:
    """Return a setting of the config; of an address with a user or a password, those are masked."""
    if not isinstance(value, str) or "@" not in value:
        return value
    head, _, host = value.rpartition("@")
    scheme, slashes, _ = head.rpartition("//")
    return f"{scheme}{slashes}{MASK}@{host}"
