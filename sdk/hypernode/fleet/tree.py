"""Reading the tree of a YAML file strictly: mappings with known keys, plain words, and every mistake with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from hypernode.catalogue import closest
from hypernode.errors import FileError, Problem
from hypernode.fleet.yamlfile import NULL

CLEAR = "!clear"
PLAIN = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)
"""The tags of scalars that count by their source text, whatever YAML takes them for."""

_MAP, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_KNOWN_TAGS = PLAIN | {_MAP, _LIST, CLEAR}
_MOST_PROBLEMS = 200
_MOST_SUGGESTIONS = 20


class Problems:
    """What is wrong with a file, as it is found."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._by_place: dict[object, Problem] = {}

    def tell(self, node: yaml.Node, text: str, hint: str | None = None) -> None:
        """Keep that something is wrong with `node`; once, when several places share it by an alias.

        Raises:
            FileError: There are too many to tell.
        """
        if hint is None and node.tag not in _KNOWN_TAGS:
            hint = "The only tag is !clear, as the value of a setting"
        mark = node.start_mark
        self._keep(id(node), Problem(mark.line + 1, mark.column + 1, text, hint))

    def tell_at(self, line: int, column: int, text: str, hint: str | None = None) -> None:
        """Keep that something is wrong at a place; once for each place.

        Raises:
            FileError: There are too many to tell.
        """
        self._keep((line, column), Problem(line, column, text, hint))

    def _keep(self, place: object, problem: Problem) -> None:
        if place in self._by_place:
            return
        if len(self._by_place) == _MOST_PROBLEMS:
            told = sorted(self._by_place.values())
            more = Problem(told[-1].line, told[-1].column, "and more: only the first are listed")
            raise FileError(self._path, [*told, more]) from None
        self._by_place[place] = problem

    def suggest(self, word: str, known: Iterable[str]) -> str | None:
        """Return the hint that names the word that was probably meant, or None.

        Only the first mistakes get one: looking through thousands of names takes some ten milliseconds.
        """
        near = closest(word, known) if len(self._by_place) < _MOST_SUGGESTIONS else None
        return f"Did you mean {near}?" if near else None

    def raise_if_any(self) -> None:
        """Raise `FileError` with all that was told, by position, if anything was."""
        if self._by_place:
            raise FileError(self._path, sorted(self._by_place.values()))


def is_null(node: yaml.Node | None) -> bool:
    """Tell whether `node` is missing or says nothing."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == NULL)


def text_of(node: yaml.Node | None) -> str | None:
    """Return the source text of a plain scalar; None for everything else."""
    return node.value if isinstance(node, yaml.ScalarNode) and node.tag in PLAIN else None


def items(node: yaml.Node) -> list[yaml.Node] | None:
    """Return the items of a plain list; None for everything else."""
    return node.value if isinstance(node, yaml.SequenceNode) and node.tag == _LIST else None


def pairs(node: yaml.Node | None, what: str, problems: Problems) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """Return the entries of the mapping `what` with plain, unrepeated keys; a missing or null one has none."""
    if is_null(node):
        return []
    if not isinstance(node, yaml.MappingNode) or node.tag != _MAP:
        assert node is not None  # noqa: S101  # nothing is null, see above
        problems.tell(node, f"{what} must be a mapping of names to values")
        return []
    found: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
    for pair in node.value:
        key = pair[0]
        if key.__class__ is not yaml.ScalarNode or key.tag not in PLAIN:
            problems.tell(key, f"a key of {what} must be a plain word")
        elif key.value in found:
            first = found[key.value][0].start_mark.line + 1
            problems.tell(key, f"{cut(key.value)} stands twice in {what}; the first is on line {first}")
        else:
            found[key.value] = pair
    return list(found.values())


def mapping(node: yaml.Node | None, what: str, known: Mapping[str, Any], problems: Problems) -> dict[str, yaml.Node]:
    """Return the values of the mapping `what` by key.

    Args:
        node: The mapping.
        what: Its name in messages.
        known: Its keys may be these.
        problems: Is told of all others.
    """
    found = {}
    for key, value in pairs(node, what, problems):
        if key.value in known:
            found[key.value] = value
        else:
            hint = problems.suggest(key.value, known) or f"Known are {', '.join(known)}"
            problems.tell(key, f"unknown key {cut(key.value)} in {what}", hint)
    return found


def cut(text: str) -> str:
    """Return `text` short enough for a message."""
    return text if len(text) <= 60 else text[:60] + "..."
