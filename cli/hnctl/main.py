"""The entry point of hnctl: which commands there are, and how any of them ends.

Commands are imported when they are run, so that `hnctl --help` costs no more than click itself (DESIGN 8).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from hnctl.exits import Exit
from hnctl.printing import mute, prepare_streams, print_note
from hypernode.version import __version__

COMMANDS = {
    "allowlist": ("allowlist", "Show and change the addresses that may pass."),
    "api": ("api", "Send any call to the API."),
    "apply": ("rollout", "Bring nodes to the fleet file, or carry out a plan that was reviewed before."),
    "attacks": ("attacks", "List the attacks that can be blocked, and block one."),
    "auth": ("auth", "Keep, list and try the API tokens of nodes."),
    "backups": ("backups", "List the backups of nodes, and ask for one."),
    "brancher": ("brancher", "Branchers: copies of a node, paid by the minute."),
    "completion": ("completion", "Print the completion script for a shell."),
    "config": ("config", "Show the configuration and where each value came from."),
    "diff": ("rollout", "Show how nodes differ from the fleet file."),
    "drift": ("drift", "Tell which values are not as the fleet file says, and why."),
    "explain": ("file", "Tell where the value of one setting comes from."),
    "export": ("file", "Write a fleet file of what exists to stdout."),
    "flows": ("flows", "Show or follow the flows of a node."),
    "fpm": ("fpm", "Show what PHP-FPM does."),
    "gates": ("gates", "Try the gates of a rollout without changing anything."),
    "history": ("history", "List the runs that changed nodes, or show one of them."),
    "insights": ("insights", "List the marks on the graphs of Insights, and make one."),
    "memory": ("memory", "Release memory on the node that this runs on."),
    "nodes": ("nodes", "Show nodes."),
    "oom": ("oom", "Out of memory: what was killed, when and why."),
    "orders": ("orders", "Order a node, with a token that may."),
    "plan": ("rollout", "Make a plan that can be reviewed and applied."),
    "preview": ("preview", "Try the fleet file on a copy of a node before the node itself."),
    "products": ("products", "Products: what nodes can be, what one is, and changing it."),
    "resume": ("runs", "Go on with a run that was stopped, paused, interrupted or killed."),
    "rollback": ("runs", "Set back what a run has set, where nobody changed it since."),
    "sandbox": ("sandbox", "A stand-in for the API on this machine, to try things without an account."),
    "schema": ("file", "Print the JSON Schema of the fleet file, for editors."),
    "services": ("services", "Restart or reload the services of nodes."),
    "settings": ("settings", "Read, set and describe settings."),
    "validate": ("file", "Check a fleet file and tell all its problems at once."),
}
"""Command to the file in `commands` that holds it, and its line in the help (a test holds it against the command)."""


class LazyGroup(click.Group):
    """The top group. It knows its commands by name and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"hnctl.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and name the nearest one when there is none."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from hypernode.catalogue import closest

            near = closest(args[0], COMMANDS)
            raise click.UsageError(f"No such command {args[0]!r}." + (f" Did you mean {near}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: hnctl settings set permissive_memory_management true -n kaasshop",
)
@click.version_option(__version__, message="hnctl %(version)s")
def main() -> None:
    """Settings of Hypernode fleets: one setting on one node, or one file for all nodes."""


def run() -> NoReturn:
    """Run hnctl as a program and exit with its status."""
    prepare_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    status: int = Exit.OK
    try:
        status = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more at the very end.
        mute(sys.stdout)
    except OSError as exc:
        mute(sys.stdout)
        print_note(f"Error: stdout cannot be written: {exc.strerror}")
        status = Exit.FAILED
    except KeyboardInterrupt:
        # Python would wait for the threads that read; nothing is lost without them.
        os._exit(Exit.TERMINATED if _ended_by else Exit.INTERRUPTED)
    # The interpreter's last collections look at all that was imported: a seventh of a small command's time.
    gc.freeze()
    sys.exit(status)


_ended_by: list[int] = []


def _end(number: int, frame: object) -> None:
    """End like after a Ctrl-C: connections are closed, and what was fetched is thrown away."""
    _ended_by.append(number)
    raise KeyboardInterrupt(signal.SIGTERM)


def _run() -> int:
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        result: Any = main.main(prog_name="hnctl", standalone_mode=False, color=colour)
        return int(result or 0)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.exceptions.Abort:
        print_note("Aborted; nothing more was done.")
        raise KeyboardInterrupt from None
    except click.ClickException as exc:
        (_with_variable(exc) if isinstance(exc, click.BadParameter) else exc).show()
        return Exit.USAGE


def _with_variable(error: click.BadParameter) -> click.BadParameter:
    """Name the variable that a bad value stands in: nobody typed the option that the message is about."""
    if error.ctx is None or error.param is None or error.param.name is None:
        return error
    if error.ctx.get_parameter_source(error.param.name) is not click.core.ParameterSource.ENVIRONMENT:
        return error
    return click.BadParameter(f"{error.message} (from {error.param.envvar})", error.ctx, error.param, error.param_hint)


if __name__ == "__main__":
    run()
