"""What version 2 says."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.kit.campus import Campus, CampusError, Zone
from apps.update_schuman.v1.sentence import sentence as who_is_there

DAYTIME = range(8, 20)
"""Hours of the day of which people want to know when it is quiet."""
ASK_AGAIN = timedelta(minutes=15)
"""After which quiet times are asked for anew: they change by the day, and who is there changes every second."""


class Sentences:
    """Says who is in the zone now and when it is usually quiet today; without the second, where nobody knows."""

    def __init__(self) -> None:
        self._asked_at: datetime | None = None
        self._summary: Mapping[str, Any] = {}

    async def sentence(self, zone: Zone, campus: Campus, now: datetime) -> str:
        """What is said of the zone at an instant (UTC)."""
        first = await who_is_there(zone, campus, now)
        if self._asked_at is None or now - self._asked_at >= ASK_AGAIN:
            self._asked_at = now
            try:
                self._summary = await campus.get(f"zones/{campus.zone_id}/occupancy/summary", kind="mobile")
            except CampusError:
                self._summary = {}
        hour = quietest_hour(self._summary, now)
        return first if hour is None else f"{first} It is usually quietest from {hour}:00 to {hour + 1}:00 today."


def quietest_hour(summary: Mapping[str, Any], now: datetime) -> int | None:
    """The hour of this weekday's daytime in which fewest are there, by the campus's clock; None where nobody knows.

    `summary` is the answer of `GET /v1/zones/{zone}/occupancy/summary`, or anything: then nobody knows.
    """
    try:
        weekday = now.astimezone(ZoneInfo(summary["campus_timezone"])).strftime("%A").lower()
        (day,) = [day for day in summary["popular_times"] if day["weekday"] == weekday]
        known = [(hour["devices"], hour["hour"]) for hour in day["hours"] if hour["devices"] is not None]
        return min((pair for pair in known if pair[1] in DAYTIME), default=(None, None))[1]
    except (KeyError, TypeError, ValueError):
        return None
