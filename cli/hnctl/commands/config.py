"""`hnctl config`: what is configured, and by what."""

from __future__ import annotations

import os
from collections.abc import Callable, Sized
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

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
    from hypernode.credentials import own_name
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
    found = "set" if os.environ.get("HYPERNODE_API_TOKEN") else None
    node = os.environ.get("HYPERNODE_APP_NAME")
    rows += [
        *_tokens(link.api_url),
        {"key": "token", "value": found, "source": "HYPERNODE_API_TOKEN"},
        {"key": "node", "value": node or own_name(), "source": "HYPERNODE_APP_NAME" if node else "/etc/hypernode"},
        {"key": "config_file", "value": str(link.config.path), "source": "HNCTL_CONFIG or the system"},
        {"key": "cache_folder", "value": str(cache_folder()), "source": "the system"},
        {"key": "state_folder", "value": str(state_folder()), "source": "the system"},
    ]
    print_listing(Listing("config", ["key", "value", "source"], rows), link.value("output"))


def _tokens(api_url: str) -> list[dict[str, Any]]:
    """Return a row for each source of many tokens, and one for the variable in any case."""
    from hypernode.config import check_api_url
    from hypernode.credentials import TOKEN_FILE, own_name, tokens_in_environment
    from hypernode.errors import CredentialsError, InputError
    from hypernode.kept_tokens import names_in_keyring, plain_file, plain_tokens
    from hypernode.places import on_node

    sources: dict[str, Callable[[], Sized]] = {"HYPERNODE_API_TOKENS": tokens_in_environment}
    with suppress(InputError):  # whoever looks for what is wrong is to see an address that cannot be one
        host = urlsplit(check_api_url(api_url)).netloc
        sources["keyring"] = partial(names_in_keyring, host)
        sources[str(plain_file(host))] = partial(plain_tokens, host)
    if (own := own_name()) is not None and os.path.exists(on_node(TOKEN_FILE)):
        sources[TOKEN_FILE] = lambda: [own]
    rows = []
    for source, read in sources.items():
        try:
            value = f"of {count} nodes" if (count := len(read())) else None
        except CredentialsError:
            value = "cannot be read"
        if value or source == "HYPERNODE_API_TOKENS":
            rows.append({"key": "tokens", "value": value, "source": source})
    return rows


def _without_password(value: object) -> object:
    """Return a setting of the config; of an address with a user or a password, those are masked."""
    if not isinstance(value, str) or "@" not in value:
        return value
    head, _, host = value.rpartition("@")
    scheme, slashes, _ = head.rpartition("//")
    return f"{scheme}{slashes}{MASK}@{host}"
