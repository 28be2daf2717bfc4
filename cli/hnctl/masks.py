"""Decoded JSON of the API with its secrets masked, whatever its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hypernode.catalogue import Catalogue, looks_secret
from hypernode.secrets import MASK, Secret, redact

_SECRET_LINKS = frozenset({"access_url"})
"""Fields beside the settings that whoever knows them can log in with (CONTRACT.md 2.7 #53)."""


def is_secret(name: str, catalogue: Catalogue) -> bool:
    """Tell whether the value of a field is not to be shown, by its name."""
    setting = catalogue.get(name)
    if name in _SECRET_LINKS or (setting is not None and setting.secret):
        return True
    return (setting is None or setting.live_only) and looks_secret(name)


def secrets_in(data: object, catalogue: Catalogue) -> Iterator[Secret]:
    """Yield the values of secret settings in decoded JSON."""
    match data:
        case Mapping():
            for name, value in data.items():
                if isinstance(value, str) and value and is_secret(name, catalogue):
                    yield Secret(value)
                yield from secrets_in(value, catalogue)
        case list():
            for item in data:
                yield from secrets_in(item, catalogue)


def masked(data: object, catalogue: Catalogue, token: Secret) -> object:
    """Return decoded JSON with the values of secret settings masked, and the token wherever it may stand."""
    match data:
        case Mapping():
            return {
                redact(name, [token]): _hidden(value) if is_secret(name, catalogue) else masked(value, catalogue, token)
                for name, value in data.items()
            }
        case list():
            return [masked(item, catalogue, token) for item in data]
        case str():
            return redact(data, [token])
        case _:
            return data


def _hidden(value: object) -> object:
    """Return the mask for a secret; that none is set is no secret, and neither is a yes or no."""
    match value:
        case None | bool() | "":
            return value
        case list():
            return [_hidden(item) for item in value]
        case _:
            return MASK
