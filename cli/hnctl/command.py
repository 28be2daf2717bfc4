"""The click command that all of hnctl's commands are: --debug, and one place where errors become text and status."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from hnctl.exits import exit_for
from hypernode.errors import FileError, HypernodeError


class Command(click.Command):
    """A command whose errors are told in words, in the output format that was asked for.

    Its callback returns the exit status; None means 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"], is_flag=True, envvar="HNCTL_DEBUG", help="Tell on stderr what is asked and answered."
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and return its status."""
        debug = ctx.params.pop("debug")
        _configure_logging(debug=debug)
        try:
            return super().invoke(ctx)
        except HypernodeError as exc:
            if debug:
                logging.getLogger("hnctl").debug("the error came from here", exc_info=exc)
            show_error(exc, ctx.params.get("output"))
            return exit_for(exc)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as exc:
            if debug:
                raise
            click.echo(
                f"Error: hnctl itself failed ({type(exc).__name__}). This is a bug of hnctl.\n"
                "  hint: run it again with --debug and report what it prints",
                err=True,
            )
            return 1


def show_error(error: HypernodeError, output: str | None) -> None:
    """Tell `error` on stderr, and for a machine as a document on stdout."""
    if output in ("json", "jsonl"):
        import json

        click.echo(json.dumps({"format_version": 1, "error": error_document(error)}))
    if isinstance(error, FileError):
        click.echo(str(error), err=True)
    else:
        click.echo(click.style("Error: ", fg="red") + str(error), err=True)
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)


def error_document(error: HypernodeError) -> dict[str, Any]:
    """Return `error` as JSON values."""
    document: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "node": error.node,
    }
    if isinstance(error, FileError):
        document["problems"] = [
            {"file": error.path, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
            for p in error.problems
        ]
    return document


def _configure_logging(*, debug: bool) -> None:
    """Send the log of both packages to stderr; without --debug only what the reader can act on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if debug else "%(message)s"))
    for name in ("hnctl", "hypernode"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if debug else logging.WARNING)
        logger.propagate = False
