"""``hnctl sandbox``: a stand-in for the API on this machine."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from hnctl.command import Command
from hnctl.completion import complete_node
from hnctl.exits import Exit
from hnctl.extras import require_extra
from hnctl.options import option
from hnctl.printing import print_data
from hnctl.value_types import SECONDS
from hypernode.catalogue import Catalogue
from hypernode.errors import InputError, InvalidNode, NoToken
from hypernode.sandbox.faults import ANY, Fault, Rule, make_rules, parse_option, show_rules
from hypernode.secrets import Secret

_option = partial(option, prefix="HNCTL_SANDBOX_")
_EXTRA = ("starlette", "uvicorn", "httptools", "uvloop")
_SOURCE_IT = "Source what `hnctl sandbox serve` prints"
_ENDS = (signal.SIGINT, signal.SIGTERM)
_LONGEST_VARIABLE = 128 * 1024  # MAX_ARG_STRLEN of Linux


class _FaultOption(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    name = "kind=when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Rule]:
        try:
            return parse_option(value)
        except InputError as exc:
            self.fail(str(exc), param, ctx)


class _BreakOption(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    name = "node[:setting=value]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, dict[str, Any]]:
        node, colon, rest = value.partition(":")
        setting, equals, text = rest.partition("=")
        if not node or (colon and not (setting and equals)):
            self.fail("write NODE, or NODE:SETTING=VALUE", param, ctx)
        try:
            parsed = Catalogue.bundled().parse(setting, text) if setting else None
        except InputError as exc:
            self.fail(str(exc), param, ctx)
        if isinstance(parsed, Secret):
            self.fail(f"{setting} is secret", param, ctx)
        return node, {setting: parsed} if setting else {}


class _BrancherTime(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    name = "time|never"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return math.inf if value in ("never", math.inf) else SECONDS.convert(value, param, ctx)


def _list_faults() -> str:
    width = max(len(fault.value) for fault in Fault)
    lines = [f"  {fault.value:<{width}}  {fault.about}" for fault in Fault]
    lines.append(f"  {ANY:<{width}}  one of those above down to unknown_state, evenly drawn")
    return "\b\nFaults:\n" + "\n".join(lines)


# In the epilog because click wants its \b for preformatted text, which a docstring had better not hold.
_EXAMPLE = """\b
Example:
  hnctl sandbox serve --nodes 12 --fault any=10% --fault revert=theeplein | tee env.sh
  . ./env.sh   # in another terminal
  hnctl settings get php_version --all

"""


@click.group()
def sandbox() -> None:
    """A stand-in for the API on this machine, to try things without an account."""


@sandbox.command(cls=Command, epilog=_EXAMPLE + _list_faults())
@_option("--nodes", type=click.IntRange(1, 20_000), default=50, show_default=True, help="How many nodes.")
@_option("--latency", type=SECONDS, default="0ms", show_default=True, help="Added to each request, e.g. 50ms.")
@_option("--flow-time", type=SECONDS, default="2s", show_default=True, help="From a write to the end of its flows.")
@_option(
    "--brancher-time",
    type=_BrancherTime(),
    default="3s",
    show_default=True,
    help="From the order of a Brancher to its address, or never.",
)
@_option("--port", type=click.IntRange(0, 65535), default=8800, show_default=True, help="0 picks a free one.")
@_option("--seed", type=int, default=7, show_default=True, help="What tokens, values and faults depend on.")
@_option("--fault", "faults", type=_FaultOption(), multiple=True, help="KIND=20% or KIND=NODE,NODE; repeatable.")
@_option(
    "--break-page",
    "broken",
    type=_BreakOption(),
    multiple=True,
    help="Let the shop /_shops/NODE/ answer 500, always or with that value; repeatable.",
)
@_option("--retry-after", type=SECONDS, default="1s", show_default=True, help="What a 429 asks to wait.")
def serve(
    nodes: int,
    latency: float,
    flow_time: float,
    brancher_time: float,
    port: int,
    seed: int,
    faults: tuple[tuple[str, Rule], ...],
    broken: tuple[tuple[str, Mapping[str, Any]], ...],
    retry_after: float,
) -> None:
    """Serve a made-up fleet on 127.0.0.1 until Ctrl-C.

    Prints the variables that point hnctl to it. It answers every operation of the API: settings and flows, Branchers
    that get an address after a while and cost by the minute, allowlists, backups, products. Requests can be read back,
    faults changed and values moved while it runs, under /_sandbox/, which is no part of the API: a GET of that lists
    the paths, and so does docs/sandbox.md.
    """
    require_extra("sandbox", *_EXTRA)
    from hypernode.sandbox.server import Sandbox

    try:
        box = Sandbox(
            nodes=nodes,
            seed=seed,
            flow_time=flow_time,
            latency=latency,
            port=port,
            faults=show_rules(make_rules(faults)),
            retry_after=retry_after,
            brancher_time=None if math.isinf(brancher_time) else brancher_time,
        )
    except InvalidNode as exc:
        raise click.BadParameter(str(exc), param_hint="--fault") from exc
    together: dict[str, dict[str, Any]] = {}
    for node, settings in broken:
        if node not in box.names:
            raise click.BadParameter(f"the sandbox has no node {node!r}", param_hint="--break-page")
        together.setdefault(node, {}).update(settings)
    # Before the server's thread starts, for it to inherit: blocked signals wait until sigwait takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        box.start()
    except OSError as exc:
        raise click.ClickException(f"cannot listen on port {port}: {exc.strerror}") from exc
    try:
        for node, settings in together.items():
            box.break_page(node, **settings)
        _print_variables(box.url, box.tokens)
        signal.sigwait(_ENDS)
    finally:
        box.stop()


@sandbox.command(cls=Command)
def demo() -> Exit:
    """Play the main job against a sandbox of twelve nodes.

    Validates, diffs, applies, and finds and mends a drift. Needs no account, takes under a minute, and leaves nothing
    behind.

    Example: hnctl sandbox demo
    """
    require_extra("sandbox", *_EXTRA)
    from hnctl.demo import play

    return play()


@sandbox.command("node-tools", cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(readable=False, path_type=Path))
@_option(
    "--node",
    metavar="NODE",
    shell_complete=complete_node,
    help="Which node to be.  [default: HYPERNODE_APP_NAME, else the first with a token]",
)
def node_tools(folder: Path, node: str | None) -> None:
    """Make this machine a node of a running sandbox.

    Writes hypernode-systemctl, hypernode-servicectl, hypernode-oom-protect, hypernode-log and the files of the node
    into DIR, and prints the lines that point the shell to them. They answer as the real ones do, and talk to the
    sandbox that HNCTL_API_URL and HYPERNODE_API_TOKENS lead to. What an earlier run left in DIR is replaced.

    Example:
      hnctl sandbox node-tools ./node --node kaasshop > node.sh
      . ./node.sh
      hypernode-systemctl settings php_version 8.4 --block
    """
    from hnctl.connection import Connection
    from hypernode.credentials import explicit, tokens_in_environment
    from hypernode.sandbox.node_tools import write_node_tools

    tokens = tokens_in_environment()  # and nowhere else: what is kept or fetched elsewhere is a real one
    node = node or os.environ.get("HYPERNODE_APP_NAME") or next(iter(tokens), None)
    if node is None or node not in tokens:
        raise NoToken(f"HYPERNODE_API_TOKENS has no token{f' for {node}' if node else ''}", hint=_SOURCE_IT, node=node)
    token = explicit(tokens[node], node).secret.reveal()
    write_node_tools(folder, node=node, token=token, api_url=Connection().api_url)
    folder = Path(os.path.abspath(folder))
    print_data(
        f'export PATH={shlex.quote(str(folder / "bin"))}:"$PATH"\n'
        f"export HNCTL_NODE_ROOT={shlex.quote(str(folder / 'root'))}"
    )


def _print_variables(url: str, tokens: Mapping[str, str]) -> None:
    listed = json.dumps(dict(tokens), separators=(",", ":"))
    if len(listed) > _LONGEST_VARIABLE:
        click.echo(f"note: {len(tokens)} tokens are too long for a variable of the shell", err=True)
    click.echo(f"export HNCTL_API_URL={url}")
    click.echo(f"export HYPERNODE_API_TOKENS={shlex.quote(listed)}")
    click.echo(f"# nodes: {' '.join(tokens)}")
    sys.stdout.flush()
    click.echo(f"Serving {len(tokens)} nodes on {url}; Ctrl-C ends it.", err=True)
