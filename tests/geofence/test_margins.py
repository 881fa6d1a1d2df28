"""How surely a position is in a zone, against the plain distance to each edge; and which zone is *the* zone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box
from shapely.affinity import scale

from geofence import Campus, Geofence
from tests.geofence.test_fence import campus_of

NORTH = 111_200.0
EAST = 111_200.0 * math.cos(math.radians(52.5))
"""Metres to a degree in the middle of the campus below."""


def metres(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude of a place so many metres to the east and north of the corner of the campus."""
    return -8 + x / EAST, 52.5 + (y - 5000) / NORTH


def square(west: float, south: float, size: float) -> Polygon:
    return box(*metres(west, south), *metres(west + size, south + size))


OUTLINE = square(0, 0, 10_000)
COURT = Polygon(
    [metres(*each) for each in [(1000, 1000), (1100, 1000), (1100, 1100), (1000, 1100)]],
    [[metres(*each) for each in [(1030, 1030), (1070, 1030), (1070, 1070), (1030, 1070)]]],
)
"""A building of 100 m with a yard of 40 m in it."""
CAMPUS = campus_of(
    OUTLINE,
    court=COURT,
    room=square(1010, 1010, 10),
    twin=MultiPolygon([square(2000, 1000, 50), square(2060, 1000, 50)]),
    field=square(900, 900, 400),
)


def margins(
    x: float, y: float, reach: float, campus: Campus = CAMPUS
) -> tuple[tuple[str, ...] | None, dict[str, float]]:
    """The zones that hold a place, and its margins."""
    fence = Geofence(campus)
    longitude, latitude = metres(x, y)
    longitudes, latitudes = np.array([longitude]), np.array([latitude])
    located = fence.locate(longitudes, latitudes)
    (found,) = fence.margins(longitudes, latitudes, np.array([reach]), located)
    assert list(found) == sorted(found)
    return located[0], dict(found)


@pytest.mark.parametrize(
    ("x", "y", "reach", "zones", "expected"),
    [
        pytest.param(500, 500, 45, [], {}, id="in the open"),
        pytest.param(890, 890, 0, [], {}, id="an exact one is sure"),
        pytest.param(890, 1000, 45, [], {"field": -10 / 45}, id="10 m outside"),
        pytest.param(910, 1000, 45, ["field"], {"field": 10 / 45}, id="10 m inside"),
        pytest.param(950, 1200, 45, ["field"], {}, id="surely inside"),
        pytest.param(855, 1000, 45.0001, [], {"field": -1}, id="just not surely outside"),
        pytest.param(
            1005, 1050, 45, ["court", "field"], {"court": 5 / 45, "field": 1, "room": -math.hypot(5, 30) / 45}
        ),
        pytest.param(1050, 1050, 25, ["field"], {"court": -20 / 25, "field": 1}, id="in a yard, which is outside"),
        pytest.param(2055, 1010, 15, [], {"twin": -5 / 15}, id="between two parts"),
        pytest.param(2065, 1010, 15, ["twin"], {"twin": 5 / 15}, id="in one of two parts"),
        pytest.param(1015, 1015, 12, ["court", "field", "room"], {"court": 1, "field": 1, "room": 5 / 12}, id="nested"),
    ],
)
def test_a_margin_is_the_distance_to_the_edge_in_terms_of_what_a_position_may_be_wrong(
    x: float, y: float, reach: float, zones: list[str], expected: dict[str, float]
) -> None:
    located, found = margins(x, y, reach)
    assert located == ("the-campus", *zones)
    assert found == pytest.approx(expected, abs=0.001)


def test_on_the_edge_a_position_is_inside_by_nothing() -> None:
    campus = campus_of(box(-8, 52, -7, 53), zone=box(-7.75, 52.25, -7.5, 52.5))
    fence = Geofence(campus)
    longitudes, latitudes = np.array([-7.75, -7.5]), np.array([52.375, 52.5])
    located = fence.locate(longitudes, latitudes)
    assert located == [("the-campus", "zone")] * 2
    found = fence.margins(longitudes, latitudes, np.array([30.0, 30.0]), located)
    assert [dict(each) for each in found] == [{"zone": pytest.approx(0, abs=1e-9)}] * 2
    assert all(margin >= 0 for each in found for _, margin in each)


@given(
    x=st.floats(850, 2150),
    y=st.floats(850, 1350),
    reach=st.floats(0, 150),
)
def test_margins_are_those_of_the_plain_distance_to_each_edge(x: float, y: float, reach: float) -> None:
    located, found = margins(x, y, reach)
    expected = {}
    point = Point(metres(x, y)[0] * EAST, metres(x, y)[1] * NORTH)
    for zone in CAMPUS.zones:
        edge = scale(zone.geometry.boundary, EAST, NORTH, origin=(0, 0))
        holds = zone.id in (located or ())
        distance = edge.distance(point)
        if distance < reach:
            expected[zone.id] = (1 if holds else -1) * distance / reach
        elif holds:
            expected[zone.id] = 1
    if all(abs(margin) == 1 for margin in expected.values()):
        expected = {}
    # An edge that is exactly so far away may be near or not.
    assert {each: margin for each, margin in found.items() if abs(margin) < 0.999 or expected.get(each) == 1} == (
        pytest.approx({each: margin for each, margin in expected.items() if abs(margin) < 0.999 or margin == 1})
    ) or any(0.999 <= abs(margin) < 1 for margin in [*found.values(), *expected.values()])


def test_of_very_many_edges_those_that_are_nearest_count() -> None:
    """A car park with 400 bays of 3 m by 5 m in a row, which is a zone, too."""
    bays = {
        f"bay-{number:03}": box(*metres(2000 + 3 * number, 1000), *metres(2003 + 3 * number, 1005))
        for number in range(400)
    }
    campus = campus_of(OUTLINE, park=box(*metres(1900, 950), *metres(3300, 1050)), **bays)
    located, found = margins(2000 + 3 * 200 + 1, 1002.5, 150, campus)
    assert located == ("the-campus", "bay-200", "park")
    # That of the car park is 47.5 m away: further than those of 32 bays.
    assert found.pop("park") == 1
    assert list(found) == [f"bay-{number:03}" for number in range(184, 216)]
    assert found["bay-200"] == pytest.approx(1 / 150, abs=0.001)
    assert found["bay-215"] == pytest.approx(-44 / 150, abs=0.001)
    # Where there are fewer, that of the car park counts as well.
    assert margins(1910, 1000, 60, campus)[1] == {"park": pytest.approx(10 / 60, abs=0.001)}


def test_many_positions_are_answered_at_once_and_those_outside_have_no_margins() -> None:
    fence = Geofence(CAMPUS)
    places = [metres(*each) for each in [(-50, 5000), (910, 1000), (500, 500), (2065, 1010)]]
    longitudes, latitudes = np.array(places).T
    located = fence.locate(longitudes, latitudes)
    found = fence.margins(longitudes, latitudes, np.array([100.0, 45, 45, 0]), located)
    assert [len(each) for each in found] == [0, 1, 0, 0]
    assert fence.margins(longitudes[:0], latitudes[:0], np.zeros(0), []) == []


@pytest.mark.parametrize(("metres_outside", "reach", "near"), [(50, 60, True), (50, 40, False), (50, 0, False)])
def test_whether_the_outline_is_near(metres_outside: float, reach: float, *, near: bool) -> None:
    longitude, latitude = metres(-metres_outside, 5000)
    found = Geofence(CAMPUS).near_outline(np.array([longitude]), np.array([latitude]), np.array([reach]))
    assert found.tolist() == [near]


def test_the_zone_of_several_is_the_smallest_then_the_first_by_id() -> None:
    fence = Geofence(
        campus_of(
            box(-8, 52, -7, 53),
            b=box(-7.5, 52.5, -7.25, 52.75),
            a=box(-7.75, 52.5, -7.5, 52.75),
            c=box(-7.6, 52.5, -7.4, 52.6),
        )
    )
    assert fence.smallest_first(["the-campus", "a", "b", "c", "gone"]) == ["c", "a", "b", "the-campus"]
    assert fence.smallest_first([]) == []
