"""Command lines of processes with what looks like a secret masked, in texts for a shell too. Pure.

It prefers to mask too much: a command line is there to tell one process from another.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from hypernode.secrets import MASK

_KEY = (
    r"(?:password|passwd|passphrase|pass(?![a-z])|pwd(?![a-z])|secret|token|(?:api|access|private|crypt|encryption)[_-]?key"
    r"|authorization|auth(?![a-z])|credential)"
)
_NAME = re.compile(_KEY + r"[\w-]{0,40}$", re.IGNORECASE)
_NAME_AND_VALUE = re.compile(_KEY + r"[\w.\]\"'-]{0,40}[=:(]", re.IGNORECASE)
_OPTION_AND_VALUE = re.compile(r"-{0,2}[\w.\[\]-]{1,80}[=:]")
_WORD = re.compile(r"""(?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'])+""")
_IN_ADDRESS = re.compile(r"(://)(?:[^/\s:@]{0,200}:[^/\s]+|[\w.-]{20,200})@")
_SCHEMES = ("bearer", "basic", "token", "digest")
_NO_PASSWORDS = ("-path", "-perm", "-pid", "-port", "-print", "-print0", "-printf", "-prune")


def parse_command(raw: bytes) -> str | None:
    """Return a command line out of /proc/PID/cmdline with its secrets masked; None when it is empty."""
    words = raw.decode("utf-8", "backslashreplace").rstrip("\0 ").split("\0")
    return " ".join(mask_words(words)).strip() or None


def mask_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with what looks like a secret masked, in texts for a shell too."""
    tools = {posixpath.basename(word) for word in words}
    masked: list[str] = []
    hide = identified = False
    for place, word in enumerate(words):
        low = word.lower()
        before = words[place - 1] if place else ""
        if hide and low not in ("=", ":=", *_SCHEMES):
            masked.append(MASK)
            hide = False
            continue
        identified = identified or low == "identified"
        hide = (
            hide
            or ((word.startswith("-") or "/" in word) and _NAME.search(word) is not None)
            or word == "-p"
            or (word in ("=", ":=", ":") and _NAME.search(before) is not None)
            or (identified and low == "by")
            or (word == "-a" and "redis-cli" in tools)
            or (word in ("-u", "--user", "-U", "--proxy-user") and "curl" in tools)
        )  # fmt: skip
        shown, open_ = _mask_word(word)
        if word.startswith("-u") and "curl" in tools and not hide:
            shown = f"-u{MASK}"
        hide = hide or open_
        masked.append(shown)
    return masked


def _mask_word(word: str) -> tuple[str, bool]:
    """Return a word masked, and whether the secret that it names comes with the next."""
    if word.startswith("-p") and len(word) > 2 and word not in _NO_PASSWORDS:
        return f"-p{MASK}", False
    named = _NAME_AND_VALUE.search(word)
    blanks = re.search(r"\s", word) is not None
    option = _OPTION_AND_VALUE.match(word)
    if named and (not blanks or (option and option.end() == named.end())):
        if named.end() == len(word):
            return word, True
        parts = word.split("&") if "?" in word[: named.start()] else [word]  # a query has more of them
        return _IN_ADDRESS.sub(rf"\1{MASK}@", "&".join(map(_mask_value, parts))), False
    if blanks:
        found = list(_WORD.finditer(word))
        if len(found) == 1 and found[0][0] == word:  # all of it is one quotation, or has one inside
            inner = word.strip("\"'")
            if inner != word:
                return _mask_word(inner)[0], False
            found = list(re.finditer(r"\S+", word))
        parts, end = [], 0
        for match, shown in zip(found, mask_words([match[0] for match in found]), strict=True):
            parts += [word[end : match.start()], shown]
            end = match.end()
        return "".join([*parts, word[end:]]), False
    return _IN_ADDRESS.sub(rf"\1{MASK}@", word), False


def _mask_value(text: str) -> str:
    named = _NAME_AND_VALUE.search(text)
    return text[: named.end()] + MASK if named else text
