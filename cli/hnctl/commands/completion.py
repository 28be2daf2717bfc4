"""`hnctl completion`: the script that teaches a shell what Tab offers."""

from __future__ import annotations

import click

from hnctl.command import Command
from hnctl.printing import print_data


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    Example: eval "$(hnctl completion bash)"
    """
    from click.shell_completion import get_completion_class

    from hnctl.main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}.")
    print_data(kind(main, {}, "hnctl", "_HNCTL_COMPLETE").source())
