"""What the shell's Tab key offers: nodes, groups, settings and their values. Whatever fails offers nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from hypernode.errors import HypernodeError


def complete_setting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of settings."""
    from hypernode.catalogue import Catalogue

    return _beginning(Catalogue.bundled(), incomplete)


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the values that the setting before it takes."""
    from hypernode.catalogue import Catalogue, as_text

    setting = Catalogue.bundled().get(str(ctx.params.get("name")))
    return _beginning((as_text(value) for value in (setting.values if setting else None) or ()), incomplete)


def complete_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the nodes of the fleet file and of HYPERNODE_API_TOKENS."""
    from hypernode.credentials import tokens_in_environment

    nodes, _ = _in_file(ctx)
    try:
        tokens: Iterable[str] = tokens_in_environment()
    except HypernodeError:
        tokens = ()
    return _beginning({*nodes, *tokens}, incomplete)


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the groups of the fleet file."""
    return _beginning(_in_file(ctx)[1], incomplete)


def _in_file(ctx: click.Context) -> tuple[Iterable[str], Iterable[str]]:
    """Return the nodes and groups of the fleet file as far as it can be read."""
    from hypernode.catalogue import Catalogue
    from hypernode.config import load_config
    from hypernode.fleet.spec import load

    path = ctx.params.get("file") or os.environ.get("HNCTL_FILE")
    try:
        fleet = load(Path(path or str(load_config().find("file")[0])), Catalogue.bundled())
    except HypernodeError:
        return (), ()
    return fleet.nodes, fleet.groups


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
