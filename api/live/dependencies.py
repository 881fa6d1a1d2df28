"""What the stream of events, and what it lives on, work with."""

from dataclasses import dataclass
from typing import Annotated

from api.http.dependencies import opened
from api.http.metrics import ApiMetrics
from api.live.change_log import ChangeLog
from api.live.results import ResultsWatch
from api.occupancy import TakesSnapshots
from api.zones import Zones


@dataclass(frozen=True, kw_only=True)
class LiveResources:
    """What changes, and how many may follow it."""

    zones: Zones
    snapshots: TakesSnapshots
    change_log: ChangeLog
    results: ResultsWatch
    metrics: ApiMetrics
    heartbeat: float
    """Seconds of silence after which a stream gets a comment."""
    most: int
    """Streams that may be open."""
    share: float
    """Of them, what one address may have open."""


Resources = Annotated[LiveResources, opened("live")]
"""The parameter through which a route receives them."""
