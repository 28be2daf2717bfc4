"""A fleet file of what exists. What all nodes share goes into the defaults, the rest to the nodes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from hypernode.catalogue import Catalogue, Setting, Value, as_text
from hypernode.errors import InputError
from hypernode.fleet.keys import VERSION
from hypernode.fleet.tree import cut
from hypernode.fleet.values import read_value
from hypernode.secrets import Secret

_STRING = "tag:yaml.org,2002:str"


def make_file(live: Mapping[str, Mapping[str, Any]], catalogue: Catalogue, *, with_defaults: bool = False) -> str:
    """Return the text of a fleet file that wishes for `live` what it has.

    Left out are settings that are not set, that a token cannot change, and, without `with_defaults`, those with the
    value that a new node starts with. A secret becomes a reference to a variable that is to be filled in. Values that
    the file could not say, such as a version that the catalogue does not know, are told in a comment.
    """
    found = {node: _managed(node, detail, catalogue, with_defaults) for node, detail in sorted(live.items())}
    shared = _shared([managed.settings for managed in found.values()])
    document: dict[str, Any] = {"version": VERSION}
    if shared:
        document["defaults"] = {"settings": shared}
    document["nodes"] = {
        node: {"settings": own} if (own := {n: v for n, v in managed.settings.items() if n not in shared}) else {}
        for node, managed in found.items()
    }
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return _head(found.values()) + text


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they read back."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # By itself PyYAML quotes a next-line sign (U+0085) in a way that reads back as a space; double quotes escape it.
    return dumper.represent_scalar(_STRING, text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text)


class _Managed(NamedTuple):
    """What the file says of one node."""

    settings: Mapping[str, Value]
    variables: Sequence[str]
    unsayable: Sequence[str]
    """Values that it cannot say, each in a sentence."""


def _managed(node: str, detail: Mapping[str, Any], catalogue: Catalogue, with_defaults: bool) -> _Managed:
    settings: dict[str, Value] = {}
    variables: list[str] = []
    unsayable: list[str] = []
    for name, setting in catalogue.items():
        value = setting.typed(detail.get(name))
        if value is None or setting.read_only or (value == setting.default and not with_defaults):
            continue
        if isinstance(value, Secret):
            # The setting comes first, since the name of a node may begin with a digit and that of a variable not.
            variables.append(f"{name}_{node}".replace("-", "_").upper())
            settings[name] = f"env:{variables[-1]}"
        elif _can_say(setting, value):
            settings[name] = value
        else:
            unsayable.append(f"{node}: {name} is {cut(repr(value))}")
    return _Managed(settings, variables, unsayable)


def _can_say(setting: Setting, value: Value) -> bool:
    """Tell whether the reader of fleet files takes `value` for just that."""
    text = as_text(value)
    try:
        text.encode()  # JSON can spell half a surrogate pair, and YAML cannot
        return read_value(setting, yaml.ScalarNode(_STRING, text), None) == value
    except (InputError, UnicodeEncodeError):
        return False


def _shared(nodes: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Return the settings that all nodes have with the same value; a single node shares nothing."""
    if len(nodes) < 2:
        return {}
    first, rest = nodes[0], nodes[1:]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in rest)}


def _head(found: Collection[_Managed]) -> str:
    lines = ["Made by hnctl export."]
    variables = sorted(name for managed in found for name in managed.variables)
    if variables:
        lines.append("Secrets are read from these variables; set them, or refer to another place:")
        lines += [f"  {name}" for name in variables]
    unsayable = [sentence for managed in found for sentence in managed.unsayable]
    if unsayable:
        lines.append("Left out, since a fleet file cannot say it:")
        lines += [f"  {sentence}" for sentence in unsayable]
    return "".join(f"# {line}\n" for line in lines)
