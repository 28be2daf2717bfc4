"""Options that several commands share: each is declared once, with its variable and its help."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from hnctl.completion import complete_group, complete_node
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.fleet.plan import Confirmation
    from hypernode.fleet.spec import Share

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 7 * 24 * 3600.0  # the operating system's own timers end at 24 days
FORMATS = ("table", "json", "jsonl", "yaml", "markdown")


class Seconds(click.ParamType):  # type: ignore[type-arg]  # before click 8.4 it took no parameter
    """A time such as 900, 1.5, 250ms, 90s, 15m or 2h; becomes seconds, `least` to a week."""

    name = "time"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` spells."""
        if isinstance(value, int | float):
            seconds = float(value)
        else:
            match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|)", str(value).strip())
            if match is None:
                self.fail(f"{value!r} is no time; write 90s, 250ms, 15m or 2h", param, ctx)
            seconds = float(match[1]) * _UNITS[match[2]]
        if not self._least <= seconds <= _LONGEST:
            least = f"{self._least * 1000:.0f}ms" if self._least else "0"
            self.fail(f"{value!r} is not between {least} and 168h", param, ctx)
        return seconds


class _Confirmation(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    name = "confirmation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Confirmation:
        from hypernode.fleet.plan import parse_confirmation

        try:
            return parse_confirmation(value)
        except InputError as exc:
            self.fail(f"{exc.message}. {exc.hint}", param, ctx)


class _Share(click.ParamType):  # type: ignore[type-arg]  # see Seconds
    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Share:
        from hypernode.fleet.spec import parse_share

        try:
            return parse_share(value, least=1)
        except ValueError as exc:
            self.fail(f"{value!r}: it {exc}", param, ctx)


SECONDS = Seconds()
_TICK = Seconds(least=0.001)
_PARALLEL = click.IntRange(1, 256)
_RPS = click.FloatRange(0.01, 100_000)
_FORMAT = click.Choice(FORMATS)
VALUE_TYPES: dict[str, click.ParamType[Any]] = {
    "output": _FORMAT,
    "parallel": _PARALLEL,
    "poll_interval": _TICK,
    "rps": _RPS,
    "timeout": _TICK,
    "wait": SECONDS,
}
"""What the keys of the config take, which are options too; the other keys take any text."""


def option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    """Declare an option that can also be given as HNCTL_NAME."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    kwargs.setdefault("envvar", "HNCTL_" + long.lstrip("-").replace("-", "_").upper())
    return click.option(*names, **kwargs)


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


output_option = option("-o", "--output", type=_FORMAT, help="Output format.  [default: table]")
file_option = option("-f", "--file", metavar="FILE", help="Fleet file.  [default: fleet.yaml]")
refresh_option = option("--refresh", is_flag=True, help="Ask the API for its list of settings again.")

connection_options = _all(
    option("--api-url", metavar="URL", help="Address of the API."),
    option("--ca-file", metavar="FILE", help="Certificates to trust instead of the system's."),
    option("--parallel", type=_PARALLEL, help="Nodes at once.  [default: 8]"),
    option("--rps", type=_RPS, help="Most requests a second.  [default: no cap]"),
    option("--timeout", type=_TICK, help="Time to wait for an answer of the API.  [default: 20s]"),
)
wait_options = _all(
    option("--wait", type=SECONDS, help="Time that one node's change may take.  [default: 15m]"),
    option("--poll-interval", type=_TICK, help="Time until the first look at a flow; grows to 15s.  [default: 2s]"),
)

node_option = option(
    "-n",
    "--node",
    "nodes",
    metavar="NODE",
    multiple=True,
    shell_complete=complete_node,
    help="A node; can be given again.",
)

_group_option = option(
    "--group",
    "groups",
    metavar="GROUP",
    multiple=True,
    shell_complete=complete_group,
    help="All nodes of a group of the fleet file.",
)
_narrowing_options = _all(
    option(
        "--exclude",
        metavar="NODE",
        multiple=True,
        shell_complete=complete_node,
        help="Leave a node out; can be given again.",
    ),
    option(
        "--where", metavar="EXPR", help="Only nodes for which this holds: 'php_version < 8.2 and product ~ FALCON'."
    ),
    file_option,
)
selection_options = _all(
    node_option,
    _group_option,
    option("--all", "all_nodes", is_flag=True, help="All nodes of the fleet file; without one, all with a token."),
    _narrowing_options,
)
selection_without_all_options = _all(node_option, _group_option, _narrowing_options)
"""For a command that is about all nodes when none is chosen, and whose --all means something else."""

rollout_options = _all(
    option("-y", "--yes", is_flag=True, help="Do not ask; never covers what needs --confirm."),
    option(
        "--confirm",
        metavar="NODE:SETTING",
        type=_Confirmation(),
        multiple=True,
        help="Agree to an irreversible, destructive or lock-out change; GROUP:SETTING=COUNT or all:SETTING=COUNT for "
        "many.",
    ),
    option("--force", is_flag=True, help="Go beyond the limits of the fleet file; confirms nothing."),
    option("--ignore-running", is_flag=True, help="Change nodes although a flow of theirs is running."),
    wait_options,
    option(
        "--max-failures",
        metavar="N|P%",
        type=_Share(),
        help="Start no more nodes after this many failed.  [default: the file's]",
    ),
)


def prefer_typed(ctx: click.Context) -> None:
    """Forget the nodes that variables choose when others were typed: HNCTL_ALL must not widen ``-n kaasshop``."""
    sources = {name: ctx.get_parameter_source(name) for name in ("nodes", "groups", "all_nodes") if name in ctx.params}
    if ParameterSource.COMMANDLINE in sources.values():
        for name, source in sources.items():
            if source is ParameterSource.ENVIRONMENT:
                ctx.params[name] = False if name == "all_nodes" else ()
