"""Which of the areas is the outline of the campus."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import shapely

from geofence.importing.areas import hull, joined, near, square_metres
from geofence.importing.found import Area, CannotImportError, Found
from geofence.importing.naming import told

MARGIN_METRES = 25.0
"""Around all zones, where nothing else says where the campus ends: devices at a wall are on the campus."""
_SAID = frozenset({"boundary", "outline", "campus", "campus boundary", "campus outline", "perimeter"})
_KEYS = ("role", "type", "kind", "category", "class", "layer")
_UNIVERSITIES = ("university", "college", "school")
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
    for value in _UNIVERSITIES:
        found = [one for one in areas if one.raw.tags.get("amenity") == value and "building" not in one.raw.tags]
        if found:
            return _largest(found, f"it is tagged amenity={value}")
    if (holder := _holder(areas)) is not None:
        return Outline(area_of(holder), "it holds all else", (holder,))
    shapes = [near(area_of(found), _first_longitude(areas)) for found in areas if told(found).no_zone is None]
    if not shapes:
        raise CannotImportError("none of the areas is a zone of a campus: export its buildings and car parks")
    return Outline(hull(shapes, margin), f"a hull around all zones, with a margin of {margin:g} m", ())


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
