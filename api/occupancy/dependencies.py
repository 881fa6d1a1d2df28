"""What the routes of occupancy work with."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from api.http.dependencies import opened
from api.occupancy.snapshot import Snapshot, TakesSnapshots
from api.zones import Zones
from core.clock import Clock

FRESH_MS = 1_000
"""How old a snapshot of the poller may be that an answer is made of."""


class Newest(Protocol):
    """Whoever keeps the newest snapshot of all zones."""

    latest: Snapshot | None
    """None before the first."""


@dataclass(frozen=True, kw_only=True)
class OccupancyResources:
    """How zones are read, and what was read a moment ago."""

    zones: Zones
    snapshots: TakesSnapshots
    newest: Newest
    clock: Clock
    ttl: int
    """Seconds for which an answer stays good, where counts are told as they are."""
    slot_ms: int | None = None
    """How often released counts may change; None where counts are told as they are."""

    @property
    def fresh(self) -> Snapshot | None:
        """What was seen a moment ago; None where that is too old, or of another campus than the present one."""
        snapshot = self.newest.latest
        if snapshot is None or snapshot.version != self.zones.view.version:
            return None
        return snapshot if 0 <= self.clock() - snapshot.at < FRESH_MS else None

    @property
    def cache_control(self) -> str:
        """What Cache-Control says of every answer about now."""
        # What needs a key is not for caches that others share.
        reach = "public" if self.zones.access.public_occupancy else "private"
        return f"{reach}, max-age={self._max_age}"

    @property
    def _max_age(self) -> int:
        """Seconds until the answer may be another: for all that are given in a slot, until its end."""
        if self.slot_ms is None:
            return self.ttl
        told = self.newest.latest.told_at if self.newest.latest else 0
        return max(0, told + self.slot_ms - self.clock()) // 1000


Resources = Annotated[OccupancyResources, opened("occupancy")]
"""The parameter through which a route receives them."""
