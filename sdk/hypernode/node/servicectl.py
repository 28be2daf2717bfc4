"""hypernode-servicectl: restarting and reloading services (CONTRACT.md 4.2), and what a restart of MySQL interrupts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Literal

from hypernode.catalogue import Catalogue
from hypernode.errors import ConnectionFailed, InputError, OutcomeUnknown, ToolError, ToolMissing, ToolTimedOut
from hypernode.node.shell import Shell
from hypernode.node.systemctl import shown

TOOL = "hypernode-servicectl"
Action = Literal["restart", "reload"]
_SERVICE = re.compile(r"[a-z0-9][a-z0-9@._-]{0,99}")
_SEEN = ("mysql", "nginx", "rabbitmq-server", "redis", "supervisor", "techaro-botstopper@default", "varnish")
_QUERIES = (
    "SELECT CONCAT(TIME, ' s: ', LEFT(REPLACE(INFO, '\\n', ' '), 100)) FROM information_schema.PROCESSLIST "
    "WHERE COMMAND = 'Query' AND ID <> CONNECTION_ID() ORDER BY TIME DESC"
)
_ASK_TIMEOUT = 10.0


def known_services() -> list[str]:
    """Return the services that are known to be restarted so, sorted; a node may have others (CONTRACT.md 4.2)."""
    versions = Catalogue.bundled()["php_version"].values or ()
    return sorted([*_SEEN, *(f"php{version}-fpm" for version in versions)])


def check_service(name: str) -> str:
    """Return `name` if a service can be called so.

    Raises:
        InputError: It cannot.
    """
    if not _SERVICE.fullmatch(name):
        raise InputError(f"{name[:60]!r} is no name of a service", hint=f"Known are {', '.join(known_services())}")
    return name


def is_mysql(service: str) -> bool:
    """Tell whether `service` is the database server, by any of its names."""
    return service.removesuffix(".service") in ("mysql", "mysqld", "mariadb")


class Servicectl:
    """hypernode-servicectl on one node.

    Args:
        shell: Runs commands on the node.
        node: Its name, for errors.
    """

    def __init__(
        self,
        shell: Shell,
        *,
        node: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shell = shell
        self._node = node
        self._sleep = sleep
        self._clock = clock

    def do(self, action: Action, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Restart or reload services.

        Raises:
            InputError: One cannot be the name of a service; nothing was done.
            ToolError: The tool says that it failed.
            OutcomeUnknown: It did not end in time and may still be at it, or the line dropped.
            HypernodeError: See `Shell.run`.
        """
        argv = [TOOL, action, *map(check_service, services)]
        try:
            answer = self._shell.run(argv, timeout=timeout)
        except (ToolTimedOut, ConnectionFailed) as exc:
            if isinstance(exc, ConnectionFailed) and not exc.maybe_applied:
                raise
            raise OutcomeUnknown(
                f"{exc.message}; whether the {action} was done is not known",
                hint="Look at the services on the node before it is done again",
                node=self._node,
            ) from exc
        if answer.status != 0:
            raise ToolError(f"{TOOL} ended with {answer.status}: {shown(answer.text)}", node=self._node)

    def restart(self, services: Sequence[str], *, timeout: float = 120.0, wait: float) -> bool:
        """Restart services, and wait until MySQL answers again if it is one of them.

        Args:
            services: Their names.
            timeout: Seconds for the restart.
            wait: Seconds for MySQL to answer after it.

        Returns:
            False when MySQL is one of them and there is no ``mysqladmin`` to ask it with.

        Raises:
            ToolError: As `do`; or MySQL does not answer.
            HypernodeError: As `do`.
        """
        self.do("restart", services, timeout=timeout)
        if not any(map(is_mysql, services)):
            return True
        answers = self.wait_for_mysql(wait)
        if answers is False:
            raise ToolError(
                f"mysql was restarted and does not answer within {wait:g} s", hint="Look at its log on the node"
            )
        return answers is not None

    def running_queries(self) -> list[str] | None:
        """Return MySQL's queries, the longest first, each as ``SECONDS s: TEXT``; None when they cannot be seen."""
        try:
            argv = ["mysql", "--batch", "--raw", "--skip-column-names", f"--execute={_QUERIES}"]
            answer = self._shell.run(argv, timeout=_ASK_TIMEOUT)
        except (ToolMissing, ToolTimedOut):
            return None
        return None if answer.status else [line for line in answer.out.split("\n") if line.strip()]

    def wait_for_mysql(self, timeout: float) -> bool | None:
        """Wait until MySQL answers, and return whether it does; None when there is no ``mysqladmin`` to ask it with."""
        deadline = self._clock() + timeout
        while True:
            left = max(1.0, min(_ASK_TIMEOUT, deadline - self._clock()))
            try:
                if self._shell.run(["mysqladmin", "ping"], timeout=left).status == 0:
                    return True
            except ToolMissing:
                return None
            except (ToolTimedOut, ConnectionFailed):
                pass  # not yet
            if self._clock() >= deadline:
                return False
            self._sleep(1.0)
