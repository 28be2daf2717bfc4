"""What others made, installed for these measurements only, each into a folder of its own beside our environment."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import ROOT


@dataclass(frozen=True, slots=True)
class Pinned:
    """One release of one package, known by its hash."""

    name: str
    """What its folder and its pins are called."""
    package: str
    """What it is imported as."""

    @property
    def pins(self) -> Path:
        return ROOT / "benchmarks" / f"{self.name}.txt"

    @property
    def version(self) -> str:
        return self.pins.read_text("utf-8").partition("==")[2].split()[0]

    def install(self) -> Path | None:
        """Return the folder that it is in, installed when it is missing; None when pip cannot.

        It comes alone: what it imports besides has to be in our environment.
        """
        folder = Path(sys.prefix) / f"{self.name}-{self.version}"
        if (folder / self.package).is_dir():
            return folder
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*argv, "--require-hashes", "--target", str(folder), "-r", str(self.pins)], check=False)
        return folder if done.returncode == 0 else None
