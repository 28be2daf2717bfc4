"""Ready-made nginx blocks against known attacks (CONTRACT.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

from hypernode.api.resource import Resource


class Attacks(Resource):
    """The attacks that can be blocked on one node."""

    def descriptions(self) -> Mapping[str, str]:
        """Return each attack with a sentence about it (source: GET /v2/app/block_attack_descriptions/)."""
        data = self._object("/v2/app/block_attack_descriptions/", "list of attacks")
        return {name: str(text) for name, text in data.items()}

    def block(self, attack: str) -> None:
        """Post the job that blocks `attack` (source: POST /v2/app/{app}/block_attack/).

        A flow ``block_attack`` puts a file into /data/web/nginx, and takes it away again when nginx does not accept it.
        No call undoes it: the file is removed by hand. Sent once, whatever happens.

        Args:
            attack: A name out of `descriptions`; the API judges it.

        Raises:
            Rejected: There is no such attack.
            OutcomeUnknown: The answer was lost.
        """
        look = f"Look for block_attack with `hnctl flows list -n {self._node}` before you try again"
        self._send_once("POST", f"/v2/app/{self._node}/block_attack/", {"attack_name": attack}, look=look)
