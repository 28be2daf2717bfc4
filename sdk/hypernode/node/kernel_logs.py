"""Bringing the kernel logs of a node here: read only, by one command, compressed on the way, and bounded.

On the line a log is one line of text that tells its name, followed by one gzip member. A member tells by itself where
it ends and whether it is whole, so nothing has to be known beforehand of a log that may grow while it is read. No path
is ever taken from a node: a name is a plain ``kern.log...``, or the node is not believed.

The one bound is that of the text. Compressed it is less on the line, and the disk here holds no more than that either.
Which part of a log is beyond it is known once its text has been counted, so the node reads each log twice: what it
would otherwise have to hold meanwhile is memory, and these are nodes that lack it.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import BinaryIO

from hypernode.errors import HypernodeError, ToolError, ToolTimedOut
from hypernode.node.shell import Shell
from hypernode.node.sink import Sink
from hypernode.refusals import tidy

LIMIT = 64 << 20
"""Bytes of text of one node that are plenty: a thousand reports with the tables of five hundred processes each."""
_BESIDE = 1 << 20
"""Most bytes beside the logs: their names, the frames of gzip, and what a .bashrc prints."""
_CHUNK = 1 << 16
_ANY = "kern.log*"
_NAME = r"kern\.log[A-Za-z0-9._-]{0,247}"
_SAYS = re.compile(rf"(log|unreadable|beyond|odd|rotated|end)(?: ({_NAME}))?(?: (.{{1,200}}))?\n")
_TIME_AND_SKIPPED = re.compile(r"([0-9]{1,10}) ([0-9]{1,15})")
_COMPLAINT = re.compile(rf"[^:]+: ({_NAME}): (.+)")
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh")
"""How a log begins that is packed, for whoever reads it."""

# - Only lines of the firewall are left out: they make a log of 1 GB, and no report has any. The words from IN= to OUT=
#   are longer than the name of a process can be, so no row of a table is taken for one. Their dates are not missed, as
#   the year of a log is found from its mtime, unless a log is left unrotated for a year.
# - gzip -dcf gives what is not packed as it is. grep ends the last line if need be.
# - The names are looked at again at the end: a log that was renamed meanwhile was read twice, and another not at all.
_SCRIPT = r"""
export LC_ALL=C
room=$2
text() { gzip -dcf "$1" | grep -av '\[UFW [A-Z ]*\] IN=.* OUT='; }
each() {
  for log in kern.log*; do
    case $log in *[!A-Za-z0-9._-]*) continue ;; esac
    [ -f "$log" ] && stat -Lc "$1 %n" "$log"
  done
}
printf '%s\n' "$1"
cd "${HNCTL_NODE_ROOT:-}/var/log" || exit
before=$(each %i)
for log in kern.log*[!A-Za-z0-9._-]*; do
  [ -f "$log" ] && echo odd
done
each %Y | sort -rn | while read -r time log; do
  if [ ! -r "$log" ]; then
    echo "unreadable $log $(stat -Lc %G "$log")"
  elif [ "$room" = 0 ]; then
    echo "beyond $log"
  else
    size=$(text "$log" | wc -c)
    skipped=$((size > room ? size - room : 0))
    size=$((size - skipped))
    room=$((room - size))
    echo "log $log $time $skipped"
    text "$log" | tail -c +$((skipped + 1)) | head -c "$size" | gzip -1
  fi
done
[ "$before" = "$(each %i)" ] && echo end || echo rotated
"""


@dataclass(frozen=True, slots=True)
class KernelLogs:
    """What was fetched of a node."""

    paths: tuple[Path, ...]
    """The logs, newest first: unpacked whatever their names say, with their mtimes, without the firewall's lines."""
    unread: Mapping[str, str]
    """Logs that cannot be read, or not to their end, and why; by name."""
    cut: Mapping[str, str]
    """Logs that go beyond the limit, and what of them was left on the node; by name."""


def fetch(shell: Shell, folder: Path, *, limit: int, timeout: float) -> KernelLogs:
    """Bring ``/var/log/kern.log*`` of a node here. Nothing is written there.

    Args:
        shell: Runs commands on the node.
        folder: A private and empty one. After an error what it holds counts for nothing.
        limit: Most bytes of text of all logs together, at least 1. The oldest are left out, and the beginning of one.
        timeout: Seconds for all of it; the node reads its logs once before the first byte comes.

    Raises:
        ToolError: There is no log, or none that may be read; or the answer is none that this command gives.
        ToolTimedOut: It took too long.
        HypernodeError: See `Shell.save`.
    """
    mark = token_hex(8)
    try:
        with TemporaryFile(dir=folder) as stream:
            command = ["nice", "sh", "-c", _SCRIPT, "sh", mark, str(limit)]  # the shop goes first
            done = shell.save(command, Sink(stream, limit + _BESIDE), timeout=timeout)
            if done.status != 0:
                raise ToolError(f"/var/log cannot be looked into: {tidy(done.err.strip(), 200) or done.status}")
            stream.seek(0)
            _find(stream, mark)
            logs = _receive(stream, folder, limit, done.err)
    except ToolTimedOut:
        raise ToolTimedOut(
            f"its kernel logs did not come within {timeout:.3g} s",
            hint="The node may be overloaded, or the line slow; wait longer with --timeout",
        ) from None
    except OSError as exc:
        raise HypernodeError(f"its kernel logs cannot be kept in {folder}: {exc.strerror}") from None
    if not logs.paths:
        raise _nothing(logs.unread)
    return logs


def _find(stream: BinaryIO, mark: str) -> None:
    """Go to where the answer begins: what a .bashrc prints comes before it."""
    start = stream.read(_CHUNK)
    place = start.find(f"{mark}\n".encode())
    if place < 0:
        raise _odd(start.decode(errors="replace"))
    stream.seek(place + len(mark) + 1)


def _receive(stream: BinaryIO, folder: Path, limit: int, complaints: str) -> KernelLogs:
    """Unpack the logs that follow; `complaints` is what the tools said beside them."""
    paths: list[Path] = []
    unread: dict[str, str] = {}
    cut: dict[str, str] = {}
    bound = f"as at most {limit:,} bytes of a node are fetched"
    left = limit
    while True:
        line = stream.readline(500).decode(errors="replace")
        says = _SAYS.fullmatch(line)
        match says.groups() if says else None:
            case ("log", str(name), str(rest)) if numbers := _TIME_AND_SKIPPED.fullmatch(rest):
                path = folder / name
                left -= _unpack(stream, path, left)
                os.utime(path, (int(numbers[1]), int(numbers[1])))
                if skipped := int(numbers[2]):
                    cut[name] = f"its first {skipped:,} bytes were left out, {bound}"
                if _is_packed(path):
                    path.unlink()
                    unread[name] = "it is packed twice, or by another program than gzip"
                else:
                    paths.append(path)
            case ("unreadable", str(name), str(group)):
                unread[name] = f"only the group {tidy(group)} may read it"
            case ("beyond", str(name), None):
                cut[name] = f"left out, {bound}"
            case ("odd", None, None):
                unread[_ANY] = "a log with odd characters in its name was left out"
            case ("rotated", None, None):
                raise ToolError("its kernel logs were rotated while they were read", hint="Run the same command again")
            case ("end", None, None):
                return KernelLogs(tuple(paths), unread | _understood(complaints), cut)
            case _:
                raise _odd(line)


def _unpack(stream: BinaryIO, path: Path, limit: int) -> int:
    """Write the gzip member that follows into a new file, and return how many bytes it holds."""
    member = zlib.decompressobj(wbits=31)
    size = 0
    with path.open("xb") as file:
        while not member.eof:
            packed = member.unconsumed_tail or stream.read(_CHUNK)
            try:
                text = member.decompress(packed, _CHUNK)
            except zlib.error:
                raise _odd(f"{path.name} is damaged") from None
            size += len(text)
            if size > limit or not packed:
                raise _odd(f"{path.name} has no end" if packed else f"{path.name} is cut off")
            file.write(text)
    stream.seek(-len(member.unused_data), os.SEEK_CUR)
    return size


def _is_packed(path: Path) -> bool:
    """Tell whether a reader of logs would unpack it, and so without our bound."""
    with path.open("rb") as file:
        return file.read(8).startswith(_PACKED)


def _understood(complaints: str) -> dict[str, str]:
    """Return the words of gzip and others by log, such as ``gzip: kern.log.2.gz: unexpected end of file``."""
    found: dict[str, str] = {}  # each is said twice, as each log is read twice
    for line in filter(None, map(str.strip, complaints.splitlines())):
        match = _COMPLAINT.fullmatch(line)
        name, words = match.groups() if match else (_ANY, line)
        found.setdefault(name, tidy(words, 200))
    return found


def _nothing(unread: Mapping[str, str]) -> ToolError:
    if unread:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(unread.items())[:3])
        return ToolError(
            f"none of its kernel logs can be read ({reasons})",
            hint="Is the user in the group that reads them? Another one is named in the fleet file: ssh: {user: ...}",
        )
    return ToolError(
        "there is no /var/log/kern.log on it",
        hint="If its kernel logs into the journal only: ssh NODE journalctl -k | hnctl oom events -",
    )


def _odd(words: str) -> ToolError:
    return ToolError(
        f"what came is no answer to the question for its kernel logs: {tidy(words.strip(), 200) or '(nothing)'}",
        hint="Is this a Hypernode? Look at what it prints when you log in with ssh",
    )
