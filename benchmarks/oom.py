"""`hnctl oom events` on a kern.log of 1 GB beside `grep -c`, on a gzipped one beside `zgrep -c`, and its memory."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measuring import Series, compare, run_child, time_command
from benchmarks.oom_log import write_log
from benchmarks.serving import HNCTL, environment
from benchmarks.table import Row

EVENTS = 200
SIZE = 10**9
PACKED_SIZE = 256 * 10**6
BESIDE_GREP = 2.5
BESIDE_ZGREP = 1
MOST_MIB = 100
ROUNDS = 5


def measure(home: Path) -> Iterator[Row]:
    """Measure time and memory for the plain log, then for the gzipped one."""
    env = environment(home)
    plain, packed = home / "kern.log", home / "kern.log.1.gz"
    write_log(plain, size=SIZE, events=EVENTS)
    ratio = _beside("grep", plain, env)
    what = f"`hnctl oom events` of {SIZE / 1e9:.0f} GB, {EVENTS} events / `grep -c oom-killer`"
    yield Row(f"{what}: time", ratio.show("x"), f"<= {BESIDE_GREP}x", ratio.median <= BESIDE_GREP)
    yield _memory("the same: peak memory of the process", plain, env)
    plain.unlink()

    write_log(plain, size=PACKED_SIZE, events=EVENTS)
    with packed.open("wb") as file:
        subprocess.run(["gzip", "-6", "-c", str(plain)], stdout=file, check=True)
    plain.unlink()
    if shutil.which("zgrep") is None:
        yield Row("the same, gzipped / `zgrep -c`", "no zgrep here", f"< {BESIDE_ZGREP}x", None)
        return
    ratio = _beside("zgrep", packed, env)
    what = f"`hnctl oom events` of {PACKED_SIZE / 1e6:.0f} MB gzipped to {packed.stat().st_size / 1e6:.0f} / `zgrep -c`"
    yield Row(f"{what}: time", ratio.show("x"), f"< {BESIDE_ZGREP}x", ratio.median < BESIDE_ZGREP)
    yield _memory("the same: peak memory of the process", packed, env)


def _beside(grep: str, log: Path, env: dict[str, str]) -> Series:
    """Return how many times as long as `grep` we take; both have read the file before, so that it is in memory."""
    ours = partial(time_command, [HNCTL, "oom", "events", str(log), "-o", "json"], env)
    other = partial(time_command, [grep, "-c", "oom-killer", str(log)], env)
    ours()
    other()
    return compare(ours, other, rounds=ROUNDS)


def _memory(what: str, log: Path, env: dict[str, str]) -> Row:
    seen = json.loads(run_child("oom_peak", str(log), env=env))
    if seen["events"] != EVENTS:
        raise RuntimeError(f"{log} has {EVENTS} events, and {seen['events']} were found")
    return Row(what, f"{seen['mib']:.0f} MiB", f"< {MOST_MIB} MiB", seen["mib"] < MOST_MIB)
