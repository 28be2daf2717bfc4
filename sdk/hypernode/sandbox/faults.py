"""What can go wrong on purpose, when, and for whom; the same for the same seed.

A draw depends on the seed, the node, the method and how many such requests the node had, and on nothing else. So a
run repeats however the requests to different nodes interleave.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from hypernode.errors import InputError

ANY = "any"
"""Any one of the faults that a careful client survives, drawn evenly among those that apply to the request."""


class Fault(Enum):
    """A fault; its value is the word by which people name it, `about` says what it does."""

    about: str

    RATE_LIMIT = "rate_limit", "429 with Retry-After, in seconds and as a date by turns; nothing applied"
    BAD_GATEWAY = "bad_gateway", "502 with an HTML page; nothing applied"
    UNAVAILABLE = "unavailable", "503 with an HTML page; nothing applied"
    RESET = "reset", "the connection is reset without an answer; nothing applied"
    HANG = "hang", "no answer until the client leaves, at most 60 s; nothing applied"
    TRUNCATE = "truncate", "the answer ends before its Content-Length; a write was applied"
    LOST_ANSWER = "lost_answer", "a write is applied, then the connection is reset"
    NO_LOCATION = "no_location", "a write is applied, its 202 has no Location"
    UNKNOWN_STATE = "unknown_state", "a write's flow shows a state nobody has heard of for a while, then succeeds"
    REVERT = "revert", "a write's flow is rolled back"
    REJECT = "reject", "400 for the first field of a write"
    API_USE_OFF = "api_use_off", "403 on writes: the owner has not turned API token usage on"
    REDIRECT = "redirect", "302 to another host on reads"

    def __new__(cls, word: str, about: str) -> Fault:
        """Make a member whose value is the word alone."""
        member = object.__new__(cls)
        member._value_ = word
        member.about = about
        return member


_WRITES_ONLY = frozenset(
    {
        Fault.LOST_ANSWER,
        Fault.NO_LOCATION,
        Fault.UNKNOWN_STATE,
        Fault.REVERT,
        Fault.REJECT,
        Fault.API_USE_OFF,
    }
)
_NOT_SURVIVED = frozenset({Fault.REVERT, Fault.REJECT, Fault.API_USE_OFF, Fault.REDIRECT})

Kinds = tuple[Fault, ...]
"""The faults that a request can meet, in the order of `Fault`."""

READ: Kinds = tuple(fault for fault in Fault if fault not in _WRITES_ONLY)
SETTINGS: Kinds = tuple(fault for fault in Fault if fault is not Fault.REDIRECT)
"""Of a write that becomes a job and says which."""
JOB: Kinds = tuple(fault for fault in SETTINGS if fault is not Fault.NO_LOCATION)
"""Of a write that becomes a job."""
WRITE: Kinds = tuple(fault for fault in JOB if fault not in (Fault.UNKNOWN_STATE, Fault.REVERT))
"""Of a write that is done at once."""

WORDS = (*(fault.value for fault in Fault), ANY)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a fault strikes: for some share of the requests, and always for some nodes."""

    probability: float = 0.0
    nodes: frozenset[str] = frozenset()


Rules = Mapping[str, Rule]
"""A rule by fault word, `ANY` included."""


def parse_option(text: str) -> tuple[str, Rule]:
    """Return the rule that ``KIND=20%``, ``KIND=0.2`` or ``KIND=node1,node2`` spells.

    Raises:
        InputError: The text is none of these, or there is no such kind.
    """
    word, equals, when = text.partition("=")
    if word not in WORDS:
        raise InputError(f"there is no fault {word!r}: it is one of {', '.join(WORDS)}")
    if not equals or not when:
        raise InputError(f"{text!r} does not say when: write {word}=20% or {word}=NODE,NODE")
    return word, _parse_when(when)


def _parse_when(when: str) -> Rule:
    if re.fullmatch(r"[0-9.]+%?", when):
        try:
            number = float(when.rstrip("%"))
        except ValueError:
            raise InputError(f"{when!r} is no number") from None
        probability = number / 100 if when.endswith("%") else number
        if not 0 <= probability <= 1:
            raise InputError(f"{when!r} is no probability: write 20% or 0.2")
        return Rule(probability=probability)
    names = frozenset(when.split(","))
    if not all(re.fullmatch(r"[a-z0-9]+(-eph[a-z0-9]+)?", name) for name in names):
        raise InputError(f"{when!r} is neither a probability nor a list of nodes")
    return Rule(nodes=names)


def make_rules(options: Iterable[tuple[str, Rule]]) -> dict[str, Rule]:
    """Put several options together; the last probability of a kind wins, its nodes add up."""
    rules: dict[str, Rule] = {}
    for word, rule in options:
        old = rules.get(word, Rule())
        rules[word] = Rule(rule.probability or old.probability, old.nodes | rule.nodes)
    return rules


def read_rules(given: Mapping[str, object]) -> dict[str, Rule]:
    """Return the rules of ``{"reset": 0.2, "hang": ["kaasshop"], "any": "20%"}``.

    What `show_rules` returns is understood too.

    Raises:
        InputError: A kind or a value is not understood.
    """
    options: list[tuple[str, Rule]] = []
    for word, value in given.items():
        for part in value.values() if isinstance(value, Mapping) else [value]:
            if not isinstance(part, list | tuple | set | frozenset):
                options.append(parse_option(f"{word}={part}"))
            elif part:
                options.append(parse_option(f"{word}={','.join(sorted(map(str, part)))}"))
    return make_rules(options)


def show_rules(rules: Rules) -> dict[str, dict[str, object]]:
    """Return the rules as JSON values."""
    return {
        word: {"probability": rule.probability, "nodes": sorted(rule.nodes)} for word, rule in sorted(rules.items())
    }


@dataclass(slots=True)
class Draws:
    """Draws the fault of each request, if it has one. Counts requests by node and method."""

    seed: int
    rules: Rules = field(default_factory=dict)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _limited: Counter[str] = field(default_factory=Counter)

    def draw(self, node: str, method: str, kinds: Kinds) -> Fault | None:
        """Return what goes wrong with the next request to `node`, one of `kinds` or None.

        Faults for named nodes come first; then each kind in its order; then `ANY`.
        """
        if not self.rules:
            return None
        self._asked[node, method] += 1
        for fault in kinds:
            rule = self.rules.get(fault.value)
            if rule is not None and node in rule.nodes:
                return fault
        chance = random.Random(f"{self.seed}:{node}:{method}:{self._asked[node, method]}")
        for fault in kinds:
            rule = self.rules.get(fault.value)
            if rule is not None and chance.random() < rule.probability:
                return fault
        rule = self.rules.get(ANY)
        if rule is not None and (node in rule.nodes or chance.random() < rule.probability):
            return chance.choice([fault for fault in kinds if fault not in _NOT_SURVIVED])
        return None

    def count_limited(self, node: str) -> int:
        """Count a 429 of `node`; return how many it had before."""
        self._limited[node] += 1
        return self._limited[node] - 1
