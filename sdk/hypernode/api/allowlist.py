"""Addresses that may pass, by type (CONTRACT.md 2.6). The API spells it whitelist.

``ssh`` works the other way round: without an entry SSH is open to all, and the first entry closes it for everybody
else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypernode.allowlists import Entries, canonical
from hypernode.api.answers import read_list
from hypernode.api.models import AllowlistEntry
from hypernode.api.resource import Resource
from hypernode.errors import BadAnswer, HypernodeError, Rejected


class Allowlist(Resource):
    """The allowlist of one node. An entry is known by its type and its address; addresses are compared by meaning."""

    def types(self) -> tuple[str, ...]:
        """Return the types that the node takes, the only place that says so (source: OPTIONS /v2/whitelist/{app}/)."""
        data = self._transport.ask(self._path, method="OPTIONS", token=self._token, node=self._node).data
        try:
            choices = data["actions"]["POST"]["type"]["choices"]
            return tuple(_read_choice(choice) for choice in choices)
        except (LookupError, TypeError):
            raise BadAnswer("the API answered no types of the allowlist", status=200, node=self._node) from None

    def list(self, type: str | None = None) -> tuple[AllowlistEntry, ...]:  # noqa: A002 - the API's own word
        """Return the entries, in the order of the API (source: GET /v2/whitelist/{app}/).

        Args:
            type: Only entries of this type; None: all.
        """
        data = self._get(self._path, None if type is None else {"type": type})
        entries = read_list(AllowlistEntry, data, "entry of the allowlist", node=self._node)
        # Only the official client attests the query: an API that passes it over answers all of them.
        return tuple(entry for entry in entries if type in (None, entry.type))

    def add(self, type: str, ip: str, description: str = "") -> bool:  # noqa: A002
        """Let an address or a range pass; returns whether it was not there before (source: POST /v2/whitelist/{app}/).

        Mind the first entry of ``ssh``: it closes SSH for everybody else.

        Raises:
            Rejected: The API does not take the type or the address.
            OutcomeUnknown: The answer was lost, and reading did not settle it.
        """
        body = {"type": type, "ip": ip} | ({"description": description} if description else {})
        return self._change("POST", body, f"an entry of the allowlist ({type} {ip})", wished=True)

    def remove(self, type: str, ip: str) -> bool:  # noqa: A002
        """Let it pass no more; returns whether it was there before (source: DELETE /v2/whitelist/{app}/).

        An address that is there in several spellings is removed in all of them.

        Raises:
            Rejected, NotFound: The API does not take it.
            OutcomeUnknown: The answer was lost, and reading did not settle it.
        """
        # The API compares texts, as far as anybody knows: it is named as it was spelled when it was added.
        spelled = [entry.ip for entry in self.list(type) if canonical(entry.ip) == canonical(ip)]
        what = f"the removal of an entry of the allowlist ({type} {ip})"
        changed = [self._change("DELETE", {"type": type, "ip": each}, what, wished=False) for each in spelled]
        return any(changed)

    def by_type(self) -> dict[str, Entries]:
        """Return the entries of each type that has any, as values that can be compared; one request for all."""
        found: dict[str, dict[str, str]] = {}
        for entry in self.list():
            found.setdefault(entry.type, {})[entry.ip] = entry.description
        return {type: Entries(descriptions) for type, descriptions in found.items()}  # noqa: A001

    def bring(self, type: str, wished: Entries) -> None:  # noqa: A002
        """Add what is missing of `wished` to the entries of one type, then remove what is to be `gone`.

        Raises:
            HypernodeError: As for `add` and `remove`; the message tells what was changed before it.
        """
        there = self.by_type().get(type, Entries({}))
        done: list[str] = []
        try:
            for ip, description in wished.items():
                if ip not in there:
                    self.add(type, ip, description)
                    done.append(f"+{ip}")
            for ip in sorted(wished.gone & there.keys()):
                self.remove(type, ip)
                done.append(f"-{ip}")
        except HypernodeError as exc:
            before = f"; changed before it: {' '.join(done)}" if done else ""
            exc.message = f"the allowlist of {type}: {exc.message}{before}"
            if isinstance(exc, Rejected) and exc.hint is None:
                exc.hint = f"`hnctl allowlist types -n {self._node}` lists the types that the node takes"
            raise

    def _change(self, method: str, body: Mapping[str, str], what: str, *, wished: bool) -> bool:
        def is_so() -> bool:
            there = [entry.ip for entry in self.list(body["type"])]
            if wished:
                return canonical(body["ip"]) in map(canonical, there)
            return body["ip"] not in there

        look = f"Look at it with `hnctl allowlist list -n {self._node}`"
        return self._bring_about(lambda: self._send(method, self._path, body), is_so, what=what, look=look) is not None

    @property
    def _path(self) -> str:
        return f"/v2/whitelist/{self._node}/"


def _read_choice(choice: Any) -> str:
    """Return a type out of a list of choices; how one is written is not attested (openapi/hypernode.yaml)."""
    return str(choice["value"]) if isinstance(choice, dict) else str(choice)
