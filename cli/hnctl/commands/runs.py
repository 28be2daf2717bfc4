"""`hnctl resume` and `rollback`: going on with a run of before, or taking it back."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.completion import complete_run
from hnctl.connection import Connection
from hnctl.exits import Exit
from hnctl.options import connection_options, exclude_option, node_option, output_option, rollout_options
from hnctl.printing import print_note
from hypernode.errors import FileError, InputError, PlanIsStale, Problem, RunIsUnderWay
from hypernode.places import state_folder

if TYPE_CHECKING:
    from hypernode.catalogue import Catalogue
    from hypernode.fleet.history import RunLog
    from hypernode.fleet.plan import Plan
    from hypernode.secrets import Secret

_RUN = click.argument("run", metavar="RUN|last", shell_complete=complete_run)


@click.command(cls=Command)
@_RUN
@exclude_option
@rollout_options
@connection_options
@output_option
def resume(run: str, exclude: tuple[str, ...], rules: dict[str, Any], verbose: bool, **options: Any) -> Exit:
    """Go on with a run that was stopped, paused, interrupted or killed.

    It goes on under the same plan, rules and failure budget; options given here win. What was done is read and left
    alone. What was begun is looked for first, waited for if it still runs, and sent again only when it is not there.
    Nodes that failed are tried again before any other is begun: each that succeeds gives its place in the budget back.

    Example: hnctl resume last
    """
    from hnctl.agreement import agree
    from hnctl.comparing import check_canaries
    from hnctl.rollout import Run, person
    from hnctl.selection import check_excluded, fleet_path
    from hnctl.values import fetch_from
    from hnctl.way_on import command_anew, naming, tell_closed_window
    from hypernode.fleet.history import find_run, parse_run, rollbacks_of
    from hypernode.fleet.journal import Journal
    from hypernode.fleet.plan import Confirmation
    from hypernode.fleet.planfile import fetch_secrets
    from hypernode.fleet.rollback import is_taken_back, taken_back
    from hypernode.fleet.rollout import left_out

    link = Connection(verbose=verbose, **options)
    path = find_run(state_folder() / "runs", run)
    journal, text = Journal.reopen(path)
    try:
        log = parse_run(text, path=str(path))
        if log.ended_as == "done":
            print_note(f"The run {log.run} is done: nothing is left to do.")
            return Exit.OK
        rollbacks = rollbacks_of(path.parent, log.run)
        anew = command_anew(log.source, log.rolls_back, fleet_path(link, None))
        if is_taken_back(log, rollbacks):
            raise PlanIsStale(
                f"the run {log.run} was taken back by {rollbacks[0].run}; it is not gone on with",
                hint=f"Make a new plan: {anew}{naming(list(log.nodes))}",
            )
        if "order" in rules:
            raise click.UsageError("A run keeps the order that it was begun with.")
        catalogue = link.catalogue()
        check_excluded(exclude, log.nodes)
        whole = _plan_of(log, link, catalogue, path)
        back = taken_back(rollbacks)
        plan = fetch_secrets(
            whole.without({*exclude, *back}),
            partial(fetch_from, Path(log.source.folder)),
            path=str(path),
            ask=partial(_ask_again, log),
        )
        check_canaries(rules.get("canary", ()), plan.compared)
        plan = replace(plan, rules=replace(plan.rules, **rules))
        link.address(plan.nodes)
        left = plan.without([name for name, node in log.nodes.items() if node.state in ("done", "unchanged")])
        # Its hazards and its size were agreed to, or there would be no such run.
        agreed = [Confirmation(change.node, change.setting) for change in left.hazardous]
        how = {"output": link.value("output"), "yes": options["yes"], "verbose": verbose}
        if left.changes:
            tell_closed_window(left)
            done = log.totals()["done"] + log.totals()["unchanged"]
            rest = (
                f"the rest of {log.run} ({done} of {len(log.nodes)} nodes are done), whose checksum is {log.checksum}"
            )
            agree(left, {}, catalogue, ask=True, confirm=agreed, force=True, whole=rest, **how)
        journal.go_on(salt=log.salt, message=options["message"], **person())
        return Run(
            link,
            catalogue,
            plan,
            journal,
            options["ignore_running"],
            left_out(
                log, whole, plan, {name: f"taken back by {run}, and not gone on with" for name, run in back.items()}
            ),
            anew=anew,
            again=f"{anew}{naming(list(log.nodes))}",
            past=log.past,
            verbose=verbose,
        ).carry_out()
    finally:
        journal.close()


@click.command(cls=Command)
@_RUN
@node_option
@exclude_option
@rollout_options
@connection_options
@output_option
def rollback(
    run: str, nodes: tuple[str, ...], exclude: tuple[str, ...], rules: dict[str, Any], verbose: bool, **options: Any
) -> Exit:
    """Set back what a run has set, where nobody changed it since.

    Each value goes back to what the journal recorded. What is something else by now has moved on and is left; what
    cannot be undone is never set back; both are listed. The rest is a plan like any other: it is shown, agreed to,
    carried out in waves and kept in the history.

    Examples:
      hnctl rollback last
      hnctl rollback 20261125-101500-7f3a2c -n kaasshop --yes
    """
    from hnctl.comparing import check_canaries
    from hnctl.render.outcomes import left_line
    from hnctl.rollout import carry_out
    from hnctl.selection import check_excluded
    from hnctl.taking_back import plan_back
    from hypernode.fleet.history import find_run, read_run
    from hypernode.fleet.journal import is_under_way

    link = Connection(verbose=verbose, **options)
    path = find_run(state_folder() / "runs", run)
    log = read_run(path)
    if is_under_way(path):
        raise RunIsUnderWay(f"the run {log.run} is under way", hint="Interrupt it first, or wait for its end")
    catalogue = link.catalogue()
    check_excluded(exclude, log.nodes)
    chosen = [name for name in nodes or log.nodes if name not in exclude]
    made, failures = plan_back(link, catalogue, log, _plan_of(log, link, catalogue, path), chosen)
    check_canaries(rules.get("canary", ()), made.plan.compared)
    plan = replace(made.plan, rules=replace(made.plan.rules, **{"on_failure": "stop", **rules}))
    for one in made.left:
        print_note(left_line(one))
    if not plan.changes and not failures:
        print_note(f"Nothing of the run {log.run} is there to be set back.")
    lifted = {"window": "--window always", "pause": "--pause 0"}
    kept = [name for name in lifted if name in plan.rules.spelled() and name not in rules]
    if kept and plan.changes:
        how = ", ".join(lifted[name] for name in kept)
        count = "count" if len(kept) > 1 else "counts"
        print_note(f"The {' and the '.join(kept)} of the run {count} for its rollback too ({how}).")
    options["message"] = options["message"] or f"rollback of {log.run}"
    return carry_out(
        link,
        catalogue,
        plan,
        failures,
        source=log.source,
        ask=bool(plan.changes or failures),  # "in sync" would say something else
        verbose=verbose,
        rolls_back=log.run,
        left=made.left,
        **options,
    )


def _plan_of(log: RunLog, link: Connection, catalogue: Catalogue, path: Path) -> Plan:
    """Return the plan of a run.

    Raises:
        FileError: It is not the one that was written down.
        PlanIsStale: It is about another API.
    """
    from hypernode.fleet.history import NOT_USED
    from hypernode.fleet.planfile import load

    raw, api_url = json.dumps(log.plan).encode(), str(log.plan["api_url"])
    try:
        made = load(raw, catalogue, path=str(path), api_url=api_url, with_secrets=False)
    except PlanIsStale:
        what = "its plan is not the one that its checksum was made of; was the file edited?"
        raise FileError(str(path), [Problem(1, 1, what, NOT_USED)]) from None
    except FileError as exc:
        raise FileError(str(path), [problem._replace(hint=NOT_USED) for problem in exc.problems]) from None
    if api_url != link.api_url:
        raise PlanIsStale(
            f"the run {log.run} is about {api_url}, not {link.api_url}", hint="Set HNCTL_API_URL to that address"
        )
    return made


def _ask_again(log: RunLog, setting: str) -> Secret:
    """Return the value of a secret setting that was typed in when the run began; it was not kept.

    Raises:
        InputError: It is not given, or is not the one that the run has sent before.
    """
    from hnctl.values import read_secret
    from hypernode.fleet.journal import is_kept

    print_note(f"The run sets {setting} to a value that was typed in and not kept: it is read from stdin again.")
    value, _ = read_secret(setting, "-")
    sent = (node.sent[setting] for node in log.nodes.values() if setting in node.sent)
    if not all(is_kept(value, kept, log.salt) for kept in sent):
        raise InputError(f"the run has set {setting} to another value so far; nothing was changed")
    return value
