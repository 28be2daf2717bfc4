"""Hypothesis strategies of fleets: plain values by construction, and the many spellings in which an API answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from hypernode.catalogue import Catalogue, Setting
from hypernode.secrets import Secret

CATALOGUE = Catalogue.bundled()
WRITABLE = tuple(setting for setting in CATALOGUE.values() if not setting.read_only)
OPEN = tuple(setting for setting in WRITABLE if not setting.secret)
SECRET = tuple(setting for setting in WRITABLE if setting.secret)

CANARY = "canary-"
"""Every secret that is drawn begins with it, so that one look tells whether any has leaked."""

node_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6).filter(lambda name: name != "all")


def texts(setting: Setting) -> st.SearchStrategy[Any]:
    """Plain values of a setting, as the API wants them; a secret one's is its text."""
    if setting.secret:
        return st.sampled_from([CANARY + word for word in ("one", "two", "three", 'with "quotes"', "ünï-cödé")])
    if setting.type == "boolean":
        return st.booleans()
    if setting.values is not None:
        return st.sampled_from(setting.values)
    if setting.type == "integer":
        return st.integers(0, 5)
    return st.sampled_from(["shop", "Shop", "5", "05", "a: b # c", ""])


def spellings(value: Any) -> st.SearchStrategy[Any]:
    """What an API may answer for the plain `value`: texts and numbers are not told apart by it (CONTRACT.md 3)."""
    if isinstance(value, bool):
        return st.sampled_from([True, "true", "True"] if value else [False, "false", "False"])
    if isinstance(value, int):
        return st.sampled_from([value, str(value)])
    if isinstance(value, str) and value.isascii() and value.isdigit() and str(int(value)) == value:
        return st.sampled_from([value, int(value)])
    return st.just(value)


@dataclass(frozen=True)
class Drawn:
    """Two sides of a fleet."""

    answers: dict[str, dict[str, Any]]
    """What the API answers, in any of its spellings."""
    plain: dict[str, dict[str, Any]]
    """The same as plain values; a setting that is not set is left out."""
    wished: dict[str, dict[str, Any]]
    """Plain wishes; None asks for null."""
    references: dict[Secret, str] = field(default_factory=dict)

    @property
    def desired(self) -> dict[str, dict[str, Any]]:
        """The wishes as `make_plan` takes them: secrets wrapped."""
        return {
            node: {
                name: Secret(value) if value is not None and CATALOGUE[name].secret else value
                for name, value in wishes.items()
            }
            for node, wishes in self.wished.items()
        }


@st.composite
def fleets(draw: st.DrawFn, *, settings: tuple[Setting, ...] = WRITABLE, most_nodes: int = 4) -> Drawn:
    """Fleets of which some settings are as wished and some are not."""
    answers: dict[str, dict[str, Any]] = {}
    plain: dict[str, dict[str, Any]] = {}
    wished: dict[str, dict[str, Any]] = {}
    references: dict[Secret, str] = {}
    for node in draw(st.lists(node_names, unique=True, max_size=most_nodes)):
        answers[node], plain[node] = {"ip": "192.0.2.1"}, {}
        wishes: dict[str, Any] = {}
        for setting in draw(st.lists(st.sampled_from(settings), unique_by=lambda s: s.name, max_size=5)):
            name = setting.name
            now = draw(st.none() | texts(setting))
            # A secret that is empty is one that is not set.
            if now is not None:
                plain[node][name] = now
                answers[node][name] = draw(spellings(now))
            elif draw(st.booleans()):
                answers[node][name] = None
            kind = draw(st.sampled_from(["same", "other", "null", "unmanaged"]))
            if kind == "other" or (kind == "same" and now is None):
                wishes[name] = draw(texts(setting))
            elif kind == "same":
                wishes[name] = now
            elif kind == "null":
                wishes[name] = None
            if setting.secret and wishes.get(name) is not None:
                references.setdefault(Secret(wishes[name]), f"env:KEY_{len(references)}")
        if wishes or draw(st.booleans()):
            wished[node] = wishes
    return Drawn(answers, plain, wished, references)
