import json
from typing import Any

import pytest

from geofence import Campus, Finest, load_campus, parse_campus, too_fine

FINEST = Finest(area=400, depth=3)
EAST, NORTH = -8.58, 52.67
# Of one metre, at that latitude.
METRE_EAST, METRE_NORTH = 1 / 67_435, 1 / 111_200


def square(zone: str, west: float, south: float, width: float, height: float, role: str = "zone") -> dict[str, Any]:
    """A rectangle, by metres from the corner of the campus."""
    corners = [(west, south), (west + width, south), (west + width, south + height), (west, south + height)]
    ring = [[EAST + x * METRE_EAST, NORTH + y * METRE_NORTH] for x, y in [*corners, corners[0]]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": zone, "geometry": geometry, "properties": {"role": role}}


def campus_of(*zones: dict[str, Any]) -> Campus:
    features = [square("campus", 0, 0, 1000, 1000, "boundary"), *zones]
    return parse_campus(json.dumps({"type": "FeatureCollection", "features": features}).encode(), "a test")


def test_no_zone_of_the_campus_that_comes_with_it_is_too_fine() -> None:
    campus = load_campus(None)

    assert [said for zone in campus.everything for said in too_fine(campus, zone.id, FINEST)] == []


def test_a_zone_needs_an_area_and_its_part_outside_the_campus_is_none_of_it() -> None:
    small, reaching = square("small", 100, 100, 19, 20), square("reaching", 990, 300, 500, 30)
    campus = campus_of(small, reaching, square("large", 200, 200, 21, 20))

    assert list(too_fine(campus, "small", FINEST)) == [
        "'small' has 380 m² on the campus, and needs 400 (PRIVACY_ZONE_AREA)"
    ]
    assert list(too_fine(campus, "reaching", FINEST)) == [
        "'reaching' has 300 m² on the campus, and needs 400 (PRIVACY_ZONE_AREA)"
    ]
    assert list(too_fine(campus, "large", FINEST)) == []
    assert len(list(too_fine(campus, "campus", FINEST))) == 2


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (square("b", 100, 100, 50, 50), 0),  # the same
        (square("b", 100, 100, 50, 57), 350),  # a strip more
        (square("b", 100, 103, 50, 50), 300),  # shifted
    ],
)
def test_two_zones_that_differ_by_little_are_too_fine(other: dict[str, Any], apart: int) -> None:
    campus = campus_of(square("a", 100, 100, 50, 50), other)

    (said,) = too_fine(campus, "a", FINEST)
    assert said == (
        f"'a' and 'b' differ by {apart} m², and who is there alone could be computed from both: they need 400 m²"
        " (PRIVACY_ZONE_AREA)"
    )


def test_a_zone_may_be_nearly_the_campus_only_if_the_rest_is_large() -> None:
    campus = campus_of(square("nearly", 0, 0, 1000, 999.7))

    assert [said.split(",")[0] for said in too_fine(campus, "nearly", FINEST)] == [
        "'nearly' and 'campus' differ by 300 m²"
    ]


def test_three_zones_may_hold_a_place_and_a_fourth_is_too_much() -> None:
    nested = [square(f"z{size}", 100, 100, size, size) for size in (100, 80, 60)]
    campus = campus_of(*nested, square("fourth", 140, 140, 40, 40), square("beside", 300, 100, 40, 40))

    assert list(too_fine(campus, "fourth", FINEST)) == [
        "'fourth' and 'z100', 'z60', 'z80' hold one place, and at most 3 may (PRIVACY_ZONE_DEPTH)"
    ]
    assert list(too_fine(campus, "beside", FINEST)) == []
    assert list(too_fine(campus_of(*nested), "z60", FINEST)) == []


def test_outlines_that_overlap_by_a_hand_are_neighbours() -> None:
    # Four in a row, each a centimetre into the next.
    row = [square(f"z{number}", 100 + 40 * number, 100, 40.01, 40) for number in range(4)]

    assert [list(too_fine(campus_of(*row), f"z{number}", Finest(400, 1))) for number in range(4)] == [[]] * 4


def test_a_zone_that_only_touches_the_campus_with_a_part_has_no_area_there() -> None:
    # It shares a line with the campus, and 500 m² elsewhere.
    touching = square("touching", 1000, 100, 50, 10)
    inside = square("x", 100, 100, 50, 10)
    touching["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [touching["geometry"]["coordinates"], inside["geometry"]["coordinates"]],
    }

    assert list(too_fine(campus_of(touching), "touching", FINEST)) == []
