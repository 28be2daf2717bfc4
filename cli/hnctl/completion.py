"""What the shell's Tab key offers: nodes, groups, settings and their values. Whatever fails offers nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hypernode.errors import HypernodeError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from hypernode.catalogue import Catalogue


def complete_setting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of settings."""
    return _beginning(_catalogue(ctx), incomplete)


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the values that the setting before it takes."""
    from hypernode.catalogue import as_text

    setting = _catalogue(ctx).get(str(ctx.params.get("name")))
    return _beginning(map(as_text, (setting.values if setting else None) or ()), incomplete)


def complete_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the nodes of the fleet file, and those that have a token."""
    from hnctl.connection import Connection
    from hypernode.credentials import known_tokens
    from hypernode.fleet.spec import node_names
    from hypernode.fleet.yamlfile import read_file

    names: set[str] = set()
    with suppress(HypernodeError):
        api_url = Connection(api_url=ctx.params.get("api_url")).api_url
        names.update(token.node for token in known_tokens(api_url))
    with suppress(HypernodeError):
        # Whatever else is wrong with the file, such as a variable that only the pipeline sets.
        path = _path(ctx)
        names.update(node_names(read_file(path), path=str(path)))
    return _beginning(names, incomplete)


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the groups of the fleet file."""
    from hypernode.fleet.spec import load

    with suppress(HypernodeError):
        return _beginning(load(_path(ctx), _catalogue(ctx), with_secrets=False).groups, incomplete)
    return []


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the runs of before as they stand, the newest first."""
    from click.shell_completion import CompletionItem

    from hypernode.fleet.history import find_runs
    from hypernode.places import state_folder

    names = ["last", *(path.stem for path in find_runs(state_folder() / "runs"))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name.isprintable()]


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer its files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_service(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the services that a node is known to have."""
    from hypernode.node.servicectl import known_services

    return _beginning(known_services(), incomplete)


def _catalogue(ctx: click.Context) -> Catalogue:
    """Return the settings, with what the API's own list added when it was last asked."""
    from hnctl.connection import Connection
    from hypernode.catalogue import Catalogue

    with suppress(HypernodeError):
        return Connection(api_url=ctx.params.get("api_url")).catalogue()
    return Catalogue.bundled()


def _path(ctx: click.Context) -> Path:
    from hypernode.config import load_config

    return Path(ctx.params.get("file") or str(load_config().find("file")[0]))


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete) and word.isprintable())
