"""The plan: what has to change so that nodes have what is wished, and whether that is safe. Pure.

A plan is sorted, keeps both sides of every change, and holds no secret: a secret change knows its reference and
whether the node has anything set. Its checksum is the same wherever and whenever the same changes are planned.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypernode.allowlist_risk import judge
from hypernode.allowlists import PREFIX, Entries
from hypernode.catalogue import HAZARDS, Catalogue, Hazard, Risk, as_text
from hypernode.errors import InputError, UnsafePlan
from hypernode.fleet import rules as rollout_rules
from hypernode.fleet.managed import Managed, as_json, managed
from hypernode.fleet.rules import Order, Rules
from hypernode.fleet.spec import NO_LIMITS, Limits
from hypernode.fleet.ways import Way
from hypernode.secrets import Secret

Values = Mapping[str, Any]
GIVEN = "given"
"""In place of a reference: the secret was typed in, and is kept nowhere."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of one node that is not as wished."""

    node: str
    setting: str
    current: Managed
    """None: not set. A secret one is a `Secret` or None."""
    desired: Managed
    reference: str | None = None
    """For a secret: where its value is kept, or `GIVEN`. It stands for the value wherever the plan is shown or kept."""
    risk: Risk = field(default=Risk(), compare=False, repr=False)

    @property
    def secret(self) -> bool:
        """Whether the values must not be shown."""
        return self.reference is not None or isinstance(self.current, Secret) or isinstance(self.desired, Secret)

    @property
    def hazards(self) -> tuple[str, ...]:
        """What this change can do that needs a confirmation of its own."""
        if not isinstance(self.desired, Entries):
            assert not isinstance(self.current, Entries)  # noqa: S101  # both sides are of one kind
            return self.risk.hazards(self.desired)
        return ("locks_out",) if self._judged("locks_out") else ()

    @property
    def opens(self) -> tuple[str, ...]:
        """What this change of an allowlist opens to everybody, in sentences."""
        return self._judged("opens")

    def why(self, hazard: str) -> str:
        """Return why this change has a hazard, in a sentence with its full stop."""
        if isinstance(self.desired, Entries):
            return f"{'; '.join(self._judged(hazard))}."
        found: Hazard = getattr(self.risk, hazard)
        return found.text

    def _judged(self, kind: str) -> tuple[str, ...]:
        if not isinstance(self.desired, Entries):
            return ()
        found = judge(self.setting.removeprefix(PREFIX), self._there, self.desired)
        return tuple(hazard.text for hazard in found if hazard.kind == kind)

    @property
    def to_send(self) -> Managed:
        """What a store is handed: of an allowlist what is to be there, and what is to be gone."""
        return self.desired.in_place_of(self._there) if isinstance(self.desired, Entries) else self.desired

    @property
    def _there(self) -> Entries:
        """What an allowlist has."""
        return self.current if isinstance(self.current, Entries) else Entries({})

    def reversed(self) -> Change:
        """Return the change that takes this one back."""
        return replace(self, current=self.desired, desired=self.current, reference=None)

    def moved_to(self, now: Managed) -> bool:
        """Tell whether `now` is another value than the one this change was planned on."""
        if isinstance(self.desired, Entries) and isinstance(now, Entries):
            return not self.is_between(now)
        if isinstance(self.current, Secret) and not self.current:
            return now is None  # from a plan file, which kept only that something was set
        return now != self.current

    def is_between(self, now: Managed) -> bool:
        """Tell whether `now` is an allowlist on its way from one side of this change to the other.

        Entries go one by one, and whoever sends them may be killed in the middle.
        """
        if not isinstance(self.desired, Entries) or not isinstance(now, Entries):
            return False
        stay = self._there.keys() & self.desired.keys()
        return stay <= now.keys() <= self._there.keys() | self.desired.keys()

    @property
    def before(self) -> str:
        """The current side as it may be shown."""
        if isinstance(self.desired, Entries):
            return self._there.count()
        if self.current is None:
            return "not set"
        return "(secret)" if self.secret else as_text(self.current)

    @property
    def after(self) -> str:
        """The desired side as it may be shown; of an allowlist what is added and removed."""
        if isinstance(self.desired, Entries):
            return f"{self.desired.count()}: {self.desired.changed_from(self._there)}"
        if self.desired is None and self.reference is None:
            return "not set"
        return f"(secret {self.reference or GIVEN})" if self.secret else as_text(self.desired)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that has to change, and what is needed to judge it."""

    changes: tuple[Change, ...]
    """Sorted by node, then setting."""
    compared: tuple[str, ...]
    """The nodes that were read and compared, sorted."""
    fleet_size: int
    """The nodes that percentages are taken of."""
    limits: Limits = NO_LIMITS
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Group to those of its nodes that change; confirmations for groups count by it."""
    rules: Rules = rollout_rules.DEFAULT
    """How it is carried out."""
    order: tuple[str, ...] = ()
    """The nodes that change, in the order in which they are begun."""
    increase: int | None = 0
    """By how much the products that it needs, or the file says, cost more together; None: it is not known."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """How those nodes are reached that are not reached through the API."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that change, sorted."""
        return tuple(dict.fromkeys(change.node for change in self.changes))

    def by_node(self) -> dict[str, tuple[Change, ...]]:
        """Return the changes of each node that changes, sorted."""
        nodes: dict[str, list[Change]] = {}
        for change in self.changes:
            nodes.setdefault(change.node, []).append(change)
        return {node: tuple(changes) for node, changes in nodes.items()}

    def without(self, nodes: Collection[str]) -> Plan:
        """Return this plan with some nodes left out."""
        if not nodes:
            return self
        left = {group: tuple(n for n in members if n not in nodes) for group, members in self.groups.items()}
        return replace(
            self,
            changes=tuple(change for change in self.changes if change.node not in nodes),
            compared=tuple(node for node in self.compared if node not in nodes),
            groups=left,
            order=tuple(node for node in self.order if node not in nodes),
            ways={node: way for node, way in self.ways.items() if node not in nodes},
        )

    def with_only(self, changes: Iterable[Change]) -> Plan:
        """Return this plan with these changes in place of its own, which are to its nodes and as sorted.

        A node that has none of them counts as not compared: it is not as wished.
        """
        kept = tuple(changes)
        return replace(self.without(set(self.nodes) - {change.node for change in kept}), changes=kept)

    @property
    def hazardous(self) -> tuple[Change, ...]:
        """The changes that need a confirmation of their own."""
        return tuple(change for change in self.changes if change.hazards)

    @property
    def checksum(self) -> str:
        """SHA-256 over the changes, as hexadecimal text; secrets count by their reference."""
        facts = [
            (
                c.node,
                c.setting,
                c.before if c.secret else as_json(c.current),
                c.after if c.secret else as_json(c.desired),
            )
            for c in self.changes
        ]
        return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()

    def raise_if_unsafe(self, confirmations: Sequence[Confirmation] = (), *, force: bool = False) -> None:
        """Refuse the plan when a condition of DESIGN 6 does not hold; each stands alone, and all are told.

        Args:
            confirmations: What was confirmed.
            force: Whether the plan may go beyond its limits. It confirms nothing.

        Raises:
            UnsafePlan: With every reason and what would allow it.
        """
        reasons = [] if force else list(self._beyond_limits())
        reasons += self._miscounted(confirmations)
        reasons += self._unconfirmed(confirmations)
        if reasons:
            raise UnsafePlan(reasons)

    def _beyond_limits(self) -> Iterable[tuple[str, str]]:
        nodes, changes = len(self.nodes), len(self.changes)
        most = self.limits.max_nodes
        if most is not None and nodes > most.of(self.fleet_size):
            yield f"it changes {nodes} of {self.fleet_size} nodes; limits.max_nodes is {most}", "--force allows it"
        if self.limits.max_changes is not None and changes > self.limits.max_changes:
            yield f"it holds {changes} changes; limits.max_changes is {self.limits.max_changes}", "--force allows it"
        dearest = self.limits.max_monthly_increase
        if dearest is not None and (self.increase is None or self.increase > dearest):
            more = "nobody knows how much" if self.increase is None else self.increase
            yield (
                f"the products for it cost {more} more, in a unit that the API does not state; "
                f"limits.max_monthly_increase is {dearest}",
                "--force allows it; it changes no product",
            )

    def _miscounted(self, confirmations: Sequence[Confirmation]) -> Iterable[tuple[str, str]]:
        for one in confirmations:
            if one.count is None or not self.changes:
                continue
            hits = sum(one.covers(change, self.groups) for change in self.hazardous)
            if hits != one.count:
                yield f"--confirm {one} hits {hits} node{'s' * (hits != 1)}", f"--confirm {one.with_count(hits)}"

    def _unconfirmed(self, confirmations: Sequence[Confirmation]) -> Iterable[tuple[str, str]]:
        open_changes = [
            change for change in self.hazardous if not any(one.covers(change, self.groups) for one in confirmations)
        ]
        settings = sorted({change.setting for change in open_changes})
        for setting in settings:
            changes = [change for change in open_changes if change.setting == setting]
            first = changes[0]
            why = " ".join(first.why(name) for name in first.hazards)
            words = ", ".join(name.replace("_", " ") for name in first.hazards)
            if len(changes) == 1:
                yield (
                    f"{first.node}: {setting} {first.before} -> {first.after} {_verb(words)}: {why}",
                    (f"--confirm {first.node}:{setting} allows it"),
                )
            else:
                total = sum(change.setting == setting for change in self.hazardous)
                yield (
                    f"{setting} on {len(changes)} nodes {_verb(words)}: {why}",
                    (f"--confirm all:{setting}={total} allows it"),
                )


def _verb(words: str) -> str:
    return words.replace("irreversible", "is irreversible").replace("locks out", "may lock people out")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An explicit yes to the hazards of one setting: ``NODE:SETTING`` or ``GROUP:SETTING=COUNT`` (DESIGN 4)."""

    place: str
    """A node; with `count`, a group or ``all``."""
    setting: str
    count: int | None = None

    def __str__(self) -> str:
        return f"{self.place}:{self.setting}" + ("" if self.count is None else f"={self.count}")

    def with_count(self, count: int) -> str:
        """Return the confirmation that would hit `count` nodes."""
        return f"{self.place}:{self.setting}={count}"

    def covers(self, change: Change, groups: Mapping[str, tuple[str, ...]]) -> bool:
        """Tell whether this is a yes to `change`."""
        if change.setting != self.setting:
            return False
        if self.count is None:
            return change.node == self.place
        return self.place == "all" or change.node in groups.get(self.place, ())


_CONFIRMATION = re.compile(rf"([A-Za-z0-9_-]+):((?:{re.escape(PREFIX)})?[a-z][a-z0-9_]*)(?:=([0-9]{{1,9}}))?")


def parse_confirmation(text: str) -> Confirmation:
    """Return the confirmation that `text` spells.

    Raises:
        InputError: It spells none, or names ``all`` without a count.
    """
    match = _CONFIRMATION.fullmatch(text)
    if match is None or (match[1] == "all" and match[3] is None):
        raise InputError(
            f"{text!r} confirms nothing",
            hint="Write NODE:SETTING, or GROUP:SETTING=COUNT or all:SETTING=COUNT for many nodes",
        )
    return Confirmation(match[1], match[2], int(match[3]) if match[3] else None)


def make_plan(
    current: Mapping[str, Values],
    desired: Mapping[str, Values],
    catalogue: Catalogue,
    *,
    references: Mapping[Secret, str] | None = None,
    fleet_size: int | None = None,
    limits: Limits = NO_LIMITS,
    groups: Mapping[str, Sequence[str]] | None = None,
    rules: Rules = rollout_rules.DEFAULT,
    ways: Mapping[str, Way] | None = None,
    sizes: Mapping[str, int] | None = None,
    exact: Collection[str] = (),
) -> Plan:
    """Compare what nodes have with what is wished for them.

    Settings that `desired` does not name are left alone. Values are compared as the catalogue types them, so that a
    node that answers 4 has the wished "4".

    Args:
        current: Node to its settings, as the API answers them.
        desired: Node to wished settings, typed; secrets as `Secret`, None asks for null. Nodes without an entry in
            `current` were not read, and are left out.
        catalogue: The settings.
        references: Where each `Secret` in `desired` is kept.
        fleet_size: What percentages are taken of; None: the nodes in `desired`.
        limits: Kept in the plan for its own verdict.
        groups: Group to all its nodes, for confirmations.
        rules: Kept in the plan for whoever carries it out; their order is settled here.
        ways: Kept in the plan likewise.
        sizes: How large the products of nodes are, for that order; what is not in it comes last.
        exact: Nodes whose allowlists are to have nothing but what is wished; elsewhere that is added.
    """
    changes: list[Change] = []
    compared = sorted(desired.keys() & current.keys())
    for node in compared:
        wished, live = desired[node], current[node]
        # Most answers equal the wish to the letter. Types count: for Python True equals 1 and 5.0 equals 5, and what
        # one setting answers has to mean the same whatever the others do.
        unlike = [
            name
            for name, value in wished.items()
            if (raw := live.get(name)) is not value and (raw.__class__ is not value.__class__ or raw != value)
        ]
        for name in sorted(unlike):
            value = wished[name]
            setting = managed(catalogue, name)
            now = setting.typed(live.get(name))
            if isinstance(value, Entries) and isinstance(now, Entries) and node not in exact:
                value = value | now
            if now != value:
                reference = (references or {}).get(value, GIVEN) if isinstance(value, Secret) else None
                changes.append(Change(node, name, now, value, reference, setting.risk))
    changing = {change.node for change in changes}
    return Plan(
        tuple(changes),
        tuple(compared),
        len(desired) if fleet_size is None else fleet_size,
        limits,
        {
            group: members
            for group, nodes in sorted((groups or {}).items())
            if (members := tuple(sorted(changing.intersection(nodes))))
        },
        rules,
        _in_order(rules.order, changes, desired, sizes or {}),
        ways={node: way for node in compared if ways and (way := ways.get(node))},
    )


def _in_order(
    order: Order, changes: Sequence[Change], desired: Iterable[str], sizes: Mapping[str, int]
) -> tuple[str, ...]:
    """Return the nodes of `changes`, which are sorted by name, in `order`."""
    hazards: dict[str, list[str]] = {}
    for change in changes:
        hazards.setdefault(change.node, []).extend(change.hazards)
    match order:
        case "name":
            return tuple(hazards)
        case "file":
            return tuple(node for node in desired if node in hazards)
        case "risk":
            return tuple(sorted(hazards, key=lambda node: _badness(hazards[node])))
        case "smallest-product-first":
            return tuple(sorted(hazards, key=lambda node: (node not in sizes, sizes.get(node, 0))))


def _badness(hazards: Iterable[str]) -> list[int]:
    """Return what sorts nodes by their hazards, those with none first and one that cannot be undone last."""
    return sorted((len(HAZARDS) - HAZARDS.index(name) for name in hazards), reverse=True)
