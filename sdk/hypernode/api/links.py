"""Where the server's links and redirects lead: to our own origin or nowhere, since the token goes along. No I/O."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit


def linked_path(link: str, api_url: str) -> str | None:
    """Return path and query of a `next` link, below the path of `api_url`; None when it has no usable path.

    The link's host is not looked at: behind a proxy it is another one than ours (CONTRACT.md 1.3).
    """
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    path = parts.path.removeprefix(urlsplit(api_url).path)
    if not path.startswith("/") or "\\" in link:
        return None
    return path + (f"?{parts.query}" if parts.query else "")


def redirected(url: str, location: str) -> str | None:
    """Return where `location` leads from `url`; None when that is another origin, or no address at all."""
    try:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
    except ValueError:
        return None
    return target if (there.scheme, there.netloc) == (here.scheme, here.netloc) else None
