"""`hnctl config`: what is configured, and by what."""

from __future__ import annotations

import os
from typing import Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.options import output_option


@click.group()
def config() -> None:
    """Show the configuration and where each value came from."""


@config.command("list", cls=Command)
@output_option
def list_(output: str | None) -> None:
    """List every value with its source: a variable, the config file or the default. Tokens are never shown.

    Example: hnctl config list
    """
    from hnctl.render.listing import Listing, render_listing
    from hypernode.config import KEYS
    from hypernode.credentials import own_name, tokens_in_environment
    from hypernode.places import cache_folder, state_folder

    link = Connection(output=output)
    rows: list[dict[str, Any]] = []
    for key, (_, _, text) in KEYS.items():
        value, source = link.config.find(key)
        rows.append({"key": key, "value": value, "source": source, "about": text})
    for variable in ("HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        if value := os.environ.get(variable) or os.environ.get(variable.lower()):
            shown = "set" if "@" in value else value
            rows.append(
                {"key": variable.lower(), "value": shown, "source": variable, "about": "used by the API client"}
            )
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
    click.echo(render_listing(Listing("config", ["key", "value", "source"], rows), link.value("output")))
