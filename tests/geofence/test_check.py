"""`python -m geofence check`: all that is wrong at once, and what is hardly meant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from geofence import Geofence, load_campus
from geofence.__main__ import app

FIELD = Path(__file__).parent / "field"
Feature = dict[str, Any]


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, env=environment)
    return result.exit_code, result.output


def square(west: float, south: float, size: float = 0.001) -> list[list[list[float]]]:
    east, north = west + size, south + size
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def feature(zone_id: object, coordinates: object, **properties: object) -> Feature:
    return {
        "type": "Feature",
        "id": zone_id,
        "geometry": {"type": "Polygon", "coordinates": coordinates},
        "properties": {"role": "zone", **properties},
    }


CAMPUS = feature("campus", square(-8.58, 52.66, 0.02), role="boundary")


def written(folder: Path, *features: Feature) -> str:
    file = folder / "test.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        ("k03-bom.geojson", 1),
        ("k06-one-feature.geojson", 0),
        ("k09-mixed-z.geojson", 1),
        ("k12-clockwise.geojson", 1),
        ("k16-capacity-text.geojson", 1),
        ("k17-capacity-float.geojson", 1),
        ("k22-number-name.geojson", 1),
        ("k25-emoji.geojson", 1),
        ("k26-swapped-boundary.geojson", 1),
        ("k30-case-ids.geojson", 2),
    ],
)
def test_a_file_from_the_field_loads(name: str, zones: int) -> None:
    code, output = run("check", str(FIELD / name))
    assert code == 0
    assert f"zones: {zones}\n" in output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "k01-overpass.geojson",
            ["'way/1002' (number 2)", "'Point'", "If another program made it: python -m"],
        ),
        ("k02-qgis.geojson", ['add a member "id" beside "type"; properties.id', "python -m geofence import"]),
        ("k05-trailing-comma.geojson", ["line 1 column 54"]),
        ("k07-null-geometry.geojson", ["'lost' (number 3)", "it has no geometry"]),
        ("k14-projected.geojson", ["'urn:ogc:def:crs:EPSG::2157'", "python -m geofence import"]),
        ("k20-touches.geojson", ["'next'", "no area in common"]),
        ("k23-ndjson.geojson", ["it is newline-delimited GeoJSON", "python -m geofence import"]),
        ("k28-geometrycollection.geojson", ["'gc' (number 2)", "the geometry is 'GeometryCollection'"]),
        ("k32-kml.kml", ["it is KML", "python -m geofence import"]),
    ],
)
def test_a_file_from_the_field_is_refused_with_what_to_do(name: str, words: list[str]) -> None:
    code, output = run("check", str(FIELD / name))
    assert code == 1
    assert [word for word in words if word not in output] == []


def test_a_clockwise_outline_holds_what_is_in_it() -> None:
    fence = Geofence(load_campus(FIELD / "k12-clockwise.geojson"))
    assert fence.locate(np.array([10.0015]), np.array([50.0015])) == [("campus", "hall")]


@pytest.mark.parametrize("name", ["k16-capacity-text.geojson", "k17-capacity-float.geojson"])
def test_a_capacity_is_the_same_number_however_it_is_written(name: str) -> None:
    zone = load_campus(FIELD / name).by_id["p1"]
    assert zone.capacity == 120
    assert json.dumps(zone.feature["properties"]) == '{"role": "zone", "name": "p1", "capacity": 120}'


def test_a_name_may_be_a_number() -> None:
    zone = load_campus(FIELD / "k22-number-name.geojson").by_id["p1"]
    assert zone.name == "42"
    assert zone.feature["properties"] == {"role": "zone", "name": "42"}


def test_three_mistakes_are_said_at_once_sorted_by_kind(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        feature("way/1002", square(-8.57, 52.67), capacity="many"),
        CAMPUS,
        feature("open", [square(-8.57, 52.67)[0][:-1]]),
    )
    code, output = run("check", file)
    assert code == 1
    lines = [line.removeprefix(f"{file}: ") for line in output.splitlines()]
    assert lines[:3] == [
        (
            "bad capacity: feature 'way/1002' (number 1), properties.capacity: its capacity is not a positive integer: "
            "leave it out where it is not known"
        ),
        (
            "bad id: feature 'way/1002' (number 1), id: its id may have 1 to 64 letters, digits, -, _ and ., and "
            "begins with a letter or digit: give it such an id"
        ),
        (
            "open ring: feature 'open' (number 3), geometry.coordinates[0]: a ring is not closed: repeat its first "
            "position at the end"
        ),
    ]


def test_a_thousand_mistakes_of_a_kind_are_one_line(tmp_path: Path) -> None:
    zones = [feature(f"zone {number}", square(-8.57, 52.67)) for number in range(1_000)]
    code, output = run("check", written(tmp_path, CAMPUS, *zones))
    assert code == 1
    first, hint = output.splitlines()
    assert "bad id: 1,000 times, in 'zone 0' (number 2), 'zone 1' (number 3), 'zone 2' (number 4) and 997 more" in first
    assert hint.startswith("If another program made it")


def test_what_follows_from_a_bad_outline_is_not_said(tmp_path: Path) -> None:
    bad = {**CAMPUS, "geometry": None}
    code, output = run("check", written(tmp_path, bad, feature("library", square(-8.57, 52.67))))
    assert (code, len(output.splitlines())) == (1, 1)


@pytest.mark.parametrize(
    ("coordinates", "words"),
    [
        ([[[52.6, -98.6], [52.7, -98.6], [52.7, -98.5], [52.6, -98.6]]], "look swapped, longitude comes first"),
        (
            [[[558300, 657900], [559200, 657900], [559200, 658800], [558300, 657900]]],
            "look like metres of a projection",
        ),
    ],
)
def test_coordinates_that_are_none_are_told_from_each_other(tmp_path: Path, coordinates: object, words: str) -> None:
    code, output = run("check", written(tmp_path, CAMPUS, feature("library", coordinates)))
    assert code == 1
    assert words in output
    assert "geometry.coordinates[0][0]" in output


def warnings(folder: Path, *zones: Feature, campus: Feature = CAMPUS, **environment: str) -> list[str]:
    code, output = run("check", written(folder, campus, *zones), **environment)
    assert code == 0
    return [line.removeprefix("warning: ") for line in output.splitlines() if line.startswith("warning: ")]


def test_a_good_campus_has_no_warnings(tmp_path: Path) -> None:
    library = feature("library", square(-8.57, 52.67), name="Library")
    nested = feature("reading-room", square(-8.57, 52.67, 0.0003), name="Reading room")
    assert warnings(tmp_path, library, nested) == []


def test_zones_that_are_nearly_the_same_are_named(tmp_path: Path) -> None:
    [line] = warnings(tmp_path, feature("a", square(-8.57, 52.67)), feature("b", square(-8.57001, 52.67)))
    assert line.startswith("nearly the same area: feature 'b': it covers nearly the same area as 'a'")


def test_a_zone_that_is_mostly_outside_the_outline_is_named(tmp_path: Path) -> None:
    [line] = warnings(tmp_path, feature("gate", square(-8.5603, 52.67)))
    assert line.startswith("outside the outline: feature 'gate': 70% of it is outside the outline")


def test_blank_and_equal_names_are_named(tmp_path: Path) -> None:
    found = warnings(
        tmp_path,
        feature("a", square(-8.57, 52.67), name="Main Hall"),
        feature("b", square(-8.575, 52.67), name="main  hall"),
        feature("c", square(-8.565, 52.67), name=" "),
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["blank name", "feature 'c', properties.name"],
        ["same name", "feature 'b', properties.name"],
    ]


def test_ids_that_differ_in_case_alone_are_named() -> None:
    _, output = run("check", str(FIELD / "k30-case-ids.geojson"), CAMPUS_TIMEZONE="Europe/Berlin")
    assert "warning: same but for case: feature 'kemmy', id: its id differs from 'Kemmy'" in output


def test_an_outline_as_large_as_a_city_is_named(tmp_path: Path) -> None:
    large = feature("campus", square(-8.58, 52.66, 0.5), role="boundary")
    [line] = warnings(tmp_path, campus=large)
    assert line.startswith("large outline: feature 'campus': the outline has 1,86")


def test_a_campus_whose_coordinates_are_all_swapped_is_far_from_its_time_zone() -> None:
    code, output = run("check", str(FIELD / "k26-swapped-boundary.geojson"), CAMPUS_TIMEZONE="Europe/Dublin")
    assert code == 0
    assert (
        "warning: another time zone: feature 'campus': its middle is at longitude 50.0100, latitude 10.0100" in output
    )
    assert "else its latitudes and longitudes are swapped" in output


def test_a_campus_in_another_time_zone_is_told_to_set_it(tmp_path: Path) -> None:
    manila = feature("campus", square(121.06, 14.65, 0.02), role="boundary")
    [line] = warnings(tmp_path, campus=manila)
    assert "set CAMPUS_TIMEZONE to the one of the place" in line
    assert warnings(tmp_path, campus=manila, CAMPUS_TIMEZONE="Asia/Manila") == []
    assert warnings(tmp_path, campus=manila, CAMPUS_TIMEZONE="no such place") == []


def test_more_zones_than_settings_carry_are_named_with_the_settings(tmp_path: Path) -> None:
    zones = [feature(f"z{number}", square(-8.58 + number * 0.00009, 52.67, 0.00008)) for number in range(200)]
    [line] = warnings(tmp_path, *zones)
    assert "set MQTT_MAX_PAYLOAD and MIRROR_MAX_PAYLOAD to 131,072" in line
    found = warnings(tmp_path, *zones, MIRROR_MAX_PAYLOAD="131072", RETAINED_MAX_BYTES="100000")
    assert [line.partition(": set ")[2] for line in found] == ["RETAINED_MAX_BYTES to 262,144"]


def test_many_equal_zones_are_warned_of_a_thousand_times_at_the_most(tmp_path: Path) -> None:
    zones = [feature(f"z{number}", square(-8.57, 52.67), name=f"Z{number}") for number in range(1_500)]
    found = warnings(tmp_path, *zones, MIRROR_MAX_PAYLOAD="9000000")
    assert [line.partition(" times")[0] for line in found] == ["nearly the same area: 1,000"]
