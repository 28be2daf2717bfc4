"""The user's config.toml: what it may say, and the value of one key with where it came from.

api_url = "https://api.hypernode.com"
token_command = ["pass-token", "--raw"]     # argv, no shell; the node's name is in HNCTL_NODE
parallel = 16
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernode.errors import FileError, Problem
from hypernode.places import config_file

DEFAULT_API_URL = "https://api.hypernode.com"

KEYS: Mapping[str, tuple[type, Any, str]] = {
    "api_url": (str, DEFAULT_API_URL, "address of the API"),
    "ca_file": (str, None, "file of certificates to trust instead of the system's"),
    "file": (str, "fleet.yaml", "fleet file"),
    "output": (str, "table", "output format"),
    "parallel": (int, 8, "nodes at once"),
    "poll_interval": (float, 2.0, "seconds until the first look at a running flow; grows to 15"),
    "rps": (float, None, "most requests a second; none: no cap"),
    "timeout": (float, 20.0, "seconds to wait for an answer of the API"),
    "token_command": (list, None, "command that prints the token of the node in HNCTL_NODE"),
    "wait": (float, 900.0, "seconds to wait for a change to be applied"),
}
"""Every key: its type, its default, what it is."""


@dataclass(frozen=True, slots=True)
class Config:
    """What config.toml says; a key that it leaves out is missing."""

    path: Path
    values: Mapping[str, Any]

    def find(self, key: str) -> tuple[Any, str]:
        """Return the value of `key` and where it came from: a variable, this file or the default."""
        kind, default, _ = KEYS[key]
        variable = f"HNCTL_{key.upper()}"
        text = os.environ.get(variable)
        if text and kind is not list:
            return text, variable
        if key in self.values:
            return self.values[key], str(self.path)
        return default, "default"


def load_config(path: Path | None = None) -> Config:
    """Read config.toml; a missing file is an empty one.

    Raises:
        FileError: It is not TOML, or says something that nothing reads; all problems at once.
    """
    path = path or config_file()
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Config(path, {})
    except OSError as exc:
        raise FileError(str(path), [Problem(1, 1, f"the file cannot be read: {exc.strerror}")]) from None
    import tomllib

    try:
        values = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise FileError(str(path), [Problem(1, 1, f"the file is not TOML: {exc}")]) from None
    if problems := [
        Problem(_line_of(key, raw), 1, text) for key, value in values.items() if (text := _wrong(key, value))
    ]:
        raise FileError(str(path), problems)
    return Config(path, values)


def _wrong(key: str, value: object) -> str | None:
    if key not in KEYS:
        return f"unknown key {key}; known are {', '.join(sorted(KEYS))}"
    kind = KEYS[key][0]
    if kind is list:
        good = isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
        return None if good else f"{key} must be a list of words, the command and its arguments"
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        return f"{key} must be a {'text' if kind is str else 'number'}"
    return None


def _line_of(key: str, raw: bytes) -> int:
    for number, line in enumerate(raw.splitlines(), 1):
        if line.split(b"=")[0].strip().strip(b'"') == key.encode():
            return number
    return 1
