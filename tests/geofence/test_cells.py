"""Cells, against published examples and against the definition of a geohash."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geofence import cell

ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"


@pytest.mark.parametrize(
    ("longitude", "latitude", "geohash"),
    [
        (10.40744, 57.64911, "u4pruydq"),  # https://en.wikipedia.org/wiki/Geohash
        (-5.6, 42.6, "ezs42e44"),  # the same page, for its first five characters
        (-180.0, -90.0, "00000000"),
        (180.0, 90.0, "zzzzzzzz"),
    ],
)
def test_a_place_has_its_well_known_geohash(longitude: float, latitude: float, geohash: str) -> None:
    assert cell(longitude, latitude) == geohash


@given(st.floats(-180, 180), st.floats(-90, 90))
@example(0.0, 0.0)
def test_a_cell_is_the_geohash_by_its_definition(longitude: float, latitude: float) -> None:
    bounds = {"longitude": [-180.0, 180.0], "latitude": [-90.0, 90.0]}
    place = {"longitude": longitude, "latitude": latitude}
    text, number = "", 0
    for bit in range(40):
        axis = "latitude" if bit % 2 else "longitude"
        middle = sum(bounds[axis]) / 2
        upper = place[axis] >= middle
        bounds[axis][0 if upper else 1] = middle
        number = number * 2 + upper
        if bit % 5 == 4:
            text, number = text + ALPHABET[number], 0
    assert cell(longitude, latitude) == text
