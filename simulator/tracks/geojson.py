"""Tracks in GeoJSON (RFC 7946), which itself knows no times: they are where converters and recorders put them.

A line has them beside it, one a coordinate, in the property `coordTimes`, `times` or `coordinateProperties.times`; a
point has its own in the property `timestamp`, `time` or `time_long`. Times are RFC 3339, or numbers since the epoch.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from core.unreadable import UNREADABLE
from simulator.fix import BadTrackError
from simulator.tracks.track import MAX_FIXES, Points
from simulator.tracks.values import instant

_MAX_VALUES = 8 * MAX_FIXES
"""Of a file, at the most: a point of a line has four, and in 50 MB is no room for so many that mean something."""
Time = str | float
Place = Annotated[list[float], Meta(min_length=2)]


class Point(Struct, tag_field="type"):
    """One place: longitude, latitude, and altitude if any."""

    coordinates: Place


class LineString(Struct, tag_field="type"):
    """Places in the order in which they were visited."""

    coordinates: list[Place]


class MultiLineString(Struct, tag_field="type"):
    """Several such lines, where the recording was interrupted."""

    coordinates: list[list[Place]]


class CoordinateProperties(Struct):
    """What newer versions of togeojson know about each coordinate."""

    times: list[Time | list[Time]] | None = None


class Properties(Struct):
    """The properties that a track may have; others are ignored."""

    coord_times: list[Time | list[Time]] | None = field(default=None, name="coordTimes")
    times: list[Time | list[Time]] | None = None
    coordinate_properties: CoordinateProperties | None = field(default=None, name="coordinateProperties")
    timestamp: Time | None = None
    time: Time | None = None
    time_long: Time | None = None
    accuracy: object = None
    speed: object = None
    heading: object = None
    bearing: object = None


class Feature(Struct, tag_field="type"):
    """A line with its times, or a point with its time."""

    geometry: Point | LineString | MultiLineString | None
    properties: Properties | None = None


class FeatureCollection(Struct, tag_field="type"):
    """Lines, or else points."""

    features: list[Feature]


_decoder = msgspec.json.Decoder(Feature | FeatureCollection)


def read_geojson(text: str) -> Points:
    """The points of all lines, or else the points by themselves, as those beside a line are waypoints.

    Raises BadTrackError with the number of the feature, also for a line without as many times.
    """
    # Each list takes some 150 bytes, and each value in it some 32, however short they are written.
    if text.count("[") > 3 * MAX_FIXES or text.count(",") > _MAX_VALUES:
        raise BadTrackError(f"more than {MAX_FIXES:,} points: split it")
    try:
        document = _decoder.decode(text)
    except UNREADABLE as error:
        raise BadTrackError(f"not a track in GeoJSON: {error}{_hint(str(error))}") from error
    features = document.features if isinstance(document, FeatureCollection) else [document]
    lines = [feature for feature in features if isinstance(feature.geometry, LineString | MultiLineString)]
    points = Points()
    for number, feature in enumerate(lines or features, start=1):
        properties = feature.properties or Properties()
        try:
            match feature.geometry:
                case Point(place):
                    _point(points, place, properties)
                case LineString(places):
                    _along(points, places, properties)
                case MultiLineString(parts):
                    _along(points, [place for part in parts for place in part], properties)
                case None:
                    points.leave_out("have no geometry")
        except ValueError as error:
            raise BadTrackError(f"feature {number}: {error}") from error
    return points


def _hint(error: str) -> str:
    if "coordinates" in error and "got `null`" in error:
        return ": a number is missing there; leave out an altitude that is not known"
    return ""


def _point(points: Points, place: Place, properties: Properties) -> None:
    time = properties.timestamp if properties.timestamp is not None else properties.time
    if time is not None:
        at_ms = _at_ms(time)
    elif properties.time_long is not None:  # GPSLogger writes it as text
        at_ms = instant(properties.time_long)
    else:
        points.leave_out("have no timestamp")
        return
    points.add(
        place[0],
        place[1],
        at_ms,
        altitude=_altitude(place),
        accuracy=properties.accuracy,
        speed=properties.speed,
        heading=properties.heading if properties.heading is not None else properties.bearing,
    )


def _along(points: Points, places: list[Place], properties: Properties) -> None:
    inner = properties.coordinate_properties.times if properties.coordinate_properties else None
    times = list(_flat(properties.coord_times or properties.times or inner or []))
    if not times:
        for _ in places:
            points.leave_out("have no time (coordTimes)")
    elif len(times) != len(places):
        raise ValueError(f"{len(places)} coordinates, but {len(times)} coordTimes")
    else:
        for place, time in zip(places, times, strict=True):
            points.add(place[0], place[1], _at_ms(time), altitude=_altitude(place))


def _at_ms(time: Time) -> int:
    if isinstance(time, str) and time.strip().isdecimal():
        raise ValueError(f"the time {time.strip()[:40]} is a number in quotes: take them away")
    return instant(time)


def _flat(times: list[Time | list[Time]]) -> Iterator[Time]:
    """The times of several lines come as a list for each."""
    for time in times:
        if isinstance(time, list):
            yield from time
        else:
            yield time


def _altitude(place: Place) -> float | None:
    return place[2] if len(place) > 2 else None  # noqa: PLR2004 - altitude comes third, if it does
