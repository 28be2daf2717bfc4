"""Whether and when a failed read is tried again, and whether a write may be (CONTRACT.md 7, retries)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hypernode.errors import ApiError, BadAnswer, ConnectionFailed, HypernodeError, TryLater

_MOST_TRIES_UNCONNECTED = 3
_MOST_TRIES_BAD_ANSWER = 4
_LONGEST_PAUSE = 24 * 3600.0


def pause_before_retry(exc: HypernodeError, attempt: int) -> float | None:
    """Return the seconds until a read that failed with `exc` is tried again, or None when it is not.

    Args:
        exc: What the try numbered `attempt` (from 0) ended with.
        attempt: How many tries came before it.
    """
    match exc:
        case ConnectionFailed():
            if exc.permanent or (not exc.maybe_applied and attempt + 1 >= _MOST_TRIES_UNCONNECTED):
                return None
            return backoff(attempt)
        case TryLater():
            # The jitter keeps a fleet's threads from coming back all at the same moment.
            return backoff(attempt) if exc.retry_after is None else exc.retry_after + random.uniform(0, 0.25)
        case BadAnswer(status=status) if status < 300 and attempt + 1 < _MOST_TRIES_BAD_ANSWER:
            return backoff(attempt)
        case _:
            return None


def backoff(attempt: int, *, base: float = 0.5, longest: float = 10.0) -> float:
    """Return how long to wait before the retry numbered `attempt` (from 0): exponential, with full jitter."""
    return random.uniform(0, min(longest, base * 2**attempt))


def retry_after_seconds(header: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None when it says nothing.

    More than a day is taken for a day.
    """
    text = (header or "").strip()
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else _seconds_until(text, now())
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)


def _seconds_until(date: str, now: float) -> float:
    moment = parsedate_to_datetime(date)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.fromtimestamp(now, UTC)).total_seconds()


def may_be_sent_again(exc: ConnectionFailed | ApiError) -> bool:
    """Tell whether `exc` leaves open if a write was applied, or says that it never arrived; read before it is."""
    if isinstance(exc, ConnectionFailed):
        return not exc.permanent
    return exc.status == 429 or exc.status >= 500


def may_have_arrived(exc: ConnectionFailed | ApiError) -> bool:
    """Tell whether the write that ended with `exc` may be applied all the same; a 429 turned it away at the door."""
    return exc.maybe_applied if isinstance(exc, ConnectionFailed) else exc.status >= 500
