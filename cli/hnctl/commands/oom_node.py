"""`hnctl oom scores` and `hnctl oom protect`: who would die next on this node, and who is not to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.connection import Connection
from hnctl.options import option, output_option
from hnctl.printing import print_data, print_note
from hnctl.value_types import SECONDS, ShareOrSize
from hypernode.errors import InputError

if TYPE_CHECKING:
    from hypernode.node.budget import MaxTotal
    from hypernode.node.processes import Candidate, Limit, Process
    from hypernode.node.protect import Ended

_COLUMNS = ("next", "pid", "name", "score", "adj", "rss", "cgroup", "command")
_LEAST_CGROUP = 12
_LEAST_COMMAND = 16


@click.command(cls=Command)
@option("--cgroup", metavar="PATH", help="Who of this cgroup would die, if it reached its own limit.")
@option("--top", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Most processes to show.")
@output_option
def scores(cgroup: str | None, top: int, output: str | None) -> None:
    """Show whom the kernel would kill next on this machine.

    A dry run of the kernel's choice out of /proc, with the next victim marked: of all processes, or of one cgroup. What
    is protected (-1000) is counted below. Secrets in command lines are masked. Kills nothing, and needs no root.

    Examples:
      hnctl oom scores
      hnctl oom scores --cgroup /user.slice --top 5 -o json
    """
    from hypernode.node.processes import find_proc, is_in_cgroup, rank, read_memory, read_processes, with_pss

    form = Connection(output=output).value("output")
    proc = find_proc()
    memory = read_memory(proc)
    everyone = processes = read_processes(proc)
    limit = None
    at_stake_kib = memory.total_kib + memory.swap_kib
    if cgroup is not None:
        cgroup, limit = _find_cgroup(cgroup, everyone, memory.swap_kib)
        processes = [process for process in everyone if is_in_cgroup(process, cgroup)]
        at_stake_kib = limit.at_stake_kib or at_stake_kib
    candidates = rank(processes, at_stake_kib, by_kernel=cgroup is None)
    shown = candidates[:top]
    pss = {each.pid: each.pss_kib for each in with_pss(proc, (one.process for one in shown))}
    protected = with_pss(proc, (process for process in processes if process.protected))
    summary = {
        "cgroup": cgroup,
        "limit_kib": None if limit is None else limit.limit_kib,
        "memory_kib": memory.total_kib,
        "swap_kib": memory.swap_kib,
        "candidates": len(candidates),
        "protected": _count_protected(protected, memory.total_kib),
        "unseen": _unseen(everyone),
    }
    rows = [_row(one, pss[one.process.pid], is_next=place == 0) for place, one in enumerate(shown)]
    _print_scores(rows, summary, form)


def _find_cgroup(typed: str, processes: Sequence[Process], swap_kib: int) -> tuple[str, Limit]:
    """Return the cgroup's own path and its limit; tell when it has none, and which above it has."""
    from hypernode.catalogue import closest
    from hypernode.node.processes import Limit, is_in_cgroup, read_limit, tidy_cgroup
    from hypernode.printable import printable

    path = tidy_cgroup(typed)
    limit = read_limit(path, swap_kib)
    if limit is None and not any(is_in_cgroup(process, path) for process in processes):
        known = sorted({process.cgroup for process in processes if process.cgroup})
        near = closest(path, known)
        raise InputError(
            f"there is no cgroup {path}",
            hint=f"Did you mean {near}?" if near else "hnctl oom scores shows the cgroup of each process",
        )
    if limit is None or limit.limit_kib is None:
        above = path
        while above != "/":
            above = above.rpartition("/")[0] or "/"
            upper = read_limit(above, swap_kib)
            if upper is not None and upper.limit_kib is not None:
                print_note(printable(f"{path} has no limit of its own: it is {above} that can run out."))
                break
        else:
            print_note(printable(f"{path} has no limit of its own: only the machine can run out."))
    return path, limit or Limit(None, None)


def _count_protected(protected: Sequence[Process], total_kib: int) -> dict[str, Any]:
    from hypernode.node.processes import held_kib

    held, exact = held_kib(protected)
    return {
        "processes": len(protected),
        "held_kib": held,
        "exact": exact,
        "share": round(held / total_kib, 4),
    }


def _unseen(processes: Sequence[Process]) -> bool:
    """Tell whether there are processes that we may not see: /proc can be mounted so, and pid 1 is always there."""
    return all(process.pid != 1 for process in processes) or any(process.oom_score_adj is None for process in processes)


def _row(candidate: Candidate, pss_kib: int | None, *, is_next: bool) -> dict[str, Any]:
    process = candidate.process
    return {
        "next": is_next,
        "pid": process.pid,
        "name": process.name,
        "uid": process.uid,
        "score": candidate.score,
        "oom_score": process.oom_score,
        "oom_score_adj": process.oom_score_adj,
        "rss_kib": process.rss_kib,
        "pss_kib": pss_kib,
        "swap_kib": process.swap_kib,
        "page_tables_kib": process.page_tables_kib,
        "cgroup": process.cgroup,
        "command": process.command,
    }


def _print_scores(rows: list[dict[str, Any]], summary: dict[str, Any], form: str) -> None:
    from hnctl.printing import print_listing
    from hnctl.render.listing import FORMAT_VERSION, Listing, render_document

    if form in ("json", "yaml"):
        print_data(render_document({"format_version": FORMAT_VERSION, **summary, "processes": rows}, form))
    elif form == "jsonl":
        print_listing(Listing("processes", _COLUMNS, [*rows, {"summary": summary}]), form)
    else:
        table = [_shown(row) for row in rows]
        if form == "table":
            _cut(table)
        print_listing(Listing("processes", _COLUMNS, table, empty="No process that could be killed."), form)
        _tell(rows, summary)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a person."""
    from hypernode.oom.sizes import size

    return {
        "next": "*" if row["next"] else "",
        "pid": row["pid"],
        "name": row["name"],
        "score": row["score"],
        "adj": row["oom_score_adj"],
        "rss": None if row["rss_kib"] is None else size(row["rss_kib"]),
        "cgroup": row["cgroup"],
        "command": row["command"],
    }


def _cut(rows: Sequence[dict[str, Any]]) -> None:
    """Cut cgroups at their beginning and commands at their end, for each row to be a line of the terminal."""
    from rich.cells import cell_len, set_cell_size

    from hnctl.render.console import make_console
    from hnctl.render.listing import cell

    texts = [{column: cell(row[column]) for column in _COLUMNS} for row in rows]
    widths = {column: max([len(column), *(cell_len(text[column]) for text in texts)]) for column in _COLUMNS}
    room = make_console().width - sum(widths[column] + 2 for column in _COLUMNS[:-2]) - 2
    of_cgroup = max(_LEAST_CGROUP, min(widths["cgroup"], room - _LEAST_COMMAND, room // 2))
    of_command = max(_LEAST_COMMAND, room - min(of_cgroup, widths["cgroup"]))
    for row, text in zip(rows, texts, strict=True):
        if cell_len(text["cgroup"]) > of_cgroup:
            reverse = set_cell_size(text["cgroup"][::-1], of_cgroup - 3).rstrip()
            row["cgroup"] = "..." + reverse[::-1]
        if cell_len(text["command"]) > of_command:
            row["command"] = set_cell_size(text["command"], of_command - 3).rstrip() + "..."


def _tell(rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
    from hypernode.oom.sizes import size
    from hypernode.printable import printable

    protected = summary["protected"]
    if rows:
        where = f"if {summary['cgroup']} ran out" if summary["cgroup"] else "if the machine ran out now"
        print_note(printable(f"Next to die, {where}: {rows[0]['name']} ({rows[0]['pid']})."))
    if summary["candidates"] > len(rows):
        print_note(
            f"{summary['candidates'] - len(rows)} more could be killed after these: --top {summary['candidates']}"
        )
    count = protected["processes"]
    if count:
        held = f"{'' if protected['exact'] else 'at most '}{size(protected['held_kib'])}"
        print_note(
            f"Protected (-1000): {count} process{'es' * (count != 1)} with {held}, {protected['share']:.0%} of RAM."
        )
    else:
        print_note("Protected (-1000): none.")
    if summary["unseen"]:
        print_note("Not all processes of this machine can be seen: one of the others may be next.")


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@option(
    "--max-total",
    type=ShareOrSize(),
    default="40%",
    show_default=True,
    metavar="SHARE|SIZE",
    help="Refuse when more than this is protected already: 40%, 2G.",
)
@option(
    "--timeout",
    type=SECONDS,
    prefix="HNCTL_PROTECT_",  # HNCTL_TIMEOUT is for an answer of the API, and a minute would be the end of an import
    help="End the command and its process group after this time; 0: never.  [default: never]",
)
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def protect(max_total: MaxTotal, timeout: float | None, command: tuple[str, ...]) -> int:
    """Run a command that the oom-killer spares, within limits.

    Starts it through hypernode-oom-protect, on this node; all that it starts is spared too. Refused when too much
    memory is protected already: when all is, nothing is left to kill. Says so when the protection does not work.

    Streams, signals and the exit code are the command's own; 128 and more: ended by a signal. After the timeout it gets
    SIGTERM, 10 seconds later SIGKILL, and the exit code is 124. Ends with a note of time and peak memory on stderr.

    Examples:
      hnctl oom protect -- php bin/magento indexer:reindex
      hnctl oom protect --max-total 2G --timeout 2h -- php import.php --all
    """
    from hypernode.node.processes import find_proc
    from hypernode.node.protect import find_tool, run
    from hypernode.printable import printable

    tool = find_tool()
    proc = find_proc()
    _check_budget(proc, max_total)
    ended = run(command, tool=tool, proc=proc, timeout=timeout, tell=print_note)
    print_note(printable(_told(command[0], ended)))
    return ended.status


def _check_budget(proc: Path, max_total: MaxTotal) -> None:
    from hypernode.node.budget import make_budget
    from hypernode.node.processes import read_memory, read_processes, with_pss

    total_kib = read_memory(proc).total_kib
    processes = read_processes(proc)
    if _unseen(processes):
        print_note("Not all processes of this machine can be seen: more may be protected than is counted.")
    protected = with_pss(proc, (process for process in processes if process.protected))
    make_budget(protected, total_kib, max_total.of(total_kib)).raise_if_passed()


def _told(command: str, ended: Ended) -> str:
    """Return how the command ended, in a sentence."""
    from signal import Signals

    from hypernode.oom.sizes import size

    if ended.timed_out:
        how = "was ended by --timeout"
    elif ended.signal is not None:
        how = f"was ended by {Signals(ended.signal).name}"
    else:
        how = f"ended with {ended.status}"
    seen = "" if ended.protected is not None else ", and was not seen to be protected"
    peak = f"its largest process took at most {size(ended.peak_kib)} of memory"
    return f"{command.rpartition('/')[2]} {how} after {ended.seconds:.1f} s{seen}; {peak}."
