"""What the routes of history work with."""

from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from api.http.dependencies import opened
from api.privacy import least_of
from api.zones import Zones
from core.clock import Clock
from core.kinds import KindId, Kinds
from timeseries import TimeseriesStore


@dataclass(frozen=True, kw_only=True)
class HistoryResources:
    """Where history is, and how much of it may be told."""

    kinds: Kinds
    zones: Zones
    store: TimeseriesStore
    clock: Clock
    timezone: ZoneInfo
    """The campus's own."""
    most: int
    """How many windows one answer may hold."""
    least: int
    """PRIVACY_MIN_COUNT."""

    def least_of(self, kind: KindId) -> int:
        """Under which number counts of a kind are withheld."""
        return least_of(kind, self.kinds, self.least)


Resources = Annotated[HistoryResources, opened("history")]
"""The parameter through which a route receives them."""
