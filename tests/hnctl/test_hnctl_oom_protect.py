"""`hnctl oom protect`: a command through hypernode-oom-protect, with its streams, signals and exit code."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import _AT_THE_TERMINAL, COMMAND, run, run_in_shell, run_in_terminal, start
from runs import Hnctl

from hypernode.sandbox.node_tools import write_node_tools

PROTECT = ["oom", "protect"]
PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
GIB = 1 << 20
NOTE = re.compile(
    r"^(\S+) (ended with [0-9]+|was ended by \S+) after [0-9.]+ s.*; its largest process took at most .*\n$"
)


@pytest.fixture
def tool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hypernode-oom-protect that becomes the command."""
    path = folder / "tools" / "hypernode-oom-protect"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nexec "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


@pytest.fixture
def protected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a node of 4 GiB, and add protected processes to it."""
    proc = folder / "root" / "proc"
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(proc.parent))

    def add(pid: int, *, rss: int, pss: int | None = None, adj: int = -1000) -> None:
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "status").write_text(f"Name:\tphp-fpm\nVmRSS: {rss} kB\n")
        (proc / str(pid) / "oom_score_adj").write_text(f"{adj}\n")
        if pss is not None:
            (proc / str(pid) / "smaps_rollup").write_text(f"Pss: {pss} kB\n")

    add(1, rss=9000, adj=0)
    (proc / "meminfo").write_text(f"MemTotal: {4 * GIB} kB\n")
    return add


# exit codes and words


@pytest.mark.parametrize("code", [0, 1, 3, 77, 126, 127, 255])
def test_the_exit_code_is_the_command_s(code: int, hnctl: Hnctl, tool: Path):
    ran = hnctl(*PROTECT, "--", "sh", "-c", f"exit {code}")
    assert (ran.status, ran.out) == (code, "")
    assert NOTE.match(ran.err)
    assert ran.err.startswith(f"sh ended with {code} after ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_ended_by_a_signal_is_what_a_shell_says(number: signal.Signals, hnctl: Hnctl, tool: Path):
    ran = hnctl(*PROTECT, "--", "sh", "-c", f"ulimit -c 0; kill -{number.value} $$")
    assert ran.status == 128 + number
    assert ran.err.startswith(f"sh was ended by {number.name} after ")


def test_a_command_that_is_not_there_is_what_the_tool_makes_of_it(hnctl: Hnctl, tool: Path):
    ran = hnctl(*PROTECT, "--", "no-such-command")
    assert ran.status == 127
    assert "no-such-command" in ran.err


def test_the_sandbox_s_tool_works_and_where_it_cannot_protect_that_is_told(folder: Path, hnctl: Hnctl, monkeypatch):
    write_node_tools(folder / "node", node="kaasshop", token="x", api_url="http://127.0.0.1:1")
    monkeypatch.setenv("PATH", f"{folder}/node/bin:{os.environ['PATH']}")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder / "node" / "root"))
    assert hnctl(*PROTECT, "--", "sh", "-c", "exit 42").status == 42
    assert hnctl(*PROTECT, "--", "nope").status == 127
    ran = hnctl(*PROTECT, "--", "sh", "-c", "sleep 2.3; cat /proc/$$/oom_score_adj")
    warning = "Warning: the command is NOT protected: hypernode-oom-protect started it, and its oom_score_adj is "
    assert ran.status == 0
    assert (warning in ran.err) != (ran.out == "-1000\n")


def test_without_the_tool_nothing_is_run(hnctl: Hnctl, folder: Path):
    ran = hnctl(*PROTECT, "--", "touch", "made")
    assert ran == (
        69,
        "",
        "Error: there is no hypernode-oom-protect on this machine\n  hint: Every Hypernode has it: is this one?\n",
    )
    assert not (folder / "made").exists()


def test_a_tool_that_cannot_be_started_is_told(hnctl: Hnctl, tool: Path):
    tool.write_bytes(b"\0\1")
    ran = hnctl(*PROTECT, "--", "true")
    assert (ran.status, ran.out) == (1, "")
    assert "hypernode-oom-protect cannot be started: Exec format error" in ran.err


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["--", "echo", "--timeout", "5", "--help"], "--timeout 5 --help\n"),
        (["echo", "--timeout", "5", "-h", "--nope"], "--timeout 5 -h --nope\n"),
        (["--timeout", "1m", "echo", "--", "-x"], "-- -x\n"),
        (["--", "echo", "--", "a b", "", "*"], "-- a b  *\n"),
    ],
    ids=str,
)
def test_options_behind_the_command_are_the_command_s(words: list[str], out: str, hnctl: Hnctl, tool: Path):
    ran = hnctl(*PROTECT, *words)
    assert (ran.status, ran.out) == (0, out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing argument 'COMMAND...'"),
        (["--"], "Missing argument 'COMMAND...'"),
        (["--timeout", "2h"], "Missing argument 'COMMAND...'"),
        (["--php", "x"], "No such option '--php'"),
        (["--max-total", "2X", "true"], "'2X' is no share such as 40%"),
        (["--timeout", "soon", "true"], "soon"),
    ],
    ids=str,
)
def test_what_it_does_not_take(words: list[str], says: str, hnctl: Hnctl, tool: Path):
    ran = hnctl(*PROTECT, *words)
    assert (ran.status, ran.out) == (64, "")
    assert says in ran.err


def test_the_api_s_time_limit_is_not_the_command_s(hnctl: Hnctl, tool: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_TIMEOUT", "100ms")
    assert hnctl(*PROTECT, "--", "sleep", "0.4").status == 0
    monkeypatch.setenv("HNCTL_PROTECT_TIMEOUT", "100ms")
    assert hnctl(*PROTECT, "--", "sleep", "5").status == 124
    assert hnctl(*PROTECT, "--timeout", "0", "--", "sleep", "0.3").status == 0


# the budget


def test_a_budget_is_refused_one_byte_beyond_and_nothing_is_run(
    hnctl: Hnctl, tool: Path, folder: Path, protected: Callable[..., None]
):
    protected(500, rss=GIB, pss=GIB)
    assert hnctl(*PROTECT, "--max-total", str(1 << 30), "--", "true").status == 0
    ran = hnctl(*PROTECT, "--max-total", str((1 << 30) - 1), "--", "touch", "made")
    assert (ran.status, ran.out) == (5, "")
    assert ran.err == (
        "Error: 1 protected process holds 1,024.0 MiB, 25.0% of the memory, and the budget is 1,024.0 MiB; the "
        "largest: php-fpm (500) 1,024.0 MiB. If all is protected, nothing is left to kill\n"
        "  hint: Give the memory back first (hnctl services restart mysql when it is MySQL's), run the command without "
        "protection, or allow more with --max-total\n"
    )
    assert not (folder / "made").exists()


def test_without_a_word_the_budget_is_two_fifths(hnctl: Hnctl, tool: Path, protected: Callable[..., None]):
    protected(500, rss=4 * GIB * 2 // 5)
    assert hnctl(*PROTECT, "--", "true").status == 0
    protected(501, rss=1)
    assert hnctl(*PROTECT, "--", "true").status == 5
    assert hnctl(*PROTECT, "--max-total", "41%", "--", "true").status == 0


def test_shared_memory_of_many_workers_is_counted_once(hnctl: Hnctl, tool: Path, protected: Callable[..., None]):
    for pid in range(600, 640):
        protected(pid, rss=200_000, pss=10_000)
    assert hnctl(*PROTECT, "--", "true").status == 0
    protected(640, rss=2 * GIB)
    ran = hnctl(*PROTECT, "--", "true")
    assert ran.status == 5
    assert "41 protected processes hold at most 2,438.6 MiB, 59.5% of the memory" in ran.err
    assert "run as root to count shared memory once" in ran.err


def test_when_not_all_can_be_seen_that_is_told(hnctl: Hnctl, tool: Path, folder: Path, protected: Callable[..., None]):
    (folder / "root/proc/1").rename(folder / "root/hidden")
    ran = hnctl(*PROTECT, "--", "true")
    assert ran.status == 0
    assert "Not all processes of this machine can be seen: more may be protected than is counted.\n" in ran.err


# streams


def test_the_streams_are_the_command_s_own_byte_for_byte(tool: Path, folder: Path):
    sent = bytes(range(256)) * 4096
    (folder / "sent").write_bytes(sent)
    done = run_in_shell(
        'cat sent | "$@" 2> err > got; echo $?; cmp sent got',
        *PROTECT,
        "--",
        "sh",
        "-c",
        "cat; printf '\\377no end' >&2",
    )
    assert (done.out, done.err) == ("0\n", "")
    err = (folder / "err").read_bytes()
    assert err.startswith(b"\xffno end")
    assert NOTE.match(err.removeprefix(b"\xffno end").decode())


def test_it_is_one_of_a_pipe(tool: Path):
    done = run_in_shell('yes | "$@" | head -c 4', *PROTECT, "--", "cat")
    assert (done.status, done.out) == (0, "y\ny\n")
    assert "cat was ended by SIGPIPE" in done.err


def test_no_stream_at_all_is_no_failure(tool: Path, folder: Path):
    done = run_in_shell('"$@" <&- >&- 2>&-; echo $?', *PROTECT, "--", "touch", "made")
    assert done == (0, "0\n", "")
    assert (folder / "made").exists()


# signals


# In Python, as bash loses one of twenty signals that come while its trap is running.
COUNTS = """\
import os, signal, sys, time
count = 0
def interrupted(*_):
    global count
    count += 1
    os.write(1, b"INT %d\\n" % count)
    if count == int(sys.argv[1]):
        time.sleep(0.3)
        os._exit(count)
def end(status):
    os.write(1, b"END\\n")
    os._exit(status)
signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGTERM, lambda *_: end(9))
signal.signal(signal.SIGQUIT, lambda *_: end(8))
os.write(1, b"ready\\n")
while True:
    time.sleep(1)
"""


def line(process: subprocess.Popen[bytes]) -> bytes:
    """Read a line of what a process without a buffer says."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 10)[0], "it says nothing"
    return process.stdout.readline()


def test_sigterm_and_sigint_reach_the_command_each_as_often_as_it_was_sent(tool: Path):
    with start(*PROTECT, "--", sys.executable, "-S", "-c", COUNTS, "5", **PIPES) as process:
        assert line(process) == b"ready\n"
        for count in (1, 2):
            process.send_signal(signal.SIGINT)
            assert line(process) == b"INT %d\n" % count
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (9, b"END\n")
    assert b" ended with 9 after" in err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_ends_the_command_is_told(number: signal.Signals, status: int, tool: Path):
    with start(
        *PROTECT, "--", sys.executable, "-S", "-c", "import time; print(1, flush=1); time.sleep(30)", **PIPES
    ) as process:
        line(process)
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    assert process.returncode == status
    assert number.name.encode() in err


def test_at_the_timeout_the_group_is_ended(tool: Path, folder: Path):
    script = "sleep 30 & echo $! > grandchild; sleep 30"
    began = time.monotonic()
    ran = run(*PROTECT, "--timeout", "700ms", "--", "sh", "-c", script)
    assert ran.status == 124
    assert time.monotonic() - began < 8
    assert "sh was ended by --timeout after " in ran.err
    state = Path(f"/proc/{(folder / 'grandchild').read_text().strip()}/stat")
    assert not state.exists() or b") Z " in state.read_bytes()


# on a terminal


def test_ctrl_c_reaches_the_command_once(tool: Path):
    shown = run_in_terminal(
        *PROTECT, "--", sys.executable, "-S", "-c", COUNTS, "2", answers=[("ready", "\x03"), ("INT 1", "\x03")]
    )
    assert shown.status == 2, shown.out
    assert shown.out.count("INT 1") == shown.out.count("INT 2") == 1
    assert "INT 3" not in shown.out
    assert "Traceback" not in shown.out


def test_ctrl_c_that_ends_the_command_ends_as_in_a_shell(tool: Path):
    shown = run_in_terminal(*PROTECT, "--", "sh", "-c", "echo ready; sleep 20", answers=[("ready", "\x03")])
    assert shown.status == 130
    assert "Aborted" not in shown.out


def test_the_command_reads_the_terminal(tool: Path):
    shown = run_in_terminal(
        *PROTECT, "--", "sh", "-c", 'printf "name? "; read x; echo "hello $x"', answers=[("name?", "you\n")]
    )
    assert shown.status == 0, shown.out
    assert "hello you" in shown.out


def test_at_the_timeout_a_command_that_holds_the_terminal_is_ended(tool: Path):
    shown = run_in_terminal(*PROTECT, "--timeout", "700ms", "--", "cat")
    assert shown.status == 124
    assert "cat was ended by --timeout" in shown.out


class Terminal:
    """A bash that a person works with, on a terminal of its own."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        shell = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
        environment = {**os.environ, "PS1": "$ ", "TERM": "dumb", "HISTFILE": ""}
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self.process = subprocess.Popen([*_AT_THE_TERMINAL, *shell], env=environment, start_new_session=True, **streams)
        os.close(theirs)
        self._said = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def expect(self, pattern: str) -> str:
        """Read until `pattern` is to be seen behind what was expected before, and return all up to there."""
        deadline = time.monotonic() + 10
        while not (match := re.search(pattern, self._said)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self._said!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self._said += os.read(self._ours, 65536).decode(errors="replace")
        found, self._said = self._said[: match.end()], self._said[match.end() :]
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(tool: Path):
    short = tool.with_name("hn")
    short.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} oom protect "$@"\n')
    short.chmod(0o755)
    terminal = Terminal()
    terminal.type("stty -echo; echo rea''dy\n")
    terminal.expect(r"ready\r\n\$ ")
    yield terminal
    terminal.close()


def test_ctrl_z_stops_it_as_one_job_and_fg_and_bg_let_it_go_on(terminal: Terminal, folder: Path):
    script = 'trap \'echo CONTINUED\' CONT; echo ready; read a; echo "got $a"; read b; echo "and $b"'
    (folder / "reads").write_text(script)
    terminal.type("hn -- bash reads\n")
    terminal.expect("ready")
    time.sleep(0.2)
    terminal.type("\x1a")
    terminal.expect(r"Stopped.*\n\$ ")
    terminal.type("echo the shell is back\n")
    terminal.expect("the shell is back")
    terminal.type("fg\n")
    terminal.expect("CONTINUED")
    terminal.type("one\n")
    assert "CONTINUED" not in terminal.expect("got one")
    terminal.type("\x1a")
    terminal.expect(r"Stopped.*\n\$ ")
    terminal.type("bg\n")  # it reads, so it stops again
    terminal.expect(r"\$ ")
    time.sleep(0.5)
    terminal.type("\n")
    terminal.expect(r"Stopped")
    terminal.type("fg\n")
    terminal.expect("hn -- bash reads")
    time.sleep(0.2)
    terminal.type("two\n")
    terminal.expect("and two")
    terminal.expect(r"bash ended with 0 after .*\n\$ ")


def test_in_a_pipe_the_others_keep_the_terminal_and_ctrl_c_reaches_the_command_once(terminal: Terminal, folder: Path):
    (folder / "counts").write_text(COUNTS)
    terminal.type(f"hn -- {sys.executable} -S counts 9 | (trap '' INT QUIT; cat)\n")
    terminal.expect("ready")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect("INT 1")
    terminal.type("\x03")
    assert "INT 1" not in terminal.expect("INT 2")
    terminal.type("\x1a")
    terminal.expect(r"Stopped.*\n\$ ")
    terminal.type("fg\n")
    terminal.expect("hn -- ")
    time.sleep(0.3)
    terminal.type("\x03")
    assert "INT 2" not in terminal.expect("INT 3")
    terminal.type("\x1c")
    terminal.expect(" ended with 8 after")


def test_in_a_pipe_a_command_that_reads_gets_the_terminal(terminal: Terminal, folder: Path):
    (folder / "reads").write_text('echo ready; read a; echo "got $a"')
    terminal.type("hn -- bash reads | cat\n")
    terminal.expect("ready")
    terminal.type("it\n")
    terminal.expect("got it")
    terminal.expect(r"\$ ")
    terminal.type("echo alive\n")
    terminal.expect("alive")
