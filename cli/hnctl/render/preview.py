"""What came of a preview, for a person and as a document."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from hnctl.render.listing import FORMAT_VERSION, plain_table
from hypernode.fleet.preview import Judged, Look, differences
from hypernode.printable import printable

if TYPE_CHECKING:
    from hnctl.preview import Preview


def preview_document(trial: Preview, judged: Judged) -> dict[str, Any]:
    """Return it as JSON values."""
    rows = differences(trial.before, trial.after) if trial.before and trial.after else []
    return {
        "format_version": FORMAT_VERSION,
        "node": trial.node,
        "copy": trial.copy.name if trial.copy else None,
        "verdict": judged.verdict,
        "reasons": list(judged.reasons),
        "state": trial.outcome.state if trial.outcome else None,
        "flows": list(trial.outcome.flows) if trial.outcome else [],
        "differences": [{"what": what, "before": before, "after": after} for what, before, after in rows],
        "gates": {"before": _findings(trial.before), "after": _findings(trial.after)},
        "minutes": trial.minutes,
        "ended": trial.ended,
    }


def render_preview(trial: Preview, judged: Judged, file: str | None) -> str:
    """Return it for a person: the differences, then the verdict and what it came to.

    `file` is the fleet file that was named, if one was.
    """
    copy = trial.copy.name if trial.copy else "-"
    parts = []
    if trial.before and trial.after and (rows := differences(trial.before, trial.after)):
        parts.append(
            plain_table(["on the copy", "before", "after"], [[printable(text) for text in row] for row in rows])
        )
    tried = len(trial.after.findings) if trial.after else 0
    gates = f"{tried} gate{'s' * (tried != 1)} held" if tried else "the file has no gates that can be tried"
    words = {"passed": f"Passed on {copy}: the change was applied, and {gates}.", "failed": f"FAILED on {copy}:"}
    lines = [words.get(judged.verdict, f"Undecided on {copy}:"), *(f"  {printable(why)}" for why in judged.reasons)]
    if not trial.ended:
        lines.append(f"{copy} is still there, and paid for. End it: hnctl brancher delete {copy}")
    if judged.verdict == "passed":
        named = "" if file is None else f" -f {shlex.quote(file)}"
        lines.append(printable(f"Apply it: hnctl apply{named} -n {trial.node}"))
    return "\n\n".join([*parts, "\n".join(lines)])


def _findings(look: Look | None) -> list[dict[str, str | None]]:
    found = look.findings if look else ()
    return [{"gate": one.gate, "address": one.address, "verdict": one.verdict, "reason": one.reason} for one in found]
