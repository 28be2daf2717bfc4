"""The fleet file: its text in, a `Fleet` of wished settings out, each with the line and the layer it came from.

Layers are laid over each other per node: defaults, the node's groups in the order listed, the node itself. All that
is wrong with a file is found in one reading and reported together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import yaml

from hypernode.allowlists import Entries
from hypernode.catalogue import Catalogue, Value
from hypernode.errors import InputError
from hypernode.fleet import rules
from hypernode.fleet.ignores import Ignore, Ignores, read_ignores
from hypernode.fleet.keys import (
    LAYER_KEYS,
    LIMIT_KEYS,
    NODE_KEYS,
    ROLLOUT_KEYS,
    SSH_KEYS,
    TOP_KEYS,
    VERSION,
    Key,
)
from hypernode.fleet.lists import check_mode, read_lists
from hypernode.fleet.rules import Rules
from hypernode.fleet.shares import Share, parse_share
from hypernode.fleet.tree import Problems, cut, is_null, items, mapping, pairs, text_of
from hypernode.fleet.values import read_value
from hypernode.fleet.ways import DEFAULT, VIAS, Via, Way
from hypernode.fleet.yamlfile import NULL, compose, read_file
from hypernode.names import check_code, check_node, is_node
from hypernode.node.target import check_host, check_port, check_user
from hypernode.secrets import Reference

T = TypeVar("T")

_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Lifted(Enum):
    """The value of a setting that a layer says is not managed (`null` in the file)."""

    LIFTED = "null"


LIFTED: Final = Lifted.LIFTED


_Said = Value | Reference | Entries | Literal[Lifted.LIFTED] | None


class Wish(NamedTuple):
    """What one layer says of one setting."""

    value: _Said
    """None asks the API for null (`!clear`); LIFTED takes back what earlier layers said."""
    layer: str
    """``defaults``, ``group NAME`` or ``node NAME``."""
    line: int
    column: int


Layer = Mapping[str, Wish]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a plan may be; None: no limit."""

    max_nodes: Share | None = None
    max_changes: int | None = None
    max_monthly_increase: int | None = None
    """Of what products cost, in the unit of the API's prices, which no source states."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet file that was found to be right."""

    path: str
    nodes: Mapping[str, tuple[str, ...]]
    """Each node's groups, in the order of the file."""
    defaults: Layer = field(default_factory=dict)
    groups: Mapping[str, Layer] = field(default_factory=dict)
    own: Mapping[str, Layer] = field(default_factory=dict)
    """Each node's own settings; nodes without any are left out."""
    limits: Limits = NO_LIMITS
    rules: Rules = rules.DEFAULT
    """How a plan for it is carried out."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """What layers say of the way, by their names (see `Wish.layer`); those that say nothing are left out."""
    ignores: Ignores = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    """The product that layers say, by their names; those that say none are left out."""
    modes: Mapping[str, str] = field(default_factory=dict)
    """The ``allowlist_mode`` of layers, by their names; those that say none are left out."""
    _resolved: dict[tuple[str, ...], Layer] = field(default_factory=dict, repr=False, compare=False)

    def resolve(self, node: str) -> Layer:
        """Return what is wished for `node`: setting to the winning wish. Nodes that share all layers share it."""
        groups = self.nodes[node]
        shared = self._resolved.get(groups)
        if shared is None:
            shared = self._resolved[groups] = _laid_over([self.defaults, *(self.groups[group] for group in groups)])
        own = self.own.get(node)
        return shared if own is None else _laid_over([shared, own])

    def way(self, node: str) -> Way:
        """Return how `node` is reached."""
        way = DEFAULT
        for layer in self._layers_of(node):
            if said := self.ways.get(layer):
                way = said.over(way)
        return way

    def is_exact(self, node: str) -> bool:
        """Tell whether the allowlists of `node` are to have nothing but what is wished."""
        said = [mode for layer in self._layers_of(node) if (mode := self.modes.get(layer))] if self.modes else []
        return bool(said) and said[-1] == "exact"

    def product(self, node: str) -> str | None:
        """Return the code of the product that `node` is to be of; None: the file says nothing of it."""
        said = [code for layer in self._layers_of(node) if (code := self.products.get(layer))] if self.products else []
        return said[-1] if said else None

    def _layers_of(self, node: str) -> list[str]:
        return ["defaults", *(f"group {group}" for group in self.nodes[node]), f"node {node}"]

    def ignored(self, node: str) -> Mapping[str, Ignore]:
        """Return what is left as it is on `node`, by setting; what the node's own entry says wins."""
        if not self.ignores:
            return {}
        return {name: entry for layer in self._layers_of(node) for name, entry in self.ignores.get(layer, {}).items()}

    def layers(self, node: str, setting: str) -> list[Wish]:
        """Return all that the file says of one setting of `node`, the winner last."""
        layers = [self.defaults, *(self.groups[group] for group in self.nodes[node]), self.own.get(node, {})]
        return [layer[setting] for layer in layers if setting in layer]

    def members(self, group: str) -> list[str]:
        """Return the nodes of `group`, in the order of the file."""
        return [node for node, groups in self.nodes.items() if group in groups]


def _laid_over(layers: Iterable[Layer]) -> Layer:
    merged: dict[str, Wish] = {}
    for layer in layers:
        merged.update(layer)
    return {name: wish for name, wish in merged.items() if wish.value is not LIFTED}


def load(path: Path, catalogue: Catalogue, *, with_secrets: bool = True, today: date | None = None) -> Fleet:
    """Read the fleet file at `path`; see `parse`.

    Raises:
        FileError: With all its problems.
    """
    return parse(read_file(path), catalogue, path=str(path), with_secrets=with_secrets, today=today)


def parse(
    raw: bytes,
    catalogue: Catalogue,
    *,
    path: str = "fleet.yaml",
    with_secrets: bool = True,
    today: date | None = None,
) -> Fleet:
    """Return the fleet that `raw` describes.

    Args:
        raw: The text.
        catalogue: Types the values.
        path: For messages; ``file:`` references start from its folder.
        with_secrets: Whether references to secrets have to lead somewhere: not for one who only wants to know which
            nodes there are.
        today: Entries of ``ignore`` that end before it have expired; None: the day that it is here.

    Raises:
        FileError: With all its problems, by position.
    """
    tree = compose(raw, path)
    problems = Problems(path)
    folder = Path(path).parent if with_secrets else None
    lines = raw.decode("utf-8", "replace").split("\n")
    fleet = _Reader(catalogue, folder, problems, today or date.today(), lines).fleet(tree, path)
    problems.raise_if_any()
    return fleet


def node_names(raw: bytes, *, path: str) -> list[str]:
    """Return the names that stand under ``nodes``, whatever else is wrong with the file.

    Raises:
        FileError: It is no YAML.
    """
    tree = compose(raw, path)
    if not isinstance(tree, yaml.MappingNode):
        return []
    for key, value in tree.value:
        if key.value == "nodes" and isinstance(value, yaml.MappingNode):
            return [name.value for name, _ in value.value if isinstance(name.value, str) and is_node(name.value)]
    return []


def _check_via(text: str) -> Via:
    for via in VIAS:
        if via == text:
            return via
    raise InputError(f"via must be {', '.join(VIAS[:-1])} or {VIAS[-1]}")


class _Mistake(NamedTuple):
    """Why a setting cannot have a value."""

    in_name: bool
    """Whether its name is to blame."""
    text: str
    hint: str | None


class _Reader:
    """Reads one tree, and tells what is wrong with it on the way."""

    def __init__(
        self, catalogue: Catalogue, folder: Path | None, problems: Problems, today: date, lines: Sequence[str]
    ) -> None:
        self._today = today
        self._lines = lines
        self._modes: dict[str, str] = {}
        self._products: dict[str, str] = {}
        self._catalogue = catalogue
        self._folder = folder
        self._problems = problems
        self._judged: dict[tuple[str, str, str], _Said | _Mistake] = {}
        self._ways: dict[str, Way] = {}

    def fleet(self, tree: yaml.Node, path: str) -> Fleet:
        top = mapping(tree, "the file", TOP_KEYS, self._problems)
        self._version(top.get("version"), tree)
        defaults = self._layer(top.get("defaults"), "defaults", LAYER_KEYS)[0]
        groups: dict[str, Layer] = {}
        for key, value in pairs(top.get("groups"), "groups", self._problems):
            self._group_name(key)
            groups[key.value] = self._layer(value, f"group {key.value}", LAYER_KEYS)[0]
        nodes: dict[str, tuple[str, ...]] = {}
        keys_of: dict[str, yaml.Node] = {}
        own: dict[str, Layer] = {}
        for key, value in pairs(top.get("nodes"), "nodes", self._problems):
            name = key.value
            self._node_name(key)
            settings, keys = self._layer(value, f"node {name}", NODE_KEYS)
            nodes[name] = self._groups(keys.get("groups"), groups)
            keys_of[name] = key
            if settings:
                own[name] = settings
        rollout = mapping(top.get("rollout"), "rollout", ROLLOUT_KEYS, self._problems)
        limits = mapping(top.get("limits"), "limits", LIMIT_KEYS, self._problems)
        most = self._share(limits, "max_changes", percent=False)
        dearest = self._share(limits, "max_monthly_increase", percent=False)
        fleet = Fleet(
            path,
            nodes,
            defaults,
            groups,
            own,
            Limits(
                self._share(limits, "max_nodes"),
                most.number if most else None,
                dearest.number if dearest else None,
            ),
            rules.read_rules(rollout, self._problems, nodes),
            self._ways,
            read_ignores(
                top.get("ignore"),
                self._catalogue,
                nodes=nodes,
                groups=groups,
                today=self._today,
                problems=self._problems,
            ),
            self._products,
            self._modes,
        )
        self._check_ways(fleet, keys_of)
        return fleet

    def _check_ways(self, fleet: Fleet, keys: Mapping[str, yaml.Node]) -> None:
        """Tell what is wished of nodes that the way to them cannot do (CONTRACT.md 4.1), and ways that are shared."""
        reached: dict[Way, str] = {}
        for node, key in keys.items():
            way = fleet.way(node)
            if way.by_tool:
                place = DEFAULT if way.via == "local" else way._replace(host=(way.host or "").replace("{node}", node))
                other = reached.setdefault(place, node) if way.via == "local" or way.host else node
                if other != node:
                    where = "this machine" if way.via == "local" else "the same host"
                    self._problems.tell(key, f"{node} and {other} cannot both be reached as {where}")
            for name, wish in fleet.resolve(node).items() if way.by_tool else ():
                if (what := self._not_by_tool(name, wish)) is not None:
                    self._problems.tell_at(
                        wish.line,
                        wish.column,
                        f"{name} {what} on {node}, which is reached via: {way.via}",
                        "The node's tool takes plain values from its command line only; use via: api there",
                    )

    def _not_by_tool(self, name: str, wish: Wish) -> str | None:
        """Return why the node's tool cannot bring `wish` about; None: it can."""
        if isinstance(wish.value, Entries):
            return "cannot be managed"
        if wish.value is None:
            return "cannot be cleared"
        return "is secret and cannot be set" if self._catalogue[name].secret else None

    def _version(self, node: yaml.Node | None, tree: yaml.Node) -> None:
        if node is None:
            if isinstance(tree, yaml.MappingNode):
                self._problems.tell(tree, "there is no version", f"Begin the file with version: {VERSION}")
        elif text_of(node) != str(VERSION):
            self._problems.tell(node, f"this hnctl reads version {VERSION} of the fleet file only")

    # A layer with a wrong name is read all the same, so that what is wrong inside it is told too.

    def _group_name(self, key: yaml.ScalarNode) -> None:
        if not _GROUP.fullmatch(key.value) or key.value == "all":
            hint = "Use letters, digits, - and _; not the word all"
            self._problems.tell(key, f"a group cannot be called {cut(key.value)!r}", hint)

    def _node_name(self, key: yaml.ScalarNode) -> None:
        try:
            check_node(key.value)
        except InputError as exc:
            self._problems.tell(key, exc.message, exc.hint)

    def _groups(self, node: yaml.Node | None, groups: Mapping[str, Layer]) -> tuple[str, ...]:
        if node is None or is_null(node):
            return ()
        listed = items(node)
        if listed is None:
            self._problems.tell(node, "groups must be a list", "Write groups: [magento]")
            return ()
        names: dict[str, None] = {}
        for item in listed:
            name = text_of(item)
            if name is None:
                self._problems.tell(item, "there is no group of this shape")
            elif name not in groups:
                self._problems.tell(item, f"there is no group {cut(name)}", self._problems.suggest(name, groups))
            elif name in names:
                self._problems.tell(item, f"group {name} is listed twice")
            else:
                names[name] = None
        return tuple(names)

    def _layer(
        self, node: yaml.Node | None, layer: str, known: Mapping[str, Key]
    ) -> tuple[Layer, Mapping[str, yaml.Node]]:
        keys = mapping(node, layer, known, self._problems)
        if "via" in keys or "ssh" in keys:
            self._ways[layer] = self._way(keys, layer)
        settings: dict[str, Wish] = {}
        for key, value in pairs(keys.get("settings"), f"the settings of {layer}", self._problems):
            wish = self._wish(key, value, layer)
            if wish is not None:
                settings[key.value] = wish
        for name, entries, node_ in read_lists(keys.get("allowlist"), layer, self._lines, self._problems):
            mark = node_.start_mark
            settings[name] = Wish(LIFTED if entries is None else entries, layer, mark.line + 1, mark.column + 1)
        if mode := self._word(keys.get("allowlist_mode"), check_mode):
            self._modes[layer] = mode
        if code := self._word(keys.get("product"), check_code):
            self._products[layer] = code
        return settings, keys

    def _way(self, keys: Mapping[str, yaml.Node], layer: str) -> Way:
        ssh = mapping(keys.get("ssh"), f"the ssh of {layer}", SSH_KEYS, self._problems)
        return Way(
            self._word(keys.get("via"), _check_via),
            self._word(ssh.get("host"), check_host),
            self._word(ssh.get("port"), check_port),
            self._word(ssh.get("user"), check_user),
        )

    def _word(self, node: yaml.Node | None, check: Callable[[str], T]) -> T | None:
        """Return what `check` makes of a plain word; None, after telling why, when it is none or not good."""
        if node is None or is_null(node):
            return None
        try:
            return check(text_of(node) or "")
        except InputError as exc:
            self._problems.tell(node, exc.message, exc.hint)
            return None

    def _wish(self, key: yaml.ScalarNode, node: yaml.Node, layer: str) -> Wish | None:
        if not isinstance(node, yaml.ScalarNode):
            self._problems.tell(node, f"{cut(key.value)} must have a single value")
            return None
        # A fleet says the same few things of thousands of nodes, so each is judged once.
        memo = (key.value, node.value, node.tag)
        if memo not in self._judged:
            self._judged[memo] = self._judge(key, node)
        said = self._judged[memo]
        if isinstance(said, _Mistake):
            self._problems.tell(key if said.in_name else node, said.text, said.hint)
            return None
        mark = node.start_mark
        return Wish(said, layer, mark.line + 1, mark.column + 1)

    def _judge(self, key: yaml.ScalarNode, node: yaml.ScalarNode) -> _Said | _Mistake:
        try:
            setting = self._catalogue.writable(key.value)
        except InputError as exc:
            return _Mistake(True, exc.message, exc.hint)
        if node.tag == NULL:
            return LIFTED
        try:
            return read_value(setting, node, self._folder)
        except InputError as exc:
            return _Mistake(False, exc.message, exc.hint)

    def _share(self, keys: Mapping[str, yaml.Node], what: str, *, percent: bool = True) -> Share | None:
        node = keys.get(what)
        if node is None or is_null(node):
            return None
        try:
            return parse_share(text_of(node) or "", percent=percent)
        except ValueError as exc:
            self._problems.tell(node, f"{what} {exc}")
            return None
