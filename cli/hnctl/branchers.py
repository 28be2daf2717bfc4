"""What the commands on Branchers share: whose a Brancher is, what there is, waiting for one, ending several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hnctl.connection import Connection
from hnctl.printing import print_note
from hnctl.selection import only_node
from hypernode.errors import (
    ApiError,
    ConnectionFailed,
    FlowError,
    HypernodeError,
    InputError,
    InvalidNode,
    OutcomeUnknown,
)
from hypernode.names import check_brancher, parent_of

if TYPE_CHECKING:
    from hypernode.api.branchers import Branchers, Phase
    from hypernode.api.models import Brancher, BrancherAccount


def choose_parent(nodes: Sequence[str]) -> str:
    """Return the node whose Branchers a command is about: the one of -n, else our own.

    Raises:
        InputError: Several were named.
        InvalidNode: Nothing names one, or it is a Brancher itself.
    """
    node = only_node(nodes)
    if parent := parent_of(node):
        raise InvalidNode(f"{node} is a Brancher itself", hint=f"Name the node it was made from: -n {parent}")
    return node


def check_parent(name: str, nodes: Sequence[str]) -> str:
    """Return the node that the Brancher `name` was made from; `nodes` are those of -n.

    Raises:
        InvalidNode: That is no name of a Brancher.
        InputError: It is one of another node than -n names, or -n names several.
    """
    parent = str(parent_of(check_brancher(name)))
    if nodes and (node := only_node(nodes)) != parent:
        raise InputError(f"{name} is a Brancher of {parent}, not of {node}", hint=f"Leave -n out, or give -n {parent}")
    return parent


@contextmanager
def branchers_of(link: Connection, parent: str) -> Iterator[Branchers]:
    """Give the Branchers of one node, whose token is theirs too."""
    link.address([parent])
    with link.client(parent) as client:
        yield client.branchers


def server_now(link: Connection) -> datetime:
    """Return the server's time, as its newest answer told it."""
    return link.transport.server_time(datetime.now(UTC))


def wait_for(link: Connection, branchers: Branchers, name: str, *, within: float, kept: bool = True) -> Brancher:
    """Wait until `name` can be worked with, telling what it waits for.

    With `kept` it is told what to do when that is broken off; else it is ended then.

    Raises:
        FlowFailed, FlowTimedOut: As `Branchers.wait`.
        OutcomeUnknown: The API cannot be asked any longer.
    """
    from hnctl.render.progress import waiting
    from hypernode.api.retries import may_be_sent_again

    paid = f"It is paid for: wait on with `hnctl brancher wait {name}`, or end it with `hnctl brancher delete {name}`"
    host, port = link.ssh_address(name)
    try:
        with waiting() as show:

            def tell(phase: Phase) -> None:
                show(f"{name}: waiting for {phase.detail}")

            return branchers.wait(
                name,
                host=host,
                port=port or 22,
                timeout=within,
                interval=float(link.value("poll_interval")),
                on_phase=tell,
            )
    except KeyboardInterrupt:
        if kept:
            print_note(f"{name} goes on. {paid}")
        raise
    except FlowError as exc:
        exc.hint = exc.hint if kept else None
        raise
    except (ConnectionFailed, ApiError) as exc:
        if not may_be_sent_again(exc):
            raise
        raise OutcomeUnknown(
            f"{name} was made, and whether it can be used is not known: {exc.message}",
            hint=paid if kept else None,
            node=name,
        ) from exc


def tell_there(link: Connection, branchers: Branchers, one: Brancher) -> tuple[Brancher, BrancherAccount | None]:
    """Tell that a Brancher can be worked with, and what it came to so far.

    Returns:
        The Brancher as it is now, and the account; None: it cannot be read.
    """
    from hnctl.render.branchers import minutes_in_words, month_in_words

    host, port = link.ssh_address(one.name)
    print_note(f"{one.name} is there: SSH answers at {host}:{port or 22}. Its files may still change for a minute.")
    try:
        account = branchers.account()
    except HypernodeError as exc:  # it is there all the same
        print_note(f"Its minutes cannot be read: {exc}")
        return one, None
    one = next((each for each in account.branchers if each.name == one.name), one)
    print_note(f"{one.name} came to {minutes_in_words(one)} so far.")
    print_note(month_in_words(account))
    return one, account


def read_accounts(
    link: Connection, parents: Sequence[str]
) -> tuple[dict[str, BrancherAccount], dict[str, HypernodeError]]:
    """Return the accounts of nodes, read side by side, and the errors of those that gave none."""
    link.address(parents)

    def read(parent: str) -> BrancherAccount | HypernodeError:
        try:
            with link.client(parent) as client:
                return client.branchers.account()
        except HypernodeError as exc:
            return exc

    with link.executor() as executor:
        answers = dict(zip(parents, executor.map(read, parents), strict=True))
    accounts = {parent: answer for parent, answer in answers.items() if not isinstance(answer, HypernodeError)}
    return accounts, {parent: answer for parent, answer in answers.items() if isinstance(answer, HypernodeError)}


def end_branchers(
    link: Connection, wanted: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, HypernodeError]]:
    """End Branchers one after the other, and return a row for each, and the errors of those that may go on.

    Args:
        link: The way to the API.
        wanted: Their rows, each with the `name` and the `parent`.
    """
    done: list[dict[str, Any]] = []
    failures: dict[str, HypernodeError] = {}
    for place, row in enumerate(wanted):
        name, parent = row["name"], row["parent"]
        try:
            with link.client(parent) as client:
                was_there = client.branchers.destroy(name)
        except HypernodeError as exc:
            failures[name] = exc
        except KeyboardInterrupt:
            left = ", ".join(str(each["name"]) for each in wanted[place:])
            print_note(f"Interrupted. Not known to be ended, and paid for until they are: {left}")
            raise
        else:
            done.append({**row, "result": "ended" if was_there else "was gone already"})
    return done, failures
