"""Files that people have, imported: what they become, and what is said of the others."""

import numpy as np
import pytest

from geofence import Geofence
from tests.geofence.importing.conftest import FIELD, Importer

HALL = {"hall": ("hall", "building", None)}


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        (
            "k01-overpass.geojson",
            {"main-hall": ("Main Hall", "building", None), "way-1003": ("Car park way/1003", "car_park", 120)},
        ),
        ("k02-qgis.geojson", {"hall": ("Hall", None, None)}),
        ("k03-bom.geojson", HALL),
        ("k06-one-feature.geojson", {}),
        ("k07-null-geometry.geojson", HALL),
        ("k09-mixed-z.geojson", {"atrium": ("atrium", None, None)}),
        ("k12-clockwise.geojson", HALL),
        ("k14-projected.geojson", {}),
        ("k16-capacity-text.geojson", {"p1": ("p1", None, 120)}),
        ("k17-capacity-float.geojson", {"p1": ("p1", None, 120)}),
        ("k20-touches.geojson", {}),
        ("k22-number-name.geojson", {"p1": ("42", None, None)}),
        ("k23-ndjson.geojson", HALL),
        ("k25-emoji.geojson", {"mensa": ("Mensa 🍽 Straße Ǽ محطة 図書館", None, None)}),
        ("k26-swapped-boundary.geojson", {"hall": ("hall", None, None)}),
        ("k28-geometrycollection.geojson", {"gc": ("gc", None, None)}),
        ("k30-case-ids.geojson", {"Kemmy": ("Kemmy", None, None), "kemmy-2": ("kemmy", None, None)}),
    ],
)
def test_a_file_from_the_field_becomes_a_campus(
    importing: Importer, name: str, zones: dict[str, tuple[str, str | None, int | None]]
) -> None:
    assert importing.files(FIELD / name).zones == zones


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("k05-trailing-comma.geojson", "it is not JSON in UTF-8: Expecting value: line 1 column 545"),
        ("k32-kml.kml", "there is nothing in it"),
    ],
)
def test_a_file_from_the_field_that_is_none_is_told_why(importing: Importer, name: str, words: str) -> None:
    imported = importing.files(FIELD / name)
    assert imported.code == 1
    assert imported.output.startswith(f"{FIELD / name}: ")
    assert words in imported.output


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("k01-overpass.geojson", "left out, no area: Point: 1 (node/1004)"),
        ("k07-null-geometry.geojson", "left out, no area: without a geometry: 1 ('lost' (lost))"),
        ("k20-touches.geojson", "left out, outside the outline: 1 ('next' (next))"),
        ("k06-one-feature.geojson", "the campus has no zones: only who is on it at all will be counted"),
    ],
)
def test_what_is_left_out_is_said(importing: Importer, name: str, line: str) -> None:
    assert line in importing.files(FIELD / name).output.splitlines()


def test_metres_of_the_irish_grid_become_degrees(importing: Importer) -> None:
    west, south, east, north = importing.files(FIELD / "k14-projected.geojson").campus.boundary.geometry.bounds
    assert west == pytest.approx(-8.616, abs=0.002)
    assert south == pytest.approx(52.672, abs=0.002)
    assert east - west == pytest.approx(0.0133, abs=0.0005)
    assert north - south == pytest.approx(0.0081, abs=0.0005)


def test_a_clockwise_outline_is_turned_and_holds_what_is_in_it(importing: Importer) -> None:
    campus = importing.files(FIELD / "k12-clockwise.geojson").campus
    assert Geofence(campus).locate(np.array([10.0015]), np.array([50.0015])) == [("campus", "hall")]
    assert campus.boundary.geometry.exterior.is_ccw


EXTRACT = {
    "main-hall": ("Main Hall", "building", None),
    "bibliothek-am-grossen-weg": ("Bibliothek am Großen Weg", "building", None),
    "way-1005": ("Building way/1005", "building", None),
    "north-car-park": ("North car park", "car_park", 120),
    "way-1007": ("Car park way/1007", "car_park", None),
    "garage": ("Garage", "car_park", None),
    "playing-field": ("Playing field", "pitch", None),
}


@pytest.mark.parametrize("name", ["extract.osm", "extract.osm.pbf", "extract-geom.json", "extract-skel.json"])
def test_an_extract_of_openstreetmap_is_the_same_campus_in_each_of_its_formats(importing: Importer, name: str) -> None:
    imported = importing.files(FIELD / name)
    assert imported.zones == EXTRACT
    boundary = imported.campus.boundary
    assert (boundary.id, boundary.name) == ("campus", "Example University")
    assert boundary.geometry.bounds == (10.0, 50.0, 10.012, 50.008)
    hall = imported.campus.by_id["main-hall"].feature["properties"]
    assert hall == {
        "role": "zone",
        "name": "Main Hall",
        "name:ga": "Príomhhalla",
        "category": "building",
        "source": "way/1003",
    }
    for line in (
        "left out, no place by itself: landuse=grass: 1 (way/1010)",
        "left out, outside the outline: 1 ('Supermarket across the road' (way/1011))",
        "garage: its capacity 'ca. 300' is no number, and is left out",
        "The outline: it is tagged amenity=university.",
    ):
        assert line in imported.output.splitlines()
    assert "© OpenStreetMap contributors" in imported.file.read_text(encoding="utf-8")
