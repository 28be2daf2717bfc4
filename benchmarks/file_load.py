"""Loads or composes one fleet file and prints seconds and MiB: `file_load load|compose FILE`.

The MiB are what the process's peak grew by from just before the work to just after it: the interpreter and all imports
are in both and so fall out.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import yaml

from hypernode.catalogue import Catalogue
from hypernode.fleet.spec import load


def _peak_mib() -> float:
    """Return the most memory that this process has held so far."""
    try:
        # ru_maxrss would count the parent's too: Linux keeps it from before the program was started.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except OSError:
        unit = 1024**2 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Do it once."""
    what, path = sys.argv[1], Path(sys.argv[2])
    catalogue = Catalogue.bundled()
    before, started = _peak_mib(), time.perf_counter()
    if what == "load":
        fleet = load(path, catalogue)
        kept: object = [fleet.resolve(node) for node in fleet.nodes]
    else:
        kept = yaml.compose(path.read_bytes(), Loader=yaml.CSafeLoader)
    seconds = time.perf_counter() - started
    assert kept
    print(json.dumps({"seconds": seconds, "mib": _peak_mib() - before}))


main()
