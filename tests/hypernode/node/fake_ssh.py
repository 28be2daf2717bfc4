"""An `ssh` first in PATH: it notes how it was called, and runs the line as the remote shell would."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

_SCRIPT = """#!/bin/sh
call={folder}/calls/$(ls {folder}/calls | wc -l)
for word; do
  printf '%s\\0' "$word" >>"$call.argv"
  [ "$before" = -S ] && socket=$word
  before=$word
  line=$word
done
printf '%s' "$LC_ALL" >"$call.locale"
case " $* " in *' -O '*) exit 0 ;; esac
. {folder}/answer
"""


class SshCall(NamedTuple):
    """One call of it."""

    argv: list[str]
    locale: str

    @property
    def options(self) -> dict[str, str]:
        """What was given with -o."""
        given = [self.argv[place + 1] for place, word in enumerate(self.argv) if word == "-o"]
        return dict(option.split("=", 1) for option in given)

    def after(self, flag: str) -> str:
        return self.argv[self.argv.index(flag) + 1]


class FakeSsh:
    """Attributes:
    path: The folder to put into PATH.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self._folder = folder
        (folder / "calls").mkdir(parents=True)
        self.path.mkdir()
        self.answers(': >"$socket"; exec /bin/sh -c "$line"')
        script = self.path / "ssh"
        script.write_text(_SCRIPT.format(folder=shlex.quote(str(folder))))
        script.chmod(0o755)

    def answers(self, script: str) -> None:
        """Let it answer by a script for sh, where ``$line`` is the line for the remote shell."""
        (self._folder / "answer").write_text(f"{script}\n")

    def says(self, words: str) -> None:
        """Let it fail with `words` before anything is run."""
        self.answers(f"printf %s {shlex.quote(words)} >&2; exit 255")

    @property
    def calls(self) -> list[SshCall]:
        found = sorted((self._folder / "calls").glob("*.argv"), key=lambda path: path.stat().st_mtime_ns)
        return [SshCall(path.read_text().split("\0")[:-1], path.with_suffix(".locale").read_text()) for path in found]
