"""`hnctl oom scores`: who would die next, of a made node and of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from processes import run_in_terminal
from runs import Hnctl

SCORES = ["oom", "scores"]
GIB = 1 << 20


class Node:
    """A made node of 4 GiB."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.proc.mkdir(parents=True)
        (self.proc / "meminfo").write_text(f"MemTotal: {4 * GIB} kB\nSwapTotal: 0 kB\n")
        self.add(1, "systemd", rss=9000, score=0)

    def add(
        self,
        pid: int,
        name: str,
        *,
        rss: int | None,
        adj: int = 0,
        score: int = 666,
        pss: int | None = None,
        cgroup: str = "/",
        command: Iterable[str] | None = None,
    ) -> None:
        folder = self.proc / str(pid)
        folder.mkdir()
        status = f"Name:\t{name}\nUid:\t1000\t1000\t1000\t1000\n"
        if rss is not None:
            status += f"VmRSS:\t{rss} kB\nVmSwap:\t0 kB\nVmPTE:\t40 kB\n"
        files = {
            "status": status,
            "oom_score": f"{score}\n",
            "oom_score_adj": f"{adj}\n",
            "cgroup": f"0::{cgroup}\n",
            "cmdline": "\0".join([name] if command is None else command),
        }
        if pss is not None:
            files["smaps_rollup"] = f"Pss: {pss} kB\n"
        for file, content in files.items():
            (folder / file).write_text(content)

    def limit(self, cgroup: str, text: str) -> None:
        folder = self.root / "sys/fs/cgroup" / cgroup.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{text}\n")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A shop: MySQL and php-fpm are protected, a cron job is the largest of the rest, a shell is to die first."""
    node = Node(tmp_path / "root")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(node.root))
    node.add(2, "kthreadd", rss=None, command=[])
    node.add(500, "mysqld", rss=GIB, adj=-1000, score=0, pss=GIB, cgroup="/system.slice/mysql.service")
    node.add(600, "php-fpm8.3", rss=200_000, adj=-1000, score=0, cgroup="/system.slice/php.service")
    node.add(700, "bash", rss=4000, adj=1000, score=1334, cgroup="/user.slice/session-3.scope")
    node.add(
        800, "php", rss=900_000, score=809, pss=880_000, cgroup="/user.slice/cron.service", command=["php", "i.php"]
    )
    node.add(900, "nginx", rss=20_000, score=669, cgroup="/system.slice/nginx.service")
    return node


def test_the_table_marks_the_next_and_counts_the_protected(hnctl: Hnctl, node: Node):
    assert hnctl(*SCORES) == (
        0,
        "next  pid  name   score  adj   rss       cgroup                       command\n"
        "*     700  bash   1334   1000  3.9 MiB   /user.slice/session-3.scope  bash\n"
        "      800  php    809    0     879 MiB   /user.slice/cron.service     php i.php\n"
        "      900  nginx  669    0     19.5 MiB  /system.slice/nginx.service  nginx\n",
        "Next to die, if the machine ran out now: bash (700).\n"
        "Protected (-1000): 2 processes with at most 1.2 GiB, 30% of RAM.\n",
    )


def test_the_document_holds_all_that_is_known(hnctl: Hnctl, node: Node):
    document = hnctl(*SCORES, "-o", "json", "--top", "2").json
    rows = document.pop("processes")
    assert document == {
        "format_version": 1,
        "cgroup": None,
        "limit_kib": None,
        "memory_kib": 4 * GIB,
        "swap_kib": 0,
        "candidates": 3,
        "protected": {"processes": 2, "held_kib": GIB + 200_000, "exact": False, "share": 0.2977},
        "unseen": False,
    }
    assert [(row["pid"], row["next"], row["score"]) for row in rows] == [(700, True, 1334), (800, False, 809)]
    assert rows[1] == {
        "next": False,
        "pid": 800,
        "name": "php",
        "uid": 1000,
        "score": 809,
        "oom_score": 809,
        "oom_score_adj": 0,
        "rss_kib": 900_000,
        "pss_kib": 880_000,
        "swap_kib": 0,
        "page_tables_kib": 40,
        "cgroup": "/user.slice/cron.service",
        "command": "php i.php",
    }


def test_the_other_formats_hold_the_same(hnctl: Hnctl, node: Node):
    import json

    import yaml

    document = hnctl(*SCORES, "-o", "json").json
    assert yaml.safe_load(hnctl(*SCORES, "-o", "yaml").out) == document
    lines = [json.loads(line) for line in hnctl(*SCORES, "-o", "jsonl").out.splitlines()]
    assert lines[:-1] == [{"format_version": 1, **row} for row in document["processes"]]
    assert lines[-1]["summary"]["protected"] == document["protected"]
    assert "| * | 700 | bash | 1334 | 1000 | 3.9 MiB |" in hnctl(*SCORES, "-o", "markdown").out


def test_a_cgroup_has_its_own_next_by_its_own_limit(hnctl: Hnctl, node: Node):
    node.add(801, "rsync", rss=100_000, adj=300, cgroup="/user.slice/cron.service/deep")
    node.limit("/user.slice/cron.service", str(1000 * 1024 * 1024))
    ran = hnctl(*SCORES, "--cgroup", "/sys/fs/cgroup/user.slice/cron.service/")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [["next", "pid"], ["*", "800"], ["801", "rsync"]]
    assert ran.err == ("Next to die, if /user.slice/cron.service ran out: php (800).\nProtected (-1000): none.\n")
    document = hnctl(*SCORES, "--cgroup", "user.slice/cron.service", "-o", "json").json
    assert (document["cgroup"], document["limit_kib"]) == ("/user.slice/cron.service", 1_024_000)
    assert [(row["pid"], row["score"]) for row in document["processes"]] == [(800, 1252), (801, 931)]
    node.limit("/user.slice/cron.service", str(4000 * 1024 * 1024))
    assert hnctl(*SCORES, "--cgroup", "user.slice/cron.service", "-o", "json").json["processes"][0]["pid"] == 801


def test_a_cgroup_without_a_limit_names_the_one_above_that_has_one(hnctl: Hnctl, node: Node):
    node.limit("/user.slice/cron.service", "max")
    ran = hnctl(*SCORES, "--cgroup", "/user.slice/cron.service")
    assert "/user.slice/cron.service has no limit of its own: only the machine can run out.\n" in ran.err
    node.limit("/user.slice", "1073741824")
    ran = hnctl(*SCORES, "--cgroup", "/user.slice/cron.service")
    assert "/user.slice/cron.service has no limit of its own: it is /user.slice that can run out.\n" in ran.err
    assert ran.status == 0


def test_an_empty_cgroup_has_nobody_to_kill(hnctl: Hnctl, node: Node):
    node.limit("/idle.slice", "1073741824")
    assert hnctl(*SCORES, "--cgroup", "/idle.slice") == (
        0,
        "",
        "No process that could be killed.\nProtected (-1000): none.\n",
    )


def test_a_cgroup_that_is_not_there_is_told_with_the_nearest(hnctl: Hnctl, node: Node):
    ran = hnctl(*SCORES, "--cgroup", "/user.slice/corn.service")
    assert (ran.status, ran.out) == (64, "")
    assert ran.err == (
        "Error: there is no cgroup /user.slice/corn.service\n  hint: Did you mean /user.slice/cron.service?\n"
    )


def test_what_is_beyond_the_top_is_counted(hnctl: Hnctl, node: Node):
    ran = hnctl(*SCORES, "--top", "1")
    assert len(ran.out.splitlines()) == 2
    assert "2 more could be killed after these: --top 3\n" in ran.err


def test_secrets_are_masked_in_every_format(hnctl: Hnctl, node: Node):
    node.add(950, "mysql", rss=5000, adj=900, command=["mysql", "-psesame", "--password=open sesame", "shop"])
    for form in ("table", "json", "jsonl", "yaml", "markdown"):
        ran = hnctl(*SCORES, "-o", form)
        assert "mysql -p" in ran.out
        assert "sesame" not in ran.out + ran.err


def test_names_cannot_move_the_cursor(hnctl: Hnctl, node: Node):
    node.add(951, "\x1b[2J\u202e", rss=5000, adj=1000, score=1999, command=["\x1b]0;x\x07", "a\nb"], cgroup="/\x1b[2J")
    for form in ("table", "json", "jsonl", "yaml", "markdown"):
        ran = hnctl(*SCORES, "-o", form)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err
    assert "\\x1b[2J\\u202e (951)" in hnctl(*SCORES).err


def test_on_a_terminal_every_process_is_one_line(node: Node):
    node.add(960, "worker", rss=9000, adj=999, score=1330, command=["worker", "x" * 500], cgroup="/" + "y" * 200)
    for columns in (80, 120):
        shown = run_in_terminal(*SCORES, columns=columns, variables={"HNCTL_NODE_ROOT": str(node.root)}).out
        lines = [line for line in shown.splitlines() if "worker" in line]
        assert len(lines) == 1
        assert len(lines[0]) <= columns
        assert "..." in lines[0]
        assert lines[0].rstrip().endswith("...")


def test_what_cannot_be_seen_is_told(hnctl: Hnctl, node: Node):
    (node.proc / "77").mkdir()
    unseen = "Not all processes of this machine can be seen: one of the others may be next.\n"
    assert unseen in hnctl(*SCORES).err
    (node.proc / "77").rmdir()
    assert unseen not in hnctl(*SCORES).err
    os.rename(node.proc / "1", node.root / "hidden")
    assert unseen in hnctl(*SCORES).err
    assert hnctl(*SCORES, "-o", "json").json["unseen"] is True


def test_one_that_vanishes_while_it_is_read_is_no_failure(hnctl: Hnctl, node: Node):
    (node.proc / "970").symlink_to(node.proc / "gone")
    ran = hnctl(*SCORES)
    assert ran.status == 0
    assert "970" not in ran.out


def test_a_machine_without_proc_is_told_in_words(hnctl: Hnctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "root/proc").mkdir(parents=True)
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path / "root"))
    ran = hnctl(*SCORES)
    assert (ran.status, ran.out) == (64, "")
    assert ran.err == (
        f"Error: {tmp_path}/root/proc cannot be used: it does not tell how much memory there is\n"
        "  hint: Processes can be seen on Linux only: run it on the node itself\n"
    )
    assert hnctl(*SCORES, "-o", "json").json["error"]["code"] == "bad_input"


@pytest.mark.parametrize("words", [["--top", "0"], ["--top", "x"], ["extra"]], ids=str)
def test_what_it_does_not_take(words: list[str], hnctl: Hnctl, node: Node):
    assert hnctl(*SCORES, *words).status == 64


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_this_machine(hnctl: Hnctl):
    document = hnctl(*SCORES, "-o", "json", "--top", "1000").json
    ours = next(row for row in document["processes"] if row["pid"] == os.getpid())
    assert ours["oom_score"] == ours["score"]
    assert ours["rss_kib"] > 1000
    assert document["memory_kib"] > ours["rss_kib"]
    assert sum(row["next"] for row in document["processes"]) == 1
