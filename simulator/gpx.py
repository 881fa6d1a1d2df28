"""Tracks in GPX 1.0 and 1.1 (https://www.topografix.com/gpx.asp)."""

from datetime import UTC, datetime, timedelta

import gpxpy
from gpxpy.gpx import GPXException, GPXRoutePoint, GPXTrackPoint

from simulator.fix import BadTrackError, Fix

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_gpx(text: str) -> list[Fix]:
    """The fixes of all tracks, or of the routes where there is no track; waypoints are ignored.

    Raises BadTrackError, also for a point without a time: a route that was planned has been nowhere yet.
    """
    # An XML document type can define entities that grow without end when they are read. No GPX needs one.
    if "<!DOCTYPE" in text:
        raise BadTrackError("it has a DOCTYPE, which GPX has no use for")
    try:
        gpx = gpxpy.parse(text)
    except (GPXException, ValueError, RecursionError) as error:
        raise BadTrackError(f"not GPX: {error}") from error
    points: list[GPXTrackPoint | GPXRoutePoint] = [
        point for track in gpx.tracks for segment in track.segments for point in segment.points
    ] or [point for route in gpx.routes for point in route.points]
    return [_fix(number, point) for number, point in enumerate(points, start=1)]


def _fix(number: int, point: GPXTrackPoint | GPXRoutePoint) -> Fix:
    if point.time is None:
        raise BadTrackError(f"point {number} has no time that can be read")
    # GPX times are in UTC, whether they say so or not.
    time = point.time if point.time.tzinfo else point.time.replace(tzinfo=UTC)
    try:
        return Fix(
            longitude=point.longitude,
            latitude=point.latitude,
            at_ms=(time - _EPOCH) // timedelta(milliseconds=1),
            altitude=point.elevation,
            speed=getattr(point, "speed", None),  # GPX 1.0 alone has speed and course, and not in routes
            heading=getattr(point, "course", None),
        )
    except ValueError as error:
        raise BadTrackError(f"point {number}: {error}") from error
