"""Draw the README's pictures: what `hnctl diff` says of examples/fleet.yaml, and the memory of a made-up node.

Run `make picture`, or with --check to learn whether a picture is stale (exit 1).
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from hnctl.render.plan import render_plan
from hypernode.catalogue import Catalogue
from hypernode.fleet.compare import desired_of
from hypernode.fleet.plan import Plan, make_plan
from hypernode.fleet.spec import load
from hypernode.oom.evidence import ram_of
from hypernode.oom.files import select
from hypernode.oom.history import look_back
from hypernode.oom.incidents import incidents
from hypernode.oom.plots import memory_by_service
from hypernode.sandbox.world import World
from hypernode.secrets import Reference, Secret

ROOT = Path(__file__).parent.parent
FLEET = ROOT / "examples" / "fleet.yaml"
KERN_LOG = ROOT / "examples" / "incident" / "nightly" / "var" / "log" / "kern.log"
NODES = 12
WIDTH = 82


def draw_diff() -> str:
    """Return what `hnctl diff` shows as SVG, made by the renderer of the command itself."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, emoji=False, markup=False)
    console.print(Text.assemble(("$ ", "dim"), ("hnctl diff", "bold")))
    console.print(render_plan(_plan(), {}, verbose=False))
    svg = console.export_svg(title="hnctl diff", theme=MONOKAI, unique_id="hnctl-diff")
    # rich links to fonts on another host; a picture in a README loads nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def draw_memory() -> str:
    """Return the picture of memory by service that is in the report, on white paper."""
    history = look_back(incidents(select([KERN_LOG], keep_tasks=True)))
    svg = memory_by_service(history, history.incidents[-1], ram_of(history)).wide.replace("currentColor", "#1d1d1f")
    return re.sub(r"(<svg[^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', svg, count=1)


def _plan() -> Plan:
    catalogue = Catalogue.bundled()
    fleet = load(FLEET, catalogue)
    desired = desired_of(fleet, fleet.nodes, _no_secrets)
    nodes = World(NODES, clock=lambda: 0.0, wall_clock=lambda: 0.0).nodes
    current = {name: nodes[name].settings for name in fleet.nodes}
    return make_plan(current, desired.values, catalogue, limits=desired.limits, groups=desired.groups)


def _no_secrets(reference: Reference) -> Secret:
    raise ValueError(f"the example refers to a secret: {reference}")


PICTURES = {ROOT / "docs" / "diff.svg": draw_diff, ROOT / "docs" / "memory.svg": draw_memory}


def main() -> int:
    """Write the pictures, or with --check only tell which are stale; return the exit status."""
    stale = [path for path, draw in PICTURES.items() if not path.exists() or path.read_text("utf-8") != draw()]
    if sys.argv[1:] == ["--check"]:
        for path in stale:
            print(f"{path.name} is stale: run make picture")
        return int(bool(stale))
    for path in stale:
        path.write_text(PICTURES[path](), "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
