"""What one program writes and another does not: ids, names, capacities, coordinates."""

import json

import pytest
import shapely

from tests.geofence.importing.conftest import FIELD, Importer, area, square

OUTLINE = area(square(10, 50, 0.02), role="boundary", name="Campus")
HERE = square(10.001, 50.001)


@pytest.mark.parametrize(
    ("feature", "zone_id"),
    [
        ({**area(HERE, name="Main Hall"), "id": "way/1002"}, "main-hall"),
        ({**area(HERE, building="yes"), "id": "way/1002"}, "way-1002"),
        (area(HERE, **{"@id": "way/1002", "building": "yes"}), "way-1002"),
        (area(HERE, full_id="w1002", osm_id="1002", osm_type="way", building="yes"), "way-1002"),
        (area(HERE, osm_way_id="1002", building="yes"), "way-1002"),
        (area(HERE, osm_id="1002", osm_way_id=None, building="yes"), "relation-1002"),
        (area(HERE, osm_id=1002, building="yes", name=" "), "osm-1002"),
        (area(HERE, osm_id=1002, osm_type="ways_poly", building="yes"), "way-1002"),
        (area(HERE, Id="Bâtiment L", Nom=None), "batiment-l"),
        (area(HERE, id="library", name="Glucksman Library"), "library"),
        ({**area(HERE, name="Library"), "id": "LIB"}, "LIB"),
        ({**area(HERE, name="Library"), "id": 7}, "library"),
        (area(HERE, id=7, fid=7, name="Library"), "library"),
        ({**area(HERE, name="Library"), "id": "{8C7F1A52-0000-4000-8000-1234567890AB}"}, "library"),
        (area(HERE, OBJECTID=1, BLDG_NAME="Evans Library", Shape__Area=1.5), "evans-library"),
        (area(HERE, name="Ionad Spóirt — Árasán / Aréna"), "ionad-spoirt-arasan-arena"),
        (area(HERE, name="Students' Union"), "students-union"),
        (area(HERE, name="図書館"), "area-2"),
        (area(HERE, name="図書館 A"), "area-2"),
        (area(HERE, name="x" * 80), "x" * 64),
        (area(HERE, name="campus"), "campus-2"),
        (area(HERE), "area-2"),
    ],
)
def test_a_zone_gets_an_id_from_what_the_file_says(importing: Importer, feature: object, zone_id: str) -> None:
    assert list(importing.features(OUTLINE, feature).zones) == [zone_id]


def test_ids_of_the_file_come_before_ids_that_are_made(importing: Importer) -> None:
    made = area(square(10.003, 50.001), name="Library")
    given = {**area(HERE, name="The other one"), "id": "library"}
    assert list(importing.features(OUTLINE, made, given).zones) == ["library-2", "library"]


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"building": "yes", "name": "A"}, ("A", "building", None)),
        ({"amenity": "parking", "name": "A", "capacity": "120"}, ("A", "car_park", 120)),
        ({"amenity": "parking", "name": "A", "capacity": 120.0}, ("A", "car_park", 120)),
        ({"amenity": "parking", "name": "A", "capacity": "120.0"}, ("A", "car_park", 120)),
        ({"building": "garage", "name": "A"}, ("A", "car_park", None)),
        ({"amenity": "library", "name": "A"}, ("A", "library", None)),
        ({"leisure": "sports_centre", "name": "A"}, ("A", "sports_centre", None)),
        ({"tags": {"building": "yes", "name": "A", "capacity": "9"}}, ("A", "building", 9)),
        ({"tags": '{"amenity": "parking", "name": "A"}'}, ("A", "car_park", None)),
        ({"name": "A", "building": "yes", "other_tags": '"capacity"=>"12","x"=>"a \\"b\\""'}, ("A", "building", 12)),
        ({"name:en": "A", "name:ga": "B"}, ("A", None, None)),
        ({"NAME": "A", "TYPE": "Parking Lot", "SPACES": 40}, ("A", "car_park", 40)),
        ({"building": "Science Block", "lot": "9"}, ("Science Block", None, None)),
        ({"Bldg_Name": "A", "Type": "Academic Building"}, ("A", "building", None)),
        ({"name": 42}, ("42", None, None)),
        ({"name": 42.0}, ("42", None, None)),
        ({"name": "  two\n lines "}, ("two lines", None, None)),
        ({"name": "A", "capacity": 0}, ("A", None, None)),
        ({"name": "A", "category": "lecture_hall"}, ("A", "lecture_hall", None)),
        ({"building": "yes", "addr:street": "Main St", "addr:housenumber": "7", "@id": "way/1"}, ("Main St 7",) * 1),
    ],
)
def test_tags_say_what_a_zone_is(
    importing: Importer, properties: dict[str, object], told: tuple[str | None, ...]
) -> None:
    [zone] = importing.features(OUTLINE, area(HERE, **properties)).zones.values()
    assert zone[: len(told)] == told


def test_layers_and_files_say_what_their_areas_are(importing: Importer) -> None:
    for name in ("buildings.geojson", "car-parks.geojson"):
        west = 10.001 if name.startswith("b") else 10.004
        content = {"type": "FeatureCollection", "features": [area(square(west, 50.001), name=name[0].upper())]}
        (importing.folder / name).write_text(json.dumps(content), encoding="utf-8")
    imported = importing.files(importing.folder / "buildings.geojson", importing.folder / "car-parks.geojson")
    assert imported.zones == {"b": ("B", "building", None), "c": ("C", "car_park", None)}


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ([area(square(10, 50, 0.02), role="boundary")], "the file says so"),
        ([area(square(10, 50, 0.02), name="Campus Boundary")], "the file says so"),
        ([area(square(10, 50, 0.02), amenity="university")], "it is tagged amenity=university"),
        (
            [area(square(10, 50, 0.02), amenity="university"), area(square(10, 50, 0.0005), amenity="university")],
            "it is tagged amenity=university, and it is the largest of 2",
        ),
        ([area(square(10, 50, 0.02), name="Everything")], "it holds all else"),
        ([], "a hull around all zones, with a margin of 25 m"),
    ],
)
def test_the_outline_is_found(importing: Importer, features: list[object], why: str) -> None:
    hall = area(HERE, name="Hall", building="university")
    imported = importing.features(hall, area(square(10.005, 50.001), name="Lab", building="yes"), *features)
    assert f"The outline: {why}." in imported.output.splitlines()
    assert {"hall", "lab"} <= imported.zones.keys()
    whole = imported.campus.boundary.geometry
    assert all(shapely.covers(whole, zone.geometry) for zone in imported.campus.zones)


def test_a_hull_leaves_out_what_is_in_another_town(importing: Importer) -> None:
    here = [area(square(10 + number * 0.004, 50), name=f"Here {number}") for number in range(4)]
    imported = importing.features(*here, area(square(10.5, 50), name="There"))
    assert list(imported.zones) == ["here-0", "here-1", "here-2", "here-3"]
    assert "a hull around the 4 zones that are near each other, with a margin of 25 m" in imported.output
    assert "left out, outside the outline: 1 ('There'" in imported.output


def test_a_school_in_a_corner_is_not_the_campus(importing: Importer) -> None:
    school = area(square(10, 50, 0.002), amenity="school", name="School")
    halls = [area(square(10 + number * 0.004, 50), name=f"Hall {number}") for number in range(4)]
    alone = importing.features(school, halls[0])
    assert "The outline: it is tagged amenity=school." in alone.output
    among = importing.features(school, *halls)
    assert "The outline: a hull around all zones, with a margin of 25 m." in among.output


def test_the_outline_can_be_named_and_joined(importing: Importer) -> None:
    sites = [area(square(10 + east, 50, 0.01), amenity="university", name=f"Site {east}") for east in (0.0, 0.05)]
    hall = area(square(10.051, 50.001), name="Hall")
    alone = importing.features(*sites, hall, options=("--outline", "site 0.05", "--name", "Ours"))
    assert list(alone.zones) == ["hall"]
    assert alone.campus.boundary.name == "Ours"
    both = importing.features(*sites, hall, options=("--outline", "Site 0.0", "--outline", "Site 0.05"))
    assert both.campus.boundary.geometry.geom_type == "MultiPolygon"
    nobody = importing.features(*sites, options=("--outline", "Site 7"))
    assert nobody.code == 1
    assert "no area is called 'Site 7'; the largest ones are: 'Site 0." in nobody.output


def test_a_campus_that_crosses_180_degrees_is_split_there(importing: Importer) -> None:
    crossing = [[[179.999, -17], [-179.999, -17], [-179.999, -16.999], [179.999, -16.999], [179.999, -17]]]
    beyond = [[[180.002, -17], [180.003, -17], [180.003, -16.999], [180.002, -16.999], [180.002, -17]]]
    imported = importing.features(
        area(crossing, name="Hall"), area(beyond, name="Lab"), area(square(-179.996, -17), name="Shop")
    )
    campus = imported.campus
    assert {zone.id: zone.geometry.geom_type for zone in campus.everything} == {
        "campus": "MultiPolygon",
        "hall": "MultiPolygon",
        "lab": "Polygon",
        "shop": "Polygon",
    }
    assert [part.bounds for part in campus.by_id["hall"].geometry.geoms] == [
        (179.999, -17.0, 180.0, -16.999),
        (-180.0, -17.0, -179.999, -16.999),
    ]
    assert campus.by_id["lab"].geometry.bounds == (-179.998, -17.0, -179.997, -16.999)
    assert campus.boundary.geometry.area < 0.0002


@pytest.mark.parametrize(
    ("coordinates", "area_of_it"),
    [
        ([HERE[0][:-1]], 1.0),
        ([[[10.001, 50.001], [10.002, 50.002], [10.002, 50.001], [10.001, 50.002], [10.001, 50.001]]], 0.5),
        ([[[*position, 12.5, 1574812345] for position in HERE[0]]], 1.0),
        ([[*HERE[0], None, ["x", "y"]]], 1.0),
        (HERE[0], 1.0),
    ],
    ids=["an open ring", "a crossing", "altitudes and measures", "what is no position", "a ring without a list"],
)
def test_an_outline_that_is_not_quite_one_is_mended(
    importing: Importer, coordinates: object, area_of_it: float
) -> None:
    [zone] = importing.features(OUTLINE, area(coordinates, name="Hall")).campus.zones
    assert zone.geometry.area == pytest.approx(area_of_it * 1e-6, rel=1e-3)


def test_what_had_to_be_mended_is_said(importing: Importer) -> None:
    bow = [[[10.001, 50.001], [10.002, 50.002], [10.002, 50.001], [10.001, 50.002], [10.001, 50.001]]]
    assert "1 outlines crossed themselves, and are mended" in importing.features(OUTLINE, area(bow)).output


def test_what_is_twice_in_the_files_is_once_on_the_campus(importing: Importer) -> None:
    hall = {**area(HERE, building="yes", name="Hall"), "id": "way/1"}
    imported = importing.features(OUTLINE, hall, hall, area(square(10, 50, 0.02), name="The same outline"))
    assert list(imported.zones) == ["hall"]
    assert "left out, twice the same: 1 ('Hall' (way/1))" in imported.output
    assert "left out, the outline once more: 1 ('The same outline' (number 4 of export.geojson))" in imported.output


def test_areas_without_a_name_can_be_left_out(importing: Importer) -> None:
    features = (OUTLINE, area(HERE, building="yes"), area(square(10.004, 50.001), building="yes", name="Hall"))
    assert list(importing.features(*features, options=("--named-only",)).zones) == ["hall"]


METRES = [[[1113194, 6446275], [1113394, 6446275], [1113394, 6446400], [1113194, 6446400], [1113194, 6446275]]]


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
        {"type": "name", "properties": {"name": "EPSG:3857"}},
        {"type": "EPSG", "properties": {"code": 3857}},
    ],
)
def test_a_reference_system_is_taken_as_the_file_names_it(importing: Importer, crs: object) -> None:
    west, south, *_ = importing.features(area(METRES, name="Hall"), crs=crs).campus.by_id["hall"].geometry.bounds
    assert (west, south) == (pytest.approx(10.0, abs=1e-4), pytest.approx(50.0, abs=0.01))


def test_a_reference_system_that_no_file_names_is_asked_for(importing: Importer) -> None:
    told = importing.features(area(METRES, name="Hall"))
    assert told.code == 1
    assert "its coordinates are no degrees of WGS 84, and it does not say what they are: name" in told.output
    assert list(importing.features(area(METRES, name="Hall"), options=("--crs", "EPSG:3857")).zones) == ["hall"]
    nonsense = importing.features(area(METRES, name="Hall"), options=("--crs", "EPSG:nothing"))
    assert "nobody knows the coordinate reference system 'EPSG:nothing'" in nonsense.output


def test_a_reference_system_is_that_of_files_that_name_none(importing: Importer) -> None:
    file = importing.folder / "metres.geojson"
    file.write_text(json.dumps(area(METRES, name="Hall")), encoding="utf-8")
    far = importing.files(file, FIELD / "k14-projected.geojson", "--crs", "EPSG:3857")
    assert "left out, outside the outline: 1 ('Hall' (number 1 of metres.geojson))" in far.output
    assert {"hall", "main-hall"} <= importing.files(
        file, FIELD / "extract-geom.json", "--crs", "EPSG:3857"
    ).zones.keys()


def test_latitudes_first_are_told_where_they_can_be(importing: Importer) -> None:
    manila = area([[[14.65, 121.06], [14.66, 121.06], [14.66, 121.07], [14.65, 121.06]]], name="Hall")
    assert "say --latitude-first" in importing.features(manila).output
    turned = importing.features(manila, options=("--latitude-first",))
    assert turned.campus.by_id["hall"].geometry.bounds == (121.06, 14.65, 121.07, 14.66)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"type": "Point", "coordinates": [10, 50]}, "there is no area in it, only 1 Point"),
        ({"type": "FeatureCollection", "features": []}, "there is nothing in it"),
        ({"type": "MultiPolygon", "coordinates": []}, "only 1 MultiPolygon without coordinates"),
        ({"type": "FeatureCollection", "features": [None, 7, {"type": "Feature"}]}, "3 without a geometry"),
        ({"version": 0.6, "elements": [], "remark": "runtime error: timed out"}, "it says 'runtime error: timed out'"),
        ({"name": "x"}, "it is JSON, and no GeoJSON"),
        (7, "it is JSON, and no GeoJSON"),
    ],
)
def test_json_without_areas_is_told_so(importing: Importer, content: object, words: str) -> None:
    imported = importing.content(content)
    assert imported.code == 1
    assert words in imported.output


def test_a_bare_geometry_a_list_and_a_script_are_taken(importing: Importer) -> None:
    hall = area(HERE, name="Hall")
    assert list(importing.content(hall["geometry"]).zones) == ["area-1"]
    assert list(importing.content([hall]).zones) == ["hall"]
    comma = b'const halls = [{"type": "Feature", "properties": {"name": "Hall, ]"}, "geometry": '
    comma += json.dumps(hall["geometry"]).encode() + b"},\n];"
    assert list(importing.data(comma, name="halls.js").zones) == ["hall"]
    script = f"var halls = {json.dumps({'type': 'FeatureCollection', 'features': [hall]})};\n"
    assert list(importing.data(script.encode(), name="halls.js").zones) == ["hall"]


def test_what_was_written_before_is_kept_beside_it(importing: Importer) -> None:
    importing.features(OUTLINE, area(HERE, name="Old"))
    imported = importing.features(OUTLINE, area(HERE, name="New"))
    before = imported.file.with_name("made.geojson.before")
    assert '"Old"' in before.read_text(encoding="utf-8")
    assert '"New"' in imported.file.read_text(encoding="utf-8")


def test_a_folder_that_is_not_there_is_named(importing: Importer) -> None:
    nowhere = importing.folder / "nowhere" / "campus.geojson"
    imported = importing.files(FIELD / "k03-bom.geojson", out=nowhere)
    assert (imported.code, imported.output) == (
        1,
        f"{nowhere}: cannot write it: No such file or directory. Check the path and its permissions\n",
    )


def test_a_file_that_is_not_there_is_named(importing: Importer) -> None:
    imported = importing.files(importing.folder / "none.kml")
    assert imported.code == 1
    assert "none.kml: cannot read it: No such file or directory" in imported.output
