"""Which token for which node, in the order of DESIGN 5. The only importer of keyring.

A token belongs to one node and one API host; a Brancher uses its parent's.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from hypernode.config import Config, check_api_url
from hypernode.errors import CredentialsError, NoToken, SecretUnavailable
from hypernode.names import parent_of
from hypernode.places import on_node
from hypernode.secrets import Secret, run_command

KEYRING_TIMEOUT = 5.0
TOKEN_FILE = "/etc/hypernode/hypernode_api_token"  # noqa: S105  # a path (CONTRACT.md 4.4)
APP_FILE = "/etc/hypernode/app.json"


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the place it was found in; the place may be shown, the token never."""

    secret: Secret
    source: str


def find_token(node: str, *, api_url: str, config: Config, only_node: bool) -> Token:
    """Return the token of `node`.

    Args:
        node: A checked name.
        api_url: The API it is for; tokens in the keyring are kept by API host.
        config: Tells the token_command.
        only_node: Whether no other node is addressed, so that an unnamed HYPERNODE_API_TOKEN can only be its own.

    Raises:
        NoToken: No source has one.
        CredentialsError: A source has something that cannot be a token, or cannot be asked.
        InputError: The address cannot be one of an API.
    """
    names = [node] if (parent := parent_of(node)) is None else [node, parent]
    token = (
        _from_tokens(names)
        or _from_token(names, only_node=only_node)
        or _from_command(node, config)
        or _from_keyring(names, api_url)
        or _from_own_file(names)
    )
    if token is None:
        raise NoToken(
            f"there is no API token for {node}",
            hint='Give one: HYPERNODE_API_TOKEN (one node) or HYPERNODE_API_TOKENS=\'{"NODE": "TOKEN"}\'; '
            f"token_command in {config.path}; or keep it in the keyring: "
            f"keyring set {keyring_service(api_url)!r} {names[-1]}. "
            f"On the node itself it is in {TOKEN_FILE}",
            node=node,
        )
    return _checked(token, node)


def tokens_in_environment() -> Mapping[str, Secret]:
    """Return the tokens of HYPERNODE_API_TOKENS by node; empty when it is not set.

    Raises:
        CredentialsError: It is not a JSON object of texts. Its content is not shown.
    """
    text = os.environ.get("HYPERNODE_API_TOKENS")
    return _read_tokens(text) if text else {}


@lru_cache(maxsize=1)  # asked for every node of a fleet, and thousands of tokens take a while to decode
def _read_tokens(text: str) -> Mapping[str, Secret]:
    try:
        tokens = json.loads(text)
    except (ValueError, RecursionError):
        tokens = None
    if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
        raise CredentialsError(
            "HYPERNODE_API_TOKENS is not a JSON object from node to token",
            hint='It must read like {"kaasshop": "...", "bigshop": "..."}',
        )
    return {name: Secret(token.strip()) for name, token in tokens.items()}


def keyring_service(api_url: str) -> str:
    """Return the keyring service that holds the tokens for one API host.

    Raises:
        InputError: The address cannot be one of an API.
    """
    return f"hnctl {urlsplit(check_api_url(api_url)).netloc}"


def read_keyring(service: str, user: str) -> Secret | None:
    """Return what the keyring holds, or None; a machine without a keyring holds nothing.

    Raises:
        CredentialsError: The keyring is locked, fails, or does not answer within 5 seconds.
    """
    import keyring
    import keyring.errors

    found: list[str | BaseException | None] = []

    def ask() -> None:
        try:
            found.append(keyring.get_password(service, user))
        except Exception as exc:  # noqa: BLE001  # backends raise what they like; judged below
            found.append(exc)

    # A locked Secret Service can wait for a window that nobody sees, so it is asked on a thread that we may leave.
    thread = threading.Thread(target=ask, daemon=True, name="keyring")
    thread.start()
    thread.join(KEYRING_TIMEOUT)
    if not found:
        raise CredentialsError(
            f"the keyring did not answer within {KEYRING_TIMEOUT:.0f} seconds",
            hint="Unlock it, or set HYPERNODE_API_TOKENS",
        )
    match found[0]:
        case None:
            return None
        case str(text):
            return Secret(text.strip())
        case keyring.errors.NoKeyringError():
            return None
        case failure:
            raise CredentialsError(
                f"the keyring cannot be read: {type(failure).__name__}",
                hint="Unlock it, or set HYPERNODE_API_TOKENS",
            )


def own_name() -> str | None:
    """Return the name of the node that we stand on, or None elsewhere (CONTRACT.md 4.4)."""
    try:
        tag = json.loads(on_node(APP_FILE).read_text("utf-8")).get("tag")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    return tag if isinstance(tag, str) else None


def _from_tokens(names: list[str]) -> Token | None:
    tokens = tokens_in_environment()
    return next((Token(tokens[name], "HYPERNODE_API_TOKENS") for name in names if name in tokens), None)


def _from_token(names: list[str], *, only_node: bool) -> Token | None:
    text = os.environ.get("HYPERNODE_API_TOKEN", "").strip()
    owner = os.environ.get("HYPERNODE_APP_NAME")
    if text and (owner in names or (not owner and only_node)):
        return Token(Secret(text), "HYPERNODE_API_TOKEN")
    return None


def _from_command(node: str, config: Config) -> Token | None:
    argv = config.values.get("token_command")
    if argv is None:
        return None
    try:
        text = run_command(list(argv), "token_command", env={**os.environ, "HNCTL_NODE": node})
    except SecretUnavailable as exc:
        raise CredentialsError(str(exc), hint=f"It is set in {config.path}", node=node) from None
    return Token(Secret(text.strip()), "token_command") if text.strip() else None


def _from_keyring(names: list[str], api_url: str) -> Token | None:
    service = keyring_service(api_url)
    for name in names:
        if secret := read_keyring(service, name):
            return Token(secret, "keyring")
    return None


def _from_own_file(names: list[str]) -> Token | None:
    if own_name() not in names:
        return None
    try:
        text = on_node(TOKEN_FILE).read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "not text"
        raise CredentialsError(f"{on_node(TOKEN_FILE)} cannot be read: {reason}") from None
    return Token(Secret(text), TOKEN_FILE) if text else None


def _checked(token: Token, node: str) -> Token:
    text = token.secret.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise CredentialsError(
            f"what {token.source} gives for {node} cannot be a token: it is empty or holds blanks or odd characters",
            node=node,
        )
    return token


def explicit(token: str | Secret, node: str) -> Token:
    """Return the token that the caller gave.

    Raises:
        CredentialsError: It cannot be one.
    """
    return _checked(Token(token if isinstance(token, Secret) else Secret(token.strip()), "given"), node)
