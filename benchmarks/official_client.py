"""The official Python client, installed for these measurements only, into a folder beside our environment."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.measuring import ROOT

PINS = ROOT / "benchmarks" / "official-client.txt"
VERSION = PINS.read_text("utf-8").partition("==")[2].split()[0]
FOLDER = Path(sys.prefix) / f"official-client-{VERSION}"


@cache
def install() -> Path | None:
    """Return the folder that the official client is in, installed when it is missing; None when pip cannot.

    Of what it asks for (pip and requests) requests is the only one that it imports, and our environment has that.
    """
    if (FOLDER / "hypernode_api_python").is_dir():
        return FOLDER
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*argv, "--require-hashes", "--target", str(FOLDER), "-r", str(PINS)], check=False)
    return FOLDER if done.returncode == 0 else None
