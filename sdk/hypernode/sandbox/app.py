"""The API as an ASGI application: paths, tokens, faults and the log.

Checked are, in the order of the real one: path, token, method, whose node it is. Only a request that passes all of
these can meet a fault.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import parse_qsl, quote

from hypernode.sandbox import answers, wire
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Fields, Refusal, read_fields
from hypernode.sandbox.calls import NOTHING, Call
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.operations.settings import change_settings, names_in
from hypernode.sandbox.routes import OF_THE_PAST, Route, find_place
from hypernode.sandbox.stage import Entry, Stage
from hypernode.sandbox.wire import Receive, Scope, Send

_LONGEST_AGENT = 100
_NODES = frozenset({"app", "brancher"})
"""What names a node in a path."""
_NO_BODY = ("GET", "HEAD", "OPTIONS")
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
        try:
            body = b"" if method in _NO_BODY else await wire.read_body(receive)
        except EOFError:
            return
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
        found = find_place(scope["path"])
        if found is None:
            return Outcome(_point_to_slash(scope["path"], method))
        place, args = found
        headers = dict(scope["headers"])
        node = self._find_node(args)
        about = node.name if node else None
        caller = self._find_caller(headers.get(b"authorization"))
        if isinstance(caller, Answer):
            return Outcome(caller, about)
        route = place.routes.get("GET" if method == "HEAD" else method)
        if route is None and method != "OPTIONS":
            return Outcome(answers.not_allowed(method, place.allow), about)
        if args.keys() & _NODES:
            refused = self._check_node(node, caller, route)
            if refused is not None:
                return Outcome(refused, about)
        else:
            about = caller.name if caller else None
        if route is None:
            return Outcome(answers.describe_path(place.allow), about)
        query_string = scope["query_string"].decode("latin-1")
        query = dict(parse_qsl(query_string, keep_blank_values=True)) if query_string else {}
        call = Call(self.stage, caller, node, args, query)
        if not route.writes:
            return self._act(route, call, about)
        if body is None:
            return Outcome(answers.TOO_LONG, about)
        fields = read_fields(headers.get(b"content-type", b"").decode("latin-1"), body)
        return self._act(route, call, about, fields)

    def _find_node(self, args: Mapping[str, str]) -> Node | None:
        """Return the node that a path names, if there is one."""
        nodes = self.stage.world.nodes
        if "brancher" in args:
            node = nodes.get(args["brancher"])
            return node if node and node.brancher else None
        return nodes.get(args.get("app", ""))

    def _find_caller(self, authorization: bytes | None) -> Node | Answer | None:
        """Return whose token it is; None: it is the one that may order."""
        scheme, _, given = (authorization or b"").partition(b" ")
        if scheme.lower() != b"token":
            return answers.NO_TOKEN
        world, token = self.stage.world, given.strip().decode("latin-1")
        if node := world.by_token.get(token):
            return node
        return None if token == world.order_token else answers.WRONG_TOKEN

    def _check_node(self, node: Node | None, caller: Node | None, route: Route | None) -> Answer | None:
        """Return why `caller` may not do that with the node of the path, if it may not."""
        if node is None:
            return answers.NOT_FOUND
        if node is not caller and not (node.brancher and caller and node.brancher.parent == caller.name):
            return answers.NOT_YOURS
        if node.brancher is None or (route is not None and route.operation in OF_THE_PAST):
            return None
        return answers.NOT_FOUND if node.is_gone(self.stage.world.clock()) else None

    def _act(self, route: Route, call: Call, about: str | None, fields: Fields | Refusal = NOTHING) -> Outcome:
        fault = self.stage.draws.draw(about or "", route.method, route.faults)
        if fault is not None and (answer := self._fail(fault, about or "", fields)) is not None:
            names = names_in(fields) if route.act is change_settings and isinstance(fields, Fields) else ()
            return Outcome(answer, about, fault, names)
        if isinstance(fields, Refusal):
            return Outcome(answers.json_answer(fields.problems, fields.status), about, fault)
        done = route.act(replace(call, fields=fields, fault=fault) if route.writes else call)
        if isinstance(done, Answer):
            return Outcome(done, about, fault)
        return Outcome(done.answer, about, fault, done.settings, done.changed, done.overlap)

    def _fail(self, fault: Fault, node: str, fields: Fields | Refusal) -> Answer | None:
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
            case Fault.API_USE_OFF:
                return answers.API_USE_OFF
            case Fault.REJECT if isinstance(fields, Fields):
                first = next(iter(fields.given), None)
                if first is None:
                    return answers.refuse("This is not available on this node.")
                return answers.json_answer({first: [f"{first} is not available on this node."]}, 400)
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


def _point_to_slash(path: str, method: str) -> Answer:
    """Answer a path that is none; a missing slash redirects reads and fails the rest (CONTRACT.md 1.2)."""
    leads = method in ("GET", "HEAD") and not path.endswith("/") and find_place(path + "/")
    return answers.redirect(301, quote(path) + "/") if leads else answers.NOT_FOUND


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
