"""Which token for which node, in the order of DESIGN 5. The only importer of keyring.

A token belongs to one node and one API host; a Brancher uses its parent's.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

from hypernode.config import Config, check_api_url
from hypernode.errors import CredentialsError, NoKeyring, NoToken, SecretUnavailable
from hypernode.kept_tokens import keep_plain, names_in_keyring, note_in_keyring, plain_file, plain_tokens
from hypernode.names import parent_of
from hypernode.places import APP_FILE, on_node
from hypernode.secrets import Secret, run_command

T = TypeVar("T")

KEYRING_TIMEOUT = 5.0
_GIVEN = "given"
_unanswered: list[threading.Thread] = []
"""Those that still wait for the keyring."""
_WAYS_OUT = (
    "Set HYPERNODE_API_TOKENS in the environment; or a token_command in the config; or keep it in a plain file that "
    "only you can read: --insecure-storage of hnctl auth login and auth bootstrap"
)
TOKEN_FILE = "/etc/hypernode/hypernode_api_token"  # noqa: S105  # a path (CONTRACT.md 4.4)


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
    sources = _sources(node, api_url, config, only_node=only_node)
    token = next((found for source in sources if (found := source()) is not None), None)
    if token is None:
        owner = parent_of(node) or node
        raise NoToken(
            f"there is no API token for {node}",
            hint='Give one: HYPERNODE_API_TOKEN (one node) or HYPERNODE_API_TOKENS=\'{"NODE": "TOKEN"}\'; '
            f"token_command in {config.path}; or keep it: hnctl auth login {owner} (in the keyring; without one "
            f"--insecure-storage). On the node itself it is in {TOKEN_FILE}",
            node=node,
        )
    return _checked(token, node)


def unlike(token: Token, node: str, *, api_url: str, config: Config, only_node: bool) -> list[str]:
    """Return the sources that have another token of `node` than `token`, which was found first; see `find_token`.

    A source that cannot be asked is passed over.
    """
    others = []
    for source in _sources(node, api_url, config, only_node=only_node):
        with suppress(CredentialsError):
            found = source()
            if found is not None and found.secret != token.secret:
                others.append(found.source)
    return others


def _sources(node: str, api_url: str, config: Config, *, only_node: bool) -> list[Callable[[], Token | None]]:
    """Return what asks each source, in their order."""
    names = [node] if (parent := parent_of(node)) is None else [node, parent]
    return [
        lambda: _from_tokens(names),
        lambda: _from_token(names, only_node=only_node),
        lambda: _from_command(node, config),
        lambda: _from_plain_file(names, api_url, but=names_in_keyring(_host(api_url))),
        lambda: _from_keyring(names, api_url),
        lambda: _from_plain_file(names, api_url),
        lambda: _from_own_file(names),
    ]


def tokens_in_environment() -> Mapping[str, Secret]:
    """Return the tokens of HYPERNODE_API_TOKENS by node; empty when it is not set.

    Raises:
        CredentialsError: It is not a JSON object of texts. Its content is not shown.
    """
    text = os.environ.get("HYPERNODE_API_TOKENS")
    return _read_tokens(text) if text else {}


@dataclass(frozen=True, slots=True)
class KnownToken:
    """That a source has a token for a node; the token itself is not read into it."""

    node: str
    source: str
    insecure: bool
    """Whether it lies in a plain file of ours."""
    used: bool
    """Whether no source before it has one for the node."""


def known_tokens(api_url: str) -> list[KnownToken]:
    """Return which nodes have a token in which source, by node, the first source in its order first.

    A token_command is not among the sources: nobody knows for which nodes it has one. A keyring is not asked: what
    hnctl put into it stands beside it.

    Raises:
        CredentialsError: A source cannot be read.
        InputError: The address cannot be one of an API.
    """
    host = _host(api_url)
    sources: list[tuple[str, Iterable[str]]] = [("HYPERNODE_API_TOKENS", tokens_in_environment())]
    owner = os.environ.get("HYPERNODE_APP_NAME")
    if owner and os.environ.get("HYPERNODE_API_TOKEN", "").strip():
        sources.append(("HYPERNODE_API_TOKEN", [owner]))
    plain = str(plain_file(host))
    sources += [("keyring", names_in_keyring(host)), (plain, plain_tokens(host))]
    own = own_name()
    if own is not None and os.path.exists(on_node(TOKEN_FILE)):
        sources.append((TOKEN_FILE, [own]))
    seen: set[str] = set()
    known = []
    for source, nodes in sources:
        known += [KnownToken(node, source, source == plain, node not in seen) for node in nodes]
        seen.update(nodes)
    return sorted(known, key=lambda token: token.node)


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
    return f"hnctl {_host(api_url)}"


def _host(api_url: str) -> str:
    return urlsplit(check_api_url(api_url)).netloc


def read_keyring(service: str, user: str) -> Secret | None:
    """Return what the keyring holds, or None; a machine without a keyring holds nothing.

    Raises:
        CredentialsError: The keyring is locked, fails, or does not answer within 5 seconds.
    """
    import keyring

    try:
        text = _ask_keyring(lambda: keyring.get_password(service, user), "read")
    except NoKeyring:
        return None
    return None if text is None else Secret(text.strip())


def keep_token(node: str, token: Secret, api_url: str, *, insecurely: bool = False) -> str:
    """Keep the token of `node` for later runs, and return where: ``keyring``, or the path of the plain file.

    Args:
        node: A checked name.
        token: Tried before, it is to be hoped.
        api_url: The API it is for.
        insecurely: Whether to write it into a file that this user's programs can read, in place of the keyring.

    Raises:
        NoKeyring: The hint names the ways out; nothing falls back to a file by itself.
        CredentialsError: It cannot be kept.
    """
    host = _host(api_url)
    if insecurely:
        keep_plain(host, node, token)
        return str(plain_file(host))
    import keyring

    service = keyring_service(api_url)
    _ask_keyring(lambda: keyring.set_password(service, node, token.reveal()), "written")
    if read_keyring(service, node) != token:  # the null backend takes everything and keeps nothing
        raise NoKeyring("the keyring of this machine keeps nothing", hint=_WAYS_OUT, node=node)
    note_in_keyring(host, node, kept=True)
    return "keyring"


def forget_token(node: str, api_url: str) -> tuple[str, ...]:
    """Take the token of `node` out of the keyring and the plain file, and return where there was one.

    Raises:
        CredentialsError: The keyring or the file cannot be changed.
    """
    import keyring

    host, service = _host(api_url), keyring_service(api_url)
    places = []
    if node in plain_tokens(host):
        keep_plain(host, node, None)
        places.append(str(plain_file(host)))
    noted = node in names_in_keyring(host)
    try:
        held = read_keyring(service, node) is not None
    except CredentialsError:
        if noted or not places:
            raise
        return tuple(places)  # whoever has a plain file has it because of such a keyring
    if held:
        _ask_keyring(lambda: keyring.delete_password(service, node), "written")
        places.insert(0, "keyring")
    if noted:
        note_in_keyring(host, node, kept=False)
    return tuple(places)


def _ask_keyring(act: Callable[[], T], done: str) -> T:
    """Return what `act` returns, asked on a thread that we may leave: a locked one can wait for an unseen window.

    Raises:
        NoKeyring: There is none.
        CredentialsError: It fails, or takes more than 5 seconds; the backend's own words are not shown.
    """
    import keyring.errors

    answers: list[T] = []
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(act())
        except BaseException as exc:  # noqa: BLE001  # backends raise what they like; judged below
            failures.append(exc)

    if not any(thread.is_alive() for thread in _unanswered):  # 5 seconds for a run, not for each of its nodes
        thread = threading.Thread(target=ask, daemon=True, name="keyring")
        thread.start()
        thread.join(KEYRING_TIMEOUT)
        if thread.is_alive():
            _unanswered.append(thread)
    if answers:
        return answers[0]
    if not failures:
        raise CredentialsError(
            f"the keyring did not answer within {KEYRING_TIMEOUT:.0f} seconds",
            hint=f"Unlock it. Or go without: {_WAYS_OUT}",
        )
    if isinstance(failures[0], keyring.errors.NoKeyringError):
        raise NoKeyring("this machine has no keyring", hint=_WAYS_OUT)
    raise CredentialsError(
        f"the keyring cannot be {done}: {type(failures[0]).__name__}", hint=f"Unlock it. Or go without: {_WAYS_OUT}"
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
        text = run_command(list(argv), "token_command", env={**os.environ, "HNCTL_NODE": parent_of(node) or node})
    except SecretUnavailable as exc:
        raise CredentialsError(str(exc), hint=f"It is set in {config.path}", node=node) from None
    return Token(Secret(text.strip()), "token_command") if text.strip() else None


def _from_keyring(names: list[str], api_url: str) -> Token | None:
    service = keyring_service(api_url)
    for name in names:
        if secret := read_keyring(service, name):
            return Token(secret, "keyring")
    return None


def _from_plain_file(names: list[str], api_url: str, *, but: Collection[str] = ()) -> Token | None:
    """Look into the plain file; before the keyring `but` for those it holds, since one that hangs need not be asked."""
    host = _host(api_url)
    tokens = plain_tokens(host)
    return next((Token(tokens[n], str(plain_file(host))) for n in names if n in tokens and n not in but), None)


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
    if not text:
        raise CredentialsError(f"{on_node(TOKEN_FILE)} is empty")
    return Token(Secret(text), TOKEN_FILE)


def _checked(token: Token, node: str) -> Token:
    text = token.secret.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        what = f"the token given for {node}" if token.source == _GIVEN else f"what {token.source} gives for {node}"
        raise CredentialsError(f"{what} cannot be a token: it is empty or holds blanks or odd characters", node=node)
    return token


def explicit(token: str | Secret, node: str) -> Token:
    """Return the token that the caller gave.

    Raises:
        CredentialsError: It cannot be one.
    """
    return _checked(Token(token if isinstance(token, Secret) else Secret(token.strip()), _GIVEN), node)
