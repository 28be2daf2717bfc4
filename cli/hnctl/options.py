"""Options that several commands share: each is declared once, with its variable and its help."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from hnctl.completion import complete_file, complete_group, complete_node
from hnctl.selection import Selection
from hnctl.value_types import FORMAT, PARALLEL, RPS, SECONDS, TICK, ClusterType, ConfirmationType, RuleType, Words

F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, prefix: str = "HNCTL_", **kwargs: Any) -> Callable[[F], F]:
    """Declare an option that can also be given as HNCTL_NAME; another `prefix` keeps it from one of the same name."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    kwargs.setdefault("envvar", prefix + long.lstrip("-").replace("-", "_").upper())
    return click.option(*names, **kwargs)


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _selecting(*options: Any) -> Callable[[F], F]:
    """Declare options, and hand their values to the command as one `Selection`."""

    def decorate(function: Any) -> Any:
        @wraps(function)
        def command(
            *args: Any,
            nodes: tuple[str, ...],
            groups: tuple[str, ...],
            exclude: tuple[str, ...],
            file: str | None,
            where: str | None = None,
            all_nodes: bool = False,
            **others: Any,
        ) -> Any:
            if where is not None and not where.strip():
                raise click.UsageError("--where is empty; without it the command is about all chosen nodes.")
            selection = Selection(nodes, groups, all_nodes, exclude, where, file)
            return function(*args, selection=selection, **others)

        return _all(*options)(command)

    return decorate


output_option = option("-o", "--output", type=FORMAT, help="Output format.  [default: table]")
file_option = option(
    "-f", "--file", metavar="FILE", shell_complete=complete_file, help="Fleet file.  [default: fleet.yaml]"
)
refresh_option = option("--refresh", is_flag=True, help="Ask the API for its list of settings again.")

timeout_option = option(
    "--timeout", type=TICK, help="Time to wait for an answer, of the API or over SSH.  [default: 20s]"
)
_parallel_option = option("--parallel", type=PARALLEL, help="Nodes at once.  [default: 8]")
connection_options = _all(
    option("--api-url", metavar="URL", help="Address of the API."),
    option("--ca-file", metavar="FILE", help="Certificates to trust instead of the system's."),
    _parallel_option,
    option("--rps", type=RPS, help="Most requests a second.  [default: no cap]"),
    timeout_option,
    option("-v", "--verbose", is_flag=True, help="Tell more: every node by itself, and where there is a second token."),
)
wait_options = _all(
    option("--wait", type=SECONDS, help="Time that one node's change may take, at most 7d.  [default: 15m]"),
    option("--poll-interval", type=TICK, help="Time until the first look at a flow; grows to 15s.  [default: 2s]"),
)

_CLEARABLE = ("cron", "elasticsearch", "mysql", "supervisor")
"""As `hypernode.api.branchers` has them, which help does not load."""
clear_option = option(
    "--clear",
    prefix="HNCTL_BRANCHER_",
    type=Words(*_CLEARABLE),
    metavar="SERVICE,...",
    default="cron",
    show_default=True,
    help=f"Services that a Brancher starts without their data: {', '.join(_CLEARABLE)}; or none.",
)
within_option = option(
    "--within", type=SECONDS, default="25m", show_default=True, help="Time until a Brancher can be used, at most 7d."
)


def _node_option(says: str) -> Callable[[F], F]:
    return option("-n", "--node", "nodes", metavar="NODE", multiple=True, shell_complete=complete_node, help=says)


node_option = _node_option("A node; can be given again.")
one_node_option = _node_option("The node; one only.")
"""For a command that is about one; it can be given again all the same, which `only_node` refuses."""

_all_option = option(
    "--all", "all_nodes", is_flag=True, help="All nodes of the fleet file; without one, all with a token."
)
_group_option = option(
    "--group",
    "groups",
    metavar="GROUP",
    multiple=True,
    shell_complete=complete_group,
    help="All nodes of a group of the fleet file.",
)
exclude_option = option(
    "--exclude",
    metavar="NODE",
    multiple=True,
    shell_complete=complete_node,
    help="Leave a node out; can be given again.",
)
_narrowing_options = _all(
    exclude_option,
    option(
        "--where", metavar="EXPR", help="Only nodes for which this holds: 'php_version < 8.2 and product ~ FALCON'."
    ),
    file_option,
)
selection_options = _selecting(
    node_option,
    _group_option,
    _all_option,
    _narrowing_options,
)
nodes_through_api_options = _selecting(
    node_option,
    _group_option,
    _all_option,
    exclude_option,
    file_option,
)
"""For a command that asks the API about nodes, and not for what they are set to."""
selection_without_all_options = _selecting(node_option, _group_option, _narrowing_options)
"""For a command that is about all nodes when none is chosen, and whose --all means something else."""
nodes_over_ssh_options = _selecting(
    node_option, _group_option, exclude_option, file_option, _parallel_option, timeout_option
)
"""For a command that is about this node when none is chosen, and reaches others over SSH."""


def _ruling(*options: Any) -> Callable[[F], F]:
    """Declare options for what `rollout` in the fleet file says, and hand those that were given to the command."""
    names = [long.lstrip("-").replace("-", "_") for long in _RULES]

    def decorate(function: Any) -> Any:
        @wraps(function)
        def command(*args: Any, **others: Any) -> Any:
            said = {name: others.pop(name) for name in names}
            given = {name: value for name, value in said.items() if value not in (None, ())}
            return function(*args, rules=given, **others)

        return _all(*options)(command)

    return decorate


_RULES = ("--waves", "--order", "--canary", "--pause", "--max-failures", "--on-failure", "--window")
_rules_options = _ruling(
    option(
        "--waves",
        metavar="1,10%,100%",
        type=RuleType("waves"),
        help="Nodes done when each wave ends.  [default: the file's]",
    ),
    option("--canary", metavar="NODE", multiple=True, help="Change this node before all others; can be given again."),
    option("--order", type=RuleType("order"), metavar="ORDER", help="By name, file, risk or smallest-product-first."),
    option(
        "--pause",
        type=RuleType("pause"),
        metavar="TIME",
        help="Between two waves, such as 10m; a bare number is seconds.  [default: the file's]",
    ),
    option(
        "--window",
        type=RuleType("window"),
        metavar="WHEN",
        help="Begin no node outside it, such as 'Mon-Thu 09:00-16:00 Europe/Amsterdam'; or always.",
    ),
    option(
        "--max-failures",
        metavar="N|P%",
        type=RuleType("max_failures"),
        help="Start no more nodes after this many failed.  [default: the file's]",
    ),
    option(
        "--on-failure",
        type=RuleType("on_failure"),
        metavar="stop|rollback",
        help="What to do then.  [default: the file's]",
    ),
)
"""The same as `rollout` in the fleet file; what is given here wins."""

rollout_options = _all(
    option("-y", "--yes", is_flag=True, help="Do not ask; never covers what needs --confirm."),
    option(
        "--confirm",
        metavar="NODE:SETTING",
        type=ConfirmationType(),
        multiple=True,
        help="Agree to an irreversible, destructive or lock-out change; GROUP:SETTING=COUNT or all:SETTING=COUNT for "
        "many.",
    ),
    option("--force", is_flag=True, help="Go beyond the limits of the fleet file; confirms nothing."),
    option("-m", "--message", metavar="TEXT", help="Why, for hnctl history."),
    option("--ignore-running", is_flag=True, help="Change nodes although a flow of theirs is running."),
    wait_options,
    _rules_options,
    option(
        "--executor",
        metavar="dask://HOST:PORT",
        type=ClusterType(),
        help="Let the workers of a Dask cluster talk to the API; dask+tls:// with TLS.  [default: this machine]",
    ),
    option(
        "--send-tokens", is_flag=True, help="Send tokens to the workers, over TLS only.  [default: they find their own]"
    ),
)


def prefer_typed(ctx: click.Context) -> None:
    """Forget the nodes that variables choose when others were typed: HNCTL_ALL must not widen ``-n kaasshop``."""
    sources = {name: ctx.get_parameter_source(name) for name in ("nodes", "groups", "all_nodes") if name in ctx.params}
    if ParameterSource.COMMANDLINE in sources.values():
        for name, source in sources.items():
            if source is ParameterSource.ENVIRONMENT:
                ctx.params[name] = False if name == "all_nodes" else ()
