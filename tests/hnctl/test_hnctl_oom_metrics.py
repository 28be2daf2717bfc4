"""`hnctl oom metrics`: what Prometheus' node exporter reads."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import Hnctl, Result
from test_hnctl_oom import NOISE, cgroup_kill, report

from hnctl.render.exposition import Metric, render_metrics

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)")
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Series:
    """Read the exposition format 0.0.4 strictly: HELP and TYPE before a metric's samples, and no series twice."""
    assert text.endswith("\n")
    found: Series = {}
    helped = typed = ""
    seen = set()
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({_NAME}) .+", line):
            helped = match[1]
            assert helped not in seen
            seen.add(helped)
        elif match := re.fullmatch(rf"# TYPE ({_NAME}) (gauge|counter)", line):
            typed = match[1]
            assert typed == helped
            assert typed.endswith("_total") == (match[2] == "counter")
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == typed
            labels = {
                name: re.sub(r"\\.", lambda one: _UNESCAPED[one[0]], value)
                for name, value in re.findall(_LABEL, match[2] or "")
            }
            key = match[1], frozenset(labels.items())
            assert key not in found
            found[key] = float(match[match.lastindex or 0])
    return found


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


@pytest.fixture
def root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with two logs of March 2024, and a little pressure; it stands in UTC."""
    root = folder / "root"
    texts = {
        "var/log/kern.log": report(15, "mysqld") + report(16, "bash", 333) + cgroup_kill(7, 9),
        "var/log/kern.log.1": report(10, 'evil"\\{}', 444, day=2) + NOISE.format(second=1),
        "proc/pressure/memory": "some avg10=12.50 avg60=5.00 avg300=0.01 total=9\n"
        "full avg10=2.50 avg60=1.00 avg300=0.00 total=4\n",
        "proc/meminfo": "MemTotal: 8000 kB\nMemAvailable: 500 kB\n",
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_709_700_000, 1_709_700_000))
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(root))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return root


def test_kills_are_counted_by_service_and_scope_over_all_kept_logs(hnctl: Hnctl, root: Path):
    printed = hnctl("oom", "metrics")
    assert (printed.status, printed.err) == (0, "")
    series = parse(printed.out)
    kills = {
        (labels["service"], labels["scope"]): count
        for (name, pairs), count in series.items()
        if name == "hnctl_oom_kills" and (labels := dict(pairs))
    }
    assert {key: count for key, count in kills.items() if count} == {
        ("mysql", "global"): 1,
        ("ssh sessions", "global"): 1,
        ("php cli", "memcg"): 1,
        ("others", "global"): 1,
    }
    assert kills["redis", "global"] == 0, "a first kill is a rise from 0"
    assert "evil" not in printed.out


def test_the_last_kill_and_the_memory_are_in_base_units(hnctl: Hnctl, root: Path):
    series = parse(hnctl("oom", "metrics").out)
    assert value(series, "hnctl_oom_last_kill_timestamp_seconds") == 1_709_633_760  # 2024-03-05T10:16:00Z
    assert value(series, "hnctl_oom_memory_available_bytes") == 512_000
    assert value(series, "hnctl_oom_memory_total_bytes") == 8_192_000
    assert value(series, "hnctl_oom_pressure_ratio", kind="some", window="10s") == 0.125
    assert value(series, "hnctl_oom_pressure_ratio", kind="full", window="300s") == 0
    assert value(series, "hnctl_oom_logs_unread") == 0


def test_what_is_not_known_is_left_out(hnctl: Hnctl, root: Path):
    (root / "proc/pressure/memory").unlink()
    (root / "proc/meminfo").unlink()
    (root / "quiet.log").write_text(NOISE.format(second=1))
    printed = hnctl("oom", "metrics", root / "quiet.log")
    assert (printed.status, printed.err) == (0, "")
    names = {name for name, _ in parse(printed.out)}
    assert names == {"hnctl_oom_kills", "hnctl_oom_logs_unread", "hnctl_oom_measured_timestamp_seconds"}


def test_the_file_is_replaced_and_readable_for_all_whatever_the_umask(hnctl: Hnctl, root: Path, folder: Path):
    target = folder / "hnctl.prom"
    target.write_text("old")
    before = target.stat().st_ino
    mask = os.umask(0o077)
    try:
        written = hnctl("oom", "metrics", "--write", target)
    finally:
        os.umask(mask)
    assert written == Result(0, "", "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert target.stat().st_ino != before, "whoever reads the old one reads it to its end"
    assert parse(target.read_text())
    assert [path.name for path in folder.iterdir() if path != root] == ["hnctl.prom"], "nothing else is left there"


def test_a_folder_that_is_not_there_is_told_and_not_made(hnctl: Hnctl, root: Path, folder: Path):
    refused = hnctl("oom", "metrics", "--write", folder / "nosuch" / "hnctl.prom")
    assert (refused.status, refused.out) == (1, "")
    assert "hnctl.prom cannot be written: there is no folder" in refused.err
    assert "--collector.textfile.directory" in refused.err
    assert not (folder / "nosuch").exists()


def test_a_log_that_cannot_be_read_is_counted(hnctl: Hnctl, root: Path):
    printed = hnctl("oom", "metrics", root / "var/log/kern.log", "nosuch.log")
    assert printed.status == 3
    assert "nosuch.log: No such file or directory" in printed.err
    assert value(parse(printed.out), "hnctl_oom_logs_unread") == 1


def test_without_any_log_the_file_stays_as_it_was(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    (folder / "hnctl.prom").write_text("old\n")
    assert hnctl("oom", "metrics", "--write", "hnctl.prom").status == 64
    assert (folder / "hnctl.prom").read_text() == "old\n"


@given(st.text(), st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 1 << 60))
def test_any_label_and_any_number_come_back_as_they_were(label: str, other: str, number: float):
    text = render_metrics([Metric("m", "two\nlines \\ of help", (({"a": label, "b": other}, number),))])
    assert parse(text) == {("m", frozenset({"a": label, "b": other}.items())): float(number)}
