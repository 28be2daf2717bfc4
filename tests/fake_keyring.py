"""A keyring in memory, which can be told to fail."""

from __future__ import annotations

from collections.abc import Callable

import keyring.backend

WAYS_OUT = ("HYPERNODE_API_TOKENS", "token_command", "--insecure-storage")
"""What who has no keyring is told to use."""


class Memory(keyring.backend.KeyringBackend):
    """Keeps what it is given, or does what it is told to do before."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.calls: list[str] = []
        self.on: dict[str, Callable[[], object]] = {}

    def _called(self, what: str) -> None:
        self.calls.append(what)
        self.on.get(what, lambda: None)()

    def get_password(self, service: str, username: str) -> str | None:
        self._called("get")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._called("set")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._called("delete")
        del self.entries[service, username]
