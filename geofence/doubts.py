"""What a campus file says that can be used, and is hardly meant."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import numpy as np
import shapely

from geofence.campus import Campus
from geofence.mistakes import Mistake
from geofence.zones import Zone

MAX_DOUBTS = 1_000
"""Of one kind: more than that nobody reads."""
NEARLY_ALL = 0.9
"""Two zones are one where they share so much of what both cover."""
MOSTLY_INSIDE = 0.9
CITY_KM2 = 300
"""A campus as large as this is none: the largest have some 100 square kilometres."""
HOURS_OFF = 3.25
"""So far the time of a place may be from that of the sun: in the west of China it is three hours."""
BYTES_A_ZONE = 350
"""Of a zone in `v1/occupancy`, and in the mirror of all its topics a thousand (docs/interfaces.md)."""
RETAINED_BYTES_A_ZONE = 1_000
_KM_A_DEGREE = 111.2
_AT_ONCE = 64
_SUMMERS = (datetime(2026, 1, 1), datetime(2026, 7, 1))  # noqa: DTZ001 - wall time of the time zone in question


@dataclass(frozen=True)
class Carried:
    """What the settings of the services carry, and whose days they count."""

    timezone: str = "Europe/Dublin"
    mirror_max_payload: int = 65_536
    """Bytes of a message of the mirror, for brokers and API alike."""
    retained_max_bytes: int = 8_000_000


def doubts(campus: Campus, carried: Carried) -> Iterator[Mistake]:
    """All that loads but is hardly meant, each with what to do; at most `MAX_DOUBTS` of a kind."""
    for kind in (_alike, _reaching_out, _names, _ids):
        yield from islice(kind(campus), MAX_DOUBTS)
    yield from _outline(campus.boundary)
    yield from _place(campus.boundary, carried)
    yield from _too_many(campus, carried)


def square_kilometres(zone: Zone) -> float:
    """The area of a zone, within some percent: degrees of longitude are as long as at its middle."""
    _, south, _, north = zone.geometry.bounds
    shrunk = float(np.cos(np.radians((south + north) / 2)))
    return float(zone.geometry.area) * _KM_A_DEGREE**2 * shrunk


def _alike(campus: Campus) -> Iterator[Mistake]:
    shapes = np.array([zone.geometry for zone in campus.zones], dtype=object)
    areas = shapely.area(shapes)
    tree = shapely.STRtree(shapes)
    for start in range(0, len(shapes), _AT_ONCE):
        near, other = tree.query(shapes[start : start + _AT_ONCE])
        near = near + start
        # What differs in size shares too little: only the others are looked at closely.
        likely = (near < other) & (np.minimum(areas[near], areas[other]) >= NEARLY_ALL * areas[near])
        likely &= areas[other] * NEARLY_ALL <= areas[near]
        near, other = near[likely], other[likely]
        for first, second in zip(near.tolist(), other.tolist(), strict=True):
            shared = shapely.intersection(shapes[first], shapes[second]).area
            if shared >= NEARLY_ALL * (areas[first] + areas[second] - shared):
                yield Mistake(
                    "nearly the same area",
                    f"it covers nearly the same area as {campus.zones[first].id!r}: who is in one counts in both",
                    "remove one of them",
                    feature=repr(campus.zones[second].id),
                )


def _reaching_out(campus: Campus) -> Iterator[Mistake]:
    outline = campus.boundary.geometry
    shapely.prepare(outline)
    for zone in campus.zones:
        if shapely.covers(outline, zone.geometry):
            continue
        inside = shapely.intersection(outline, zone.geometry).area / zone.geometry.area
        if inside < MOSTLY_INSIDE:
            yield Mistake(
                "outside the outline",
                f"{1 - inside:.0%} of it is outside the outline of the campus, where nobody is counted",
                "draw the outline around it",
                feature=repr(zone.id),
            )


def _names(campus: Campus) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for zone in campus.everything:
        name = " ".join(zone.name.split())
        if not name:
            yield Mistake("blank name", "its name is blank", "write one", "properties.name", repr(zone.id))
        elif (first := seen.setdefault(name.casefold(), zone.id)) != zone.id:
            yield Mistake(
                "same name",
                f"{name!r} is the name of {first!r}, too: people cannot tell them apart",
                "name them differently",
                "properties.name",
                repr(zone.id),
            )


def _ids(campus: Campus) -> Iterator[Mistake]:
    seen: dict[str, list[str]] = defaultdict(list)
    for zone in campus.everything:
        seen[zone.id.casefold()].append(zone.id)
    for first, *others in seen.values():
        for other in others:
            yield Mistake(
                "same but for case",
                f"its id differs from {first!r} in capitals alone: they are two zones, and easily confused",
                "give it another id",
                "id",
                repr(other),
            )


def _outline(boundary: Zone) -> Iterator[Mistake]:
    area = square_kilometres(boundary)
    if area > CITY_KM2:
        yield Mistake(
            "large outline",
            f"the outline has {area:,.0f} km², as a city has: all who are in it are counted",
            "draw it around the campus alone; are its coordinates degrees?",
            feature=repr(boundary.id),
        )


def _place(boundary: Zone, carried: Carried) -> Iterator[Mistake]:
    west, south, east, north = boundary.geometry.bounds
    longitude, latitude = (west + east) / 2, (south + north) / 2
    try:
        zone = ZoneInfo(carried.timezone)
    except (KeyError, OSError, ValueError):
        # Whoever reads the setting itself says so; where a system has no time zones, nothing can be said.
        return
    offsets = [summer.replace(tzinfo=zone).utcoffset() or timedelta() for summer in _SUMMERS]
    hours = min(offsets) / timedelta(hours=1)
    if _hours_off(longitude, hours) <= HOURS_OFF:
        return
    swapped = _hours_off(latitude, hours) <= HOURS_OFF and abs(longitude) <= 90  # noqa: PLR2004 - a latitude
    remedy = f"set CAMPUS_TIMEZONE to the one of the place, if it is where {_on_a_map(longitude, latitude)} shows it"
    if swapped:
        remedy += "; else its latitudes and longitudes are swapped, longitude comes first"
    yield Mistake(
        "another time zone",
        f"its middle is at longitude {longitude:.4f}, latitude {latitude:.4f}, where the time is not that of "
        f"{carried.timezone}, whose days are counted",
        remedy,
        feature=repr(boundary.id),
    )


def _hours_off(longitude: float, hours: float) -> float:
    away = abs(longitude / 15 - hours) % 24
    return min(away, 24 - away)


def _on_a_map(longitude: float, latitude: float) -> str:
    return (
        f"https://www.openstreetmap.org/?mlat={latitude:.5f}&mlon={longitude:.5f}#map=15/{latitude:.5f}/{longitude:.5f}"
    )


def _too_many(campus: Campus, carried: Carried) -> Iterator[Mistake]:
    count = len(campus.everything)
    if count * BYTES_A_ZONE > carried.mirror_max_payload:
        yield Mistake(
            "more zones than settings carry",
            f"`v1/occupancy` of {count:,} zones is larger than the {carried.mirror_max_payload:,} bytes of a message",
            f"set MQTT_MAX_PAYLOAD and MIRROR_MAX_PAYLOAD to {_rounded(count * BYTES_A_ZONE):,}, or follow the zones "
            "one by one",
        )
    if count * RETAINED_BYTES_A_ZONE > carried.retained_max_bytes:
        yield Mistake(
            "more zones than settings carry",
            f"what is retained of {count:,} zones is more than the {carried.retained_max_bytes:,} bytes that are kept",
            f"set RETAINED_MAX_BYTES to {_rounded(count * RETAINED_BYTES_A_ZONE):,}",
        )


def _rounded(size: int) -> int:
    return -(-size // 65_536) * 65_536
