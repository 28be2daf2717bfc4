"""The click command that all of hnctl's commands are: --debug, and one place where errors become text and status."""

from __future__ import annotations

import errno
import inspect
import logging
import re
import sys
from contextlib import suppress
from typing import Any

import click

from hnctl.exits import Exit, exit_for
from hnctl.options import prefer_typed
from hnctl.printing import print_data, print_note
from hypernode.errors import FileError, HypernodeError
from hypernode.printable import printable

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Nothing that is wrong with hnctl."""


class Command(click.Command):
    """A command whose errors are told in words, in the output format that was asked for.

    Its callback returns the exit status; None means 0. A paragraph of its help that begins with "Example" is shown
    line by line.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # click's mark for text that is not to be filled; in a docstring it would be a control character.
        self.help = re.sub(r"^(?=Examples?:)", "\b\n", inspect.cleandoc(self.help or ""), flags=re.MULTILINE)
        self.params.append(
            click.Option(
                ["--debug"], is_flag=True, envvar="HNCTL_DEBUG", help="Tell on stderr what is asked and answered."
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and return its status."""
        debug = ctx.params.pop("debug")
        _configure_logging(debug=debug)
        prefer_typed(ctx)
        try:
            return super().invoke(ctx)
        except HypernodeError as exc:
            if debug:
                logging.getLogger("hnctl").debug("the error came from here", exc_info=exc)
            show_error(exc, _output(ctx))
            return exit_for(exc)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except BrokenPipeError:  # see print_data
            return Exit.OK
        except Exception as exc:
            if debug:
                raise
            if isinstance(exc, OSError) and exc.errno in _FULL:
                where = "" if exc.filename is None else f"{exc.filename}: "
                print_note(f"Error: {printable(where)}{exc.strerror}")
                return Exit.FAILED
            print_note(
                f"Error: hnctl itself failed ({type(exc).__name__}). This is a bug of hnctl.\n"
                "  hint: run it again with --debug and report what it prints"
            )
            return Exit.FAILED


def show_error(error: HypernodeError, output: str | None) -> None:
    """Tell `error` on stderr, and for a machine as a document on stdout; that it cannot be written is only told."""
    if output in ("json", "jsonl", "yaml"):
        from hnctl.render.error import error_document
        from hnctl.render.listing import FORMAT_VERSION, render_document

        document = {"format_version": FORMAT_VERSION, "error": error_document(error)}
        try:
            print_data(render_document(document, output))
        except HypernodeError as exc:
            _tell(exc)
    _tell(error)


def _tell(error: HypernodeError) -> None:
    text = "\n".join(map(printable, str(error).split("\n")))
    print_note(text if isinstance(error, FileError) else click.style("Error: ", fg="red") + text)
    if error.hint:
        print_note(f"  hint: {printable(error.hint)}")


def _output(ctx: click.Context) -> str | None:
    """Return the format that was asked for by option, variable or config; None for a command that has no choice."""
    if "output" not in ctx.params or ctx.params["output"]:
        return ctx.params.get("output")
    from hypernode.config import load_config

    with suppress(HypernodeError):
        return str(load_config().find("output")[0])
    return None


def _configure_logging(*, debug: bool) -> None:
    """Send the log of both packages to stderr; without --debug only what the reader can act on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if debug else "%(message)s"))
    for name in ("hnctl", "hypernode"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if debug else logging.WARNING)
        logger.propagate = False
