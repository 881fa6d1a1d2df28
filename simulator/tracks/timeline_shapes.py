"""How Google Timeline writes what it knows; of each thing only what is used, and anything may be missing."""

from msgspec import Struct, field


class E7(Struct, rename="camel"):
    """A place in units of 1e-7 degrees, with whatever is known besides; names as in `Records.json` or in a path."""

    latitudeE7: int | None = None  # noqa: N815 - Google's own capitals, which no rule makes
    longitudeE7: int | None = None  # noqa: N815
    latE7: int | None = None  # noqa: N815
    lngE7: int | None = None  # noqa: N815
    timestamp: str | None = None
    timestamp_ms: str | None = None
    accuracy: float | None = None
    accuracy_meters: float | None = None
    altitude: float | None = None
    velocity: float | None = None
    heading: float | None = None


class Duration(Struct, rename="camel"):
    """From when until when."""

    start_timestamp: str | None = None
    start_timestamp_ms: str | None = None
    end_timestamp: str | None = None
    end_timestamp_ms: str | None = None


class RawPath(Struct, rename="camel"):
    """Points of a way, each with its time."""

    points: list[E7] = []


class Visited(Struct, rename="camel"):
    """A stay."""

    location: E7 | None = None
    duration: Duration | None = None
    simplified_raw_path: RawPath | None = None


class Moved(Struct, rename="camel"):
    """A way."""

    start_location: E7 | None = None
    end_location: E7 | None = None
    duration: Duration | None = None
    simplified_raw_path: RawPath | None = None


class TimelineObject(Struct, rename="camel"):
    """A stay or a way."""

    place_visit: Visited | None = None
    activity_segment: Moved | None = None


class LatLng(Struct, rename="camel"):
    """A place as a phone of Android writes it."""

    lat_lng: str | None = None


class Candidate(Struct, rename="camel"):
    """Where a stay probably was."""

    place_location: str | LatLng | None = None


class Visit(Struct, rename="camel"):
    """A stay, as a phone writes it."""

    top_candidate: Candidate | None = None


class Activity(Struct, rename="camel"):
    """A way, as a phone writes it."""

    start: str | LatLng | None = None
    end: str | LatLng | None = None


class PathPoint(Struct, rename="camel"):
    """A point of a way, as a phone writes it."""

    point: str | LatLng | None = None
    time: str | None = None
    duration_minutes_offset_from_start_time: str | float | None = None


class Segment(Struct, rename="camel"):
    """A stay, a way or its points, as a phone writes them."""

    start_time: str | None = None
    end_time: str | None = None
    visit: Visit | None = None
    activity: Activity | None = None
    timeline_path: list[PathPoint] | None = None


class Position(Struct, rename="camel"):
    """A fix of an Android phone."""

    place: str | None = field(default=None, name="LatLng")
    timestamp: str | None = None
    accuracy_meters: float | None = None
    altitude_meters: float | None = None
    speed_meters_per_second: float | None = None


class Signal(Struct, rename="camel"):
    """One of an Android phone's raw signals, most of which are no fixes."""

    position: Position | None = None


class Timeline(Struct, rename="camel"):
    """Any of the forms that are objects."""

    locations: list[E7] = []
    timeline_objects: list[TimelineObject] = []
    semantic_segments: list[Segment] = []
    raw_signals: list[Signal] = []
