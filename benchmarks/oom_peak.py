"""Runs `hnctl oom events FILE -o json` in this process and prints MiB and events as JSON: `oom_peak FILE`."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout, suppress

from benchmarks.peak import peak_mib

from hnctl.main import run


def main() -> None:
    """Do it once."""
    sys.argv = ["hnctl", "oom", "events", sys.argv[1], "-o", "json"]
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out, suppress(SystemExit):
        run()
    out.seek(0)
    print(json.dumps({"mib": peak_mib(), "events": len(json.load(out)["events"])}))


main()
