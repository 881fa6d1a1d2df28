"""How many devices were in which cells: what positions are told as where PRIVACY is not open, to `positions:read`.

A cell is a geohash of 7 characters, some 150 m wide, and what is told of it is of a whole quarter of an hour that is
over. Devices are counted once in each. Fewer than `least` and OWN_DEVICES more are never told: so many may be those of
whoever asks. Beyond that the count is told in steps of W (PRIVACY_WIDTH), and where the first one begins was drawn by
lot for each cell, quarter and kind, once for ever. So one device more makes a step likelier by 1 / W, however often
and by whomever it is asked, and whatever others send there, now or later (decision 71).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from api.http.problems import ProblemError, WrongParameter, wrong_parameters
from api.positions.query import PlaceQuery, SearchQuery, circle, is_wide, metres
from api.zones import Zones
from core.clock import format_rfc3339
from documents import LIMIT_MAX, DocumentStore, PositionQuery
from documents.tiles import BBox
from geofence import box_of
from runtime.devices import DeviceHasher

CELL_CHARACTERS = 7
QUARTER_MS = 900_000
DEFAULT_QUARTERS = 4
QUARTERS_MAX = 16
"""Of one answer: what is counted is read anew for each."""
OWN_DEVICES = 20
"""How many devices of their own whoever asks is thought to have."""
_CELL_DEGREES = 360 / 2**18
"""How wide and high a cell is; no cell is larger."""
_DRAWN_BYTES = 8

Feature = dict[str, Any]
Touches = Callable[[BBox], bool]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What is told of cells."""

    documents: DocumentStore
    zones: Zones
    hasher: DeviceHasher
    least: int
    """PRIVACY_MIN_COUNT."""
    width: int
    """PRIVACY_WIDTH, the W of the step."""

    async def found(
        self, query: SearchQuery, *, now: int, area: Polygon | MultiPolygon | None
    ) -> tuple[list[Feature], tuple[int, int]]:
        """The cells that are asked for and have something to tell, the newest first; and from when to when.

        `now` is in milliseconds since the epoch; `area` is the shape to search in, in degrees. Raises a 422 problem for
        a range that cannot be answered, a 403 one for what single positions are needed for, and UnavailableError.
        """
        _check(query)
        start, end = _range(query, now)
        box, touches = self._where(query, area)
        features: list[Feature] = []
        for quarter in range(end - QUARTER_MS, start - 1, -QUARTER_MS):
            devices = await self._devices(quarter, box)
            for (cell, kind), seen in sorted(devices.items()):
                told = self.told(len(seen), cell=cell, kind=kind, quarter=quarter)
                if told and touches(box_of(cell)):
                    features.append(_feature(cell, kind, quarter, told))
        return features, (start, end)

    def told(self, devices: int, *, cell: str, kind: str, quarter: int) -> int:
        """What is told of so many devices; 0: nothing."""
        beyond = devices - self.least - OWN_DEVICES
        drawn = self.hasher.secret(f"cell\0{cell}\0{kind}\0{quarter}")[:_DRAWN_BYTES]
        # Below nothing there is no step: what was drawn is less than W.
        return max(0, (beyond + int.from_bytes(drawn) % self.width) // self.width * self.width)

    async def _devices(self, quarter: int, box: BBox | None) -> dict[tuple[str, str], set[str]]:
        """The devices of a quarter by cell and kind: whole in each cell that lies in the box."""
        campus = self.zones.campus.boundary.id
        query = PositionQuery(start=quarter, end=quarter + QUARTER_MS, zone=None if box else campus, bbox=box)
        found: dict[tuple[str, str], set[str]] = {}
        cursor = None
        while True:
            page = await self.documents.find(query, limit=LIMIT_MAX, cursor=cursor)
            for document in page.documents:
                properties = document["properties"]
                place = (properties["cell"][:CELL_CHARACTERS], properties["kind"])
                found.setdefault(place, set()).add(properties["device"])
            cursor = page.cursor
            if cursor is None:
                return found

    def _where(self, query: SearchQuery, area: Polygon | MultiPolygon | None) -> tuple[BBox | None, Touches]:
        """A box that holds each cell that is asked for, None for the campus; and whether a cell is."""
        shapes = list(self._shapes(query, area))
        bounds = [shape.bounds for shape in shapes if not shape.is_empty]
        near = None
        if isinstance(query, PlaceQuery) and query.near is not None and query.distance is not None:
            near = (*query.near, query.distance)
            bounds.append(circle(*near)[0])

        def touches(cell: BBox) -> bool:
            place = shapely.box(*cell)
            return all(shape.intersects(place) for shape in shapes) and (near is None or _is_near(cell, *near))

        return _box_around(bounds), touches

    def _shapes(self, query: SearchQuery, area: Polygon | MultiPolygon | None) -> Iterable[BaseGeometry]:
        if area is not None:
            yield area
        if isinstance(query, PlaceQuery) and query.bbox is not None:
            yield shapely.union_all([shapely.box(*part) for part in query.bbox])
        if query.zone is not None:
            zone = self.zones.campus.by_id.get(query.zone)
            # As of positions: none is in a zone that is not there.
            yield zone.geometry if zone else Polygon()


def _check(query: SearchQuery) -> None:
    for name, text in (("device", "one device"), ("plausible", "which positions are plausible")):
        if getattr(query, name) is not None:
            raise ProblemError(
                status=403,
                type_="/docs#scope-needed",
                title="The key is for something else",
                detail=f"{name}: to ask for {text} needs a key with the scope positions:exact.",
            )
    for name in ("limit", "cursor"):
        if getattr(query, name) is not None:
            raise wrong_parameters([WrongParameter(name, "cells have no pages: leave it out")])
    if isinstance(query, PlaceQuery) and (query.near is None) != (query.distance is None):
        missing = "near" if query.near is None else "distance"
        raise wrong_parameters([WrongParameter(missing, "near and distance are given together")])


def _range(query: SearchQuery, now: int) -> tuple[int, int]:
    """The whole quarters that are asked for, and over; by default those of the last hour."""
    over = now // QUARTER_MS * QUARTER_MS
    end = over if query.end is None else min(over, query.end // QUARTER_MS * QUARTER_MS)
    start = end - DEFAULT_QUARTERS * QUARTER_MS if query.start is None else -(-query.start // QUARTER_MS) * QUARTER_MS
    if query.start is not None and query.end is not None and query.start >= query.end:
        raise wrong_parameters([WrongParameter("start", "it is not before end")])
    if end - start > QUARTERS_MAX * QUARTER_MS:
        hours = QUARTERS_MAX * QUARTER_MS // 3_600_000
        raise wrong_parameters([WrongParameter("start", f"cells are told of {hours} hours at a time, at the most")])
    return min(start, end), end


def _box_around(bounds: Sequence[BBox]) -> BBox | None:
    """A box that holds each cell which touches all of these; None where the campus leads to them as fast."""
    if not bounds:
        return None
    wests, souths, easts, norths = zip(*bounds, strict=True)
    west, east = max(-180.0, max(wests) - _CELL_DEGREES), min(180.0, min(easts) + _CELL_DEGREES)
    south, north = max(-90.0, max(souths) - _CELL_DEGREES), min(90.0, min(norths) + _CELL_DEGREES)
    # Where they are apart no cell touches all of them, wherever is looked.
    if west > east or south > north or is_wide((west, south, east, north)):
        return None
    return west, south, east, north


def _is_near(cell: BBox, longitude: float, latitude: float, distance: float) -> bool:
    """Whether some place of a cell is within so many metres of a place."""
    west, south, east, north = cell
    nearest = min(max(longitude, west), east), min(max(latitude, south), north)
    return metres(longitude, latitude, *nearest) <= distance


def _feature(cell: str, kind: str, quarter: int, devices: int) -> Feature:
    west, south, east, north = box_of(cell)
    return {
        "type": "Feature",
        "id": f"{cell}-{quarter:015d}-{kind}",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "properties": {
            "kind": kind,
            "cell": cell,
            "start": format_rfc3339(quarter),
            "end": format_rfc3339(quarter + QUARTER_MS),
            "devices": devices,
        },
    }
