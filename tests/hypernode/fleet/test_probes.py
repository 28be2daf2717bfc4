from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from hypernode.api.fpm import FpmStatus
from hypernode.api.pages import NoPage, Page
from hypernode.errors import NoToken, TryLater
from hypernode.fleet.gates import CommandGate, Finding, FlowsGate, FpmGate, Gate, HttpGate
from hypernode.fleet.probes import PAUSE, Probes

SHOP = "https://{node}.hypernode.io/"
GOOD, BAD = Page(200, "<html>kaas</html>"), Page(500, "Fatal error")
DOWN = NoPage("127.0.0.1 does not accept connections", on_the_way=False)
AWAY = NoPage("shop.invalid has no address (DNS)", on_the_way=True)


class World:
    """Answers with what it is told to, one after the other, and keeps what was asked."""

    def __init__(self, pages: Iterable[Page | NoPage] = (), fpm: FpmStatus | Exception | None = None) -> None:
        self.pages, self.fpm = list(pages), fpm
        self.asked: list[tuple[object, ...]] = []
        self.slept: list[float] = []

    def fetch(self, url: str, timeout: float, *, expected: int) -> Page | NoPage:
        self.asked.append((url, timeout, expected))
        return self.pages.pop(0)

    def ask_fpm(self, node: str) -> FpmStatus:
        self.asked.append((node,))
        if isinstance(self.fpm, Exception):
            raise self.fpm
        assert self.fpm is not None
        return self.fpm

    def probes(self, *gates: Gate) -> Probes:
        return Probes(gates, fetch=self.fetch, ask_fpm=self.ask_fpm, sleep=self.slept.append)

    def found(self, gate: Gate) -> tuple[str, str]:
        (found,) = self.probes(gate).try_on("kaasshop")
        return found.verdict, found.reason


def fpm(*lines: str, status: int = 200, message: str | None = None) -> FpmStatus:
    return FpmStatus(data="\n".join(lines), status=status, message=message)


def test_each_gate_finds_one_thing_and_flows_are_left_to_the_rollout() -> None:
    world = World([GOOD], fpm("1 IDLE 0.1s -"))
    gates = (FlowsGate(), HttpGate(SHOP), FpmGate(3), CommandGate(("true",)))
    assert world.probes(*gates).try_on("kaasshop") == (
        Finding("http https://{node}.hypernode.io/", "kaasshop", "passed", "status 200"),
        Finding("fpm", "kaasshop", "passed", "0 of 1 workers at work"),
        Finding("command true", "kaasshop", "passed", "it ended with 0"),
    )
    assert world.asked == [("https://kaasshop.hypernode.io/", 10.0, 200), ("kaasshop",)]


_LONG = Page(200, "kaas", is_whole=False)


@pytest.mark.parametrize(
    ("gate", "page", "expected"),
    [
        (HttpGate(SHOP), GOOD, ("passed", "status 200")),
        (HttpGate(SHOP), BAD, ("failed", "status 500 instead of 200")),
        (HttpGate(SHOP, 500), BAD, ("passed", "status 500")),
        (HttpGate(SHOP), DOWN, ("failed", "127.0.0.1 does not accept connections")),
        (HttpGate(SHOP), AWAY, ("undecided", "shop.invalid has no address (DNS)")),
        (HttpGate(SHOP, contains="kaas"), GOOD, ("passed", "status 200")),
        (HttpGate(SHOP, contains="worst"), GOOD, ("failed", "the page lacks worst")),
        (HttpGate(SHOP, lacks="worst"), GOOD, ("passed", "status 200")),
        (HttpGate(SHOP, lacks="kaas\n"), Page(200, "kaas\n"), ("failed", "the page has kaas\\n")),
        (HttpGate(SHOP, contains="kaas"), _LONG, ("passed", "status 200")),
        (HttpGate(SHOP, contains="worst"), _LONG, ("undecided", "the first MiB of the page lacks worst")),
        (HttpGate(SHOP, lacks="worst"), _LONG, ("undecided", "only the first MiB of the page is known to lack worst")),
        (HttpGate(SHOP, lacks="kaas"), _LONG, ("failed", "the page has kaas")),
    ],
)
def test_a_page_is_judged(gate: HttpGate, page: Page | NoPage, expected: tuple[str, str]) -> None:
    assert World([page]).found(gate) == expected


@pytest.mark.parametrize(
    ("needed", "pages", "verdict", "reason"),
    [
        (2, [GOOD, GOOD], "passed", "status 200"),
        (2, [GOOD, BAD, GOOD], "passed", "status 200"),
        (2, [BAD, BAD], "failed", "0 of 2 tries good, 2 of 3 needed; status 500 instead of 200"),
        (2, [BAD, GOOD, BAD], "failed", "1 of 3 tries good, 2 of 3 needed; status 500 instead of 200"),
        (2, [AWAY, AWAY], "undecided", "0 of 2 tries good, 2 of 3 needed; shop.invalid has no address (DNS)"),
        (2, [GOOD, BAD, AWAY], "undecided", "1 of 3 tries good, 2 of 3 needed; shop.invalid has no address (DNS)"),
        (3, [BAD], "failed", "0 of 1 tries good, 3 of 3 needed; status 500 instead of 200"),
        (1, [BAD, BAD, BAD], "failed", "0 of 3 tries good, 1 of 3 needed; status 500 instead of 200"),
        (1, [AWAY, DOWN, GOOD], "passed", "status 200"),
    ],
)
def test_no_more_tries_are_made_than_it_takes_to_know(
    needed: int, pages: list[Page | NoPage], verdict: str, reason: str
) -> None:
    world = World([*pages, *[GOOD] * 5])
    assert world.found(HttpGate(SHOP, needed=needed, tries=3)) == (verdict, reason)
    assert len(world.asked) == len(pages)
    assert world.slept == [PAUSE] * (len(pages) - 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (fpm("1 IDLE 0.1s -", "2 RUNNING 9s NL"), ("passed", "1 of 2 workers at work")),
        (fpm("1 FINISHING 0.1s -", "2 RUNNING 9s NL"), ("failed", "2 of 2 workers at work")),
        (fpm("1 RUNNING 9s", "?"), ("undecided", "1 of 2 workers at work, as far as the node's lines can be read")),
        (fpm("1 RUNNING 9s", "2 RUNNING 9s", "?"), ("failed", "2 of 2 workers at work")),
        (fpm(), ("undecided", "the node told of no worker")),
        (fpm("sh: not found"), ("undecided", "the node told of no worker")),
        (fpm(status=503), ("undecided", "the node did not answer (503)")),
        (fpm(status=408, message="no\nresponders"), ("undecided", "the node did not answer (408): no\\nresponders")),
        (TryLater("kaasshop: too many requests", status=429), ("undecided", "too many requests")),
        (NoToken("there is no token", node="kaasshop"), ("undecided", "there is no token")),
    ],
)
def test_workers_are_judged(status: FpmStatus | Exception, expected: tuple[str, str]) -> None:
    assert World(fpm=status).found(FpmGate(1)) == expected


def run(*argv: str, timeout: float = 20) -> tuple[str, str]:
    return World().found(CommandGate(argv, timeout))


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    def write(text: str, mode: int = 0o755) -> str:
        path = tmp_path / "smoke-test"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def shell(text: str, **more: float) -> tuple[str, str]:
    return run("sh", "-c", text, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exit 0", ("passed", "it ended with 0")),
        ("echo fine; exit 0", ("passed", "it ended with 0")),
        ("exit 75", ("undecided", "it ended with 75")),
        ("echo no checkout; exit 1", ("failed", "it ended with 1: no checkout")),
        ("echo a; echo b >&2; echo; exit 3", ("failed", "it ended with 3: b")),
        ("printf 'a\\033[2Jb'; exit 1", ("failed", "it ended with 1: a\\x1b[2Jb")),
        ("printf 'a\\377b'; exit 1", ("failed", "it ended with 1: a\ufffdb")),
        ("kill -SEGV $$", ("failed", "it was ended by SIGSEGV")),
        ("cat; exit $?", ("passed", "it ended with 0")),
        ("exec 1>&- 2>&-; exit 4", ("failed", "it ended with 4")),
    ],
)
def test_a_command_is_judged_by_how_it_ends(text: str, expected: tuple[str, str]) -> None:
    assert shell(text) == expected


def test_a_long_last_line_is_cut() -> None:
    verdict, reason = run(sys.executable, "-c", "print('x' * 100_000); raise SystemExit(1)")
    assert (verdict, reason) == ("failed", f"it ended with 1: {'x' * 200}...")


def test_a_command_knows_its_node_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "t0ken")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", "{}")
    monkeypatch.setenv("HNCTL_NODE", "othershop")
    assert shell('echo "$HNCTL_NODE ${HYPERNODE_API_TOKEN-none} ${HYPERNODE_API_TOKENS-none}"; exit 1') == (
        "failed",
        "it ended with 1: kaasshop none none",
    )


def test_what_cannot_be_run_is_undecided(script: Callable[..., str]) -> None:
    assert run("/nowhere/smoke-test") == ("undecided", "it cannot be run: No such file or directory")
    assert run(script("echo", 0o644)) == ("undecided", "it cannot be run: Permission denied")
    assert run(script("echo no first line that names an interpreter")) == (
        "undecided",
        "it cannot be run: Exec format error",
    )


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    began = time.monotonic()
    found = shell(f"trap '' TERM HUP INT; (trap '' TERM; sleep 60) & echo $$ $! > {pids}; wait", timeout=0.5)
    assert found == ("undecided", "it did not end within 0.5 s, and was ended")
    assert time.monotonic() - began < 5
    for pid in pids.read_text().split():
        deadline = time.monotonic() + 5
        while _is_alive(int(pid)):
            assert time.monotonic() < deadline, "a process of it is still there"
            time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_commands_are_ended_with_the_probes_and_none_is_started_after(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    probes = World().probes(CommandGate(("sh", "-c", f"touch {begun}; sleep 60")))
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.extend(probes.try_on("kaasshop")))
    thread.start()
    deadline = time.monotonic() + 10
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    probes.end()
    thread.join(10)
    found += probes.try_on("kaasshop")
    assert [(each.verdict, each.reason) for each in found] == [("undecided", "hnctl was interrupted")] * 2


def test_a_command_that_writes_without_end_is_ended_too() -> None:
    assert run("yes", timeout=0.3) == ("undecided", "it did not end within 0.3 s, and was ended")


def test_what_a_command_leaves_running_is_not_waited_for() -> None:
    began = time.monotonic()
    assert shell("sleep 3 & echo gone; exit 1") == ("failed", "it ended with 1: gone")
    assert time.monotonic() - began < 2


def test_a_command_that_closes_its_output_is_still_waited_for() -> None:
    assert shell("exec 1>&- 2>&-; sleep 0.2; exit 4") == ("failed", "it ended with 4")
    assert shell("exec 1>&- 2>&-; sleep 60", timeout=0.3)[0] == "undecided"


def test_many_nodes_are_tried_at_once() -> None:
    probes = World().probes(CommandGate(("sh", "-c", 'test "$HNCTL_NODE" = shop3')))
    found: dict[str, str] = {}

    def work(node: str) -> None:
        (one,) = probes.try_on(node)
        found[one.node] = one.verdict

    threads = [threading.Thread(target=work, args=(f"shop{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"shop{number}": "passed" if number == 3 else "failed" for number in range(6)}
