"""The fence, against the exact answer of each single geometry."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from geofence import Campus, Geofence, Zone, load_campus

Place = tuple[float, float]
Shape: TypeAlias = Polygon | MultiPolygon

# Quarters of a small grid: exact in binary, so that vertices and the middles of edges are exactly on the outline.
grid = st.integers(-8, 8).map(lambda number: number / 4)
places = st.tuples(grid, grid)


def campus_of(outline: Any, **zones: Any) -> Campus:  # noqa: ANN401 - shapely has no types
    def zone(zone_id: str, shape: Shape, *, boundary: bool = False) -> Zone:
        return Zone(
            id=zone_id,
            name=zone_id,
            role="boundary" if boundary else "zone",
            category=None,
            capacity=None,
            geometry=shape,
            feature={},
        )

    return Campus(
        boundary=zone("the-campus", outline, boundary=True),
        zones=tuple(zone(zone_id, shape) for zone_id, shape in zones.items()),
    )


def located(campus: Campus, where: Iterable[Place]) -> list[tuple[str, ...] | None]:
    longitudes, latitudes = np.array(list(where), dtype=np.float64).reshape(-1, 2).T
    return Geofence(campus).locate(longitudes, latitudes)


def exactly(campus: Campus, place: Place) -> tuple[str, ...] | None:
    """The slow and plain answer."""
    point = Point(place)
    if not campus.boundary.geometry.covers(point):
        return None
    return ("the-campus", *sorted(zone.id for zone in campus.zones if zone.geometry.covers(point)))


@st.composite
def rings(draw: st.DrawFn) -> list[Place]:
    """Corners of a ring that turns around a centre, often concave; a few of them are invalid as polygons."""
    x, y = draw(places)
    angles = draw(st.lists(st.floats(0, 6.28), min_size=3, max_size=9, unique=True))
    radii = draw(st.lists(st.floats(0.1, 2), min_size=len(angles), max_size=len(angles)))
    corners = [
        (x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle)))
        for angle, radius in zip(sorted(angles), radii, strict=True)
    ]
    # Half of the shapes lie on the grid.
    return [(round(x * 4) / 4, round(y * 4) / 4) for x, y in corners] if draw(st.booleans()) else corners


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    shell = Polygon(draw(rings()))
    assume(shell.is_valid and shell.area > 0)
    hole = Polygon(draw(rings()))
    holed = Polygon(shell.exterior.coords, [hole.exterior.coords])
    return holed if hole.is_valid and holed.is_valid and holed.area > 0 else shell


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    parts = draw(st.lists(polygons(), min_size=1, max_size=2))
    together = MultiPolygon(parts)
    chosen: Shape = together if together.is_valid else parts[0]
    return chosen


def tricky_places(shape: Any) -> list[Place]:  # noqa: ANN401 - shapely has no types
    """All corners, the middles of all edges, and what lies a hair's breadth beside the corners."""
    found: list[Place] = []
    for polygon in getattr(shape, "geoms", [shape]):
        for ring in (polygon.exterior, *polygon.interiors):
            corners = list(ring.coords)
            found += corners
            found += [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(corners)]
            found += [(float(np.nextafter(x, 9)), float(np.nextafter(y, -9))) for x, y in corners]
    return found


@given(outline=shapes(), zones=st.lists(shapes(), max_size=5), anywhere=st.lists(places, max_size=20))
def test_the_answers_are_those_of_each_geometry_alone(
    outline: Shape, zones: list[Shape], anywhere: list[Place]
) -> None:
    campus = campus_of(outline, **{f"zone-{9 - number}": shape for number, shape in enumerate(zones)})
    where = [*anywhere, *tricky_places(outline), *(place for shape in zones for place in tricky_places(shape))]
    assert located(campus, where) == [exactly(campus, place) for place in where]


@given(st.lists(st.tuples(st.floats(-8.585, -8.557), st.floats(52.669, 52.682)), max_size=50))
def test_the_answers_on_the_default_campus_are_exact(where: list[Place]) -> None:
    campus = load_campus(None)
    expected = [
        None
        if not campus.boundary.geometry.covers(Point(place))
        else ("campus", *sorted(zone.id for zone in campus.zones if zone.geometry.covers(Point(place))))
        for place in where
    ]
    assert located(campus, where) == expected


def test_a_point_on_the_outline_is_inside() -> None:
    campus = campus_of(box(0, 0, 4, 4), corner=box(0, 0, 1, 1))
    assert located(campus, [(0, 0), (0, 0.5), (1, 1), (1, 2), (4, 4), (4, 2)]) == [
        ("the-campus", "corner"),
        ("the-campus", "corner"),
        ("the-campus", "corner"),
        ("the-campus",),
        ("the-campus",),
        ("the-campus",),
    ]


def test_a_point_in_a_hole_is_outside_and_on_its_edge_inside() -> None:
    holed = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    assert located(campus_of(holed), [(1.5, 1.5), (1, 1.5), (1, 1), (3, 3)]) == [
        None,
        ("the-campus",),
        ("the-campus",),
        ("the-campus",),
    ]


def test_a_zone_beyond_the_outline_holds_nothing_there() -> None:
    campus = campus_of(box(0, 0, 2, 2), reaching=box(1, 1, 5, 5))
    assert located(campus, [(1.5, 1.5), (3, 3)]) == [("the-campus", "reaching"), None]


def test_the_campus_comes_first_and_the_zones_in_alphabetical_order() -> None:
    everywhere = box(0, 0, 1, 1)
    campus = campus_of(everywhere, zebra=everywhere, **{"10": everywhere, "2": everywhere, "b-a": everywhere})
    assert located(campus, [(0.5, 0.5)]) == [("the-campus", "10", "2", "b-a", "zebra")]


def test_neighbours_share_the_points_between_them() -> None:
    campus = campus_of(box(0, 0, 2, 1), left=box(0, 0, 1, 1), right=box(1, 0, 2, 1))
    assert located(campus, [(1, 0.5)]) == [("the-campus", "left", "right")]


def test_no_positions_give_no_answers() -> None:
    assert located(campus_of(box(0, 0, 1, 1), one=box(0, 0, 1, 1)), []) == []


def test_a_campus_without_zones_answers_with_itself() -> None:
    assert located(campus_of(box(0, 0, 1, 1)), [(0.5, 0.5), (2, 2)]) == [("the-campus",), None]


def test_what_is_no_number_is_nowhere() -> None:
    nan, infinity = float("nan"), float("inf")
    campus = campus_of(box(0, 0, 1, 1), one=box(0, 0, 1, 1))
    assert located(campus, [(nan, 0.5), (0.5, nan), (nan, nan), (infinity, 0.5), (0.5, -infinity)]) == [None] * 5


def test_ten_thousand_positions_are_answered_one_by_one() -> None:
    random = np.random.default_rng(seed=1)
    longitudes, latitudes = random.uniform(-8.585, -8.557, 10_000), random.uniform(52.669, 52.682, 10_000)
    fence = Geofence(load_campus(None))
    together = fence.locate(longitudes, latitudes)
    assert len(together) == 10_000
    sample = range(0, 10_000, 97)
    assert [together[index] for index in sample] == [
        fence.locate(longitudes[index : index + 1], latitudes[index : index + 1])[0] for index in sample
    ]
    assert {zone for zones in together if zones for zone in zones} == set(load_campus(None).by_id)


def test_the_fence_names_its_campus() -> None:
    assert Geofence(load_campus(None)).campus_id == "campus"
