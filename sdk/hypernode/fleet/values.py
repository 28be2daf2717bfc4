"""The value of one setting as it stands in the fleet file: typed by the catalogue, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import yaml

from hypernode.catalogue import Setting, Value
from hypernode.errors import InputError, InvalidValue, SecretUnavailable
from hypernode.fleet.tree import CLEAR, PLAIN
from hypernode.secrets import KINDS, Reference, Secret, check_present, parse_reference


def read_value(setting: Setting, node: yaml.ScalarNode, folder: Path | None) -> Value | Reference | None:
    """Return what `node`, which is not null, wishes for `setting`; None asks the API for null.

    Args:
        setting: Types the value.
        node: Its source text counts: 8.10 is "8.10".
        folder: What a relative ``file:`` reference starts from; None: it is not looked whether references lead
            somewhere.

    Raises:
        InputError: It cannot be the value. No message holds what was written for a secret setting.
    """
    if node.tag == CLEAR:
        if node.value:
            raise InvalidValue(f"!clear of {setting.name} takes no value")
        return None
    if node.tag not in PLAIN:
        raise InvalidValue(f"{setting.name} has a YAML tag that is not known here")
    reference = parse_reference(node.value)
    if setting.secret:
        return _checked(setting.name, reference, folder)
    if reference is not None and setting.type == "string":
        raise InvalidValue(f"{setting.name} is not secret: it takes its value as it is, not a reference")
    value = setting.parse(node.value)
    assert not isinstance(value, Secret)  # noqa: S101  # it is no secret setting, as tested above
    return value


def _checked(name: str, reference: Reference | None, folder: Path | None) -> Reference:
    if reference is None:
        kinds = ", ".join(f"{kind}:" for kind in KINDS)
        raise InputError(
            f"{name} is secret and may not stand in the file", hint=f"Write a reference instead: one of {kinds}"
        )
    if folder is None:
        return reference
    try:
        check_present(reference, folder=folder)
    except SecretUnavailable as exc:
        raise InputError(f"{name}: {exc.message}", hint=exc.hint) from None
    return reference
