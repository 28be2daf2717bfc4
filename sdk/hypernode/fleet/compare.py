"""From wishes to a plan: secrets are fetched, nodes are read side by side, and what differs is planned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from hypernode.catalogue import Catalogue
from hypernode.errors import CredentialsError, FileError, HypernodeError, Problem, SecretUnavailable
from hypernode.fleet import rules
from hypernode.fleet.fit import OPEN, VARNISH, Need, find_needs
from hypernode.fleet.plan import Plan, Values, make_plan
from hypernode.fleet.rules import Rules
from hypernode.fleet.spec import NO_LIMITS, Fleet, Limits, Wish
from hypernode.fleet.stores import Reader, read_nodes
from hypernode.fleet.ways import Way
from hypernode.fleet.where import Test, facts_of
from hypernode.products import bundled
from hypernode.secrets import Reference, Secret


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wished for some nodes, with everything that a plan needs to know of it."""

    values: Mapping[str, Values]
    """Node to wished settings, typed; secrets as `Secret`. Nodes with the same wishes share one mapping."""
    references: Mapping[Secret, str]
    """Where each secret in `values` is kept."""
    fleet_size: int
    groups: Mapping[str, Sequence[str]]
    limits: Limits = NO_LIMITS
    rules: Rules = rules.DEFAULT
    ways: Mapping[str, Way] = field(default_factory=dict)
    """How nodes are reached that are not reached through the API."""
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Node to the settings that the file has values for and says to ignore; nodes without any are left out."""
    exact: frozenset[str] = frozenset()
    """Nodes whose allowlists are to have nothing but what is wished."""
    products: Mapping[str, str] = field(default_factory=dict)
    """Node to the code of the product that the file says."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing: a plan for the nodes that could be read, and why the others could not."""

    plan: Plan
    failures: Mapping[str, HypernodeError]
    ignored: int = 0
    """How many values of the compared nodes the file says to ignore."""
    needs: tuple[Need, ...] = ()
    """Nodes whose product is in question, without prices."""


def desired_of(fleet: Fleet, nodes: Iterable[str], resolve: Callable[[Reference], Secret]) -> Desired:
    """Return what `fleet` wishes for `nodes` and does not ignore, its secrets fetched, each once.

    Raises:
        FileError: References lead nowhere; all of them, with their places.
    """
    problems: dict[Problem, None] = {}
    secrets: dict[Reference, Secret | None] = {}
    shared: dict[tuple[int, tuple[str, ...]], dict[str, Any]] = {}

    def value_of(name: str, wish: Wish) -> Any:
        reference = wish.value
        if not isinstance(reference, Reference):
            return reference
        if reference not in secrets:
            try:
                secrets[reference] = resolve(reference)
            except (SecretUnavailable, CredentialsError) as exc:
                secrets[reference] = None
                problems[Problem(wish.line, wish.column, f"{name}: {exc.message}", exc.hint)] = None
        return secrets[reference]

    values: dict[str, Values] = {}
    layers = {node: fleet.resolve(node) for node in nodes}
    ignored: dict[str, tuple[str, ...]] = {}
    for node, layer in layers.items():
        left = tuple(sorted(layer.keys() & fleet.ignored(node).keys()))
        if left:
            ignored[node] = left
        if (key := (id(layer), left)) not in shared:
            shared[key] = {name: value_of(name, wish) for name, wish in layer.items() if name not in left}
        values[node] = shared[key]
    if problems:
        raise FileError(fleet.path, sorted(problems))
    members: dict[str, list[str]] = {group: [] for group in fleet.groups}
    for node, groups in fleet.nodes.items():
        for group in groups:
            members[group].append(node)
    return Desired(
        values,
        _ByIdentity((secret, str(reference)) for reference, secret in secrets.items() if secret is not None),
        len(fleet.nodes),
        members,
        fleet.limits,
        fleet.rules,
        {node: way for node in layers if (way := fleet.way(node)).by_tool},
        ignored,
        frozenset(node for node in layers if fleet.is_exact(node)),
        {node: code for node in layers if (code := fleet.product(node))},
    )


class _ByIdentity(Mapping[Secret, str]):
    """Where fetched secrets are kept. Two places may keep the same text, and each change is to name its own."""

    def __init__(self, kept: Iterable[tuple[Secret, str]]) -> None:
        self._kept = {id(secret): (secret, reference) for secret, reference in kept}

    def __getitem__(self, secret: Secret) -> str:
        return self._kept[id(secret)][1]

    def __iter__(self) -> Iterator[Secret]:
        return (secret for secret, _ in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)


def compare(
    desired: Desired,
    reader: Reader,
    catalogue: Catalogue,
    executor: Executor,
    *,
    where: Test | None = None,
    asked: Collection[str] = (),
    on_node: Callable[[str], None] | None = None,
) -> Comparison:
    """Read the nodes of `desired` and plan what has to change on them.

    Args:
        desired: What is wished.
        reader: The way to the nodes; it cannot write.
        catalogue: Types the values.
        executor: Runs the reads.
        where: Nodes whose facts fail this test are left out.
        asked: The fields that it looks at.
        on_node: Told each node that was read.
    """
    members: dict[str, list[str]] = {}
    for group, nodes in desired.groups.items() if where else ():
        for node in nodes:
            members.setdefault(node, []).append(group)

    ram = (
        {product.code: product.ram_gb for product in bundled()}
        if desired.rules.order == "smallest-product-first"
        else {}
    )
    sizes: dict[str, int] = {}
    products: dict[str, Mapping[str, Any]] = {}

    asking = {VARNISH, *OPEN}

    def keep(node: str, detail: Mapping[str, Any]) -> Mapping[str, Any] | None:
        facts = facts_of(detail, node, members.get(node, [])) if where is not None or ram else {}
        if where is not None and not where(facts):
            return None
        if facts.get("product") in ram:
            sizes[node] = ram[facts["product"]]
        if node in desired.products or not asking.isdisjoint(desired.values[node]):
            product = detail.get("product")
            product = {"code": product} if isinstance(product, str) else product  # CONTRACT.md 6
            if isinstance(product, dict) and isinstance(product.get("code"), str):
                products[node] = product
        return {name: detail[name] for name in desired.values[node] if name in detail}

    def names(node: str) -> Collection[str]:
        return {*desired.values[node], *asked}

    current, failures = read_nodes(reader, desired.values, executor, keep=keep, names=names, on_node=on_node)
    plan = make_plan(
        current,
        desired.values,
        catalogue,
        references=desired.references,
        fleet_size=desired.fleet_size,
        limits=desired.limits,
        groups=desired.groups,
        rules=desired.rules,
        ways=desired.ways,
        sizes=sizes,
        exact=desired.exact,
    )
    return Comparison(
        plan,
        failures,
        sum(len(desired.ignored.get(node, ())) for node in plan.compared),
        tuple(find_needs(plan, products, desired.products)),
    )
