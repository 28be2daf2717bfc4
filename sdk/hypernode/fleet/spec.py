"""The fleet file: its text in, a `Fleet` of wished settings out, each with the line and the layer it came from.

Layers are laid over each other per node: defaults, the node's groups in the order listed, the node itself. All that
is wrong with a file is found in one reading and reported together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from hypernode.catalogue import Catalogue, Value, closest
from hypernode.errors import FileError, InputError, Problem, SecretUnavailable
from hypernode.fleet.yamlfile import compose, read_file
from hypernode.names import check_node, is_node
from hypernode.secrets import KINDS, Reference, Secret, check_present, parse_reference

VERSION = 1
_MOST_PROBLEMS = 200
_SCALARS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value")
)
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NULL = "tag:yaml.org,2002:null"


class Lifted(Enum):
    """The value of a setting that a layer says is not managed (`null` in the file)."""

    LIFTED = "null"


LIFTED: Final = Lifted.LIFTED


class Wish(NamedTuple):
    """What one layer says of one setting."""

    value: Value | Reference | Literal[Lifted.LIFTED] | None
    """None asks the API for null (`!clear`); LIFTED takes back what earlier layers said."""
    layer: str
    """``defaults``, ``group NAME`` or ``node NAME``."""
    line: int
    column: int


Layer = Mapping[str, Wish]


class Share(NamedTuple):
    """A number of nodes, or a percentage of them."""

    number: int
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a plan may be; None: no limit."""

    max_nodes: Share | None = None
    max_changes: int | None = None


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
    max_failures: Share | None = None
    _resolved: dict[tuple[str, ...], Layer] = field(default_factory=dict, repr=False, compare=False)

    def resolve(self, node: str) -> Layer:
        """Return what is wished for `node`: setting to the winning wish. Nodes that share all layers share it."""
        groups = self.nodes[node]
        shared = self._resolved.get(groups)
        if shared is None:
            shared = self._resolved[groups] = _laid_over([self.defaults, *(self.groups[group] for group in groups)])
        own = self.own.get(node)
        return shared if own is None else _laid_over([shared, own])

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


def load(path: Path, catalogue: Catalogue) -> Fleet:
    """Read the fleet file at `path`.

    Raises:
        FileError: With all its problems.
    """
    return parse(read_file(path), catalogue, path=str(path))


def parse(raw: bytes, catalogue: Catalogue, *, path: str = "fleet.yaml") -> Fleet:
    """Return the fleet that `raw` describes; ``file:`` references start from the folder of `path`.

    Raises:
        FileError: With all its problems, by position.
    """
    tree = compose(raw, path)
    reader = _Reader(catalogue, Path(path).parent)
    try:
        fleet = reader.fleet(tree, path)
    except _TooManyError:
        reader.problems.append(Problem(1 << 30, 1, "and more: only the first are listed"))
        fleet = None
    if reader.problems:
        raise FileError(path, sorted(reader.problems))
    assert fleet is not None  # noqa: S101  # only _TooManyError leaves it unset, and that has added a problem
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


class _TooManyError(Exception):
    """Ends the reading of a file that is wrong all over."""


class Key(NamedTuple):
    """One key of the file, for reading it and for its JSON Schema."""

    text: str
    """What it says, in a sentence."""
    schema: Mapping[str, Any]


_SHARE_SCHEMA = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,3}%$"}]}
_LAYER_REF = {"$ref": "#/$defs/settings"}
LAYER_KEYS = {
    "settings": Key("The settings that this layer manages.", _LAYER_REF),
    "via": Key("The way to the node's settings: api.", {"const": "api"}),
}
NODE_KEYS = {
    "groups": Key("The groups of the node; later ones win.", {"type": "array", "items": {"type": "string"}}),
    **LAYER_KEYS,
}
LIMIT_KEYS = {
    "max_nodes": Key("Most nodes that a plan may change, as a number or a percentage of the fleet.", _SHARE_SCHEMA),
    "max_changes": Key("Most changes that a plan may hold.", {"type": "integer", "minimum": 0}),
}
ROLLOUT_KEYS = {
    "max_failures": Key("Failed nodes after which no more are started, as a number or a percentage.", _SHARE_SCHEMA),
}
TOP_KEYS = {
    "version": Key("The version of this format.", {"const": VERSION}),
    "defaults": Key("The layer below all others.", {"$ref": "#/$defs/layer"}),
    "groups": Key("Layers for several nodes, by name.", {"$ref": "#/$defs/groups"}),
    "nodes": Key("The nodes, by name.", {"$ref": "#/$defs/nodes"}),
    "rollout": Key("How a plan is carried out.", {"$ref": "#/$defs/rollout"}),
    "limits": Key("How large a plan may be without --force.", {"$ref": "#/$defs/limits"}),
}
_LATER = {
    "rollout": {"waves": "waves are", "gates": "gates are"},
    "layer": {"ssh": "ssh is"},
}


class _Reader:
    """Reads one tree, and keeps the problems it finds on the way."""

    def __init__(self, catalogue: Catalogue, folder: Path) -> None:
        self.problems: list[Problem] = []
        self._catalogue = catalogue
        self._folder = folder
        self._values: dict[tuple[str, str, str], Wish | Problem] = {}

    def fleet(self, tree: yaml.Node, path: str) -> Fleet:
        top = self._mapping(tree, "the file", TOP_KEYS)
        self._version(top.get("version"), tree)
        defaults = self._layer(top.get("defaults"), "defaults", LAYER_KEYS)[0]
        groups: dict[str, Layer] = {}
        for key, value in self._pairs(top.get("groups"), "groups"):
            self._group_name(key)
            groups[key.value] = self._layer(value, f"group {key.value}", LAYER_KEYS)[0]
        nodes: dict[str, tuple[str, ...]] = {}
        own: dict[str, Layer] = {}
        for key, value in self._pairs(top.get("nodes"), "nodes"):
            name = key.value
            self._node_name(key)
            settings, keys = self._layer(value, f"node {name}", NODE_KEYS)
            nodes[name] = self._groups(keys.get("groups"), groups)
            if settings:
                own[name] = settings
        rollout = self._mapping(top.get("rollout"), "rollout", ROLLOUT_KEYS, _LATER["rollout"])
        limits = self._mapping(top.get("limits"), "limits", LIMIT_KEYS)
        most = self._share(limits.get("max_changes"), "max_changes", percent=False)
        return Fleet(
            path,
            nodes,
            defaults,
            groups,
            own,
            Limits(self._share(limits.get("max_nodes"), "max_nodes"), most.number if most else None),
            self._share(rollout.get("max_failures"), "max_failures", least=1),
        )

    def _problem(self, node: yaml.Node, text: str, hint: str | None = None) -> None:
        mark = node.start_mark
        self.problems.append(Problem(mark.line + 1, mark.column + 1, text, hint))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _TooManyError

    def _pairs(self, node: yaml.Node | None, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return the entries of a mapping with plain, unrepeated keys; a missing or null one has none."""
        if node is None or (node.tag == _NULL and isinstance(node, yaml.ScalarNode)):
            return []
        if not isinstance(node, yaml.MappingNode) or node.tag != "tag:yaml.org,2002:map":
            self._problem(node, f"{what} must be a mapping of names to values")
            return []
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for pair in node.value:
            key = pair[0]
            if key.__class__ is not yaml.ScalarNode:
                self._problem(key, f"a key of {what} must be a plain word")
            elif key.value in pairs:
                first = pairs[key.value][0].start_mark.line + 1
                self._problem(key, f"{key.value} stands twice in {what}; the first is on line {first}")
            else:
                pairs[key.value] = pair
        return list(pairs.values())

    def _mapping(
        self, node: yaml.Node | None, what: str, known: Mapping[str, Key], later: Mapping[str, str] | None = None
    ) -> dict[str, yaml.Node]:
        """Return the values of a mapping whose keys are `known`."""
        found = {}
        for key, value in self._pairs(node, what):
            if key.value in known:
                found[key.value] = value
            elif later and key.value in later:
                self._problem(key, f"{later[key.value]} not supported by this version of hnctl")
            else:
                near = closest(key.value, known)
                hint = f"Did you mean {near}?" if near else f"Known are {', '.join(known)}"
                self._problem(key, f"unknown key {_cut(key.value)} in {what}", hint)
        return found

    def _version(self, node: yaml.Node | None, tree: yaml.Node) -> None:
        if node is None:
            if isinstance(tree, yaml.MappingNode):
                self._problem(tree, "there is no version", f"Begin the file with version: {VERSION}")
        elif not isinstance(node, yaml.ScalarNode) or node.value != str(VERSION):
            self._problem(node, f"this hnctl reads version {VERSION} of the fleet file only")

    # A layer with a wrong name is read all the same, so that what is wrong inside it is told too.

    def _group_name(self, key: yaml.Node) -> None:
        if not _GROUP.fullmatch(key.value) or key.value == "all":
            hint = "Use letters, digits, - and _; not the word all"
            self._problem(key, f"a group cannot be called {_cut(key.value)!r}", hint)

    def _node_name(self, key: yaml.Node) -> None:
        try:
            check_node(key.value)
        except InputError as exc:
            self._problem(key, exc.message, exc.hint)

    def _groups(self, node: yaml.Node | None, groups: Mapping[str, Layer]) -> tuple[str, ...]:
        if node is None or node.tag == _NULL:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self._problem(node, "groups must be a list", "Write groups: [magento]")
            return ()
        names: list[str] = []
        for item in node.value:
            name = item.value
            if not isinstance(item, yaml.ScalarNode) or name not in groups:
                near = closest(name, groups) if isinstance(name, str) else None
                shown = _cut(name) if isinstance(name, str) else "of this shape"
                self._problem(item, f"there is no group {shown}", f"Did you mean {near}?" if near else None)
            elif name in names:
                self._problem(item, f"group {name} is listed twice")
            else:
                names.append(name)
        return tuple(names)

    def _layer(
        self, node: yaml.Node | None, layer: str, known: Mapping[str, Key]
    ) -> tuple[Layer, Mapping[str, yaml.Node]]:
        keys = self._mapping(node, layer, known, _LATER["layer"])
        via = keys.get("via")
        if via is not None and via.value != "api":
            if via.value in ("ssh", "local"):
                self._problem(via, f"via: {via.value} is not supported by this version of hnctl", "Use via: api")
            else:
                self._problem(via, "via must be api")
        settings = keys.get("settings")
        if settings is None:
            return {}, keys
        return {
            key.value: wish
            for key, value in self._pairs(settings, f"the settings of {layer}")
            if (wish := self._wish(key, value, layer)) is not None
        }, keys

    def _wish(self, key: yaml.Node, node: yaml.Node, layer: str) -> Wish | None:
        mark = node.start_mark
        if node.__class__ is not yaml.ScalarNode:
            self._problem(node, f"{_cut(key.value)} must have a single value")
            return None
        # A fleet says the same few things of thousands of nodes, so each is judged once.
        memo = (key.value, node.value, node.tag)
        judged = self._values.get(memo)
        if judged is None:
            judged = self._values[memo] = self._judge(key, node)
        if isinstance(judged, Problem):
            at = key if judged.line == 0 else node
            self._problem(at, judged.message, judged.hint)
            return None
        return Wish(judged.value, layer, mark.line + 1, mark.column + 1)

    def _judge(self, key: yaml.Node, node: yaml.Node) -> Wish | Problem:
        """Return what `node` wishes for the setting `key`, or what is wrong; line 0 blames the key, 1 the value."""
        try:
            setting = self._catalogue.writable(key.value)
        except InputError as exc:
            return Problem(0, 0, exc.message, exc.hint)
        name = setting.name
        if node.tag == "!clear":
            if node.value:
                return Problem(1, 0, f"!clear of {name} takes no value")
            return Wish(None, "", 0, 0)
        if node.tag not in _SCALARS:
            return Problem(1, 0, f"{name} has a YAML tag that is not known here", "The only tag is !clear")
        if node.tag == _NULL:
            return Wish(LIFTED, "", 0, 0)
        reference = parse_reference(node.value)
        if not setting.secret:
            if reference is not None and setting.type == "string":
                return Problem(1, 0, f"{name} is not secret: it takes its value as it is, not a reference")
            try:
                value = setting.parse(node.value)
                assert not isinstance(value, Secret)  # noqa: S101  # it is no secret setting, as tested above
                return Wish(value, "", 0, 0)
            except InputError as exc:
                return Problem(1, 0, exc.message, exc.hint)
        if reference is None:
            kinds = ", ".join(f"{kind}:" for kind in KINDS)
            return Problem(
                1, 0, f"{name} is secret and may not stand in the file", f"Write a reference instead: one of {kinds}"
            )
        try:
            check_present(reference, folder=self._folder)
        except SecretUnavailable as exc:
            return Problem(1, 0, f"{name}: {exc.message}", exc.hint)
        return Wish(reference, "", 0, 0)

    def _share(self, node: yaml.Node | None, what: str, *, percent: bool = True, least: int = 0) -> Share | None:
        if node is None or (node.tag == _NULL and isinstance(node, yaml.ScalarNode)):
            return None
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        try:
            return parse_share(text, percent=percent, least=least)
        except ValueError as exc:
            self._problem(node, f"{what} {exc}")
            return None


def parse_share(text: str, *, percent: bool = True, least: int = 0) -> Share:
    """Return the number or percentage of nodes that `text` spells.

    Raises:
        ValueError: It spells none; the message begins with "must be".
    """
    number, sign, rest = text.partition("%")
    fits = number.isascii() and number.isdigit() and len(number) <= 9 and not rest
    if not fits or (sign and (not percent or int(number) > 100)) or int(number) < least:
        raise ValueError(f"must be a number from {least}" + (", or a percentage such as 10%" if percent else ""))
    return Share(int(number), bool(sign))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
