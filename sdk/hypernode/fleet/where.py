"""`--where` expressions: which nodes, by what the API says of them. Pure.

    php_version < 8.2 and product ~ FALCON
    not permissive_memory_management and (type == brancher or group == magento)

A comparison names a field (a setting, or one of FIELDS), an operator out of == != < <= > >= ~ !~, and a value.
Numbers and versions are ordered part by part, so 8.10 comes after 8.9. `~` searches a regular expression, ignoring
case. A field that a node does not have equals nothing and is in no order. A field alone asks whether it is true.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypernode.catalogue import Catalogue, as_text, closest
from hypernode.errors import InputError

FIELDS = ("name", "group", "product", "flavor", "type", "parent", "ip", "state", "provider", "in_production")
Facts = Mapping[str, Any]
Test = Callable[[Facts], bool]

_TOKEN = re.compile(r"\s*(?:(?P<op>==|!=|<=|>=|!~|[<>=~()])|(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<word>[^\s()<>=~!'\"]+))")
_DIGITS = re.compile("([0-9]+)")
_MOST_NESTED = 50


def parse_where(text: str, catalogue: Catalogue) -> tuple[Test, frozenset[str]]:
    """Return the test that `text` spells, and the fields that it looks at.

    The test takes a node's facts: `facts_of`.

    Raises:
        InputError: It is no expression; the message tells the place.
    """
    parser = _Parser(text, catalogue)
    test = parser.any_of(0)
    parser.expect_end()
    return test, frozenset(parser.fields)


def facts_of(detail: Mapping[str, Any], node: str, groups: Sequence[str]) -> dict[str, Any]:
    """Return what a test may look at: the settings and fields of the API's answer, and the file's groups."""
    product, flavor = detail.get("product"), detail.get("flavor")
    return {
        **detail,
        "name": node,
        "group": tuple(groups),
        "product": product.get("code") if isinstance(product, Mapping) else product,
        "flavor": flavor.get("name") if isinstance(flavor, Mapping) else flavor,
    }


class _Parser:
    def __init__(self, text: str, catalogue: Catalogue) -> None:
        self.fields: set[str] = set()
        self._text = text
        self._catalogue = catalogue
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        place = 0
        while place < len(text.rstrip()):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                rest = text[place:].lstrip()
                raise self._error(f"cannot read {rest.rstrip()[:20]!r}", len(text) - len(rest))
            self._tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            place = match.end()

    def any_of(self, depth: int) -> Test:
        if depth > _MOST_NESTED:
            raise self._error("too many brackets", 0)
        tests = [self._all_of(depth)]
        while self._take_word("or"):
            tests.append(self._all_of(depth))
        return tests[0] if len(tests) == 1 else lambda facts: any(test(facts) for test in tests)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            _, text, place = self._tokens[self._at]
            raise self._error(f"did not expect {text!r}", place)

    def _all_of(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._take_word("and"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda facts: all(test(facts) for test in tests)

    def _one(self, depth: int) -> Test:
        if self._take_word("not"):
            if depth > _MOST_NESTED:
                raise self._error("too many nots", 0)
            test = self._one(depth + 1)
            return lambda facts: not test(facts)
        if self._take("op", "("):
            test = self.any_of(depth + 1)
            if not self._take("op", ")"):
                raise self._error("a bracket is not closed", len(self._text))
            return test
        field = self._field()
        operator = self._next("op") if self._peek("op") and self._tokens[self._at][1] not in "()" else None
        if operator is None:
            return lambda facts: facts.get(field) is True
        kind, value, place = self._take_any("a value")
        if kind == "op":
            raise self._error(f"expected a value, not {value!r}", place)
        return self._comparison(field, operator, value[1:-1] if kind == "quoted" else value, place)

    def _field(self) -> str:
        kind, name, place = self._take_any("the name of a field")
        if kind != "word":
            raise self._error(f"expected the name of a field, not {name!r}", place)
        setting = self._catalogue.get(name)
        if name not in FIELDS and setting is None:
            near = closest(name, [*FIELDS, *self._catalogue])
            raise self._error(f"there is no field {name}" + (f"; did you mean {near}?" if near else ""), place)
        if setting is not None and setting.secret:
            raise self._error(f"{name} is secret and cannot be asked for", place)
        self.fields.add(name)
        return name

    def _comparison(self, field: str, operator: str, value: str, place: int) -> Test:
        setting = self._catalogue.get(field)
        if setting is not None and setting.type == "boolean" and operator in ("=", "==", "!="):
            try:
                value = as_text(setting.parse(value))
            except InputError as exc:
                raise self._error(exc.message, place) from None
        match operator:
            case "=" | "==":
                return lambda facts: value in _texts(facts.get(field))
            case "!=":
                return lambda facts: value not in _texts(facts.get(field))
            case "~" | "!~":
                pattern = self._pattern(value, place)
                wanted = operator == "~"
                return lambda facts: any(pattern.search(text) for text in _texts(facts.get(field))) is wanted
        holds = _ORDERS[operator]
        bound = order_key(value)
        return lambda facts: any(holds(order_key(text), bound) for text in _texts(facts.get(field)))

    def _pattern(self, value: str, place: int) -> re.Pattern[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's plans for signs such as [[ are for programmers
                return re.compile(value, re.IGNORECASE)
        except (re.error, OverflowError) as exc:
            raise self._error(f"{value!r} is no regular expression: {exc}", place) from None
        except RecursionError:
            raise self._error("the regular expression is nested too deep", place) from None

    def _peek(self, kind: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][0] == kind

    def _next(self, kind: str) -> str:
        found, text, place = self._take_any(kind)
        assert found == kind, place  # noqa: S101  # callers have peeked
        return text

    def _take(self, kind: str, text: str) -> bool:
        if self._peek(kind) and self._tokens[self._at][1] == text:
            self._at += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        if self._peek("word") and self._tokens[self._at][1].lower() == word:
            self._at += 1
            return True
        return False

    def _take_any(self, wanted: str) -> tuple[str, str, int]:
        if self._at >= len(self._tokens):
            raise self._error(f"expected {wanted} at the end", len(self._text))
        self._at += 1
        return self._tokens[self._at - 1]

    def _error(self, what: str, place: int) -> InputError:
        return InputError(
            f"--where: {what} (character {place + 1})", hint="Example: --where 'php_version < 8.2 and product ~ FALCON'"
        )


def order_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return the key that sorts versions: numbers as numbers, of any length, the rest as text."""
    return tuple(_number_key(part) if part[0] in "0123456789" else (1, 0, part) for part in _DIGITS.split(text) if part)


def _number_key(digits: str) -> tuple[int, int, str]:
    # Without int(), which refuses numbers of more than some thousand digits.
    digits = digits.lstrip("0")
    return 0, len(digits), digits


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, tuple):
        return tuple(as_text(item) for item in value)
    return (as_text(value),)
