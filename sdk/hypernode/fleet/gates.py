"""Gates: what has to hold on the nodes of a wave before the next one begins. Pure; `probes` tries them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import yaml

from hypernode.config import parse_seconds
from hypernode.errors import InputError
from hypernode.fleet.shares import parse_share
from hypernode.fleet.tree import Problems, cut, is_null, items, mapping, text_of
from hypernode.printable import printable

Verdict = Literal["passed", "failed", "undecided"]
"""``undecided``: the gate could not find out. It never counts as passed."""


@dataclass(frozen=True, slots=True)
class FlowsGate:
    """Every node of the wave was changed: none failed, and none is unknown."""


@dataclass(frozen=True, slots=True)
class HttpGate:
    """A page of the shop answers as it should."""

    url: str
    """http or https; ``{node}`` in it stands for the node's name."""
    status: int = 200
    """Of the page itself: redirects are followed, unless a redirect is what is expected."""
    timeout: float = 10.0
    """Seconds for one try, redirects and all."""
    contains: str | None = None
    """A text that the page must have."""
    lacks: str | None = None
    """A text that it must not have."""
    needed: int = 1
    """How many of `tries` have to be good."""
    tries: int = 1


@dataclass(frozen=True, slots=True)
class FpmGate:
    """PHP-FPM of the node is not overrun (CONTRACT.md 2.2 #20)."""

    max_busy: int
    """Most workers that may be at work."""


@dataclass(frozen=True, slots=True)
class CommandGate:
    """A command of ours says so: it exits with 0."""

    argv: tuple[str, ...]
    """No shell; the node's name is in HNCTL_NODE."""
    timeout: float = 60.0


Gate = FlowsGate | HttpGate | FpmGate | CommandGate

URL: Final = r"https?://((?![#/:?@\[\]\\{}\"<>])[!-~]|\{node\})+(:[0-9]{1,5})?([/?]((?![#\\{}\"<>])[!-~]|\{node\})*)?"
"""What the address of a page may be: without a user or password, and in ASCII. For the JSON Schema too."""
STATUS: Final = "[2-5][0-9]{2}"
_MOST_TRIES = 10
TRIES: Final[Mapping[str, tuple[int, int]]] = {
    f"{needed} of {tries}": (needed, tries) for tries in range(1, _MOST_TRIES + 1) for needed in range(1, tries + 1)
}
"""Every way to say how many tries there are, and how many of them have to be good."""
LONGEST_TIMEOUT: Final = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate found on one node."""

    gate: str
    """Which gate it was, in a few words: the same ones on every node, so that findings can be compared by them."""
    node: str
    verdict: Verdict
    reason: str

    @property
    def address(self) -> str | None:
        """The page that was asked for; None: it was no gate about a page."""
        kind, _, url = self.gate.partition(" ")
        return for_node(url.partition(" ")[0], self.node) if kind == "http" else None

    @property
    def shown(self) -> str:
        """Which gate it was, for a person: with the address of this very node."""
        return self.gate if self.address is None else for_node(self.gate, self.node)


def for_node(url: str, node: str) -> str:
    """Return the address of a page on `node`."""
    return url.replace("{node}", node)


def judge(before: Finding | None, after: Finding) -> Finding:
    """Return what a gate found after a change, in the light of what it found before it.

    What was wrong already is not held against the change; where nobody could tell before, nobody can tell now whether
    the change is to blame.

    Args:
        before: None: nothing is known, and `after` counts as it is.
        after: The same gate on the same node.
    """
    if before is None or after.verdict != "failed" or before.verdict == "passed":
        return after
    if before.verdict == "failed":
        return replace(after, verdict="passed", reason=f"failed before the change too: {after.reason}")
    return replace(after, verdict="undecided", reason=f"{after.reason}; before the change: {before.reason}")


def names_of(gates: Sequence[Gate]) -> tuple[str, ...]:
    """Return for each gate the name that its findings have; no two are the same."""
    seen: Counter[str] = Counter()
    names = []
    for gate in gates:
        match gate:
            case FlowsGate():
                name = "flows"
            case HttpGate(url=url):
                name = f"http {url}"
            case FpmGate():
                name = "fpm"
            case CommandGate(argv=argv):
                name = f"command {cut(printable(argv[0]))}"  # and no more: arguments may hold a secret
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(names)


def read_gates(node: yaml.Node, problems: Problems) -> tuple[Gate, ...]:
    """Return the gates that the list `node` says; `problems` is told of all that is wrong with it."""
    listed = items(node)
    if listed is None:
        problems.tell(node, "gates must be a list", "Write gates: [flows]")
        return ()
    gates: dict[Gate, None] = {}
    for item in listed:
        gate = _read_gate(item, problems)
        if gate in gates:
            problems.tell(item, "this gate stands twice in gates")
        elif gate is not None:
            gates[gate] = None
    return tuple(gates)


def _read_gate(node: yaml.Node, problems: Problems) -> Gate | None:
    word = text_of(node)
    if word == "flows":
        return FlowsGate()
    if word in _EXAMPLES:
        problems.tell(node, f"{word} says not what has to hold", f"Write {_EXAMPLES[word]}")
        return None
    if word is not None:
        known = ("flows", *_EXAMPLES)
        problems.tell(
            node, f"there is no gate {cut(word)}", problems.suggest(word, known) or f"Known are {', '.join(known)}"
        )
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.tell(node, "a gate must be a word or a mapping", "Write gates: [flows]")
        return None
    told = mapping(node, "a gate", _EXAMPLES, problems)
    if len(told) > 1:
        problems.tell(node, f"{' and '.join(told)} are two gates", "Begin each with a - of its own")
        return None
    match next(iter(told), None):
        case "http":
            return _read_http(told["http"], problems)
        case "fpm":
            return _read_fpm(told["fpm"], problems)
        case "command":
            return _read_command(told["command"], problems)
    if not node.value:
        problems.tell(node, "a gate must be a word or a mapping", "Write gates: [flows]")
    return None


_EXAMPLES: Final = {
    "http": "http: https://{node}.hypernode.io/",
    "fpm": "fpm: {max_busy: 20}",
    "command": "command: [./smoke-test]",
}
"""Each gate that needs more than its name, as an example."""


def _read_http(node: yaml.Node, problems: Problems) -> HttpGate | None:
    keys = mapping(node, "http", _HTTP, problems) if isinstance(node, yaml.MappingNode) else {"url": node}
    if is_null(keys.get("url")):
        problems.tell(node, "http needs url, the address of a page", f"Write {_EXAMPLES['http']}")
        return None
    said = {key: value for key, value in _read_keys(keys, _HTTP, problems).items() if value is not None}
    said["needed"], said["tries"] = said.get("tries", (1, 1))
    return HttpGate(**said) if "url" in said else None


def _read_fpm(node: yaml.Node, problems: Problems) -> FpmGate | None:
    keys = mapping(node, "fpm", _FPM, problems)
    if is_null(keys.get("max_busy")):
        problems.tell(node, "fpm needs max_busy, the most workers that may be at work", f"Write {_EXAMPLES['fpm']}")
        return None
    most = _read_keys(keys, _FPM, problems)["max_busy"]
    return None if most is None else FpmGate(most)


def _read_command(node: yaml.Node, problems: Problems) -> CommandGate | None:
    keys = mapping(node, "command", _COMMAND, problems) if isinstance(node, yaml.MappingNode) else {"run": node}
    timeout = _read_keys(keys, {"timeout": _COMMAND["timeout"]}, problems)["timeout"]
    run = keys.get("run")
    words = None if run is None else items(run)
    # A word that is null is more likely a slip than an empty argument, and one with a NUL cannot be passed on.
    argv = [None if is_null(word) or "\0" in (text_of(word) or "") else text_of(word) for word in words or []]
    if not argv or None in argv or not argv[0]:
        hint = "Write run: [./smoke-test, --fast]; there is no shell between"
        problems.tell(run or node, "run must be a list of words, the command first", hint)
        return None
    gate = CommandGate(tuple(word for word in argv if word is not None))
    return gate if timeout is None else replace(gate, timeout=timeout)


def _read_keys(
    keys: Mapping[str, yaml.Node], parsers: Mapping[str, Callable[[str], Any]], problems: Problems
) -> dict[str, Any]:
    """Return what each key says; None for one that is missing, null or wrong."""
    said: dict[str, Any] = {}
    for key, parse in parsers.items():
        node = keys.get(key)
        said[key] = None
        if node is None or is_null(node):
            continue
        try:
            said[key] = parse(text_of(node) or "")
        except ValueError as exc:
            problems.tell(node, f"{key} {exc}")
    return said


def _parse_url(text: str) -> str:
    match = re.fullmatch(URL, text)
    if match is None or (match[2] and not 0 < int(match[2][1:]) < 65536):
        raise ValueError(_wrong_with_url(text))
    return text


def _wrong_with_url(text: str) -> str:
    """Return what an address that is none must be, without showing a password that stands in it."""
    scheme = re.match(r"(?:([A-Za-z][A-Za-z0-9+.-]{0,19})://)?", text)
    assert scheme is not None  # noqa: S101  # nothing matches it too
    if scheme[1] not in ("http", "https"):
        return f"must begin with http:// or https://{f', not with {scheme[0]}' if scheme[0] else ''}"
    place = re.split("[/?#]", text[scheme.end() :], maxsplit=1)[0]
    if "@" in place:
        return "must have no user or password, as plans and journals keep it; a command gate can send one"
    for name in re.findall(r"\{[^{}]*\}", text):
        if name != "{node}":
            return f"must not have {cut(printable(name))}: only {{node}} stands for something"
    if not text.isascii():
        return "must be in ASCII: a host as xn--..., and elsewhere %.. for each byte"
    host, _, port = place.partition(":")
    if not host:
        return "must name a host, such as https://{node}.hypernode.io/"
    if odd := re.search(r"[^!-~]|[#\\{}\"<>]", text.replace("{node}", "")) or re.search(r"[\[\]]", place):
        return f"must not have {odd[0]!r}" + (", as nothing behind it is sent" if odd[0] == "#" else "")
    return f"must have a port from 1 to 65535, not {cut(port)}"


def _parse_status(text: str) -> int:
    if re.fullmatch(STATUS, text) is None:
        raise ValueError("must be a number from 200 to 599")
    return int(text)


def _parse_timeout(text: str) -> float:
    try:
        # To the millisecond, which is what `spell_gate` writes.
        seconds = round(parse_seconds(text), 3)
    except InputError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise ValueError("must be a time from 1ms to 10m, such as 10s")
    return seconds


def _parse_text(text: str) -> str:
    if not text:
        raise ValueError("must be a text")
    return text


def _parse_tries(text: str) -> tuple[int, int]:
    if text not in TRIES:
        raise ValueError(f"must be such as 2 of 3, of {_MOST_TRIES} at most")
    return TRIES[text]


def _parse_most(text: str) -> int:
    return parse_share(text, percent=False).number


_HTTP: Final[Mapping[str, Callable[[str], Any]]] = {
    "url": _parse_url,
    "status": _parse_status,
    "timeout": _parse_timeout,
    "contains": _parse_text,
    "lacks": _parse_text,
    "tries": _parse_tries,
}
_FPM: Final[Mapping[str, Callable[[str], Any]]] = {"max_busy": _parse_most}
_COMMAND: Final[Mapping[str, Any]] = {"run": None, "timeout": _parse_timeout}


def spell_gate(gate: Gate) -> str | dict[str, Any]:
    """Return a gate as the fleet file has it, without what is the default."""
    match gate:
        case FlowsGate():
            return "flows"
        case HttpGate():
            usual = HttpGate(gate.url)
            said = {
                "url": gate.url,
                "status": gate.status if gate.status != usual.status else None,
                "timeout": _spell_seconds(gate.timeout) if gate.timeout != usual.timeout else None,
                "contains": gate.contains,
                "lacks": gate.lacks,
                "tries": f"{gate.needed} of {gate.tries}" if gate.tries > 1 else None,
            }
            return {"http": {key: value for key, value in said.items() if value is not None}}
        case FpmGate():
            return {"fpm": {"max_busy": gate.max_busy}}
        case CommandGate():
            timed = {} if gate.timeout == CommandGate(gate.argv).timeout else {"timeout": _spell_seconds(gate.timeout)}
            return {"command": {"run": list(gate.argv), **timed}}


def _spell_seconds(seconds: float) -> str:
    return f"{seconds:.3f}s"
