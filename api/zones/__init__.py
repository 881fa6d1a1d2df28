"""Where: the campus, its zones, and changes of them."""

from api.zones.campus import CampusView, FollowedCampus
from api.zones.dependencies import ZoneId, Zones

__all__ = ["CampusView", "FollowedCampus", "ZoneId", "Zones"]
