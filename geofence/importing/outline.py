"""Which of the areas is the outline of the campus."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geofence.importing.areas import METRES_A_DEGREE, hull, joined, near, square_metres
from geofence.importing.found import Area, CannotImportError, Found
from geofence.importing.naming import told

MARGIN_METRES = 25.0
"""Around all zones, where nothing else says where the campus ends: devices at a wall are on the campus."""
_SAID = frozenset({"boundary", "outline", "campus", "campus boundary", "campus outline", "perimeter"})
_KEYS = ("role", "type", "kind", "category", "class", "layer")
_SMALLER = ("college", "school")
"""Values of `amenity` that may be the campus, or a small part of it: they are if most of all zones are in them."""
_NEIGHBOURHOOD_METRES = 1_000
"""Areas in squares of this size that touch are of one campus, as far as a hull of them goes."""
_ALL = 0.9
"""An area holds another if it covers so much of it."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of the campus, and why it is that."""

    area: Area
    why: str
    parts: tuple[Found, ...]
    """What it is made of; none for a hull."""
    others: tuple[Found, ...] = ()
    """What could have been it as well."""


def find_outline(areas: Sequence[Found], *, named: Sequence[str], margin: float) -> Outline:
    """The outline: what the user names; a feature said to be it; a university; what holds all else; else a hull.

    Raises CannotImportError where nothing has one of the names.
    """
    if named:
        return _named(areas, named)
    if said := [found for found in areas if _is_said(found)]:
        return _largest(said, "the file says so")
    for value in ("university", *_SMALLER):
        found = [one for one in areas if one.raw.tags.get("amenity") == value and "building" not in one.raw.tags]
        if found and (value not in _SMALLER or _holds_most(_largest(found, "").area, areas)):
            return _largest(found, f"it is tagged amenity={value}")
    if (holder := _holder(areas)) is not None:
        return Outline(area_of(holder), "it holds all else", (holder,))
    shapes = [near(area_of(found), _first_longitude(areas)) for found in areas if told(found).no_zone is None]
    if not shapes:
        raise CannotImportError("none of the areas is a zone of a campus: export its buildings and car parks")
    together = _together(shapes)
    why = f"a hull around all zones, with a margin of {margin:g} m"
    if len(together) < len(shapes):
        why = f"a hull around the {len(together):,} zones that are near each other, with a margin of {margin:g} m"
    return Outline(hull(together, margin), why, ())


def candidates(areas: Sequence[Found]) -> list[Found]:
    """What may be the outline, the largest first: what a person can choose from."""
    likely = [found for found in areas if "building" not in found.raw.tags]
    return sorted(likely, key=lambda found: -square_metres(area_of(found)))[:9]


def _named(areas: Sequence[Found], named: Sequence[str]) -> Outline:
    parts: list[Found] = []
    for name in named:
        wanted = name.casefold()
        alike = [
            found
            for found in areas
            if wanted in {str(found.raw.osm).casefold(), str(found.raw.own_id).casefold()}
            or wanted == (told(found).name or "").casefold()
        ]
        if not alike:
            known = ", ".join(found.called for found in candidates(areas)) or "none"
            raise CannotImportError(f"no area is called {name!r}; the largest ones are: {known}")
        parts.append(max(alike, key=lambda found: square_metres(area_of(found))))
    area, _ = joined(polygon for part in parts for polygon in shapely.get_parts(area_of(part)).tolist())
    return Outline(area, "you say so", tuple(parts))


def _is_said(found: Found) -> bool:
    tags = {key.lower(): value for key, value in found.raw.tags.items()}
    if found.raw.osm is not None:
        return False
    role = tags.get("role")
    if role is not None:
        return str(role).casefold() == "boundary"
    said = [tags.get(key) for key in _KEYS] + [tags.get("name"), found.raw.own_id, found.raw.layer]
    return any(re.sub(r"[\s_-]+", " ", str(value)).strip().casefold() in _SAID for value in said if value is not None)


def _largest(found: Sequence[Found], why: str) -> Outline:
    first, *others = sorted(found, key=lambda one: -square_metres(area_of(one)))
    if others:
        why += f", and it is the largest of {len(found)}"
    return Outline(area_of(first), why, (first,), tuple(others))


def _holds_most(outline: Area, areas: Sequence[Found]) -> bool:
    zones = [area_of(found) for found in areas if told(found).no_zone is None]
    shapely.prepare(outline)
    held = sum(bool(shapely.intersects(outline, shapely.centroid(zone))) for zone in zones)
    return 2 * held > len(zones)


def _together(shapes: Sequence[Area]) -> list[Area]:
    """The largest group of areas that are near each other: in a file there may be sites in other towns."""
    middles = shapely.get_coordinates(shapely.centroid(list(shapes)))
    narrow = max(float(np.cos(np.radians(np.median(middles[:, 1])))), 0.01)
    scaled = middles * np.array([METRES_A_DEGREE * narrow, METRES_A_DEGREE]) / _NEIGHBOURHOOD_METRES
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (x, y) in enumerate(np.floor(scaled).astype(int).tolist()):
        cells[x, y].append(index)
    largest: list[int] = []
    while cells:
        first, members = cells.popitem()
        group, waiting = list(members), [first]
        while waiting:
            x, y = waiting.pop()
            for cell in ((x + across, y + up) for across in (-1, 0, 1) for up in (-1, 0, 1)):
                if cell in cells:
                    group += cells.pop(cell)
                    waiting.append(cell)
        largest = max(largest, group, key=len)
    return [shapes[index] for index in sorted(largest)]


def _holder(areas: Sequence[Found]) -> Found | None:
    largest = max(areas, key=lambda found: square_metres(area_of(found)), default=None)
    others = [found for found in areas if found is not largest]
    if largest is None or not others or "building" in largest.raw.tags:
        return None
    whole = area_of(largest)
    shapely.prepare(whole)
    for found in others:
        other = near(area_of(found), _first_longitude(areas))
        if not shapely.covers(whole, other) and shapely.intersection(whole, other).area < _ALL * other.area:
            return None
    return largest


def area_of(found: Found) -> Area:
    """The area of what has one."""
    assert found.area is not None, "only areas come here"  # noqa: S101 - for the type checker
    return found.area


def _first_longitude(areas: Sequence[Found]) -> float:
    return float(area_of(areas[0]).bounds[0])
