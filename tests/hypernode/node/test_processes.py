"""Processes out of /proc, and whom the kernel would kill next."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import InputError
from hypernode.node.processes import (
    Limit,
    Memory,
    Process,
    find_proc,
    held_kib,
    is_in_cgroup,
    parse_cgroup,
    parse_fields,
    rank,
    read_adj,
    read_limit,
    read_memory,
    read_process,
    read_processes,
    scale,
    tidy_cgroup,
    with_pss,
)

STATUS = """\
Name:\tphp-fpm8.3
Umask:\t0022
State:\tS (sleeping)
Pid:\t812
Uid:\t1000\t0\t0\t0
VmPeak:\t  512000 kB
VmRSS:\t  204800 kB
VmPTE:\t     400 kB
VmSwap:\t    1024 kB
"""
GIB = 1 << 20


def make(folder: Path, pid: int, **files: str | bytes) -> None:
    """Write the files of a process."""
    (folder / str(pid)).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / str(pid) / name).write_bytes(content.encode() if isinstance(content, str) else content)


def process(pid: int = 100, *, rss: int | None = 1000, adj: int | None = 0, **more: object) -> Process:
    values: dict[str, object] = {
        "pid": pid,
        "name": "php",
        "uid": 1000,
        "oom_score": None,
        "oom_score_adj": adj,
        "rss_kib": rss,
        "pss_kib": None,
        "swap_kib": 0,
        "page_tables_kib": 0,
        "cgroup": "/",
        "command": "php x.php",
    }
    return Process(**{**values, **more})  # type: ignore[arg-type]


def order(*processes: Process, at_stake: int = 4 * GIB, by_kernel: bool = False) -> list[int]:
    return [one.process.pid for one in rank(processes, at_stake, by_kernel=by_kernel)]


# reading


def test_a_process_is_read_whole(tmp_path: Path):
    make(
        tmp_path,
        812,
        status=STATUS,
        oom_score="333\n",
        oom_score_adj="-500\n",
        cgroup="0::/system.slice/php8.3-fpm.service\n",
        cmdline=b"php-fpm: pool www\0\0\0",
        smaps_rollup="5600-7fff ---p 00000000 00:00 0    [rollup]\nRss:  204800 kB\nPss:   52000 kB\nPss_Anon: 1 kB\n",
    )
    (read,) = read_processes(tmp_path)
    assert read == Process(
        pid=812,
        name="php-fpm8.3",
        uid=1000,
        oom_score=333,
        oom_score_adj=-500,
        rss_kib=204800,
        pss_kib=None,
        swap_kib=1024,
        page_tables_kib=400,
        cgroup="/system.slice/php8.3-fpm.service",
        command="php-fpm: pool www",
    )
    assert with_pss(tmp_path, [read]) == [replace(read, pss_kib=52000)]


def test_they_come_by_pid_and_other_folders_are_none(tmp_path: Path):
    for pid in (20, 3, 100):
        make(tmp_path, pid, status=STATUS, oom_score_adj="0")
    for other in ("self", "sys", "1x", "²"):
        (tmp_path / other).mkdir()
    assert [read.pid for read in read_processes(tmp_path)] == [3, 20, 100]


def test_one_that_ends_while_it_is_read_is_left_out(tmp_path: Path):
    """A folder that is there when the pids are listed, and gone when its files are opened."""
    make(tmp_path, 3, status=STATUS, oom_score_adj="0")
    assert read_process(tmp_path, 4) is None
    (tmp_path / "5").symlink_to(tmp_path / "gone")
    assert [read.pid for read in read_processes(tmp_path)] == [3]
    assert with_pss(tmp_path, [process(4)]) == [process(4)]


def test_what_cannot_be_read_is_none_and_the_rest_is_there(tmp_path: Path):
    make(tmp_path, 3, status=STATUS)
    make(tmp_path, 4, oom_score_adj="7")
    make(tmp_path, 5)
    third, fourth, fifth = read_processes(tmp_path)
    assert (third.name, third.oom_score_adj, third.oom_score, third.cgroup, third.command) == (
        "php-fpm8.3",
        *[None] * 4,
    )
    assert (fourth.name, fourth.rss_kib, fourth.oom_score_adj) == (None, None, 7)
    assert (fifth.name, fifth.oom_score_adj) == (None, None)


def test_files_that_are_not_ours_are_none(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, as_nobody: Callable[[], AbstractContextManager[None]]
):
    make(tmp_path, 3, status=STATUS, oom_score_adj="0", smaps_rollup="Pss: 5 kB\n")
    base = tmp_path_factory.getbasetemp()
    for folder in (tmp_path, base, base.parent):  # pytest's own, which only root may enter
        if folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    (tmp_path / "3" / "smaps_rollup").chmod(0o400)
    with as_nobody():
        if os.access(tmp_path / "3" / "smaps_rollup", os.R_OK, effective_ids=True):
            pytest.skip("this user may read all")
        assert with_pss(tmp_path, [process(3)]) == [process(3)]


@pytest.mark.parametrize("root", ["missing", "file"])
def test_without_proc_there_is_an_error(root: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used") as caught:
        read_processes(tmp_path / root)
    assert "on the node itself" in str(caught.value.hint)


@pytest.mark.parametrize("text", [None, "", "MemFree: 5 kB\n", "MemTotal: 0 kB\n", "MemTotal: many\n"])
def test_memory_that_is_not_told_is_an_error(text: str | None, tmp_path: Path):
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    with pytest.raises(InputError, match="how much memory"):
        read_memory(tmp_path)


def test_memory_is_read_in_kib(tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal:       24683656 kB\nMemFree: 1 kB\nSwapTotal:  1024 kB\n")
    assert read_memory(tmp_path) == Memory(24683656, 1024)
    (tmp_path / "meminfo").write_text("MemTotal: 5 kB\n")
    assert read_memory(tmp_path) == Memory(5, 0)


def test_a_moved_root_has_its_own_processes_and_the_sandbox_s_has_this_machine_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert find_proc() == Path("/proc")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))
    assert find_proc() == Path("/proc")
    (tmp_path / "proc").mkdir()
    assert find_proc() == tmp_path / "proc"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_the_real_proc_knows_this_very_process():
    proc = Path("/proc")
    ours = next(read for read in read_processes(proc) if read.pid == os.getpid())
    assert ours.uid == os.getuid()
    assert ours.oom_score is not None
    assert ours.oom_score_adj == read_adj(proc, os.getpid())
    assert ours.rss_kib is not None
    assert ours.rss_kib > 1000
    assert ours.page_tables_kib
    assert ours.command
    assert "pytest" in ours.command or "python" in ours.command
    (with_it,) = with_pss(proc, [ours])
    assert with_it.pss_kib is None or 0 < with_it.pss_kib <= ours.rss_kib * 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_the_kernel_s_own_number_is_ours():
    """The formula, against a kernel: for this process and one with an adjustment."""
    proc = Path("/proc")
    memory = read_memory(proc)
    at_stake = memory.total_kib + memory.swap_kib
    wait = "import sys; open('/proc/self/oom_score_adj', 'w').write('400'); print(1, flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", wait], **pipes) as other:  # type: ignore[call-overload]
        other.stdout.readline()
        for pid in (os.getpid(), other.pid):
            read = read_process(proc, pid)
            assert read is not None
            (ours,) = rank([read], at_stake, by_kernel=False)
            (theirs,) = rank([read], at_stake, by_kernel=True)
            if os.uname().release.split(".") < ["5", "8"] and theirs.score <= 1000:
                pytest.skip("before 5.8 the number has another scale")
            assert abs(ours.score - theirs.score) <= 2
        other.stdin.close()


# the kernel's choice


def test_the_largest_dies_and_swap_and_page_tables_count():
    assert order(process(1000, rss=500), process(1001, rss=900), process(1002, rss=700)) == [1001, 1002, 1000]
    assert order(process(1000, rss=500, swap_kib=600), process(1001, rss=900)) == [1000, 1001]
    assert order(process(1000, rss=500, page_tables_kib=600), process(1001, rss=900)) == [1000, 1001]


def test_an_adjustment_weighs_as_much_as_its_share_of_what_is_at_stake():
    small, large = process(10, rss=1000, adj=300), process(11, rss=GIB)
    assert order(small, large, at_stake=4 * GIB) == [10, 11], "0.3 of 4 GiB is more than 1 GiB"
    assert order(small, large, at_stake=2 * GIB) == [11, 10], "and 0.3 of 2 GiB is less"
    assert order(process(10, rss=GIB, adj=-999), process(11, rss=4)) == [11, 10]


def test_who_cannot_be_killed_is_no_candidate():
    assert order(
        process(1, rss=4 * GIB),
        process(2, rss=None, command=None),
        process(3, rss=4 * GIB, adj=-1000),
        process(4, rss=4),
    ) == [4]
    assert order() == []


def test_of_equal_ones_the_youngest_dies():
    assert order(process(10), process(12), process(11)) == [12, 11, 10]


def test_for_the_machine_the_kernel_s_number_wins_and_ours_decides_between_equals():
    assert order(
        process(10, rss=900, oom_score=666),
        process(11, rss=100, oom_score=668),
        process(12, rss=800, oom_score=666),
        by_kernel=True,
    ) == [11, 10, 12]
    assert order(process(10, rss=900, oom_score=666), process(11, rss=100, oom_score=668)) == [10, 11]


@pytest.mark.parametrize(
    ("points", "score"),
    [(0, 666), (1000, 1333), (2000, 2000), (-1000, 0), (-999, 0), (-500, 333), (1, 667), (-1, 666)],
)
def test_points_are_scaled_as_the_kernel_does(points: int, score: int):
    assert scale(points, 1000) == score
    assert scale(points * 1234, 1_234_000) == score


def test_nothing_at_stake_divides_by_nothing():
    assert scale(5, 0) == 4000
    assert order(process(10), at_stake=0) == [10]


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(-1000, 1000)), max_size=20), st.integers(1, 1 << 40))
def test_nobody_before_the_victim_has_more_points(sizes: list[tuple[int, int]], at_stake: int):
    """Against plain numbers: memory plus the adjustment's share, -1000 never."""
    processes = [process(pid, rss=rss, adj=adj) for pid, (rss, adj) in enumerate(sizes, 2)]
    points = {each.pid: (each.rss_kib or 0) + (each.oom_score_adj or 0) * (at_stake // 1000) for each in processes}
    ranked = order(*processes, at_stake=at_stake)
    assert set(ranked) == {each.pid for each in processes if each.oom_score_adj != -1000}
    scores = [one.score for one in rank(processes, at_stake, by_kernel=False)]
    assert scores == sorted(scores, reverse=True)
    assert all(score >= 0 for score in scores)
    if ranked:
        assert points[ranked[0]] == max(points[pid] for pid in ranked)


def test_what_is_shared_is_counted_once_where_it_is_known():
    workers = [process(pid, rss=1000, pss_kib=300) for pid in range(50)]
    assert held_kib(workers) == (15_000, True)
    assert held_kib([*workers, process(99, rss=1000)]) == (16_000, False)
    assert held_kib([]) == (0, True)


# cgroups


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/user.slice/session-3.scope\n", "/user.slice/session-3.scope"),
        ("9:name=systemd:/\n4:memory:/app\n1:cpu,cpuacct:/\n0::/\n", "/app"),
        ("0::/two\n4:memory:/one\n", "/one"),
        ("5:hugetlb,memory:/a:b\n", "/a:b"),
        ("9:name=memory:/\n", None),
        ("", None),
        ("nonsense\n::\n", None),
    ],
)
def test_the_cgroup_is_where_memory_is_counted(text: str, found: str | None):
    assert parse_cgroup(text) == found


def test_below_a_cgroup_is_in_it_and_beside_it_is_not():
    inside = [process(cgroup=path) for path in ("/app", "/app/php", "/app/php/x")]
    outside = [process(cgroup=path) for path in ("/", "/apple", "/x/app", None)]
    assert all(is_in_cgroup(each, "/app") for each in inside)
    assert not any(is_in_cgroup(each, "/app") for each in outside)
    assert [is_in_cgroup(each, "/") for each in (*inside, *outside)] == [True] * 6 + [False]


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("/app", "/app"),
        ("app/", "/app"),
        ("//app//php/", "/app/php"),
        ("/sys/fs/cgroup/user.slice", "/user.slice"),
        ("/sys/fs/cgroup/memory/app/", "/app"),
        ("/sys/fs/cgroup/memory", "/"),
        ("/sys/fs/cgroup", "/"),
        ("/../../etc", "/etc"),
        ("", "/"),
    ],
)
def test_a_cgroup_can_be_typed_as_it_is_seen(typed: str, path: str):
    assert tidy_cgroup(typed) == path


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write files below /sys/fs/cgroup."""
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))

    def write(**files: str) -> None:
        for name, content in files.items():
            path = tmp_path / "sys/fs/cgroup" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


MIB = 1 << 20
"""In bytes, as cgroups count."""


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"app/memory.max": f"{100 * MIB}\n"}, Limit(100 * 1024, 150 * 1024)),
        ({"app/memory.max": f"{100 * MIB}\n", "app/memory.swap.max": "0\n"}, Limit(100 * 1024, 100 * 1024)),
        ({"app/memory.max": f"{100 * MIB}\n", "app/memory.swap.max": f"{MIB}\n"}, Limit(100 * 1024, 101 * 1024)),
        ({"app/memory.max": f"{100 * MIB}\n", "app/memory.swap.max": "max\n"}, Limit(100 * 1024, 150 * 1024)),
        ({"unified/app/memory.max": f"{MIB}\n"}, Limit(1024, 51 * 1024)),
        ({"app/memory.max": "max\n"}, Limit(None, None)),
        ({"app/cgroup.procs": ""}, Limit(None, None)),
        ({"memory/app/memory.limit_in_bytes": f"{MIB}\n"}, Limit(1024, 51 * 1024)),
        (
            {"memory/app/memory.limit_in_bytes": f"{MIB}", "memory/app/memory.memsw.limit_in_bytes": f"{2 * MIB}"},
            Limit(1024, 2048),
        ),
        ({"memory/app/memory.limit_in_bytes": "9223372036854771712\n"}, Limit(None, None)),
        ({"other/memory.max": "5\n"}, None),
        ({"app/memory.max": "nonsense\n"}, None),
    ],
    ids=str,
)
def test_the_limit_of_a_cgroup_of_either_version(
    files: dict[str, str], limit: Limit | None, cgroups: Callable[..., None]
):
    cgroups(**files)
    assert read_limit("/app", swap_kib=50 * 1024) == limit


# texts


def test_fields_keep_the_first_and_pass_over_what_is_none():
    assert parse_fields("Name:\tx:y\nName: z\nno colon\n:\n") == {"Name": "x:y", "": ""}


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(raw: bytes):
    text = raw.decode("utf-8", "backslashreplace")
    parse_cgroup(text)
    parse_fields(text)
