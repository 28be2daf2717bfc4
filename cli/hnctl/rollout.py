"""From wishes to changed nodes, as a person meets it: the plan is shown, agreed to, carried out and summed up."""

from __future__ import annotations

import getpass
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from hnctl.agreement import agree
from hnctl.comparing import compare_nodes
from hnctl.connection import Connection
from hnctl.consent import may_ask
from hnctl.exits import Exit, exit_for_run
from hnctl.gates import make_prober
from hnctl.interrupting import interruptible
from hnctl.printing import print_data, print_listing, print_note
from hnctl.render.listing import Listing, render_document
from hnctl.render.outcomes import left_line, outcome_row, run_document, totals_line
from hnctl.render.progress import progress
from hnctl.selection import fleet_path
from hnctl.taking_back import plan_back
from hnctl.telling import Telling
from hnctl.way_on import command_anew, naming, spell_opening, tell_closed_window
from hypernode.catalogue import Catalogue
from hypernode.errors import HypernodeError, PlanIsStale
from hypernode.fleet.bring import Options, Outcome
from hypernode.fleet.compare import Desired
from hypernode.fleet.history import Past, Source, find_run, read_run
from hypernode.fleet.journal import NO_JOURNAL, Journal, NoJournal, describe_person, run_state
from hypernode.fleet.plan import GIVEN, Confirmation, Plan
from hypernode.fleet.planfile import dump
from hypernode.fleet.rollback import Left
from hypernode.fleet.rollout import Rollout, Stop
from hypernode.fleet.rules import DEFAULT
from hypernode.places import state_folder
from hypernode.printable import printable


def change_nodes(
    link: Connection,
    catalogue: Catalogue,
    desired: Desired,
    *,
    where: str | None,
    rules: Mapping[str, Any],
    **options: Any,
) -> Exit:
    """Bring nodes to `desired` and return the exit status; `options` as for `carry_out`."""
    comparison = compare_nodes(link, catalogue, desired, where, rules)
    return carry_out(link, catalogue, comparison.plan, comparison.failures, **options)


def carry_out(
    link: Connection,
    catalogue: Catalogue,
    plan: Plan,
    failures: Mapping[str, HypernodeError],
    *,
    source: Source,
    ask: bool,
    yes: bool,
    confirm: Sequence[Confirmation],
    force: bool,
    ignore_running: bool,
    message: str | None = None,
    verbose: bool = False,
    again: str | None = None,
    rolls_back: str | None = None,
    left: Sequence[Left] = (),
    **_: Any,
) -> Exit:
    """Show `plan`, have it agreed to, carry it out and tell what became of every node.

    Args:
        link: The way to the nodes.
        catalogue: The settings.
        plan: What to change.
        failures: Nodes that could not be read; they count as failed.
        source: What the plan was made of.
        ask: Whether an ordinary yes is needed.
        yes: Whether it was given.
        confirm: What was confirmed.
        force: Whether the plan may go beyond its limits.
        ignore_running: Whether running flows stand in no way.
        message: Why, for the history.
        verbose: Whether every node of the plan is shown by itself.
        again: The command that makes this run once more; None: what makes a new plan of the same.
        rolls_back: The run that this one takes back, if it does.
        left: What that leaves alone.
    """
    unread = {node: error.message for node, error in failures.items()}
    tell_closed_window(plan)
    agree(
        plan,
        unread,
        catalogue,
        output=link.value("output"),
        ask=ask,
        yes=yes,
        confirm=confirm,
        force=force,
        verbose=verbose,
    )
    with _begun(link, plan, unread, source, message, rolls_back) as journal:
        anew = command_anew(source, rolls_back, fleet_path(link, None))
        return Run(
            link,
            catalogue,
            plan,
            journal,
            ignore_running,
            _unread(failures),
            anew=anew,
            again=again or anew,
            left=left,
            verbose=verbose,
            named=ask,
        ).carry_out()


def _unread(failures: Mapping[str, HypernodeError]) -> list[Outcome]:
    """Return the outcomes of nodes that could not be read."""
    return [Outcome(node, "failed", error=error) for node, error in failures.items()]


@contextmanager
def _begun(
    link: Connection,
    plan: Plan,
    unread: Mapping[str, str],
    source: Source,
    message: str | None,
    rolls_back: str | None,
) -> Iterator[Journal | NoJournal]:
    """Begin the journal of a run that changes something, and let it go at its end."""
    if not plan.changes:
        yield NO_JOURNAL
        return
    journal = Journal(state_folder() / "runs")
    try:
        document = dump(plan, api_url=link.api_url, unread=unread)
        journal.begin(**person(), message=message, plan=document, **asdict(source), rolls_back=rolls_back)
        yield journal
    finally:
        journal.close()


def source_of(path: Path, raw: bytes) -> Source:
    """Return a fleet file or a plan, which was read as `raw`, as the journal names it: a pipe is read only once."""
    return Source(str(path.absolute().parent), str(path.absolute()), sha256(raw).hexdigest())


def person() -> dict[str, Any]:
    """Return who runs this and where, as the journal keeps it."""
    host = socket.gethostname()
    who, job = describe_person(os.environ, _user(), host)
    return {"who": who, "host": host, "pid": os.getpid(), "job": job}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        return str(os.getuid())


@dataclass
class Run:
    """One run of a plan that was agreed to, or what is left of it."""

    link: Connection
    catalogue: Catalogue
    plan: Plan
    journal: Journal | NoJournal
    ignore_running: bool
    left_out: Sequence[Outcome] = ()
    """Of the nodes of the run that are not in the plan: they could not be read, or are not gone on with."""
    anew: str = ""
    """The command that makes a new plan, for nodes that are named behind it."""
    again: str = ""
    """The command that makes a run like this one."""
    past: Past | None = None
    """What the earlier part of this run has left; None: this is its beginning."""
    left: Sequence[Left] = ()
    """What the run that this one takes back did, and is left alone."""
    verbose: bool = False
    """Whether every node is told by itself."""
    named: bool = True
    """Whether it tells its name even when nothing is left to do."""
    again_told: list[str] = field(default_factory=list)
    """What is told once more with the totals, as it has left the screen."""
    outcomes: list[Outcome] = field(default_factory=list)
    """One for every node, sorted, once it has ended."""
    interrupted: int | None = None
    """The signal that interrupted it."""
    stopped: Stop | None = None

    def carry_out(self) -> Exit:
        """Carry it out, tell what became of every node, and return the status."""
        self._go()
        back = None
        try:
            if self._takes_itself_back:
                back = self._roll_back()
        except HypernodeError as exc:
            print_note(printable(f"It was not rolled back: {exc}"))
        except KeyboardInterrupt as exc:
            # `main` tells the number of any signal but Ctrl-C.
            self.interrupted = exc.args[0] if exc.args else signal.SIGINT
            print_note("Interrupted: it was not rolled back.")
            self._sum_up(None)
            raise
        return self._sum_up(back)

    @property
    def _takes_itself_back(self) -> bool:
        """Whether what it did is to be set back at once: not when somebody said stop, who may want another way."""
        failed = self.stopped is not None and self.stopped.kind in ("budget", "gate failed")
        return failed and self.interrupted is None and self.plan.rules.on_failure == "rollback"

    def _go(self) -> None:
        link = self.link
        options = Options(
            parallel=link.parallel,
            timeout=float(link.value("wait")),
            interval=float(link.value("poll_interval")),
            ignore_running=self.ignore_running,
        )
        prober = make_prober(link, self.plan.rules.gates)
        with (
            progress("applying", len(self.plan.nodes) + len(self.left_out), least=1) as bar,
            interruptible(self.journal, prober, bar) as interruption,
            link.executor() as executor,
        ):
            rollout = Rollout(
                self.plan,
                link.store(self.catalogue, self.plan.ways),
                self.catalogue,
                executor,
                options=options,
                lock_folder=link.lock_folder,
                stop=interruption.stop,
                left_out=self.left_out,
                on_look=bar.look,
                journal=self.journal,
                past=self.past,
                prober=prober,
                tell=bar.tell,
            )
            interruption.under_way = lambda: rollout.under_way
            telling = Telling(bar.tell, verbose=self.verbose)
            for outcome in rollout.outcomes():
                self.outcomes.append(outcome)
                bar.step(outcome.node)
                telling.add(outcome)
            telling.end()
        self.again_told = telling.again()
        self.stopped = rollout.stopped
        self.interrupted = interruption.signals[0] if interruption.signals else None
        states = [outcome.state for outcome in self.outcomes]
        self.journal.note("run ended", state=run_state(states, None if self.stopped is None else self.stopped.kind))
        told = {outcome.node for outcome in self.outcomes}
        self.outcomes += [Outcome(node, "unchanged") for node in self.plan.compared if node not in told]
        self.outcomes.sort(key=lambda outcome: outcome.node)

    def _roll_back(self) -> Run:
        """Take back at once what this run has done, as a run of its own, but for what needs a yes of its own."""
        assert self.journal.run is not None  # noqa: S101  # nothing is stopped where nothing changes
        log = read_run(find_run(state_folder() / "runs", self.journal.run))
        # Those that wait for nothing come first: a write that did not end in its time is not waited for once more.
        rollback, failures = plan_back(self.link, self.catalogue, log, self.plan, settle=False)
        unagreed = [
            Left(change.node, change.setting, f"needs a yes of its own: hnctl rollback {log.run} asks for it")
            for change in rollback.plan.hazardous
        ]
        plan = rollback.plan.with_only(change for change in rollback.plan.changes if not change.hazards)
        print_note(f"Rolling back {_nodes(len(plan.nodes))}, by on_failure: rollback")
        plan = replace(plan, rules=DEFAULT)
        unread = {node: error.message for node, error in failures.items()}
        with _begun(self.link, plan, unread, log.source, f"rollback of {log.run}", log.run) as journal:
            left = sorted([*rollback.left, *unagreed], key=lambda one: (one.node, one.setting))
            anew = command_anew(log.source, log.run, fleet_path(self.link, None))
            run = Run(
                self.link,
                self.catalogue,
                plan,
                journal,
                self.ignore_running,
                _unread(failures),
                anew=anew,
                left=left,
                verbose=self.verbose,
            )
            run._go()
        return run

    def _sum_up(self, back: Run | None) -> Exit:
        status = self.status if back is None or back.interrupted is None else back.status
        output = self.link.value("output")
        for line in self.again_told:
            print_note(line)
        if output in ("json", "yaml"):
            document = self._document(status)
            if back is not None:
                document["rollback"] = back._document(back.status)
            print_data(render_document(document, output))
        elif output == "table":
            print_data(totals_line(self.outcomes))
        else:
            runs = [self] if back is None else [self, back]
            rows = [{"run": run.journal.run, **outcome_row(one)} for run in runs for one in run.outcomes]
            columns = ["node", "state", "reason"] if back is None else ["run", "node", "state", "reason"]
            print_listing(Listing("nodes", columns, rows), output)
            print_note(totals_line(self.outcomes))
        if back is not None:
            print_note(f"Rolled back: {totals_line(back.outcomes)}")
            for one in back.left:
                print_note(left_line(one))
        for run in filter(None, (self, back)):
            if run.journal.failure is not None:
                print_note(
                    f"The journal ends before these totals, and the history of {run.journal.run} knows less: "
                    "where it says unknown or not attempted, resume looks first."
                )
        self._tell_the_way_on(back)
        return status

    def _document(self, status: Exit) -> dict[str, Any]:
        return run_document(self.outcomes, status, self.plan.checksum, run=self.journal.run, left=self.left)

    @property
    def status(self) -> Exit:
        """The exit status of this run alone."""
        if self.interrupted is not None:
            return Exit(128 + self.interrupted)
        return exit_for_run(self.outcomes, None if self.stopped is None else self.stopped.kind)

    def _tell_the_way_on(self, back: Run | None) -> None:
        """Say why the run has stopped, and the very commands that go on or back."""
        if self.stopped is not None and (self.stopped.kind != "budget" or self.status is Exit.PARTLY):
            why = str(self.stopped)
            print_note(f"{why[0].upper()}{why[1:]}.")
        typed = {change.setting for change in self.plan.changes if change.reference == GIVEN}
        if back is None and typed and self._can_go_on:
            print_note(f"To go on, {', '.join(sorted(typed))} is read from stdin again: it was not kept.")
        if back is not None and back.status is not Exit.OK:
            back._tell_how_to_go_on("Go on with taking it back")
            back._tell_unread()
        elif back is not None:
            print_note(f"Run {self.journal.run}: hnctl history {self.journal.run} shows it")
            print_note(printable(f"Once it is mended: {self.again}"))
        else:
            if self.named and self.journal.run is not None and not self._can_go_on:
                print_note(f"Run {self.journal.run}: hnctl history {self.journal.run} shows it")
            self._tell_how_to_go_on("Go on")
            if (self._can_go_on or self._stale) and any(outcome.state == "done" for outcome in self.outcomes):
                print_note(f"Take back what was done: hnctl rollback {self.journal.run}")
        if self.journal.run is not None:
            self._tell_unread()

    def _tell_unread(self) -> None:
        """Name the command for nodes that could not be read."""
        if unread := [outcome.node for outcome in self.left_out if not outcome.changes]:
            them = "it" if len(unread) == 1 else "them"
            print_note(
                printable(
                    f"{_nodes(len(unread))} could not be read, and the run has no plan for {them}. "
                    f"Mended: {self.anew}{naming(unread)}"
                )
            )

    @property
    def _stale(self) -> list[str]:
        """Nodes that the plan does not fit any more: going on with the run can only say so again."""
        return [one.node for one in self.outcomes if one.state not in _GOOD and isinstance(one.error, PlanIsStale)]

    @property
    def _can_go_on(self) -> bool:
        """Whether going on with the run may change something."""
        stale = self._stale
        ends = [one for one in self.outcomes if one.changes and one.state not in _GOOD and one.node not in stale]
        return self.journal.run is not None and (bool(ends) or self.stopped is not None)

    def _tell_how_to_go_on(self, words: str) -> None:
        if self._can_go_on:
            window = self.plan.rules.window if self.stopped is not None and self.stopped.kind == "window" else None
            resume = f"hnctl resume {self.journal.run}{'' if may_ask() else ' --yes'}"
            if window is None:
                print_note(f"{words}: {resume}")
            else:
                print_note(f"{words} from {spell_opening(window, datetime.now(UTC))} on: {resume}")
                print_note(f"{words} now: {resume} --window always")
        if stale := self._stale:
            print_note(
                printable(
                    f"{_nodes(len(stale))} changed since the plan was made. For a new plan: {self.anew}{naming(stale)}"
                )
            )


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


_GOOD = ("done", "unchanged")
