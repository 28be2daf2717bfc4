"""A YAML file's text as a tree of nodes that know their place, or an error that says where it is no YAML.

libyaml builds the tree, so scalars keep their source text (`8.10` stays "8.10"). A file is held against bounds: its
size; its depth, counted while libyaml composes, which recurses in C and would take the process down; and afterwards
how far its aliases expand.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from hypernode.errors import FileError, Problem

NULL = "tag:yaml.org,2002:null"
LARGEST_FILE = 16 * 1024 * 1024
_DEEPEST = 100
_MOST_EXPANDED = 1_000_000  # DESIGN 8 speaks of 10,000 nodes with 80 settings each
_CIRCLE = -1
_TOO_DEEP = "too deep"
_WORDS = {
    "but found another document": "a second document begins here: a file has one",
    _TOO_DEEP: f"the file is nested more than {_DEEPEST} levels deep",
}
"""Problems that are told in our own words, by libyaml's or the loader's."""
_HINTS = {"did not find expected whitespace or line break": "After a tag such as !clear, leave a blank before } or ,"}


class _Loader(yaml.CSafeLoader):
    """Ends the composing of a tree that gets too deep, however the file spells its levels."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._depth = 0

    # libyaml's composer calls this pair around every node.

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        self._depth += 1
        if parent is not None and self._depth > _DEEPEST + 1:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=parent.start_mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


def read_file(path: Path, *, if_missing: str = "Name another file with -f") -> bytes:
    """Return the bytes of a file of people's making; `if_missing` is the hint where there is none.

    Raises:
        FileError: It is not there, no file, not readable, or larger than any such file can be.
    """
    try:
        if path.is_dir():
            raise FileError(str(path), [Problem(1, 1, "this is a folder, not a file")])
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as exc:
        hint = if_missing if isinstance(exc, FileNotFoundError) else None
        raise FileError(str(path), [Problem(1, 1, f"the file cannot be read: {exc.strerror}", hint)]) from None
    if len(raw) > LARGEST_FILE:
        raise FileError(
            str(path), [Problem(1, 1, f"the file is larger than {LARGEST_FILE >> 20} MiB, the most that is read")]
        )
    return raw


def compose(raw: bytes, path: str) -> yaml.Node:
    """Return the one document in `raw` as a tree.

    Raises:
        FileError: It is empty, no YAML, several documents, or beyond a bound; with the place.
    """
    try:
        tree = yaml.compose(raw, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        raise FileError(path, [_problem(exc)]) from None
    except yaml.YAMLError as exc:
        # A reader error knows the byte only; the text may be binary and is not shown.
        position = getattr(exc, "position", 0)
        line = raw.count(b"\n", 0, position) + 1
        column = position - (raw.rfind(b"\n", 0, position) + 1) + 1
        raise FileError(path, [Problem(line, column, f"the file is not UTF-8 text: {exc.reason}")]) from None  # type: ignore[attr-defined]  # ReaderError has it
    if tree is None or (isinstance(tree, yaml.ScalarNode) and tree.tag == NULL):
        raise FileError(path, [Problem(1, 1, "the file is empty")])
    if b"*" in raw and ((size := _expanded(tree, {})) == _CIRCLE or size > _MOST_EXPANDED):
        what = "form a circle" if size == _CIRCLE else f"expand to more than {_MOST_EXPANDED:,} values"
        raise FileError(path, [Problem(1, 1, f"the file has aliases that {what}")])
    return tree


def _problem(exc: yaml.MarkedYAMLError) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = str(exc.problem or exc.context)
    return Problem(line, column, _WORDS.get(what, f"the file is not YAML: {what}"), _HINTS.get(what))


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many single values the tree below `node` has once its aliases are written out.

    An empty list or mapping counts as one value. An anchor stands before its aliases, so what an alias repeats has
    been counted by then and the recursion is no deeper than the tree; what has only been begun stands in itself.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    key = id(node)
    if key not in sizes:
        sizes[key] = _CIRCLE
        counts = [_expanded(child, sizes) for child in _children(node)]
        # Cut off, since multiplying aliases soon make numbers that are too long to add up.
        sizes[key] = _CIRCLE if _CIRCLE in counts else max(1, min(sum(counts), _MOST_EXPANDED + 1))
    return sizes[key]


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    # A key that is no scalar is refused by whoever reads the tree, and not looked into.
    return (value for _, value in node.value) if isinstance(node, yaml.MappingNode) else node.value
