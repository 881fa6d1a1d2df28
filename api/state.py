"""What the routes work with: opened once by whoever starts the API, and given to each request."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from api.metrics import ApiMetrics
from api.problems import unknown_zone
from api.settings import ApiSettings
from core.clock import Clock
from core.redis import Redis
from geofence import Campus, Zone
from timeseries import OccupancyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The resources of one API process."""

    settings: ApiSettings
    campus: Campus
    redis: Redis
    store: OccupancyStore
    metrics: ApiMetrics
    clock: Clock

    def zone(self, zone: str) -> Zone:
        """A zone by its id, the campus itself included; 404 where there is none."""
        try:
            return self.campus.by_id[zone]
        except KeyError:
            raise unknown_zone(zone) from None


async def _state_of(request: Request) -> State:
    return cast("State", request.app.state.resources)


Resources = Annotated[State, Depends(_state_of)]
"""The parameter through which a route receives the `State`."""
