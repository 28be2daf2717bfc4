"""A YAML file's text as a tree of nodes that know their place, or an error that says where it is no YAML.

libyaml builds the tree, so scalars keep their source text (`8.10` stays "8.10"). Before it sees a file, the file is
held against bounds: size, depth (libyaml's caller recurses, and a deep file would crash the process) and, afterwards,
how far aliases expand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import yaml

from hypernode.errors import FileError, Problem

LARGEST_FILE = 16 * 1024 * 1024
_DEEPEST = 100
_MOST_EXPANDED = 1_000_000
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}\n"))
_COMPACT_NESTING = re.compile(rb"(?:[-?:][ \t]+){%d}" % _DEEPEST)
_DEEP_INDENT = re.compile(rb"^[ ]{%d}[^ \n#]" % (4 * _DEEPEST), re.MULTILINE)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file of people's making.

    Raises:
        FileError: It is not there, no file, not readable, or larger than any such file can be.
    """
    try:
        if path.is_dir():
            raise FileError(str(path), [Problem(1, 1, "this is a folder, not a file")])
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as exc:
        raise FileError(str(path), [Problem(1, 1, f"the file cannot be read: {exc.strerror}")]) from None
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
    if line := _too_deep(raw):
        raise FileError(path, [Problem(line, 1, f"the file is nested more than {_DEEPEST} levels deep")])
    try:
        tree = yaml.compose(raw, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as exc:
        raise FileError(path, [_problem(exc)]) from None
    except yaml.YAMLError as exc:
        # A reader error knows the byte only; the text may be binary and is not shown.
        position = getattr(exc, "position", 0)
        line = raw.count(b"\n", 0, position) + 1
        column = position - (raw.rfind(b"\n", 0, position) + 1) + 1
        raise FileError(path, [Problem(line, column, f"the file is not UTF-8 text: {exc.reason}")]) from None  # type: ignore[attr-defined]  # ReaderError has it
    if tree is None:
        raise FileError(path, [Problem(1, 1, "the file is empty")])
    if b"*" in raw and (size := _expanded(tree, {}, set())) > _MOST_EXPANDED:
        what = "form a circle" if size == _CIRCLE else f"expand to more than {_MOST_EXPANDED:,} values"
        raise FileError(path, [Problem(1, 1, f"the file has aliases that {what}")])
    return tree


def _problem(exc: yaml.MarkedYAMLError) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if exc.problem == "but found another document":
        return Problem(line, column, "a second document begins here: a file has one")
    return Problem(line, column, f"the file is not YAML: {exc.problem or exc.context}")


def _too_deep(raw: bytes) -> int | None:
    """Return the line at which `raw` may nest too deep, or None. Brackets in texts count too: this is a bound."""
    for pattern in (_COMPACT_NESTING, _DEEP_INDENT):
        if match := pattern.search(raw):
            return raw.count(b"\n", 0, match.start()) + 1
    marks = raw.translate(None, delete=_NOT_BRACKETS)
    line = 1
    for depth, mark in zip(accumulate(map(_STEP.__getitem__, marks)), marks, strict=True):
        if mark == 10:
            line += 1
        elif depth > _DEEPEST:
            return line
    return None


_STEP = {10: 0, **dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}
_CIRCLE = 1 << 62


def _expanded(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """Return how many nodes the tree below `node` has once its aliases are written out."""
    key = id(node)
    if key in sizes:
        return sizes[key]
    if key in above:
        return _CIRCLE
    above.add(key)
    size = 1 + sum(_expanded(child, sizes, above) for child in _children(node))
    above.discard(key)
    sizes[key] = min(size, _CIRCLE)
    return sizes[key]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
