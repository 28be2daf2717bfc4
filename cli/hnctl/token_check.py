"""Trying tokens against the API, side by side: which work, which are refused, and which could not be tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.reading import read_chosen
from hnctl.selection import Selection
from hypernode.errors import CredentialsError, Forbidden, HypernodeError

Result = Literal["works", "works, API use switched off", "refused", "no token", "unreachable"]


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """What became of trying one node's token."""

    node: str
    result: Result
    source: str | None
    """Where the token was found; None when there is none."""
    reason: str | None = None
    hint: str | None = None
    """What to do about a token that is missing."""

    @staticmethod
    def exit_of(checks: Sequence[TokenCheck]) -> Exit:
        """Return the status: a refused or missing token outranks a node that could not be reached."""
        results = {check.result for check in checks}
        if results & {"refused", "no token"}:
            return Exit.CREDENTIALS
        return Exit.FAILED if "unreachable" in results else Exit.OK


def check_tokens(link: Connection, selection: Selection) -> list[TokenCheck]:
    """Try the tokens of the chosen nodes, and return what became of each, by node."""
    details, failures = read_chosen(link, selection, link.catalogue(), only_api=True)
    checks = [_judge(link, node, details.get(node), failures.get(node)) for node in {**details, **failures}]
    return sorted(checks, key=lambda check: check.node)


def _judge(
    link: Connection, node: str, detail: Mapping[str, object] | None, failure: HypernodeError | None
) -> TokenCheck:
    try:
        source = link.find_token(node).source
    except CredentialsError as exc:
        return TokenCheck(node, "no token", None, exc.message, exc.hint)
    if failure is not None:
        refused = isinstance(failure, CredentialsError | Forbidden)
        return TokenCheck(node, "refused" if refused else "unreachable", source, failure.message)
    # CONTRACT.md 1.4, the account switch: paid calls are refused while it is off.
    off = detail is not None and detail.get("allow_api_token_usage") is False
    return TokenCheck(node, "works, API use switched off" if off else "works", source)
