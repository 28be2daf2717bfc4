"""From wishes to changed nodes, as a person meets it: the plan is shown, agreed to, carried out and summed up."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_run
from hnctl.printing import print_data, print_listing, print_note
from hnctl.render.listing import Listing, render_document
from hnctl.render.outcomes import outcome_line, outcome_row, run_document, totals_line
from hnctl.render.progress import progress
from hypernode.catalogue import Catalogue
from hypernode.errors import HypernodeError, NotAgreed
from hypernode.fleet.compare import Comparison, Desired, compare
from hypernode.fleet.journal import Journal, describe_person, run_state
from hypernode.fleet.plan import Confirmation, Plan
from hypernode.fleet.planfile import dump
from hypernode.fleet.rollout import Options, Outcome, apply
from hypernode.fleet.spec import Share
from hypernode.places import state_folder

if TYPE_CHECKING:
    from hypernode.fleet.stores import Store


def compare_nodes(link: Connection, catalogue: Catalogue, desired: Desired, where: str | None) -> Comparison:
    """Read the nodes of `desired` and plan their changes."""
    from hypernode.fleet.where import parse_where

    test, asked = parse_where(where, catalogue) if where else (None, frozenset[str]())
    link.address(list(desired.values))
    with progress("reading", len(desired.values)) as bar, link.executor() as executor:
        reader = link.reader(catalogue, desired.ways)
        return compare(desired, reader, catalogue, executor, where=test, asked=asked, on_node=bar.step)


def show_plan(plan: Plan, unread: Mapping[str, str], *, verbose: bool, stderr: bool = False) -> None:
    """Print a plan for a person; on stderr when stdout has a document for a machine."""
    from hnctl.render.console import capture
    from hnctl.render.plan import render_plan

    text = capture(render_plan(plan, unread, verbose=verbose), stderr=stderr)
    (print_note if stderr else print_data)(text)


def change_nodes(
    link: Connection,
    catalogue: Catalogue,
    desired: Desired,
    *,
    where: str | None,
    ask: bool,
    **options: Any,
) -> Exit:
    """Bring nodes to `desired` and return the exit status; `ask` tells whether a yes is needed at all."""
    comparison = compare_nodes(link, catalogue, desired, where)
    return carry_out(link, catalogue, comparison.plan, comparison.failures, ask=ask, **options)


def carry_out(
    link: Connection,
    catalogue: Catalogue,
    plan: Plan,
    failures: Mapping[str, HypernodeError],
    *,
    ask: bool,
    yes: bool,
    confirm: Sequence[Confirmation],
    force: bool,
    ignore_running: bool,
    max_failures: Share | None,
    message: str | None = None,
    verbose: bool = False,
    **_: Any,
) -> Exit:
    """Show `plan`, have it agreed to, carry it out and tell what became of every node.

    Args:
        link: The way to the nodes.
        catalogue: The settings.
        plan: What to change.
        failures: Nodes that could not be read; they count as failed.
        ask: Whether an ordinary yes is needed.
        yes: Whether it was given.
        confirm: What was confirmed.
        force: Whether the plan may go beyond its limits.
        ignore_running: Whether running flows stand in no way.
        max_failures: How many nodes may fail before no more are started; None: what the plan says.
        message: Why, for the history.
        verbose: Whether every node of the plan is shown by itself.
    """
    prompting = asked_by_tool(plan, catalogue)
    ask = ask or bool(prompting)
    output = link.value("output")
    unread = {node: error.message for node, error in failures.items()}
    if output == "table" and (ask or plan.hazardous):
        show_plan(plan, unread, verbose=verbose)
    elif plan.changes and may_ask() and ((ask and not yes) or plan.hazardous):
        show_plan(plan, unread, verbose=verbose, stderr=True)
    if plan.changes:
        plan.raise_if_unsafe([*confirm, *_ask_for_hazards(plan, confirm)], force=force)
        _ask(plan, prompting, ask=ask, yes=yes)
    options = Options(
        parallel=link.parallel,
        max_failures=max_failures or plan.max_failures,
        timeout=float(link.value("wait")),
        interval=float(link.value("poll_interval")),
        ignore_running=ignore_running,
    )
    store = link.store(catalogue, plan.ways)
    with _journaled(link, plan, unread, message) as journal:
        outcomes, interrupted = _run(link, store, catalogue, plan, failures, options, journal)
        if journal is not None:
            states = [outcome.state for outcome in outcomes if outcome.node not in plan.compared or outcome.changes]
            journal.note("run ended", state=run_state(states, interrupted=interrupted is not None))
    return _sum_up(plan, outcomes, interrupted, output)


@contextmanager
def _journaled(
    link: Connection, plan: Plan, unread: Mapping[str, str], message: str | None
) -> Iterator[Journal | None]:
    """Begin the journal of a run that changes something, and let it go at its end."""
    if not plan.changes:
        yield None
        return
    journal = Journal(state_folder() / "runs")
    try:
        host = socket.gethostname()
        who, job = describe_person(os.environ, _user(), host)
        document = dump(plan, api_url=link.api_url, unread=unread)
        journal.begin(who=who, host=host, pid=os.getpid(), job=job, message=message, plan=document)
        yield journal
    finally:
        journal.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        return str(os.getuid())


def may_ask() -> bool:
    """Tell whether somebody is at a terminal to answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask_for_hazards(plan: Plan, confirmations: Sequence[Confirmation]) -> list[Confirmation]:
    """On a terminal, have the name typed for each hazardous setting that is not confirmed yet."""
    if not may_ask():
        return []
    open_changes = [
        change for change in plan.hazardous if not any(one.covers(change, plan.groups) for one in confirmations)
    ]
    answers = []
    for setting in dict.fromkeys(change.setting for change in open_changes):
        nodes = [change.node for change in open_changes if change.setting == setting]
        word = nodes[0] if len(nodes) == 1 else f"{setting}={len(nodes)}"
        if click.prompt(f"Type {word} to agree to {setting} (see Risk above)", err=True, default="") == word:
            answers += [Confirmation(node, setting) for node in nodes]
    return answers


def asked_by_tool(plan: Plan, catalogue: Catalogue) -> list[str]:
    """Return the settings of `plan` about which hypernode-systemctl asks: whoever agrees to it answers that too."""
    return sorted({c.setting for c in plan.changes if c.node in plan.ways and catalogue[c.setting].tool_prompts})


def _ask(plan: Plan, prompting: Sequence[str], *, ask: bool, yes: bool) -> None:
    if yes or not ask:
        return
    if prompting:
        print_note(f"hypernode-systemctl asks before it changes {', '.join(prompting)}; a yes here answers it.")
    nodes = len(plan.nodes)
    if not may_ask():
        raise NotAgreed("nobody is there to say yes; nothing was changed", hint="Add --yes")
    if not click.confirm(f"Change {nodes} node{'s' * (nodes != 1)}?", err=True):
        raise NotAgreed("not agreed; nothing was changed")


def _run(
    link: Connection,
    store: Store,
    catalogue: Catalogue,
    plan: Plan,
    failures: Mapping[str, HypernodeError],
    options: Options,
    journal: Journal | None,
) -> tuple[list[Outcome], int | None]:
    """Carry out `plan`; returns an outcome for every node, and the signal that interrupted the run or None."""
    unread = [Outcome(node, "failed", error=error) for node, error in failures.items()]
    outcomes = list(unread)
    locks = state_folder() / "locks" / urlsplit(link.api_url).netloc.replace(":", "_")
    with (
        progress("applying", len(plan.nodes), least=1) as bar,
        _interruptible() as (stop, signals),
        link.executor() as executor,
    ):
        for outcome in unread:
            bar.tell(outcome_line(outcome))
        for outcome in apply(
            plan,
            store,
            catalogue,
            executor,
            options=options,
            lock_folder=locks,
            stop=stop,
            failed_before=len(unread),
            on_look=bar.look,
            journal=journal,
        ):
            outcomes.append(outcome)
            bar.step(outcome.node)
            bar.tell(outcome_line(outcome))
    changed = set(plan.nodes) | set(failures)
    outcomes += [Outcome(node, "unchanged") for node in plan.compared if node not in changed]
    return outcomes, signals[0] if signals else None


@contextmanager
def _interruptible() -> Iterator[tuple[threading.Event, list[int]]]:
    """Let the first Ctrl-C, SIGTERM or SIGHUP stop the start of further nodes, and the second end all at once."""
    stop = threading.Event()
    signals: list[int] = []

    def handle(number: int, frame: object) -> None:
        if signals:
            print_note("Left at once. What was under way goes on: look with `hnctl diff`.")
            os._exit(128 + number)
        # Whoever's line drops (SIGHUP) is not there any more; the run ends as one that was asked to.
        signals.append(signal.SIGTERM if number == signal.SIGHUP else number)
        stop.set()
        print_note("Interrupted: no more nodes are started. Once more to leave at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop, signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sum_up(plan: Plan, outcomes: list[Outcome], interrupted: int | None, output: str) -> Exit:
    stopped = any(outcome.state == "not_attempted" and outcome.error is None for outcome in outcomes)
    status = exit_for_run(outcomes, stopped=stopped)
    if interrupted is not None:
        status = Exit(128 + interrupted)
    outcomes.sort(key=lambda outcome: outcome.node)
    if output in ("json", "yaml"):
        print_data(render_document(run_document(outcomes, status, plan.checksum), output))
    elif output == "table":
        print_data(totals_line(outcomes))
    else:
        rows = [outcome_row(outcome) for outcome in outcomes]
        print_listing(Listing("nodes", ["node", "state", "reason"], rows), output)
        print_note(totals_line(outcomes))
    return status
