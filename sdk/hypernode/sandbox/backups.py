"""The backups of nodes (CONTRACT.md 2.3, 2.11): one a day for a week, two from the weeks before, and those asked for.

What no source tells is decided here: the newest come first, Branchers start without any, and a backup whose flow was
rolled back appears a little later all the same, as CONTRACT.md 1.7 says of it most often.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hypernode.sandbox.faults import Fault
from hypernode.sandbox.flows import make_uuid
from hypernode.sandbox.nodes import Node
from hypernode.sandbox.world import World

_DAY = 86400.0
_DAILY, _WEEKLY = range(7), (7, 14)
"""How many days old they are."""
_KEPT_DAILY, _KEPT_WEEKLY, _KEPT_INSTANT = 7, 21, 2
"""For how many days."""
_ZONE = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup. Times are seconds on the world's clock."""

    id: str
    created_at: float
    expires_at: float
    visible_at: float


class Backups:
    """The backups of all nodes of `world`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: defaultdict[str, list[Backup]] = defaultdict(list)

    def show(self, node: Node) -> list[dict[str, object]]:
        """Return the backups of `node` as the API shows them, newest first."""
        now = self._world.clock()
        kept = [b for b in (*self._old(node), *self._made[node.name]) if b.visible_at <= now < b.expires_at]
        return [
            {
                "backup_id": backup.id,
                "type": "periodic",  # no other word is attested
                "backup_created_at": self._local(backup.created_at),
                "expired_at": self._local(backup.expires_at),
            }
            for backup in sorted(kept, key=lambda backup: -backup.created_at)
        ]

    def create(self, node: Node, fault: Fault | None = None) -> bool:
        """Start a backup of `node`, listed when its flow is over; return whether other jobs are before it."""
        world = self._world
        job, overlap = world.post(node, "create_backup", fault)
        visible_at = job.ends_at if job.succeeds else job.ends_at + world.flow_time
        id_ = make_uuid(job.tracker, "backup")
        self._made[node.name].append(Backup(id_, job.ends_at, job.ends_at + _KEPT_INSTANT * _DAY, visible_at))
        return overlap

    def _old(self, node: Node) -> list[Backup]:
        """Return the backups from before this world began; a Brancher has none."""
        if node.brancher is not None:
            return []
        world = self._world
        newest = world.born - random.Random(f"{world.seed}:{node.name}:backup").uniform(0, _DAY)
        ages = [(age, _KEPT_DAILY) for age in _DAILY] + [(age, _KEPT_WEEKLY) for age in _WEEKLY]
        return [
            Backup(
                make_uuid(world.seed, node.name, "backup", age),
                newest - age * _DAY,
                newest + (kept - age) * _DAY,
                world.born,
            )
            for age, kept in ages
        ]

    def _local(self, at: float) -> str:
        return datetime.fromtimestamp(self._world.unix(at), _ZONE).isoformat(timespec="seconds")
