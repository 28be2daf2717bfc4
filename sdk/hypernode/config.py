"""The user's config.toml: what it may say, and the value of one key with where it came from.

api_url = "https://api.hypernode.com"
token_command = ["pass-token", "--raw"]     # argv, no shell; the node's name is in HNCTL_NODE
parallel = 16
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypernode.errors import FileError, InputError, Problem
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
    "ssh_config": (str, None, "file for ssh -F in place of the user's own"),
    "ssh_host": (str, "{node}.hypernode.io", "where a node is reached over SSH"),
    "ssh_port": (int, None, "port of SSH; none: what ssh's own configuration says"),
    "ssh_user": (str, "app", "user on a node"),
    "timeout": (float, 20.0, "seconds to wait for an answer of the API, and for an SSH connection"),
    "token_command": (list, None, "command that prints the token of the node in HNCTL_NODE"),
    "wait": (float, 900.0, "seconds to wait for a change to be applied"),
}
"""Every key: its type, its default, what it is."""

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


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

    def seconds(self, key: str) -> float:
        """Return the value of `key`, which is a time, in seconds; a variable may give it a unit, as in 250ms or 15m.

        Raises:
            InputError: A variable holds no time.
        """
        value, source = self.find(key)
        if not isinstance(value, str):
            return float(value)
        try:
            return parse_seconds(value)
        except InputError as exc:
            raise InputError(f"{key} from {source}: {exc.message}") from None

    def number(self, key: str) -> float | None:
        """Return the value of `key`, which is a number; None when it is not set.

        Raises:
            InputError: A variable holds none.
        """
        value, source = self.find(key)
        try:
            return None if value is None else float(value)
        except ValueError:
            raise InputError(f"{key} from {source}: {value!r} is no number") from None


def parse_seconds(text: str) -> float:
    """Return the seconds that `text` spells: 900, 1.5, 250ms, 90s, 15m or 2h.

    Raises:
        InputError: It spells none.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is no time; write 90s, 250ms, 15m or 2h")
    return float(match[1]) * _UNITS[match[2]]


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise FileError(str(path), [Problem(1, 1, f"the file is not TOML: {exc}")]) from None
    if problems := [
        Problem(_line_of(key, raw), 1, text) for key, value in values.items() if (text := _wrong(key, value))
    ]:
        raise FileError(str(path), problems)
    return Config(path, values)


def check_api_url(url: str) -> str:
    """Return `url` without its trailing slash if a token may be sent there.

    Raises:
        InputError: No http(s) address, one with a user or password in it, or plain http to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise InputError(
            "the API address must read like https://api.hypernode.com", hint="Set HNCTL_API_URL or api_url"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InputError(
            f"plain http to {host} would show the token to the network",
            hint="Use https; http is for the sandbox",
        )
    return url.rstrip("/")


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


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine, by its name or address."""
    if host in ("localhost", "127.0.0.1"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
