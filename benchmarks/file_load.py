"""Loads or composes one fleet file and prints seconds and MiB: `file_load load|compose FILE`.

The MiB are what the process's peak grew by from just before the work to just after it: the interpreter and all imports
are in both and so fall out.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import yaml
from benchmarks.peak import peak_mib

from hypernode.catalogue import Catalogue
from hypernode.fleet.spec import load


def main() -> None:
    """Do it once."""
    what, path = sys.argv[1], Path(sys.argv[2])
    catalogue = Catalogue.bundled()
    before, started = peak_mib(), time.perf_counter()
    if what == "load":
        fleet = load(path, catalogue)
        kept: object = [fleet.resolve(node) for node in fleet.nodes]
    else:
        kept = yaml.compose(path.read_bytes(), Loader=yaml.CSafeLoader)
    seconds = time.perf_counter() - started
    assert kept
    print(json.dumps({"seconds": seconds, "mib": peak_mib() - before}))


main()
