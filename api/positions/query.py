"""Positions: what is asked for, and how the answer is written. Personal data: every route of them needs a key."""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import msgspec
import shapely
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from shapely import MultiPolygon, Polygon

from api.http.boxes import Box, boxes
from api.http.instants import EARLIEST, LATEST, Instant
from api.http.problems import WrongParameter, wrong_parameters
from api.positions.pseudonyms import Pseudonyms
from core.clock import format_rfc3339
from core.marks import Mark
from core.unreadable import UNREADABLE
from documents import LIMIT_MAX, Document, PositionQuery
from documents.tiles import BBox, tiles_of_box
from geofence.shapes import polygon_from

DEFAULT_SPAN_MS = 24 * 3_600_000
DEFAULT_LIMIT = 100
AHEAD_MS = 300_000
"""How far ahead of the present a position may be: as far as the decoder lets it be."""
RADIUS_MAX = 20_000.0
CORNERS_MAX = 10_000
"""Positions of a geometry; what is looked up is compared with each of them at the worst."""
EARTH_RADIUS = 6_371_008.8
"""Metres, the mean (IUGG); distances are those on a sphere, right to half a per cent."""
_PLACE_PARTS = 2
_MARGIN = 1e-6
"""Degrees, about 0.1 m: a box around a circle may be that much too large, and never too small."""

Keeps = Callable[[Document], Awaitable[bool]]
Contains = Callable[[float, float], bool]
"""Whether a shape holds a place, by longitude and latitude in degrees."""


def numbers(text: object, count: int) -> tuple[float, ...]:
    """So many finite numbers, joined by commas. Raises ValueError."""
    # FastAPI gives a list for what becomes a tuple: of one text, unless the parameter came twice.
    [text] = text if isinstance(text, list) and len(text) == 1 else [text]
    try:
        found = tuple(map(float, text.split(","))) if isinstance(text, str) else ()
    except ValueError:
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError(f"{count} numbers joined by commas are needed, in degrees; longitude comes before latitude")
    return found


def box(text: object) -> tuple[Box, ...]:
    """West, south, east, north in degrees, in two parts across the 180th meridian. Raises ValueError."""
    [text] = text if isinstance(text, list) and len(text) == 1 else [text]
    return boxes(text if isinstance(text, str) else "")


def place(text: object) -> tuple[float, float]:
    """Longitude and latitude in degrees. Raises ValueError."""
    longitude, latitude = numbers(text, _PLACE_PARTS)
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - degrees
        raise ValueError("longitude is from -180 to 180, latitude from -90 to 90; longitude comes first")
    return longitude, latitude


def _text(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


class SearchQuery(BaseModel):
    """Which positions are asked for, beside where; all that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Id of a zone that holds them.",
        examples=["car-park-west"],
    )
    device: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{32}$",
        description="The device, 32 hexadecimal digits, as positions name it.",
        examples=["9f2c1e0b7a4d4c6e8b1f0a2d3c4e5f60"],
    )
    start: Instant = Field(
        default=None, description="Observed then or later, RFC 3339 with an offset. By default a day before end."
    )
    end: Instant = Field(
        default=None, description="Observed before then, RFC 3339 with an offset. By default all until now."
    )
    plausible: bool | None = Field(
        default=None,
        description="true: without positions that are `implausible`, and without those of a device in an hour in which "
        "it is marked; false: these alone, with their marks. Hours that are not over, or not judged, have no marks. "
        "By default all.",
        examples=[True],
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        le=LIMIT_MAX,
        description=f"Positions of one page at the most, by default {DEFAULT_LIMIT}. A sequence has no pages: there it "
        "is how many in all, by default every one.",
        examples=[100],
    )
    cursor: str | None = Field(
        default=None,
        max_length=500,
        description="Where to go on: from the link `next` of the page before, which has all other parameters, too.",
        examples=["WzE1NTA0ODAyODUwMDAsIjlmMmMtMDAwMDAxNTUwNDgwMjg1MDAwIl0"],
    )


class PlaceQuery(SearchQuery):
    """Which positions are asked for; all that is given must hold."""

    bbox: Annotated[tuple[Box, ...] | None, BeforeValidator(box), _text("-8.575,52.672,-8.565,52.68")] = Field(
        default=None,
        description="In this box: west, south, east, north in degrees; its edges belong to it. Heights may stand "
        "beside them, and are ignored; where west is above east, the box spans the antimeridian.",
    )
    near: Annotated[tuple[float, float] | None, BeforeValidator(place), _text("-8.5701,52.6741")] = Field(
        default=None, description="Around this place: longitude, latitude in degrees; with `distance`."
    )
    distance: float | None = Field(
        default=None,
        gt=0,
        le=RADIUS_MAX,
        description="Metres from `near` at the most.",
        examples=[150],
    )


def position_query(
    query: SearchQuery,
    *,
    now: int,
    campus: str,
    area: Polygon | MultiPolygon | None,
    keeps: Keeps | None,
    names: Pseudonyms | None = None,
) -> PositionQuery:
    """What the document store is asked.

    `now` is in milliseconds since the epoch; `campus` is the id of the campus itself, whose zone holds every position;
    `area` is the shape to search in, in degrees; `keeps` is as `PositionQuery` has it; `names` are those under which
    who asks knows devices, None where that is their hash. Raises a 422 problem.
    """
    device = query.device
    if device is not None and names is not None:
        start, end = _within_a_day(query, now, names)
    else:
        end = min(now + AHEAD_MS + 1, LATEST) if query.end is None else query.end
        start = max(EARLIEST, min(end, now) - DEFAULT_SPAN_MS) if query.start is None else query.start
    if start >= end:
        detail = f"{format_rfc3339(start)} is not before end, {format_rfc3339(end)}"
        raise wrong_parameters([WrongParameter("start", detail)])
    bbox, contains = _where(query, area)
    if device is not None and names is not None:
        device = names.hash_of(device, start)
    zone = query.zone
    if zone is None and device is None and (bbox is None or is_wide(bbox)):
        zone = campus
    return PositionQuery(start=start, end=end, zone=zone, device=device, bbox=bbox, contains=contains, keeps=keeps)


def _within_a_day(query: SearchQuery, now: int, names: Pseudonyms) -> tuple[int, int]:
    """Start and end of a search for a device, which has another name on each day: by default all of today.

    Where one of them is given, the day that it lies in. Raises a 422 problem.
    """
    given = query.start if query.start is not None else query.end - 1 if query.end is not None else now
    first, over = names.day_of(given)
    start = first if query.start is None else query.start
    end = over if query.end is None else query.end
    if end > over:
        raise wrong_parameters(
            [
                WrongParameter(
                    "device",
                    "a device has another name on each day: start and end lie in one day of the campus, such as"
                    f" {format_rfc3339(first)} and {format_rfc3339(over)}",
                )
            ]
        )
    return start, end


def _where(query: SearchQuery, area: Polygon | MultiPolygon | None) -> tuple[BBox | None, Contains | None]:
    if area is not None:
        shapely.prepare(area)
        west, south, east, north = area.bounds
        return (west, south, east, north), lambda longitude, latitude: bool(
            # A point and an area that intersect: outlines belong to it, as they belong to zones.
            shapely.intersects_xy(area, longitude, latitude)
        )
    if not isinstance(query, PlaceQuery):
        return None, None
    if (query.near is None) != (query.distance is None):
        missing = "near" if query.near is None else "distance"
        raise wrong_parameters([WrongParameter(missing, "near and distance are given together")])
    bbox, in_box = _around(query.bbox)
    if query.near is None or query.distance is None:
        return bbox, in_box
    around, in_circle = circle(*query.near, query.distance)
    if bbox is None:
        return around, in_circle
    both = _intersection(around, bbox)
    # Apart from each other: no place is in both.
    return (
        both or bbox,
        lambda longitude, latitude: (
            both is not None and in_circle(longitude, latitude) and (in_box is None or in_box(longitude, latitude))
        ),
    )


def _around(parts: tuple[Box, ...] | None) -> tuple[BBox | None, Contains | None]:
    """One box that holds all parts, and what is in them, where that is less."""
    if parts is None or len(parts) == 1:
        return (parts[0] if parts else None), None
    _, south, _, north = parts[0]
    return (-180.0, south, 180.0, north), lambda longitude, latitude: any(
        west <= longitude <= east and south <= latitude <= north for west, south, east, north in parts
    )


def circle(longitude: float, latitude: float, radius: float) -> tuple[BBox, Contains]:
    """A box around all places within so many metres of a place, and whether a place is one of them.

    Around a pole, and across the 180th meridian, the box goes all around the earth.
    """
    reach = math.degrees(radius / EARTH_RADIUS)
    south, north = latitude - reach - _MARGIN, latitude + reach + _MARGIN
    west, east = -180.0, 180.0
    if south > -90 and north < 90:  # noqa: PLR2004 - a pole
        # The meridians that touch the circle: sin(width) = sin(reach) / cos(latitude).
        sine = math.sin(math.radians(reach)) / math.cos(math.radians(latitude))
        if sine < 1:
            width = math.degrees(math.asin(sine)) + _MARGIN
            if longitude - width >= west and longitude + width <= east:
                west, east = longitude - width, longitude + width

    def contains(other_longitude: float, other_latitude: float) -> bool:
        return metres(longitude, latitude, other_longitude, other_latitude) <= radius

    return (west, max(south, -90.0), east, min(north, 90.0)), contains


def metres(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """The distance of two places in degrees on the mean sphere, by the haversine formula."""
    one, other = math.radians(latitude), math.radians(other_latitude)
    east = math.sin(math.radians(other_longitude - longitude) / 2)
    north = math.sin((other - one) / 2)
    half = north * north + math.cos(one) * math.cos(other) * east * east
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, half)))


def _intersection(one: BBox, other: BBox) -> BBox | None:
    west, south = max(one[0], other[0]), max(one[1], other[1])
    east, north = min(one[2], other[2]), min(one[3], other[3])
    return (west, south, east, north) if west <= east and south <= north else None


def is_wide(bbox: BBox) -> bool:
    """Whether a box has more tiles than one question may have; the index of the campus's own zone serves it then."""
    try:
        tiles_of_box(bbox)
    except ValueError:
        return True
    return False


def area_of(body: bytes) -> Polygon | MultiPolygon:
    """The shape in a body: a GeoJSON Polygon or MultiPolygon, or a Feature of one. Raises a 422 problem."""
    try:
        content = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise _wrong_body(f"not JSON: {str(error)[:200]}") from error
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = content.get("geometry")
    if _corners(content) > CORNERS_MAX:
        raise _wrong_body(f"the geometry has more than {CORNERS_MAX:,} positions: simplify its outline")
    try:
        return polygon_from(content)
    except ValueError as error:
        raise _wrong_body(str(error)) from error


def _corners(geometry: object) -> int:
    """Lists of the innermost kind, as positions are, counted without recursion."""
    count, rest = 0, [geometry.get("coordinates")] if isinstance(geometry, dict) else []
    while rest and count <= CORNERS_MAX:
        each = rest.pop()
        if isinstance(each, list):
            if any(isinstance(part, list) for part in each):
                rest += each
            else:
                count += 1
    return count


def _wrong_body(detail: str) -> Exception:
    return wrong_parameters([WrongParameter("body", detail)])


def feature(document: Document, marks: Iterable[Mark] = ()) -> dict[str, Any]:
    """A position as it is given: RFC 7946 calls the key `id`, and what only the index needs is left out."""
    properties = {name: value for name, value in document["properties"].items() if name != "tile"}
    if found := set(marks):
        properties["marks"] = [mark.value for mark in Mark if mark in found]
    return {
        "type": "Feature",
        "id": document["_id"],
        "geometry": document["geometry"],
        "properties": properties,
    }
