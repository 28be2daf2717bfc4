"""Branchers as rows, as documents and in words: minutes and costs never with a unit that no source states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hnctl.render.bullets import bullets
from hypernode.api.branchers import CLEARABLE, FREE_MINUTES, OURS, UNTIL, is_over, time_limit
from hypernode.api.labels import spell_labels
from hypernode.api.models import Brancher, BrancherAccount

COLUMNS = ("name", "ip", "minutes", "cost", "limit", "labels")


def brancher_document(one: Brancher, parent: str, now: datetime) -> dict[str, Any]:
    """Return a Brancher as JSON values; `now` is the server's time."""
    until = time_limit(one)
    return {
        "name": one.name,
        "parent": parent,
        "host": f"{one.name}.hypernode.io",
        "ip": one.ip,
        "created": one.created.isoformat() if one.created else None,
        "end_time": one.end_time.isoformat() if one.end_time else None,
        "elapsed_seconds": one.elapsed_time,
        "minutes": one.minutes,
        "cost": one.cost,
        "labels": dict(one.labels),
        "until": until.isoformat() if until else None,
        "over": is_over(one, now),
    }


def brancher_row(one: Brancher, now: datetime, currency: str | None) -> dict[str, Any]:
    """Return a Brancher as a person reads it in a table."""
    return {
        "name": one.name,
        "ip": one.ip,
        "minutes": one.minutes,
        "cost": f"about {_counted(one.cost, 'cent')}" if currency and one.cost is not None else one.cost,
        "limit": limit_in_words(one, now),
        "labels": spell_labels({label: value for label, value in one.labels.items() if label not in (OURS, UNTIL)}),
    }


def brancher_card(one: Brancher, now: datetime) -> str:
    """Return one Brancher line by line."""
    from hnctl.render.listing import cell

    row = brancher_row(one, now, None)
    fields = {"name": one.name, "host": f"{one.name}.hypernode.io", **{k: row[k] for k in ("ip", "limit", "labels")}}
    return "\n".join(f"{field:<10}{cell(value)}" for field, value in fields.items())


def limit_in_words(one: Brancher, now: datetime) -> str | None:
    """Return how far off the time limit of a Brancher is; None: it has none."""
    until = time_limit(one)
    if until is None:
        return None
    return "over" if until <= now else f"in {span(until - now)}"


def span(time: timedelta) -> str:
    """Return a time in its two largest units: ``3h 12m``, ``45s``."""
    seconds = int(time.total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    units = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")]
    first = next((place for place, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count}{unit}" for count, unit in units[first : first + 2] if count) or "0s"


def month_document(account: BrancherAccount) -> dict[str, Any]:
    """Return this month's minutes as JSON values."""
    used = account.minutes
    return {
        "minutes": used,
        "free_minutes": FREE_MINUTES,
        "free_minutes_left": None if used is None else max(0, FREE_MINUTES - used),
        "currency": account.currency,
        "cost_unit": "inferred: hundredths of the currency" if account.currency else "not stated by the API",
    }


def month_in_words(account: BrancherAccount) -> str:
    """Return a line on this month's minutes and on how many of the free ones are left."""
    used, free = account.minutes, f"{FREE_MINUTES} free (by the documentation)"
    if used is None:
        return f"This month: the API tells no minutes; {free}."
    left = FREE_MINUTES - used
    return (
        f"This month: about {_counted(used, 'minute')} used, {abs(left)} {'left of' if left >= 0 else 'beyond'} {free}."
    )


def cost_in_words(account: BrancherAccount) -> str:
    """Return a line on the unit of what a Brancher cost."""
    if account.currency:
        return f"Cost: that it is in cents of {account.currency} is inferred; no source states the unit."
    return "Cost: unit not stated by the API."


def announcement(parent: str, account: BrancherAccount, cleared: Sequence[str], ttl: float | None) -> str:
    """Return what is to be known before a Brancher is made."""
    kept = [service for service in CLEARABLE if service not in cleared]
    starts = f"Cleared: {', '.join(cleared) or 'nothing'}."
    if kept:
        starts += f" It starts with what the backup has of {_listed(kept)}."
    if "cron" in kept:
        starts += " So it may run the shop's own jobs."
    limit = "It has no time limit (--ttl): it is paid for until somebody ends it."
    if ttl is not None:
        limit = f"Its time limit is {span(timedelta(seconds=ttl))}: `hnctl brancher reap` ends it after that."
    sentences = [
        "It is a copy of the latest backup, with real customer data and live keys.",
        starts,
        "It costs by the started minute, from its creation on, used or not.",
        month_in_words(account),
        limit,
    ]
    return "\n".join([f"A Brancher of {parent} is to be made.", *bullets(sentences, stderr=True)])


def label_rows(labels: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return labels as rows."""
    return [{"label": label, "value": value} for label, value in labels.items()]


def minutes_in_words(one: Brancher) -> str:
    """Return the minutes that a Brancher is paid for."""
    return _counted(one.minutes, "minute")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
