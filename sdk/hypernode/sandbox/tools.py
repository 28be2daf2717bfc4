"""Stand-ins of four tools that a node has (CONTRACT.md 4.1, 4.2), for a node of the sandbox.

Each start is a process of its own and scripts start them by the hundred, so this needs the standard library alone, and
imports late what is slow to load (`typing` is, too). An answer is written as it comes, so that stdout and stderr keep
their order where they are one.

Where the contract is silent the words are ours: the question before a change, what follows a change that was rolled
back, and that the API cannot be used (exit code 1).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

USAGE = "usage: hypernode-systemctl settings [--help] [NAME] [VALUE] [--value VALUE] [--block]"
DONE = (
    "Operation was successful, and the change is under way.",
    "Follow it with livelog.",
)
HEADING = ("ACTION", "START", "END", "STATE", "TASKS", "RUNNING")
SERVICE_LOG = "var/log/hypernode-servicectl.log"

_CARDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "settings.json")
_OVER = ("success", "reverted")  # CONTRACT.md 1.7
_TIMEOUT = 30.0
_POLL_INTERVAL = 0.1


def main(tool: str, root: str, api_url: str, arguments: list[str]) -> int:
    """Run `tool` and return its exit code.

    Args:
        tool: Its name, one of `TOOLS`.
        root: What is ``/`` on a node: there are the token and the name, read anew by each call.
        api_url: Where the sandbox listens.
        arguments: What was typed after the tool's name.

    Raises:
        SystemExit: Its own usage error, or the API cannot be used.
    """
    try:
        return TOOLS[tool](_Node(tool, root, api_url), arguments)
    except BrokenPipeError:  # | head
        return 0
    except KeyboardInterrupt:
        return 130


class _Node:
    """The node that `tool` runs on, and its way to the API."""

    def __init__(self, tool: str, root: str, api_url: str) -> None:
        self.tool, self.root, self.api_url = tool, root, api_url

    def fail(self, reason: str) -> SystemExit:
        """Return what ends the tool with exit code 1 and `reason` on stderr."""
        return SystemExit(f"{self.tool}: {reason}")

    def read(self, path: str) -> str:
        """Return the text of a file of the node."""
        try:
            with open(os.path.join(self.root, path), encoding="utf-8") as file:
                return file.read()
        except (OSError, ValueError) as exc:
            raise self.fail(f"/{path} cannot be read: {getattr(exc, 'strerror', None) or 'not text'}") from None

    def name(self) -> str:
        """Return the node's name as it stands in a path."""
        from urllib.parse import quote

        tag = self.decode(self.read("etc/hypernode/app.json")).get("tag")
        if not isinstance(tag, str):
            raise self.fail("/etc/hypernode/app.json does not name this node")
        return quote(tag, safe="")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, str]:
        """Return the API's status, body and Location; a redirect is not followed, as it would take the token along."""
        import json
        from http.client import HTTPConnection, HTTPException
        from urllib.parse import urlsplit

        headers = {
            "Authorization": f"Token {self.read('etc/hypernode/hypernode_api_token').strip()}",
            "Accept": "application/json",
            "Accept-Language": "en-US",
            "User-Agent": self.tool,
        }
        content = None
        if body is not None:
            content, headers["Content-Type"] = json.dumps(body), "application/json"
        address = urlsplit(self.api_url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT)
        try:
            connection.request(method, address.path.rstrip("/") + path, content, headers)
            answer = connection.getresponse()
            status, text, location = answer.status, answer.read(), answer.headers.get("Location", "")
        except (OSError, HTTPException, ValueError) as exc:  # its own text might show the token, as an illegal header
            raise self.fail(f"{self.api_url} gives no answer ({type(exc).__name__})") from None
        finally:
            connection.close()
        if 300 <= status < 400 or status >= 500:
            raise self.fail(f"{self.api_url} answers {status}")
        return status, text, location

    def decode(self, text: str | bytes) -> dict[str, object]:
        """Return a JSON object."""
        import json

        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise self.fail("what was read is no JSON object")
        return decoded


def _systemctl(node: _Node, arguments: list[str]) -> int:
    """List, show or change settings; a refusal is told in prose and ends with exit code 0, as a success does."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog=node.tool, usage=USAGE.removeprefix("usage: "), add_help=False)
    parser.add_argument("command", choices=["settings"])
    parser.add_argument("name", nargs="?")
    parser.add_argument("word", metavar="value", nargs="?")
    parser.add_argument("--value")
    parser.add_argument("--block", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    given = parser.parse_intermixed_args(arguments)
    if None not in (given.word, given.value):
        parser.error("the value is given twice")
    if given.help or given.name is None:
        return _list_settings(node)
    value = given.word if given.value is None else given.value
    if value is None:
        return _show_setting(node, given.name)
    return _change_setting(node, given.name, value, block=given.block)


def _list_settings(node: _Node) -> int:
    status, body, _ = node.ask("GET", "/v2/app/eav_descriptions/")
    if status >= 400:
        return _refuse(body)
    lines = [USAGE, "possible values"]
    for name, values in node.decode(body).items():
        lines.append(f"{name:<25}\t{[str(value) for value in values] if isinstance(values, list) else []}")
    _out(*lines)
    return 0


def _show_setting(node: _Node, name: str) -> int:
    """Show one value; a name that the API does not know gets the answer that a change of it would get."""
    status, body, _ = node.ask("GET", f"/v2/app/{node.name()}/?destroyed=false")
    if status >= 400:
        return _refuse(body)
    app = node.decode(body)
    if name not in app or name not in _cards(node):
        import json

        return _refuse(json.dumps({name: ["There is no such setting."]}).encode())
    _err(f"{name} is set to value {app[name]}")
    return 0


def _change_setting(node: _Node, name: str, value: str, *, block: bool) -> int:
    """Change a setting. With `block`, wait without end until its flows are over, as the real one is said to do."""
    card = _cards(node).get(name, {})
    if card.get("tool_prompts") and not _agrees(name):
        _err("Aborted.")
        return 0
    status, body, location = node.ask("PATCH", f"/v2/app/{node.name()}/", {name: _typed(card, value)})
    if status >= 400:
        return _refuse(body)
    tracker = location.rstrip("/").rpartition("/")[2]
    states = _wait(node, tracker) if block and status == 202 and tracker else []
    _err(DONE[0])
    _out(DONE[1])
    if "reverted" in states:
        _out("The change was not applied: its flow is reverted.")
    return 0


def _agrees(name: str) -> bool:
    """Ask as the real one does for some settings (CONTRACT.md 3), and read one line."""
    os.write(1, f"Changing {name} can interrupt the service. Do you want to continue? [y/N] ".encode())
    answer = sys.stdin.readline() if sys.stdin else ""
    return answer.strip().lower() in ("y", "yes")


def _typed(card: dict[str, object], value: str) -> bool | int | str:
    """Return `value` in the type that the API wants for the setting; what does not fit is left for the API to judge."""
    if card.get("type") == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if card.get("type") == "integer" and value.removeprefix("-").isdecimal() and len(value) < 20:
        return int(value)
    return value


def _wait(node: _Node, tracker: str) -> list[object]:
    """Return the states of the tracker's flows once all are over. A 404 or no flow at all means not yet."""
    import time

    while True:
        status, body, _ = node.ask("GET", f"/logbook/v1/logbooks/{node.name()}/flows/?tracker_uuid={tracker}")
        if status < 400:
            states = [flow["state"] for flow in _flows(node, body)]
            if states and all(state in _OVER for state in states):
                return states
        elif status not in (404, 429):
            raise node.fail(f"the change was posted, and the logbook answers {status}")
        time.sleep(_POLL_INTERVAL)


def _log(node: _Node, arguments: list[str]) -> int:
    """Show the newest page of the logbook; nothing but the heading while there is none.

    What is null in the API is None here. RUNNING knows no third word, so a flow that has not started is "finished" too:
    only STATE tells. A reverted ``create_backup`` shows as ``background`` (CONTRACT.md 1.7).
    """
    from argparse import ArgumentParser

    ArgumentParser(prog=node.tool).parse_args(arguments)
    status, body, _ = node.ask("GET", f"/logbook/v1/logbooks/{node.name()}/flows/")
    if status >= 400 and status != 404:
        raise node.fail(f"the logbook answers {status}")
    rows = [HEADING] if status == 404 else [HEADING, *map(_row, _flows(node, body))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    _out(*("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows))
    return 0


def _row(flow: dict[str, object]) -> tuple[str, ...]:
    progress = flow.get("progress")
    progress = progress if isinstance(progress, dict) else {}
    state = flow.get("state")
    if flow.get("name") == "create_backup" and state == "reverted":
        state = "background"
    return (
        str(flow.get("name")),
        str(flow.get("created_at")),
        str(flow.get("updated_at")),
        str(state),
        f"{progress.get('completed', 0)}/{progress.get('total', 0)}",
        str(next(iter(progress.get("running") or []), "finished")),
    )


def _servicectl(node: _Node, arguments: list[str]) -> int:
    """Note what would be restarted or reloaded in a log of ours, and say nothing."""
    from argparse import ArgumentParser

    from hypernode.version import __version__

    parser = ArgumentParser(prog=node.tool)
    parser.add_argument("--version", action="version", version=f"{node.tool} of hnctl's sandbox, {__version__}")
    parser.add_argument("action", metavar="ACTION", choices=["restart", "reload"])
    parser.add_argument("service", metavar="SERVICE", nargs="*")
    given = parser.parse_args(arguments)
    lines = "".join(f"{given.action} {service}\n" for service in given.service) or f"{given.action}\n"
    try:
        with open(os.path.join(node.root, SERVICE_LOG), "a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as exc:
        raise node.fail(f"/{SERVICE_LOG} cannot be written: {exc.strerror}") from None
    return 0


def _oom_protect(node: _Node, arguments: list[str]) -> int:
    """Become another command that the OOM killer spares.

    Only who may lower the score (root, CAP_SYS_RESOURCE) gets that; for others it goes on without a word.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        (_out if arguments else _err)(f"usage: {node.tool} COMMAND [ARGS]")
        return 0 if arguments else 2
    import signal
    from contextlib import suppress

    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would the command
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(arguments[0], arguments)  # noqa: S606  # that is its whole purpose
    except (FileNotFoundError, NotADirectoryError):
        _err(f"{node.tool}: {arguments[0]}: command not found")
        return 127
    except OSError as exc:
        _err(f"{node.tool}: {arguments[0]}: {exc.strerror}")
        return 126


def _cards(node: _Node) -> dict[str, dict[str, object]]:
    with open(_CARDS, encoding="utf-8") as file:
        listed = node.decode(file.read())["settings"]
    return {card["name"]: card for card in listed} if isinstance(listed, list) else {}


def _flows(node: _Node, body: bytes) -> list[dict[str, object]]:
    """Return the flows of a page of the logbook, newest first."""
    results = node.decode(body).get("results")
    return results if isinstance(results, list) else []


def _refuse(body: bytes) -> int:
    _err(f"Looks like something went wrong: {body!r}")
    return 0


def _out(*lines: str) -> None:
    _write(1, lines)


def _err(*lines: str) -> None:
    _write(2, lines)


def _write(stream: int, lines: Iterable[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(stream, data) :]


TOOLS: dict[str, Callable[[_Node, list[str]], int]] = {
    "hypernode-systemctl": _systemctl,
    "hypernode-servicectl": _servicectl,
    "hypernode-oom-protect": _oom_protect,
    "hypernode-log": _log,
}
"""By name; a value takes the node and the arguments, and returns the exit code."""
