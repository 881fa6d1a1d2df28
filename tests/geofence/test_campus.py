"""Campus files: what is taken, and what is refused with which words."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

from geofence import Campus, InvalidCampusError, load_campus
from geofence import campus as campus_module

Feature = dict[str, Any]
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
OUTLINE = [[-1, -1], [3, -1], [3, 3], [-1, 3], [-1, -1]]
OFFSET = [[12, 0], [13, 0], [13, 1], [12, 1], [12, 0]]
SWAPPED = [[2, 11], [2, 12], [3, 12], [3, 11], [2, 11]]


def feature(zone_id: object, coordinates: object, *, geometry: str = "Polygon", **properties: object) -> Feature:
    return {
        "type": "Feature",
        "id": zone_id,
        "geometry": {"type": geometry, "coordinates": coordinates},
        "properties": {"role": "zone", **properties},
    }


CAMPUS = feature("campus", [OUTLINE], role="boundary")
LIBRARY = feature("library", [SQUARE], name="Library", category="building", capacity=40)


def with_changes(change: Callable[[Feature], object]) -> Feature:
    changed = copy.deepcopy(LIBRARY)
    change(changed)
    return changed


def with_geometry(coordinates: object, geometry: str = "Polygon") -> Feature:
    return feature("library", coordinates, geometry=geometry)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Campus]:
    def written_and_loaded(*features: Feature) -> Campus:
        file = tmp_path / "test.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        return load_campus(file)

    return written_and_loaded


def test_the_default_campus_is_limerick_with_22_zones() -> None:
    campus = load_campus(None)
    assert campus.boundary.id == "campus"
    assert campus.boundary.name == "University of Limerick"
    assert len(campus.zones) == 22
    assert len(campus.everything) == len(campus.by_id) == 23
    assert campus.by_id["car-park-west"].category == "car_park"
    assert campus.by_id["schrodinger"].name == "Schrödinger Building"


def test_the_zones_keep_the_order_of_the_file(load: Callable[..., Campus]) -> None:
    campus = load(feature("b", [SQUARE]), CAMPUS, feature("a", [SQUARE]))
    assert [zone.id for zone in campus.zones] == ["b", "a"]
    assert [zone.id for zone in campus.everything] == ["campus", "b", "a"]


def test_a_zone_has_what_its_feature_says(load: Callable[..., Campus]) -> None:
    library = load(CAMPUS, LIBRARY).by_id["library"]
    assert (library.name, library.role, library.category, library.capacity) == ("Library", "zone", "building", 40)
    assert library.geometry == shapely.Polygon(SQUARE)
    assert library.feature == LIBRARY


def test_a_zone_without_a_name_is_called_by_its_id(load: Callable[..., Campus]) -> None:
    zone = load(CAMPUS, with_changes(lambda zone: zone["properties"].pop("name"))).by_id["library"]
    assert zone.name == "library"
    assert zone.feature["properties"] == {**LIBRARY["properties"], "name": "library"}


def test_an_integer_id_is_its_decimal_text(load: Callable[..., Campus]) -> None:
    campus = load(CAMPUS, feature(17, [SQUARE]))
    assert campus.zones[0].id == "17"
    assert campus.zones[0].feature["id"] == "17"


def test_what_a_feature_has_beside_its_parts_is_not_published(load: Callable[..., Campus]) -> None:
    campus = load(CAMPUS, {**LIBRARY, "bbox": [0, 0, 1, 1], "secret": "x"})
    assert campus.zones[0].feature.keys() == {"type", "id", "geometry", "properties"}


def test_the_feature_collection_holds_everything_campus_first(load: Callable[..., Campus]) -> None:
    collection = load(LIBRARY, CAMPUS).as_feature_collection()
    assert collection["type"] == "FeatureCollection"
    assert collection["features"] == [{**CAMPUS, "properties": {"role": "boundary", "name": "campus"}}, LIBRARY]


def test_a_campus_says_whose_map_it_was_drawn_from(tmp_path: Path) -> None:
    file = tmp_path / "osm.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "attribution": " © Mappers ", "features": [CAMPUS]}))

    campus = load_campus(file)

    assert campus.attribution == "© Mappers"
    assert campus.as_feature_collection()["attribution"] == "© Mappers"


@pytest.mark.parametrize("attribution", [7, ["©"], "x" * 501, "two\nlines"])
def test_an_attribution_is_one_line_of_text(attribution: object, tmp_path: Path) -> None:
    file = tmp_path / "osm.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "attribution": attribution, "features": [CAMPUS]}))

    with pytest.raises(InvalidCampusError, match="attribution: it is not one line of text of 500 characters"):
        load_campus(file)


def test_a_published_campus_can_be_loaded_again(load: Callable[..., Campus], tmp_path: Path) -> None:
    campus = load(CAMPUS, LIBRARY)
    copied = tmp_path / "copy.geojson"
    copied.write_text(json.dumps(campus.as_feature_collection(), indent=3), encoding="utf-8")
    assert load_campus(copied) == campus
    assert load_campus(copied).version == campus.version


def test_the_version_changes_with_the_content(load: Callable[..., Campus]) -> None:
    versions = {load(CAMPUS, feature("library", [SQUARE], name=name)).version for name in ("a", "b")}
    assert len(versions) == 2
    assert all(len(version) == 16 for version in versions)


def test_holes_multipolygons_overlaps_and_nesting_are_fine(load: Callable[..., Campus]) -> None:
    hole = [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4], [0.2, 0.4], [0.2, 0.2]]
    parts = [[SQUARE], [[[2, 2], [2.5, 2], [2.5, 2.5], [2, 2]]]]
    campus = load(
        CAMPUS,
        feature("holed", [SQUARE, hole]),
        feature("parts", parts, geometry="MultiPolygon"),
        feature("nested", [hole]),
        feature("reaches-out", [[[2, 2], [9, 2], [9, 9], [2, 9], [2, 2]]]),
    )
    assert campus.by_id["holed"].geometry.area == pytest.approx(0.96)
    assert campus.by_id["parts"].geometry.area == pytest.approx(1.125)


def test_altitudes_are_dropped(load: Callable[..., Campus]) -> None:
    campus = load(CAMPUS, feature("roof", [[[x, y, 30.5] for x, y in SQUARE]]))
    assert not campus.zones[0].geometry.has_z


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "windows.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [CAMPUS]}), encoding="utf-8-sig")
    assert load_campus(file).zones == ()


BAD_FEATURES = {
    "no feature": ({"type": "Point"}, "is not a GeoJSON Feature"),
    "no object": ([1], "is not a GeoJSON Feature"),
    "no id": (with_changes(lambda zone: zone.pop("id")), "feature number 2, id: it has no id"),
    "an id that is true": (feature(True, [SQUARE]), "it has no id"),  # noqa: FBT003 - hostile input
    "an id with a space": (feature("the library", [SQUARE]), "feature 'the library' (number 2), id: its id may have"),
    "an id with a colon": (feature("a:b", [SQUARE]), "its id may have"),
    "an id with a slash": (feature("a/b", [SQUARE]), "its id may have"),
    "an id with a line break": (feature("library\n", [SQUARE]), "its id may have"),
    "an id of 65": (feature("a" * 65, [SQUARE]), "its id may have"),
    "an empty id": (feature("", [SQUARE]), "its id may have"),
    "a negative id": (feature(-1, [SQUARE]), "its id may have"),
    "the id of another": (feature("campus", [SQUARE]), "'campus' (number 2), id: its id is used twice"),
    "no role": (with_changes(lambda zone: zone["properties"].pop("role")), "its role is neither"),
    "no properties": (with_changes(lambda zone: zone.update(properties=None)), "its role is neither"),
    "bad properties": (with_changes(lambda zone: zone.update(properties=[1])), "its properties are not an object"),
    "another role": (feature("library", [SQUARE], role="building"), "its role is neither"),
    "a list as role": (feature("library", [SQUARE], role=["zone"]), "its role is neither"),
    "a second boundary": (feature("library", [SQUARE], role="boundary"), "'library': it has the role"),
    "no geometry": (with_changes(lambda zone: zone.update(geometry=None)), "it has no geometry"),
    "a point": (with_geometry([0, 0], "Point"), "the geometry is 'Point'"),
    "a collection": (with_geometry([], "GeometryCollection"), "the geometry is 'GeometryCollection'"),
    "a type that is a list": (with_changes(lambda zone: zone.update(geometry={"type": []})), "the geometry is []"),
    "no coordinates": (with_geometry(None), "not a list of rings"),
    "no coordinates of many": (with_geometry({}, "MultiPolygon"), "not a list of polygons"),
    "a ring that is a number": (with_geometry([1]), "not a list of positions"),
    "a crossing": (with_geometry([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]), "Self-intersection[0.5 0.5]"),
    "a hole outside": (with_geometry([SQUARE, OFFSET]), "Hole lies outside shell"),
    "parts that overlap": (with_geometry([[SQUARE], [OUTLINE]], "MultiPolygon"), "the geometry is not valid"),
    "an open ring": (with_geometry([SQUARE[:-1]]), "a ring is not closed"),
    "three positions": (with_geometry([[[0, 0], [1, 0], [0, 0]]]), "too few points: 3"),
    "no area": (with_geometry([[[0, 0], [1, 1], [2, 2], [0, 0]]]), "the geometry is not valid"),
    "one place only": (with_geometry([[[0, 0], [0, 0], [0, 0], [0, 0]]]), "the geometry is not valid"),
    "no rings": (with_geometry([]), "the geometry is empty"),
    "an empty ring": (with_geometry([[]]), "the geometry is empty"),
    "no parts": (with_geometry([], "MultiPolygon"), "the geometry is empty"),
    "not a number": (with_geometry([[[0, "0"], *SQUARE[1:]]]), "[0, '0'] is not a position"),
    "true as a number": (with_geometry([[[0, True], *SQUARE[1:]]]), "is not a position"),
    "one number": (with_geometry([[[0], *SQUARE[1:]]]), "[0] is not a position"),
    "four numbers": (with_geometry([[[0, 0, 0, 0], *SQUARE[1:]]]), "is not a position"),
    "NaN": (with_geometry([[[0, float("nan")], *SQUARE[1:]]]), "[0, nan] is out of range, or not finite"),
    "infinity": (with_geometry([[[float("inf"), 0], *SQUARE[1:]]]), "is out of range, or not finite"),
    "a huge integer": (with_geometry([[[10**400, 0], *SQUARE[1:]]]), "is out of range, or not finite"),
    "latitude first": (with_geometry([[[52.67, -98.57], *SQUARE[1:]]]), "look swapped, longitude comes first"),
    "latitude 91": (with_geometry([[[181, 91], *SQUARE[1:]]]), "[181, 91] is out of range, or not finite"),
    "capacity 0": (feature("library", [SQUARE], capacity=0), "its capacity is not a positive integer"),
    "capacity 1.5": (feature("library", [SQUARE], capacity=1.5), "its capacity is not a positive integer"),
    "capacity true": (feature("library", [SQUARE], capacity=True), "its capacity is not a positive integer"),
    "capacity in words": (feature("library", [SQUARE], capacity="ca. 40"), "its capacity is not a positive integer"),
    "capacity of many digits": (feature("library", [SQUARE], capacity="9" * 5000), "its capacity is not"),
    "capacity of nothing": (feature("library", [SQUARE], capacity="0.0"), "its capacity is not a positive integer"),
    "an empty name": (feature("library", [SQUARE], name=""), "its name is not a text of 1 to 200"),
    "a name that is true": (feature("library", [SQUARE], name=True), "its name is not a text"),
    "a name that is no number": (feature("library", [SQUARE], name=float("nan")), "its name is not a text"),
    "a long name": (feature("library", [SQUARE], name="a" * 201), "its name is not a text of 1 to 200"),
    "a category that is a list": (feature("library", [SQUARE], category=[]), "its category is not a text"),
    "NaN as a property": (feature("library", [SQUARE], height=float("nan")), "what JSON cannot carry"),
    "half a character": (feature("library", [SQUARE], name="\ud800"), "what JSON cannot carry"),
    "no area on campus": (with_geometry([OFFSET]), "'library': it has no area in common with the campus: move it"),
    "an edge on campus": (
        with_geometry([[[3, 0], [4, 0], [4, 1], [3, 1], [3, 0]]]),
        "it has no area in common with the campus",
    ),
}


@pytest.mark.parametrize(("bad", "words"), BAD_FEATURES.values(), ids=BAD_FEATURES.keys())
def test_a_bad_feature_is_named_with_its_fault(
    load: Callable[..., Campus], tmp_path: Path, bad: Feature, words: str
) -> None:
    with pytest.raises(InvalidCampusError) as refusal:
        load(CAMPUS, bad)
    assert str(refusal.value).startswith(f"{tmp_path / 'test.geojson'}: feature ")
    assert words in str(refusal.value)


def test_a_zone_that_would_be_on_campus_with_swapped_coordinates_is_told_so(load: Callable[..., Campus]) -> None:
    outline = feature("campus", [[[10, 1], [15, 1], [15, 5], [10, 5], [10, 1]]], role="boundary")
    with pytest.raises(InvalidCampusError, match="look swapped, longitude comes first"):
        load(outline, with_geometry([SWAPPED]))


def test_a_campus_without_a_boundary_is_refused(load: Callable[..., Campus]) -> None:
    with pytest.raises(InvalidCampusError, match='no feature has the role "boundary"'):
        load(LIBRARY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b'{"name": "\xff"}', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is not a GeoJSON FeatureCollection"),
        (b'{"type": "Feature", "features": []}', "it is not a GeoJSON FeatureCollection"),
        (b'{"type": "FeatureCollection"}', "it is not a GeoJSON FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": {}}', "it is not a GeoJSON FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": []}', 'no feature has the role "boundary"'),
    ],
    ids=["empty", "cut off", "not UTF-8", "nested deeply", "a list", "a feature", "no features", "an object", "none"],
)
def test_a_file_that_is_no_campus_is_named_with_its_fault(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "test.geojson"
    file.write_bytes(content)
    with pytest.raises(InvalidCampusError) as refusal:
        load_campus(file)
    assert str(refusal.value).startswith(f"{file}: ")
    assert words in str(refusal.value)


def test_a_file_that_cannot_be_read_is_named_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(InvalidCampusError, match=r"nowhere\.geojson: cannot read it: No such file"):
        load_campus(tmp_path / "nowhere.geojson")
    with pytest.raises(InvalidCampusError, match="cannot read it: Is a directory"):
        load_campus(tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campus_module, "MAX_FILE_BYTES", 100)
    file = tmp_path / "test.geojson"
    file.write_bytes(b" " * 101)
    with pytest.raises(InvalidCampusError, match="larger than 100 bytes"):
        load_campus(file)


def test_too_many_features_are_refused(load: Callable[..., Campus], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campus_module, "MAX_FEATURES", 1)
    assert load(CAMPUS).zones == ()
    with pytest.raises(InvalidCampusError, match="2 features, more than 1"):
        load(CAMPUS, LIBRARY)
