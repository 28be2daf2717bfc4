"""Measure hnctl, against the goals of DESIGN 8 where there are any, and print one table; see README.md here."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.table import Row, render

SUBJECTS = ("startup", "diff", "apply", "memory", "files", "plans", "sandbox", "flows", "oom")
"""Each is a file of this folder whose `measure` yields rows."""


def main() -> int:
    """Measure the named subjects, all without any, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"one of {', '.join(SUBJECTS)}; all without")
    chosen = parser.parse_args().subjects or SUBJECTS
    if unknown := [name for name in chosen if name not in SUBJECTS]:
        parser.error(f"there is no subject {unknown[0]}; there are {', '.join(SUBJECTS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended then too
    rows: list[Row] = []
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="hnctl-bench-") as home:
            for name in chosen:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                rows.extend(import_module(f"benchmarks.{name}").measure(Path(home)))
    except KeyboardInterrupt:
        return 130
    finally:
        if rows:
            print(render(rows))
            print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
