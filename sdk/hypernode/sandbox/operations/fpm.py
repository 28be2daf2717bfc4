"""What the PHP-FPM workers of a node do (CONTRACT.md 2.2, 2.8)."""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.calls import Call

_WORKERS = 10
_AGENT = "ExampleAgent/1.0"


def get_fpm_status(call: Call) -> Answer:
    """Answer POST ``/v2/nats/{app}/hypernode.show-fpm-status``, with lines as in CONTRACT.md 2.8."""
    lines = []
    for number in range(max(_WORKERS, call.node.busy)):
        visitor = f"192.0.2.{number % 250 + 1}"
        if number < call.node.busy:
            lines.append(
                f"{4711 + number} RUNNING {0.4 * (number + 1):.1f}s NL phpfpm {visitor} GET /checkout/ ({_AGENT})"
            )
        else:
            lines.append(f"{4711 + number} IDLE 0.1s - {visitor} GET / ({_AGENT})")
    return answers.json_answer({"message": None, "data": "\n".join(lines) + "\n", "status": 200})
