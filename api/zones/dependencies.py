"""What the routes of zones work with, and what others ask about zones."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Path

from api.auth import Access
from api.http.dependencies import opened
from api.http.problems import unknown_zone
from api.zones.campus import CampusView, FollowedCampus
from core.clock import Clock
from core.kinds import Kinds
from geofence import Campus, Finest, Zone
from state.client import Redis

ZoneId = Annotated[str, Path(description="Id of a zone, as /v1/zones lists it.", examples=["kemmy"])]


@dataclass(frozen=True, kw_only=True)
class Zones:
    """The zones of one API process."""

    kinds: Kinds
    followed: FollowedCampus
    redis: Redis
    partitions: int
    access: Access
    clock: Clock
    finest: Finest | None = None
    """How finely zones may be drawn; None where counts are told as they are."""

    @property
    def view(self) -> CampusView:
        """The campus as it is now. Take it once for an answer: another may be there after the next `await`."""
        return self.followed.view

    @property
    def campus(self) -> Campus:
        """The same, without what is published of it."""
        return self.followed.view.campus

    def by_id(self, zone: str) -> Zone:
        """A zone by its id, the campus itself included; 404 where there is none."""
        try:
            return self.campus.by_id[zone]
        except KeyError:
            raise unknown_zone(zone) from None


Resources = Annotated[Zones, opened("zones")]
"""The parameter through which a route of zones receives them."""
