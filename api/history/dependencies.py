"""What the routes of history work with."""

from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from api.http.dependencies import opened
from api.zones import Zones
from core.clock import Clock
from timeseries import TimeseriesStore


@dataclass(frozen=True, kw_only=True)
class HistoryResources:
    """Where history is, and how much of it may be told."""

    zones: Zones
    store: TimeseriesStore
    clock: Clock
    timezone: ZoneInfo
    """The campus's own."""
    most: int
    """How many windows one answer may hold."""
    least: int
    """PRIVACY_MIN_COUNT."""


Resources = Annotated[HistoryResources, opened("history")]
"""The parameter through which a route receives them."""
