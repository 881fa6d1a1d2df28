"""Google Timeline, in the forms in which people get it.

`Records.json` of Takeout has each fix; the months of its `Semantic Location History` (`timelineObjects`) have stays and
ways; what a phone exports has the same in other words, as a list (iOS) or as `semanticSegments` (Android), and an
Android phone's `rawSignals` are the fixes of its last weeks. All are put in order of time, since stays and ways
overlap.
"""

import re

import msgspec

from core.unreadable import UNREADABLE
from simulator.fix import BadTrackError
from simulator.tracks.timeline_shapes import (
    E7,
    Duration,
    LatLng,
    PathPoint,
    Position,
    Segment,
    Timeline,
    TimelineObject,
)
from simulator.tracks.track import MAX_FIXES, Points
from simulator.tracks.values import instant, measure

_GEO = re.compile(r"(?:geo:)?\s*([+-]?\d+(?:\.\d+)?)°?\s*,\s*([+-]?\d+(?:\.\d+)?)°?(?:\s*[,;].*)?", re.ASCII)
_E7 = 10_000_000
_TURN = 1 << 32
_HALF_TURN_E7 = 1_800_000_000
_QUARTER_TURN_E7 = 900_000_000
_MINUTE_MS = 60_000
_MAX_OBJECTS = 3 * MAX_FIXES
"""Of a file, at the most: each takes some 110 bytes, however short it is written. Google's own have 33 characters or
more."""


_timeline = msgspec.json.Decoder(Timeline)
_segments = msgspec.json.Decoder(list[Segment])


def read_timeline(text: str) -> Points:
    """All fixes, and the beginnings and ends of stays and ways. Raises BadTrackError for what cannot be read."""
    if text.count("{") > _MAX_OBJECTS:
        raise BadTrackError(f"more than {_MAX_OBJECTS:,} objects: cut it to the days that are needed")
    try:
        if text.startswith("["):
            document = Timeline(semantic_segments=_segments.decode(text))
        else:
            document = _timeline.decode(text)
    except UNREADABLE as error:
        raise BadTrackError(f"no Google Timeline that can be read: {error}") from error
    points = Points()
    for location in document.locations:
        _add_e7(points, location)
    for each in document.timeline_objects:
        _add_object(points, each)
    for segment in document.semantic_segments:
        _add_segment(points, segment)
    for signal in document.raw_signals:
        if signal.position is not None:
            _add_position(points, signal.position)
    points.fixes.sort(key=lambda fix: fix.at_ms)
    return points


def _add_e7(points: Points, location: E7 | None, time: int | None = None) -> None:
    """A place with its own time, or with `time` where that is given."""
    if location is None:
        points.leave_out("have no place")
        return
    latitude = _degrees(location.latitudeE7, location.latE7, _QUARTER_TURN_E7)
    longitude = _degrees(location.longitudeE7, location.lngE7, _HALF_TURN_E7)
    at_ms = _at_ms(location.timestamp, location.timestamp_ms) if time is None else time
    if latitude is None or longitude is None:
        points.leave_out("have no place")
    elif at_ms is None:
        points.leave_out("have no time that can be read")
    else:
        points.add(
            longitude,
            latitude,
            at_ms,
            altitude=location.altitude,
            accuracy=location.accuracy if location.accuracy is not None else location.accuracy_meters,
            speed=location.velocity,
            heading=location.heading,
        )


def _degrees(value: int | None, other: int | None, most: int) -> float | None:
    number = measure(value if value is not None else other, -_TURN, _TURN)
    if number is None:
        return None
    # Some exports have negative numbers as if they had no sign.
    return (number - _TURN if number > most else number) / _E7


def _add_object(points: Points, each: TimelineObject) -> None:
    if (visit := each.place_visit) is not None:
        start, end = _times(visit.duration)
        _add_spans(points, (visit.location, start), (visit.location, end))
        way = visit.simplified_raw_path
    elif (moved := each.activity_segment) is not None:
        start, end = _times(moved.duration)
        _add_spans(points, (moved.start_location, start), (moved.end_location, end))
        way = moved.simplified_raw_path
    else:
        return
    for point in way.points if way is not None else ():
        _add_e7(points, point)


def _add_spans(points: Points, *spans: tuple[E7 | None, int | None]) -> None:
    for place, at_ms in spans:
        if at_ms is None:
            points.leave_out("have no time that can be read")
        else:
            _add_e7(points, place, at_ms)


def _times(duration: Duration | None) -> tuple[int | None, int | None]:
    if duration is None:
        return None, None
    return (
        _at_ms(duration.start_timestamp, duration.start_timestamp_ms),
        _at_ms(duration.end_timestamp, duration.end_timestamp_ms),
    )


def _add_segment(points: Points, segment: Segment) -> None:
    start, end = _at_ms(segment.start_time), _at_ms(segment.end_time)
    spots: list[tuple[str | LatLng | None, int | None]] = []
    if segment.visit is not None and segment.visit.top_candidate is not None:
        place = segment.visit.top_candidate.place_location
        # A list of a phone may have but one of both times.
        spots += [(place, at_ms) for at_ms in (start, end) if at_ms is not None] or [(place, None)]
    if segment.activity is not None:
        spots += [(segment.activity.start, start), (segment.activity.end, end)]
    spots += [(point.point, _on_the_way(point, start)) for point in segment.timeline_path or ()]
    for where, at_ms in spots:
        _add_spot(points, where, at_ms)


def _on_the_way(point: PathPoint, start: int | None) -> int | None:
    if point.time is not None:
        return _at_ms(point.time)
    minutes = measure(point.duration_minutes_offset_from_start_time, 0, 1e6)
    return None if minutes is None or start is None else start + round(minutes * _MINUTE_MS)


def _add_position(points: Points, position: Position) -> None:
    _add_spot(
        points,
        position.place,
        _at_ms(position.timestamp),
        altitude=position.altitude_meters,
        accuracy=position.accuracy_meters,
        speed=position.speed_meters_per_second,
    )


def _add_spot(points: Points, where: str | LatLng | None, at_ms: int | None, **measured: float | None) -> None:
    text = where.lat_lng if isinstance(where, LatLng) else where
    found = _GEO.fullmatch(text.strip()[:100]) if text is not None else None
    if found is None:
        points.leave_out("have no place")
    elif at_ms is None:
        points.leave_out("have no time that can be read")
    else:
        points.add(float(found[2]), float(found[1]), at_ms, **measured)


def _at_ms(text: str | None, milliseconds: str | None = None) -> int | None:
    try:
        return None if text is None and milliseconds is None else instant(text if text is not None else milliseconds)
    except ValueError:
        return None
