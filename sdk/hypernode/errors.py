"""Every error that hnctl raises on purpose. Catching `HypernodeError` catches them all.

    HypernodeError
    |-- InputError              what a person gave us: names, values, files, options
    |   |-- UnknownSetting, InvalidValue, ReadOnlySetting, InvalidNode
    |   |-- FileError      all problems of one file, each with its position
    |   |-- SecretUnavailable   a secret's reference that leads nowhere
    |   `-- MissingPart         an optional part of hnctl is not installed
    |-- CredentialsError        no token, or a token that the API refuses
    |   |-- NoToken
    |   |-- NoKeyring
    |   |-- KeyRefused          SSH: the node takes none of our keys
    |   `-- TokenRefused
    |-- ApiError                the API answered, and the answer is not what was asked for
    |   |-- Rejected            400: refused values, by field
    |   |-- Forbidden           403
    |   |   `-- ApiUseSwitchedOff
    |   |-- NotFound            404
    |   |-- TryLater            429, 502, 503, 504 after all retries
    |   `-- BadAnswer           an answer that is no API answer: HTML, cut short, wrong type
    |-- ConnectionFailed        no answer: no route, no name, wrong certificate, time ran out
    |   `-- HostKeyRefused      SSH: the node's host key is unknown, or another one than before
    |-- ToolError               a tool of the node (hypernode-systemctl and the like) did not do it
    |   |-- ToolMissing
    |   |-- ToolAsked           it asked a question that nobody had agreed to; nothing was answered
    |   `-- ToolTimedOut
    |-- FlowError
    |   |-- FlowFailed          the job was rolled back
    |   `-- FlowTimedOut        the wait ended before the job did; the job goes on
    |-- NotApplied              the job succeeded, and the node still has another value
    |-- WrongNode               a machine that was reached as one node and is another
    |-- NotVerified             done by what the tool says, and the value cannot be read back
    |-- OutcomeUnknown          a write was sent, and nothing tells whether it was applied
    `-- SafetyError             refused before anything was written
        |-- UnsafePlan
        |-- PlanIsStale
        |-- NodeIsBusy          a flow or another hnctl is changing the node
        |-- JournalFailed       what was to be done cannot be written down first
        |-- RunIsUnderWay       a run is to be gone on with that has not ended
        `-- NotAgreed           nobody said yes

The message says what happened, where and why; `hint` says what to do. No message ever holds a token or the value
of a secret setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class HypernodeError(Exception):
    """The root of all errors of this package.

    Attributes:
        message: What happened, in a sentence without a full stop.
        hint: What to do about it, or None.
        node: The node it happened on, or None when it concerns no single node.
    """

    code: ClassVar[str] = "error"
    """A stable word for programs; it never changes while the message may."""

    def __init__(self, message: str, *, hint: str | None = None, node: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node = node

    def __str__(self) -> str:
        if self.node is None or self._names_node(self.node):
            return self.message
        return f"{self.node}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # As it is made by keywords, Python by itself could not make it again, as when a worker process hands it back.
        return _made_again, (type(self), self.args, self.__dict__)

    def _names_node(self, node: str) -> bool:
        """Tell whether the message has `node` as a word of its own: shop1 is not named by shop12 or shop1-eph7."""
        return re.search(rf"(?<![\w-]){re.escape(node)}(?![\w-])", self.message) is not None


def _made_again(kind: type[HypernodeError], args: tuple[Any, ...], state: dict[str, Any]) -> HypernodeError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(HypernodeError):
    """Something a person gave us cannot be used."""

    code = "bad_input"


class UnknownSetting(InputError):
    """No catalogue knows a setting of this name."""

    code = "unknown_setting"


class InvalidValue(InputError):
    """A setting does not take this value."""

    code = "invalid_value"


class ReadOnlySetting(InputError):
    """A node's token cannot change this setting (CONTRACT.md 3)."""

    code = "read_only_setting"


class InvalidNode(InputError):
    """A text that cannot be the name of a node (CONTRACT.md 2.9), or a node that nothing names."""

    code = "invalid_node"


class Problem(NamedTuple):
    """One thing wrong with a file; `line` and `column` count from 1."""

    line: int
    column: int
    message: str
    hint: str | None = None


class FileError(InputError):
    """A file cannot be used; `problems` lists all that is wrong with it, in order of position."""

    code = "bad_file"

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{path}: {count} problem{'s' if count != 1 else ''}")

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}:{p.line}:{p.column}: {p.message}" + (f"\n  hint: {p.hint}" if p.hint else "")
            for p in self.problems
        )


class SecretUnavailable(InputError):
    """A reference such as ``env:NR_KEY`` leads to no value."""

    code = "secret_unavailable"


class MissingPart(InputError):
    """An optional part of hnctl is needed and not installed."""

    code = "missing_part"


class CredentialsError(HypernodeError):
    """There is no usable token."""

    code = "credentials"


class NoToken(CredentialsError):
    """No source has a token for the node."""

    code = "no_token"


class NoKeyring(CredentialsError):
    """This machine has no keyring that keeps anything."""

    code = "no_keyring"


class KeyRefused(CredentialsError):
    """A node takes none of the keys that SSH offered."""

    code = "key_refused"


class TokenRefused(CredentialsError):
    """The API answered 401."""

    code = "token_refused"


class ApiError(HypernodeError):
    """The API answered with a failure.

    Attributes:
        status: HTTP status.
        fields: The server's messages by field; the key "" holds those that belong to no field (CONTRACT.md 1.5).
    """

    code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        fields: Mapping[str, Sequence[str]] | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, node=node)
        self.status = status
        self.fields = {name: tuple(texts) for name, texts in (fields or {}).items()}


class Rejected(ApiError):
    """400: the API refuses what was sent."""

    code = "rejected"


class Forbidden(ApiError):
    """403: the token works, but not for this."""

    code = "forbidden"


class ApiUseSwitchedOff(Forbidden):
    """403 because the owner has not turned API token usage on (CONTRACT.md 1.4)."""

    code = "api_use_switched_off"


class NotFound(ApiError):
    """404: not there, or not yours."""

    code = "not_found"


class TryLater(ApiError):
    """429, 502, 503 or 504, still after all retries.

    Attributes:
        retry_after: Seconds that the server asked to wait, or None.
    """

    code = "try_later"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        fields: Mapping[str, Sequence[str]] | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message, status=status, fields=fields, hint=hint, node=node)
        self.retry_after = retry_after


class BadAnswer(ApiError):
    """An answer that no client of this API expects."""

    code = "bad_answer"


class ConnectionFailed(HypernodeError):
    """There was no answer at all.

    Attributes:
        maybe_applied: Whether the server can have seen the request; False means that it never left.
        permanent: Whether trying again is of no use, as with a wrong certificate.
        on_the_way: Whether the server may be well and what lies between us not: no address, no route, a proxy, a
            certificate.
    """

    code = "connection_failed"

    def __init__(
        self,
        message: str,
        *,
        maybe_applied: bool = False,
        permanent: bool = False,
        on_the_way: bool = False,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, node=node)
        self.maybe_applied = maybe_applied
        self.permanent = permanent
        self.on_the_way = on_the_way


class HostKeyRefused(ConnectionFailed):
    """SSH does not know the host key of a node, or knows another one."""

    code = "host_key_refused"


class ToolError(HypernodeError):
    """A tool of the node did not do what it was asked."""

    code = "tool_error"


class ToolMissing(ToolError):
    """There is no such command on the node, or no ssh here."""

    code = "tool_missing"


class ToolAsked(ToolError):
    """The tool asked a question that nobody had agreed to. Nothing was answered."""

    code = "tool_asked"


class ToolTimedOut(ToolError):
    """The tool did not end in time."""

    code = "tool_timed_out"


class FlowError(HypernodeError):
    """A job of the node did not end well.

    Attributes:
        flow: Uuid of the flow or of its tracker, as far as known.
        state: The last state seen, or None.
    """

    code = "flow_error"

    def __init__(
        self,
        message: str,
        *,
        flow: str | None = None,
        state: str | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, node=node)
        self.flow = flow
        self.state = state


class FlowFailed(FlowError):
    """The flow was reverted."""

    code = "flow_failed"


class FlowTimedOut(FlowError):
    """The wait ended first; the flow was not cancelled and may still succeed."""

    code = "flow_timed_out"


class NotApplied(HypernodeError):
    """The job ended well, and the node does not have the value."""

    code = "not_applied"


class WrongNode(HypernodeError):
    """A machine was reached as one node, and says that it is another. Nothing was done on it."""

    code = "wrong_node"


class NotVerified(HypernodeError):
    """The tool says that it is done, and the value cannot be read back."""

    code = "not_verified"


class OutcomeUnknown(HypernodeError):
    """A write was sent and its answer was lost; reading did not settle it."""

    code = "outcome_unknown"


class SafetyError(HypernodeError):
    """Refused for safety; nothing was written."""

    code = "refused"


class UnsafePlan(SafetyError):
    """The plan goes beyond a limit or holds a change that was not confirmed.

    Attributes:
        reasons: One (reason, what would allow it) pair for each condition that does not hold.
    """

    code = "unsafe_plan"

    def __init__(self, reasons: Sequence[tuple[str, str]]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            "refused as unsafe:\n" + "\n".join(f"  - {reason}\n    {allow}" for reason, allow in self.reasons)
        )


class PlanIsStale(SafetyError):
    """What the plan was made from is no longer so."""

    code = "plan_is_stale"


class NodeIsBusy(SafetyError):
    """Somebody else is changing the node at this moment."""

    code = "node_is_busy"


class JournalFailed(SafetyError):
    """What was to be done cannot be written down first, and so is not done."""

    code = "journal_failed"


class RunIsUnderWay(SafetyError):
    """A run was to be gone on with, and whoever began it is still at it."""

    code = "run_is_under_way"


class NotAgreed(SafetyError):
    """A question had to be asked and was not answered with yes."""

    code = "not_agreed"
