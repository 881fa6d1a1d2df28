"""How many are where, now."""

from api.occupancy.dependencies import OccupancyResources
from api.occupancy.snapshot import Snapshot, TakesSnapshots
from api.occupancy.snapshots import Snapshots

__all__ = ["OccupancyResources", "Snapshot", "Snapshots", "TakesSnapshots"]
