"""Pages of the shops themselves, fetched as any visitor would: no token, no cookie, no password."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from hypernode.api.transport import certificates, visit
from hypernode.errors import ConnectionFailed

LARGEST_PAGE = 1 << 20
MOST_REDIRECTS = 5
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, where redirects end."""

    status: int
    text: str
    is_whole: bool = True
    """False: it is larger than `LARGEST_PAGE`, and `text` is its beginning."""


@dataclass(frozen=True, slots=True)
class NoPage:
    """Why there is no page."""

    reason: str
    on_the_way: bool
    """Whether the shop may be well and what lies between us not (see `ConnectionFailed`)."""


class Pages:
    """Fetches pages; threads share it.

    Args:
        ca_file: Certificates to trust instead of the system's.
        clock: Monotonic seconds.

    Raises:
        InputError: `ca_file` is not there.
    """

    def __init__(self, *, ca_file: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._verify = certificates(ca_file)
        self._clock = clock

    def fetch(self, url: str, timeout: float, *, expected: int = 200) -> Page | NoPage:
        """Return the page at `url`, following redirects to http and https.

        Args:
            url: http or https.
            timeout: Seconds for all of it.
            expected: A redirect with this status is not followed.
        """
        give_up = self._clock() + timeout
        try:
            for _ in range(MOST_REDIRECTS + 1):
                left = give_up - self._clock()
                if left <= 0:
                    return NoPage(f"no answer within {timeout:g} seconds", on_the_way=False)
                seen = visit(url, timeout=left, most=LARGEST_PAGE, verify=self._verify, clock=self._clock)
                if seen.location is None or seen.status == expected:
                    return Page(seen.status, _decode(seen.content, seen.content_type), seen.is_whole)
                target = _target(url, seen.location)
                if target is None:
                    return NoPage(f"redirected ({seen.status}) to what is no http or https address", on_the_way=False)
                url = target
        except ConnectionFailed as exc:
            return NoPage(exc.message, exc.on_the_way)
        return NoPage(f"redirected more than {MOST_REDIRECTS} times", on_the_way=False)


def _target(url: str, location: str) -> str | None:
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
    except ValueError:
        return None
    return target if parts.scheme in ("http", "https") and parts.hostname else None


def _decode(content: bytes, content_type: str) -> str:
    """Return the page's text; whatever cannot be read as its charset, or UTF-8, is replaced."""
    named = _CHARSET.search(content_type)
    try:
        return content.decode(named[1] if named else "utf-8", "replace")
    except (LookupError, ValueError):  # no charset of text, whatever it is
        return content.decode("utf-8", "replace")
