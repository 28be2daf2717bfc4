"""The exit statuses of hnctl (DESIGN 4), and which one an error or a run stands for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from hypernode import errors

if TYPE_CHECKING:
    from hypernode.fleet.bring import Outcome
    from hypernode.fleet.rollout import StopKind


class Exit(IntEnum):
    """What a command's exit status means; the README lists them too."""

    OK = 0
    FAILED = 1
    DIFFERENT = 2
    PARTLY = 3
    CREDENTIALS = 4
    REFUSED = 5
    UNKNOWN = 6
    USAGE = 64
    BAD_FILE = 65
    TOOL_MISSING = 69
    TRY_LATER = 75
    INTERRUPTED = 130
    TERMINATED = 143


_BY_CLASS: tuple[tuple[type[errors.HypernodeError], Exit], ...] = (
    (errors.FileError, Exit.BAD_FILE),
    (errors.InputError, Exit.USAGE),
    (errors.CredentialsError, Exit.CREDENTIALS),
    (errors.Forbidden, Exit.CREDENTIALS),
    (errors.ToolMissing, Exit.TOOL_MISSING),
    (errors.TryLater, Exit.TRY_LATER),
    (errors.OutcomeUnknown, Exit.UNKNOWN),
    (errors.FlowTimedOut, Exit.UNKNOWN),
    (errors.NotVerified, Exit.UNKNOWN),
    (errors.SafetyError, Exit.REFUSED),
)


def exit_for(error: errors.HypernodeError) -> Exit:
    """Return the status for a command that ended with `error`."""
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), Exit.FAILED)


def exit_for_failures(failures: Iterable[errors.HypernodeError], *, some_succeeded: bool) -> Exit:
    """Return the status for a command over many nodes of which some failed."""
    statuses = {exit_for(error) for error in failures}
    if not statuses:
        return Exit.OK
    if some_succeeded:
        return Exit.PARTLY
    return statuses.pop() if len(statuses) == 1 else Exit.FAILED


def exit_for_run(outcomes: Iterable[Outcome], stopped: StopKind | None) -> Exit:
    """Return the status of a rollout.

    A failure outranks an unknown outcome, and that outranks a refused node: whoever mends the first sees the next.

    Args:
        outcomes: One for each node of the run; those that are left out by name have neither error nor stop.
        stopped: Why the run began no more nodes; None: it was not stopped.
    """
    outcomes = list(outcomes)
    failures = [outcome.error or errors.HypernodeError("") for outcome in outcomes if outcome.state == "failed"]
    done = any(outcome.state in ("done", "unchanged") for outcome in outcomes)
    if stopped == "token":
        return Exit.CREDENTIALS
    if stopped is not None and (stopped != "budget" or any(outcome.state == "not_attempted" for outcome in outcomes)):
        return Exit.PARTLY
    if failures:
        return exit_for_failures(failures, some_succeeded=done)
    if any(outcome.state == "unknown" for outcome in outcomes):
        return Exit.UNKNOWN
    not_attempted = [outcome for outcome in outcomes if outcome.state == "not_attempted"]
    if any(outcome.error is not None for outcome in not_attempted):
        return Exit.REFUSED
    return Exit.PARTLY if not_attempted else Exit.OK
