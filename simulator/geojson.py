"""Tracks in GeoJSON (RFC 7946), which itself knows no times: they are where togeojson puts them.

A line has them beside it, one a coordinate, in the property `coordTimes`, `times` or `coordinateProperties.times`; a
point has its own in the property `timestamp` or `time`. Times are RFC 3339, or milliseconds since the epoch.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from core.clock import parse_rfc3339
from simulator.fix import BadTrackError, Fix

Time = str | int
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
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


class Feature(Struct, tag_field="type"):
    """A line with its times, or a point with its time."""

    geometry: Point | LineString | MultiLineString | None
    properties: Properties | None = None


class FeatureCollection(Struct, tag_field="type"):
    """Lines, or else points."""

    features: list[Feature]


_decoder = msgspec.json.Decoder(Feature | FeatureCollection)


def read_geojson(text: str) -> list[Fix]:
    """The fixes of all lines, or of the points where there is no line, as points beside a line are waypoints.

    Raises BadTrackError, also for a place without a time.
    """
    try:
        document = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadTrackError(f"not a track in GeoJSON: {error}") from error
    features = document.features if isinstance(document, FeatureCollection) else [document]
    lines = [feature for feature in features if isinstance(feature.geometry, LineString | MultiLineString)]
    fixes: list[Fix] = []
    for number, feature in enumerate(lines or features, start=1):
        try:
            fixes.extend(_fixes(feature))
        except ValueError as error:
            raise BadTrackError(f"feature {number}: {error}") from error
    return fixes


def _fixes(feature: Feature) -> Iterator[Fix]:
    properties = feature.properties or Properties()
    match feature.geometry:
        case Point(place):
            yield _point(place, properties)
        case LineString(places):
            yield from _along(places, properties)
        case MultiLineString(lines):
            yield from _along([place for line in lines for place in line], properties)


def _point(place: Place, properties: Properties) -> Fix:
    time = properties.timestamp if properties.timestamp is not None else properties.time
    if time is None:
        raise ValueError("the point has no timestamp")
    longitude, latitude, altitude = _coordinates(place)
    return Fix(
        longitude=longitude,
        latitude=latitude,
        altitude=altitude,
        at_ms=_milliseconds(time),
        accuracy=properties.accuracy,
        speed=properties.speed,
        heading=properties.heading,
    )


def _along(places: list[Place], properties: Properties) -> Iterator[Fix]:
    inner = properties.coordinate_properties.times if properties.coordinate_properties else None
    given = properties.coord_times or properties.times or inner or []
    # The times of several lines come as a list for each.
    times = [time for item in given for time in (item if isinstance(item, list) else [item])]
    if len(times) != len(places):
        raise ValueError(f"{len(places)} coordinates, but {len(times)} coordTimes")
    for place, time in zip(places, times, strict=True):
        longitude, latitude, altitude = _coordinates(place)
        yield Fix(longitude=longitude, latitude=latitude, altitude=altitude, at_ms=_milliseconds(time))


def _coordinates(place: Place) -> tuple[float, float, float | None]:
    return place[0], place[1], place[2] if len(place) > 2 else None  # noqa: PLR2004 - altitude comes third, if it does


def _milliseconds(time: Time) -> int:
    return time if isinstance(time, int) else parse_rfc3339(time)
