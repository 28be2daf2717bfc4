"""How short of memory a node is, out of the kernel's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.errors import HypernodeError
from hypernode.node.meminfo import Memory
from hypernode.node.pressure import Sample, Stall, list_counters, parse_kills, parse_pressure
from hypernode.node.samples import read_sample

PRESSURE = "some avg10=12.34 avg60=5.00 avg300=0.01 total=123456\nfull avg10=2.50 avg60=1.00 avg300=0.00 total=1234\n"
EVENTS = "low 0\nhigh 12\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"


def test_pressure_is_read_over_all_three_windows():
    assert parse_pressure(PRESSURE) == (Stall(12.34, 5.0, 0.01), Stall(2.5, 1.0, 0.0))


@pytest.mark.parametrize("text", ["", "some avg10=1.00 avg60=1.00 avg300=1.00 total=1\n", "\x1b[2Jfull avg10=many"])
def test_what_is_no_pressure_is_refused(text: str):
    with pytest.raises(HypernodeError, match=r"/proc/pressure/memory is .* does not tell some and full") as raised:
        parse_pressure(text)
    assert "\x1b" not in str(raised.value)


def test_kills_are_counted_by_both_versions_of_cgroups():
    assert parse_kills(EVENTS) == 2
    assert parse_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n") == 5
    assert parse_kills("oom_kill_disable 0\nunder_oom 0\n") is None


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("0::/app.slice\n", "/sys/fs/cgroup/app.slice/memory.events", "memory/app.slice/memory.oom_control"),
        ("0::/\n", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"),
        ("4:memory:/a\n1:cpu:/b\n0::/c\n", "/sys/fs/cgroup/a/memory.events", "/cgroup/memory/a/memory.oom_control"),
        ("", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"),
    ],
)
def test_counters_are_those_of_the_process_s_own_cgroup(text: str, first: str, last: str):
    counters = list_counters(text)
    assert counters[0] == first
    assert counters[-1].endswith(last)


@given(st.text())
def test_no_text_makes_the_counters_raise(text: str):
    parse_kills(text)
    list_counters(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's root with nothing in it."""
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(tmp_path))
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_sample_is_read_from_the_node(root: Path):
    put(root, "/proc/pressure/memory", PRESSURE)
    put(root, "/proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 500 kB\n")
    put(root, "/proc/self/cgroup", "0::/app\n")
    put(root, "/sys/fs/cgroup/app/memory.events", EVENTS)
    missing: list[str] = []
    sample = read_sample(lambda path, why: missing.append(path))
    assert sample == Sample(Stall(12.34, 5.0, 0.01), Stall(2.5, 1.0, 0.0), Memory(500, 8000), 2)
    assert missing == []


def test_each_file_that_is_missing_is_named_and_the_others_count(root: Path):
    put(root, "/proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 500 kB\n")
    missing: dict[str, str] = {}
    assert read_sample(missing.__setitem__) == Sample(memory=Memory(500, 8000))
    assert missing == {
        "/proc/pressure/memory": "No such file or directory",
        "/proc/self/cgroup": "No such file or directory",
    }
    put(root, "/proc/self/cgroup", "0::/app\n")
    put(root, "/proc/meminfo", "MemTotal: 8000 kB\n")
    missing.clear()
    read_sample(missing.__setitem__)
    assert "no MemAvailable" in missing["/proc/meminfo"]
    assert missing["/sys/fs/cgroup/app/memory.events"] == "no such file that counts kills"
