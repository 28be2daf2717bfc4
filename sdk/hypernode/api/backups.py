"""Backups of a node (CONTRACT.md 2.3). Attaching and restoring have no known endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from hypernode.api.answers import read_as
from hypernode.api.models import Backup
from hypernode.api.resource import Resource


class Backups(Resource):
    """The backups of one node."""

    def iter(self) -> Iterator[Backup]:
        """Yield the backups in the order of the API, page by page (source: GET /v2/app/{app}/backup/)."""
        for item in self._iter(f"/v2/app/{self._node}/backup/"):
            yield read_as(Backup, item, "backup", node=self._node)

    def create(self) -> str:
        """Ask for a backup now, and return what the API says to that (source: POST /v2/app/{app}/backup/).

        It needs SLA Standard. The flow ``create_backup`` may end as reverted although the backup is only slow, so look
        for it in the list (CONTRACT.md 1.7). Sent once, whatever happens.

        Raises:
            OutcomeUnknown: The answer was lost.
        """
        look = f"Look for create_backup with `hnctl flows list -n {self._node}` before you try again"
        said = self._send_once("POST", f"/v2/app/{self._node}/backup/", look=look).data
        return said if isinstance(said, str) else ""
