"""What a call by hand can do that its own command would ask about: --yes must cover no more here than it does there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypernode.catalogue import Catalogue
from hypernode.errors import InputError
from hypernode.names import is_node

Agreement = tuple[str, str]
"""What has to be confirmed by name, and why."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Calls that have a command of their own, or have to be confirmed by name."""

    method: str
    path: re.Pattern[str]
    command: str | None
    """That command, which checks what is sent and looks what became of it; None: there is none."""
    needs: Callable[[str, Mapping[str, Any], Catalogue], Iterator[Agreement]]


def _settings(node: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    for name, raw in body.items():
        setting = catalogue.get(name)
        if setting is None:
            continue
        typed = setting.typed(raw)
        # The API may read more words as a yes or a no than we do, so what we cannot read can be either.
        odd = setting.type == "boolean" and not isinstance(typed, bool)
        for hazard in setting.risk.hazards(None if odd else typed):
            text = getattr(setting.risk, hazard).text.rstrip(".")
            yield f"{node}:{name}", f"{node}: {name}: {text}"


def _allowlist(node: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    if body.get("type") == "ssh":
        yield (
            f"{node}:allowlist.ssh",
            f"{node}: a change of the allowlist of ssh can close SSH for everybody, you included",
        )


def _product(node: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    code = _texts_in(body, "product")[0]
    yield f"{node}:{code}", f"{node}: another product costs money, and the shop is down for a part of the move"


def _order(_: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    name, code = _texts_in(body, "app_name", "product")
    yield f"{name}:{code}", "a new node is ordered, for money"


def _preinstall(node: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    yield (
        f"{node}:perform_preinstall",
        f"{node}: a fresh shop is installed, and no source says what becomes of a shop that is there",
    )


def _texts_in(body: Mapping[str, Any], *names: str) -> list[str]:
    """Return the fields of `body` by which it is confirmed.

    Raises:
        InputError: Some are missing, or are no texts.
    """
    wrong = [name for name in names if not (isinstance(body.get(name), str) and body[name].strip())]
    if wrong:
        each = "each" if len(wrong) > 1 else "as"
        raise InputError(
            f"the body has no {' and no '.join(wrong)}, by which it would be confirmed",
            hint=f"Give {' and '.join(wrong)} in --data, {each} a text",
        )
    return [body[name] for name in names]


def _nothing(node: str, body: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Agreement]:
    yield from ()


_KINDS = tuple(
    _Kind(method, re.compile(r"(?:/api)?/v[0-9]+/" + path, re.IGNORECASE), command, needs)
    for method, path, command, needs in (
        ("PATCH", r"app/xgrade/([^/]+)", "products change", _product),
        ("POST", r"app/(order)", "orders create", _order),
        ("PATCH", r"app/([^/]+)", "settings set", _settings),
        ("POST", r"whitelist/([^/]+)", "allowlist add", _allowlist),
        ("DELETE", r"whitelist/([^/]+)", "allowlist remove", _allowlist),
        ("POST", r"app/([^/]+)/backup", "backups create", _nothing),
        ("POST", r"app/([^/]+)/block_attack", "attacks block", _nothing),
        ("POST", r"app/([^/]+)/perform_preinstall", None, _preinstall),
        ("POST", r"brancher/app/([^/]+)", "brancher create", _nothing),
        ("DELETE", r"brancher/([^/]+)", "brancher delete", _nothing),
        ("POST", r"insights-annotation/create()", "insights add", _nothing),
    )
)


def what_it_does(method: str, path: str, body: object, catalogue: Catalogue) -> tuple[str | None, list[Agreement]]:
    """Return the command that a call has of its own, and what has to be confirmed by name.

    Args:
        method: HTTP method.
        path: A checked one, perhaps with a query.
        body: Decoded JSON, or None.
        catalogue: Tells which settings are hazardous.

    Raises:
        InputError: `body` lacks what it would be confirmed by.
    """
    bare = path.partition("?")[0].rstrip("/")
    fields = body if isinstance(body, Mapping) else {}
    for kind in _KINDS:
        found = kind.path.fullmatch(bare) if method == kind.method else None
        if found:
            return kind.command, list(dict(kind.needs(found[1], fields, catalogue)).items())
    return None, []


def reads(method: str, path: str) -> bool:
    """Tell whether a call changes nothing: all GET and OPTIONS, and the POST that asks for PHP-FPM's status."""
    if method in ("GET", "OPTIONS"):
        return True
    found = re.fullmatch(r"/v2/nats/([^/]+)/hypernode\.show-fpm-status", path)
    return method == "POST" and found is not None and is_node(found[1])
