"""The API's own list of settings and values, kept for a day per API host (CONTRACT.md 2.1, eav_descriptions)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypernode.config import check_api_url
from hypernode.places import cache_folder
from hypernode.private_files import replace_file
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.transport import Transport

LIFETIME = 24 * 3600


def cached(api_url: str) -> Mapping[str, Any] | None:
    """Return the list that was fetched within the last day, or None. A damaged file counts as none.

    Raises:
        InputError: The address cannot be one of an API.
    """
    path = _path(api_url)
    try:
        if not 0 <= time.time() - path.stat().st_mtime < LIFETIME:
            return None
        live = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return live if isinstance(live, dict) else None


def fetch(transport: Transport, token: Secret) -> Mapping[str, Any]:
    """Ask the API for the list and keep it; a cache that cannot be written is done without."""
    from hypernode.api.apps import get_descriptions

    live = get_descriptions(transport, token)
    path = _path(transport.api_url)
    with suppress(OSError):
        replace_file(path, json.dumps(live))
    return live


def _path(api_url: str) -> Path:
    return cache_folder() / "settings" / f"{urlsplit(check_api_url(api_url)).netloc.replace(':', '_')}.json"
