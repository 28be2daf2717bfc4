"""One preview as it runs: a Brancher is made, looked at, changed, looked at again and ended, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hnctl.branchers import wait_for
from hnctl.connection import Connection
from hnctl.gates import make_prober
from hnctl.printing import print_note
from hypernode.allowlists import Entries
from hypernode.api.branchers import new_label
from hypernode.api.fpm import get_fpm_status, parse_workers
from hypernode.api.pages import NoPage, Pages
from hypernode.catalogue import Catalogue
from hypernode.errors import FlowFailed, HypernodeError, NotFound
from hypernode.fleet.bring import Options, Outcome, bring
from hypernode.fleet.compare import Desired
from hypernode.fleet.gates import HttpGate, for_node, names_of
from hypernode.fleet.plan import make_plan
from hypernode.fleet.preview import (
    Judged,
    Look,
    PageLook,
    is_elsewhere,
    judge_preview,
    not_of_the_copy,
    shown_settings,
)

if TYPE_CHECKING:
    from hypernode.api.branchers import Branchers
    from hypernode.api.models import Brancher


@dataclass
class Preview:
    """Tries the wishes for one node on a copy of it.

    Args:
        link: The way to the API.
        branchers: Those of the node.
        catalogue: The settings.
        desired: The wishes for the node, and for no other.
        node: Its name.
    """

    link: Connection
    branchers: Branchers
    catalogue: Catalogue
    desired: Desired
    node: str
    copy: Brancher | None = None
    before: Look | None = None
    after: Look | None = None
    outcome: Outcome | None = None
    ended: bool = False
    minutes: int | None = None

    def run(self, *, ttl: float, clear: tuple[str, ...], within: float, keep: bool) -> Judged:
        """Make the copy, change it, and end it; returns the verdict.

        Args:
            ttl: Seconds after which `hnctl brancher reap` ends the copy if nobody else did.
            clear: Services that start without their data.
            within: Seconds that making it may take.
            keep: Whether it is left to its time limit.

        Raises:
            HypernodeError: It could not be made, or never came to be usable; it was ended all the same.
        """
        try:
            self.copy = self._make(ttl, clear)
            print_note(f"{self.copy.name} was made, and is paid for from now on.")
            wait_for(self.link, self.branchers, self.copy.name, within=within, kept=keep)
            return self._try(self.copy.name)
        except NotFound as exc:
            raise FlowFailed(
                f"{self.copy.name if self.copy else 'the copy'} is gone: somebody ended it, or the platform did",
                hint="Try again; nothing was changed on the node itself",
                node=self.node,
            ) from exc
        finally:
            if self.copy is not None and not keep:
                self._end(self.copy.name)

    def _make(self, ttl: float, clear: tuple[str, ...]) -> Brancher:
        ours = new_label()
        try:
            return self.branchers.create(labels={"preview": self.node}, clear_services=clear, ttl=ttl, ours=ours)
        except KeyboardInterrupt:
            # Its answer may be on the way: whoever is found by our label is ended like any other.
            with suppress(HypernodeError):
                self.copy = self.branchers.find_made(ours)
            if self.copy is None:
                print_note(
                    f"Interrupted: whether a copy was made is not known. Look: hnctl brancher list -n {self.node}\n"
                    "  Once its time limit is over, hnctl brancher reap ends it."
                )
            raise

    def _try(self, copy: str) -> Judged:
        wished = dict(self.desired.values[self.node])
        left = sorted(name for name, value in wished.items() if isinstance(value, Entries))
        if left:
            print_note(f"Not tried on a copy: {', '.join(left)}.")
        wished = {name: value for name, value in wished.items() if name not in left}
        store = self.link.store(self.catalogue, {})
        plan = make_plan({copy: store.read(copy)}, {copy: wished}, self.catalogue, references=self.desired.references)
        names = [change.setting for change in plan.changes]
        self.before = self._look(copy, names)
        print_note(f"Changing {copy}: {', '.join(names) or 'nothing, it is as the file says already'}.")
        options = Options(timeout=float(self.link.value("wait")), interval=float(self.link.value("poll_interval")))
        self.outcome = bring(copy, plan.changes, store, self.catalogue, options, self.link.lock_folder)
        if isinstance(self.outcome.error, NotFound):
            raise self.outcome.error
        if self.outcome.state in ("done", "unchanged"):
            self.after = self._look(copy, names)
        return judge_preview(self.outcome, self.before, self.after)

    def _look(self, copy: str, names: list[str]) -> Look:
        gates = self.desired.rules.gates
        prober = make_prober(self.link, gates)
        elsewhere = {name for name, gate in zip(names_of(gates), gates, strict=True) if is_elsewhere(gate)}
        detail = self.link.reader(self.catalogue, {}).read(copy)
        found = prober.try_on(copy) if prober is not None else ()
        return Look(
            shown_settings(detail, names, lambda name, raw: self.catalogue[name].typed(raw)),
            tuple(not_of_the_copy(finding) if finding.gate in elsewhere else finding for finding in found),
            self._pages(copy),
            self._workers(copy),
        )

    def _pages(self, copy: str) -> Mapping[str, PageLook]:
        pages = Pages(ca_file=self.link.value("ca_file"))
        found = {}
        for gate in self.desired.rules.gates:
            if isinstance(gate, HttpGate) and not is_elsewhere(gate):
                url = for_node(gate.url, copy)
                started = time.monotonic()
                page = pages.fetch(url, gate.timeout, expected=gate.status)
                answer = page.reason if isinstance(page, NoPage) else str(page.status)
                found[url] = PageLook(answer, time.monotonic() - started)
        return found

    def _workers(self, copy: str) -> str | None:
        try:
            workers, _ = parse_workers(get_fpm_status(self.link.transport, copy, self.link.token(copy)).data)
        except HypernodeError:
            return None
        return f"{sum(worker.is_busy for worker in workers)} of {len(workers)}" if workers else None

    def _end(self, copy: str) -> None:
        """End the copy; that it cannot be ended is told, and not raised over whatever else went wrong."""
        try:
            with suppress(HypernodeError):  # its minutes are nice to know, and no more
                self.minutes = self.branchers.get(copy).minutes
            self.branchers.destroy(copy)
        except (HypernodeError, KeyboardInterrupt) as exc:
            why = exc.message if isinstance(exc, HypernodeError) else "it was interrupted"
            print_note(
                f"Whether {copy} was ended is not known: {why}\n"
                f"  It is paid for until it is. End it: hnctl brancher delete {copy}\n"
                "  Once its time limit is over, hnctl brancher reap ends it too."
            )
            if isinstance(exc, KeyboardInterrupt):
                raise
        else:
            self.ended = True
            print_note(f"{copy} was ended{after(self.minutes)}.")


def after(minutes: int | None) -> str:
    """Return how long a Brancher was paid for, in words that follow on ``ended``."""
    return "" if minutes is None else f" after {minutes} started minute{'s' * (minutes != 1)}"
