"""Runs hnctl in this process, with more tokens than a variable holds: `command_peak TOKENS.json STATUS ARGUMENT...`.

Prints the MiB that the process held at most, interpreter and all, and the seconds. STATUS is the one that hnctl has to
end with.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from benchmarks.peak import peak_mib

from hnctl.main import run


def main() -> None:
    """Do it once."""
    os.environ["HYPERNODE_API_TOKENS"] = Path(sys.argv[1]).read_text("utf-8")
    expected = int(sys.argv[2])
    sys.argv = ["hnctl", *sys.argv[3:]]
    told = io.TextIOWrapper(io.BytesIO(), "utf-8")
    status: object = None
    started = time.perf_counter()
    with open(os.devnull, "w") as thrown_away, redirect_stdout(thrown_away), redirect_stderr(told):
        try:
            run()
        except SystemExit as exc:
            status = exc.code
    if status != expected:
        told.seek(0)
        sys.exit(f"hnctl ended with {status}: {told.read()[-1000:]}")
    print(json.dumps({"mib": peak_mib(), "seconds": time.perf_counter() - started}))


main()
