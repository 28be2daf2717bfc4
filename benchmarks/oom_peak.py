"""Runs `hnctl oom events FILE -o json` in this process and prints MiB and events as JSON: `oom_peak FILE`."""

from __future__ import annotations

import io
import json
import resource
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

from hnctl.main import run


def main() -> None:
    """Do it once."""
    sys.argv = ["hnctl", "oom", "events", sys.argv[1], "-o", "json"]
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out, suppress(SystemExit):
        run()
    out.seek(0)
    print(json.dumps({"mib": _peak_mib(), "events": len(json.load(out)["events"])}))


def _peak_mib() -> float:
    """Return the most memory that this process has held; `ru_maxrss` alone starts with the parent's on Linux."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except OSError:
        unit = 1024**2 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


main()
