"""Any area at all: split at 180 degrees, it is the same area, with longitudes from -180 to 180."""

from math import cos, radians

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geofence.importing.areas import NoAreaError, area_from, hull, near, split, square_metres


def as_it_is(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    return pairs


def written(longitude: float) -> float:
    """As programs write it: never beyond 180."""
    return (longitude + 180) % 360 - 180


places = st.tuples(st.integers(-1800, 1800), st.integers(-800, 800)).map(lambda place: (place[0] / 10, place[1] / 10))
sizes = st.integers(1, 1000).map(lambda number: number / 1000)


@given(place=places, width=sizes, height=sizes, clockwise=st.booleans())
def test_an_area_is_the_same_one_however_its_longitudes_jump(
    place: tuple[float, float], width: float, height: float, *, clockwise: bool
) -> None:
    west, south = place
    corners = [(west, south), (west + width, south), (west + width, south + height), (west, south + height)]
    ring = [[written(x), y] for x, y in (*corners, corners[0])]
    area, mended = area_from({"type": "Polygon", "coordinates": [ring[::-1] if clockwise else ring]}, as_it_is)
    parts = split(area)
    assert not mended
    assert area.area == pytest.approx(width * height, rel=1e-3)
    assert parts.area == pytest.approx(area.area, rel=1e-6)
    assert -180 <= parts.bounds[0] <= parts.bounds[2] <= 180
    assert parts.is_valid


@given(place=places, width=sizes, margin=st.integers(0, 500))
def test_a_hull_holds_all_areas_with_its_margin(place: tuple[float, float], width: float, margin: int) -> None:
    west, south = place
    areas = [
        shapely.box(west, south, west + 0.01, south + 0.01),
        shapely.box(west + width, south, west + width + 0.01, south + 0.02),
    ]
    around = hull(areas, margin)
    assert all(shapely.covers(shapely.buffer(around, 1e-6), area) for area in areas)
    degrees = margin / 111_200 / cos(radians(south + 0.01))
    assert around.bounds[0] == pytest.approx(west - degrees, abs=1e-5)


@given(longitude=st.floats(-180, 180), turns=st.integers(-2, 2))
def test_an_area_is_brought_to_the_side_on_which_another_is(longitude: float, turns: int) -> None:
    moved = near(shapely.box(longitude, 0, longitude + 1, 1), longitude + turns * 360)
    assert moved.bounds[0] == pytest.approx(longitude + turns * 360, abs=1e-9)


def test_square_metres_are_those_of_the_place() -> None:
    assert square_metres(shapely.box(10, 60, 10.001, 60.001)) == pytest.approx(6182, rel=0.001)


@pytest.mark.parametrize(
    ("geometry", "kind"),
    [
        (None, "without a geometry"),
        ({"type": "Point", "coordinates": [1, 2]}, "Point"),
        (
            {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]},
            "GeometryCollection",
        ),
        ({"type": "Polygon", "coordinates": []}, "Polygon without coordinates"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "Polygon without coordinates"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "without an area"),
        ({"type": "Polygon", "coordinates": [[[-180, 0], [-90, 1], [0, 0], [90, 1]]]}, "without an area"),
    ],
)
def test_what_is_no_area_is_told_what_it_is(geometry: object, kind: str) -> None:
    with pytest.raises(NoAreaError, match=f"^{kind}$"):
        area_from(geometry, as_it_is)
