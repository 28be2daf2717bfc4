"""A setting of the catalogue, as a card to read and as JSON values."""

from __future__ import annotations

from typing import Any

from hnctl.render.listing import cell
from hypernode.allowlist_risk import SSH
from hypernode.allowlists import PREFIX
from hypernode.catalogue import HAZARDS, Setting, as_text
from hypernode.fleet.managed import AddressList
from hypernode.printable import printable

_CLOSES = "locks out: SSH is open to all without an entry; the first one closes it for everybody else"


def card(setting: Setting) -> dict[str, Any]:
    """Return all that is known of `setting`."""
    risk = setting.risk
    return {
        "setting": setting.name,
        "type": "secret" if setting.secret else setting.type,
        "values": list(setting.values) if setting.values is not None else None,
        "default": setting.default,
        "description": setting.description,
        "group": setting.group,
        "read_only": setting.read_only,
        "live_only": setting.live_only,
        "risk": list(risk_lines(setting)),
        "needs": list(risk.needs),
    }


def list_card(addresses: AddressList) -> dict[str, Any]:
    """Return what `card` returns of a setting, of an allowlist."""
    return {
        "setting": addresses.name,
        "type": "addresses and ranges",
        "values": None,
        "default": None,
        "description": "The addresses that may pass.",
        "group": None,
        "read_only": False,
        "live_only": False,
        # By the change itself more is known, see `allowlist_risk`.
        "risk": [_CLOSES] if addresses.name == f"{PREFIX}{SSH}" else [],
        "needs": [],
    }


def risk_lines(setting: Setting) -> list[str]:
    """Return the risk of changing `setting`, a line for each; none when nothing is known to go wrong."""
    risk = setting.risk
    lines = []
    for name in HAZARDS:
        if (hazard := getattr(risk, name)) is not None:
            when = "" if hazard.when is None else f" (when set to {as_text(hazard.when)})"
            lines.append(f"{name.replace('_', ' ')}{when}: {hazard.text}")
    if risk.restarts:
        lines.append(f"restarts {risk.restarts}")
    if risk.costs:
        lines.append(f"costs: {risk.costs}")
    if risk.note:
        lines.append(risk.note)
    if setting.live_only:
        lines.append("this hnctl does not know the setting, so nothing is known of its risk")
    return lines


def describe_setting(setting: Setting) -> str:
    """Return what a person wants to know before changing `setting`."""
    rows = [
        ("takes", setting.takes().removeprefix("It takes ") + (", as a reference" if setting.secret else "")),
        ("default", cell(setting.default) if setting.default is not None else "none stated"),
        ("group", setting.group or "-"),
    ]
    if setting.read_only:
        rows.append(("read-only", "a node's token cannot change it"))
    if setting.removed_from_docs:
        rows.append(("note", "no longer in the documentation"))
    rows += [("needs", text) for text in setting.risk.needs]
    rows += [("risk", text) for text in risk_lines(setting)]
    lines = [setting.name, f"  {setting.description}", *(f"  {head:<10}{text}" for head, text in rows)]
    return "\n".join(map(printable, lines))
