"""Draw the README's picture: what `hnctl diff` says of examples/fleet.yaml in a sandbox of twelve nodes.

Run `make picture`, or with --check to learn whether the picture is stale (exit 1).
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
from hypernode.sandbox.world import World
from hypernode.secrets import Reference, Secret

ROOT = Path(__file__).parent.parent
FLEET = ROOT / "examples" / "fleet.yaml"
PICTURE = ROOT / "docs" / "diff.svg"
NODES = 12
WIDTH = 82


def draw() -> str:
    """Return the picture as SVG, made by the renderer of the command itself."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, emoji=False, markup=False)
    console.print(Text.assemble(("$ ", "dim"), ("hnctl diff", "bold")))
    console.print(render_plan(_plan(), {}, verbose=False))
    svg = console.export_svg(title="hnctl diff", theme=MONOKAI, unique_id="hnctl-diff")
    # rich links to fonts on another host; a picture in a README loads nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def _plan() -> Plan:
    catalogue = Catalogue.bundled()
    fleet = load(FLEET, catalogue)
    desired = desired_of(fleet, fleet.nodes, _no_secrets)
    nodes = World(NODES, clock=lambda: 0.0, wall_clock=lambda: 0.0).nodes
    current = {name: nodes[name].settings for name in fleet.nodes}
    return make_plan(current, desired.values, catalogue, limits=desired.limits, groups=desired.groups)


def _no_secrets(reference: Reference) -> Secret:
    raise ValueError(f"the example refers to a secret: {reference}")


def main() -> int:
    """Write the picture, or with --check only tell whether it is stale; return the exit status."""
    svg = draw()
    if sys.argv[1:] == ["--check"]:
        stale = not PICTURE.exists() or PICTURE.read_text("utf-8") != svg
        print(f"{PICTURE.name} is stale: run make picture" if stale else f"{PICTURE.name} is fresh")
        return int(stale)
    PICTURE.write_text(svg, "utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
