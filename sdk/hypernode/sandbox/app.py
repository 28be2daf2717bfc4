"""The API as an ASGI application: paths, tokens, faults and the log.

Checked are, in the order of the real one: path, token, method, whose node it is. Only a request that passes all of
these can meet a fault.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qsl, quote

from hypernode.sandbox import answers, operations, wire
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Refusal, Settings, read_settings
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.stage import Entry, Stage
from hypernode.sandbox.wire import Receive, Scope, Send

_READ = ("GET", "HEAD", "OPTIONS")
_ROUTES: tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...] = (
    (re.compile(r"/v2/app/"), "list_apps", _READ),
    (re.compile(r"/v2/app/eav_descriptions/"), "describe_values", _READ),
    (re.compile(r"/v2/app/([^/]+)/"), "app", ("GET", "PATCH", "HEAD", "OPTIONS")),
    # Both spellings work for reading (CONTRACT.md 1.2).
    (re.compile(r"/logbook/v1/logbooks/([^/]+)/flows/?"), "list_flows", _READ),
    # A POST that only reads, and without a slash at its end (CONTRACT.md 2.2 #20, 1.2).
    (re.compile(r"/v2/nats/([^/]+)/hypernode\.show-fpm-status"), "fpm_status", ("POST", "OPTIONS")),
)
_LONGEST_AGENT = 100
_NO_ANSWER = frozenset({Fault.RESET, Fault.HANG, Fault.LOST_ANSWER})


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, and what the log says of the request."""

    answer: Answer
    node: str | None = None
    fault: Fault | None = None
    settings: tuple[str, ...] = ()
    changed: bool = False
    overlap: bool = False


class Api:
    """The ASGI application for everything but the control path."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        stage, method = self.stage, scope["method"]
        seq, at = stage.log.next_seq(), stage.world.age()
        if stage.latency:
            await asyncio.sleep(stage.latency)
        body = await wire.read_body(receive) if method == "PATCH" else b""
        outcome = self._answer(scope, method, body)
        stage.log.entries.append(_make_entry(scope, seq, at, outcome))
        match outcome.fault:
            case Fault.RESET | Fault.LOST_ANSWER:
                await wire.reset(scope, receive)
            case Fault.HANG:
                await wire.hang(scope, receive)
            case Fault.TRUNCATE:
                await wire.truncate(outcome.answer, scope, receive, send)
            case _:
                await wire.deliver(outcome.answer, send)

    def _answer(self, scope: Scope, method: str, body: bytes | None) -> Outcome:
        path = scope["path"]
        route = _find_route(path)
        if route is None:
            # A missing slash redirects reads and fails the rest (CONTRACT.md 1.2).
            leads = method in ("GET", "HEAD") and not path.endswith("/") and _find_route(path + "/")
            return Outcome(answers.redirect(301, quote(path) + "/") if leads else answers.NOT_FOUND)
        operation, allow, name = route
        headers = dict(scope["headers"])
        node = self.stage.world.nodes.get(name) if name else None
        about = node.name if node else None
        caller = self._find_caller(headers.get(b"authorization"))
        if isinstance(caller, Answer):
            return Outcome(caller, about)
        if method not in allow:
            return Outcome(answers.not_allowed(method, ", ".join(allow)), about)
        if name is None:
            node = caller
        if node is None:
            return Outcome(answers.NOT_FOUND)
        if node is not caller:
            return Outcome(answers.NOT_YOURS, about)
        if method == "OPTIONS":
            return Outcome(operations.describe_path(", ".join(allow)), node.name)
        if method == "PATCH":
            if body is None:
                return Outcome(answers.TOO_LONG, node.name)
            return self._write(node, read_settings(headers.get(b"content-type", b"").decode("latin-1"), body))
        return self._read(operation, node, method, scope["query_string"])

    def _find_caller(self, authorization: bytes | None) -> Node | Answer:
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"token":
            return answers.NO_TOKEN
        return self.stage.world.by_token.get(token.strip().decode("latin-1")) or answers.WRONG_TOKEN

    def _read(self, operation: str, node: Node, method: str, query_string: bytes) -> Outcome:
        stage = self.stage
        fault = stage.draws.draw(node.name, method)
        if fault is not None and (answer := self._fail(fault, node.name)) is not None:
            return Outcome(answer, node.name, fault)
        query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)) if query_string else {}
        match operation:
            case "app":
                answer = operations.show_app(stage, node, query)
            case "list_flows":
                answer = operations.list_flows(stage, node, query)
            case "fpm_status":
                answer = operations.show_fpm_status(node)
            case "list_apps":
                answer = operations.list_apps(stage, node, query)
            case _:
                answer = operations.describe_values()
        return Outcome(answer, node.name, fault)

    def _write(self, node: Node, settings: Settings | Refusal) -> Outcome:
        names = () if isinstance(settings, Refusal) else tuple(settings)
        fault = self.stage.draws.draw(node.name, "PATCH")
        if fault is not None and (failure := self._fail(fault, node.name)) is not None:
            return Outcome(failure, node.name, fault, names)
        answer, posted = operations.change_app(self.stage, node, settings, fault)
        changed = posted is not None and posted.job is not None
        return Outcome(answer, node.name, fault, names, changed, posted is not None and posted.overlap)

    def _fail(self, fault: Fault, node: str) -> Answer | None:
        """Return what a fault answers in place of the operation; None: the operation goes ahead."""
        match fault:
            case Fault.RATE_LIMIT:
                return self._limit_rate(node)
            case Fault.BAD_GATEWAY:
                return answers.gateway_error(502)
            case Fault.UNAVAILABLE:
                return answers.gateway_error(503)
            case Fault.REDIRECT:
                return answers.redirect(302, self.stage.links.redirect_to)
            case Fault.RESET | Fault.HANG:
                return answers.EMPTY
            case _:
                return None

    def _limit_rate(self, node: str) -> Answer:
        wait = math.ceil(self.stage.retry_after)
        text = f"Request was throttled. Expected available in {wait} second{'s' if wait != 1 else ''}."
        as_date = self.stage.draws.count_limited(node) % 2
        after = formatdate(math.ceil(time.time()) + wait, usegmt=True) if as_date else str(wait)
        return answers.detail(429, text).with_header("retry-after", after)


def _find_route(path: str) -> tuple[str, tuple[str, ...], str | None] | None:
    """Return the operation behind `path`, its methods and the node that the path names."""
    for pattern, operation, allow in _ROUTES:
        if found := pattern.fullmatch(path):
            return operation, allow, found[1] if pattern.groups else None
    return None


def _make_entry(scope: Scope, seq: int, at: float, outcome: Outcome) -> Entry:
    path, query = scope["raw_path"], scope["query_string"]
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return Entry(
        seq=seq,
        at=at,
        method=scope["method"],
        path=(path + b"?" + query if query else path).decode("latin-1"),
        node=outcome.node,
        status=None if outcome.fault in _NO_ANSWER else outcome.answer.status,
        settings=outcome.settings,
        changed=outcome.changed,
        overlap=outcome.overlap,
        fault=outcome.fault.value if outcome.fault else None,
        agent=agent[:_LONGEST_AGENT].decode("latin-1"),
    )
