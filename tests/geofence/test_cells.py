"""Cells, against published examples and against the definition of a geohash."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geofence import box_of, cell

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


@pytest.mark.parametrize("place", [(-8.5701, 52.6741), (0.0, 0.0), (-180.0, -90.0), (180.0, 90.0)])
@pytest.mark.parametrize("characters", [1, 7, 8])
def test_a_cell_has_a_box_that_holds_the_places_in_it(place: tuple[float, float], characters: int) -> None:
    west, south, east, north = box_of(cell(*place)[:characters])

    assert west <= place[0] <= east
    assert south <= place[1] <= north
    # Of 7 characters it is 360 / 2^18 degrees wide and high.
    if characters == 7:
        assert (east - west, north - south) == pytest.approx((0.001373291, 0.001373291))


@pytest.mark.parametrize("text", ["", "ail", "GC3", "gc3gsvp2gc3gs", "gc3\n"])
def test_what_is_no_geohash_has_no_box(text: str) -> None:
    with pytest.raises(ValueError, match="is no geohash"):
        box_of(text)
