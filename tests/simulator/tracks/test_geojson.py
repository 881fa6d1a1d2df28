import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks.geojson import read_geojson
from tests.simulator.fixes import fixes
from tests.simulator.recordings import MORNING
from tests.simulator.tracks.conftest import Reader, Refusal


def feature(geometry: Mapping[str, object] | None, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


POINT = {"type": "Point", "coordinates": [-8.57, 52.67]}
TWO_PLACES = {"type": "LineString", "coordinates": [[-8.57, 52.67], [-8.58, 52.68, 19.5]]}
TWO_TIMES = ["2019-02-18T08:58:05Z", "2019-02-18T08:58:06Z"]
TWO_FIXES = [
    Fix(longitude=-8.57, latitude=52.67, at_ms=MORNING),
    Fix(longitude=-8.58, latitude=52.68, at_ms=MORNING + 1000, altitude=19.5),
]


@pytest.mark.parametrize(
    "properties",
    [
        {"coordTimes": TWO_TIMES},
        {"times": TWO_TIMES},
        {"coordinateProperties": {"times": TWO_TIMES}},
        {"times": [MORNING, MORNING + 1000]},
        {"coordTimes": TWO_TIMES, "name": "304.1", "links": [{"href": "x"}]},
    ],
)
def test_a_line_takes_its_times_from_where_converters_put_them(read: Reader, properties: dict[str, object]) -> None:
    text = json.dumps(feature(TWO_PLACES, **properties))

    assert read(text).fixes == TWO_FIXES


@pytest.mark.parametrize("times", [[[TWO_TIMES[0]], [TWO_TIMES[1]]], TWO_TIMES])
def test_the_parts_of_an_interrupted_line_follow_each_other(read: Reader, times: list[object]) -> None:
    geometry = {"type": "MultiLineString", "coordinates": [[[-8.57, 52.67]], [[-8.58, 52.68, 19.5]]]}

    assert read(json.dumps(feature(geometry, coordTimes=times))).fixes == TWO_FIXES


@pytest.mark.parametrize("name", ["timestamp", "time"])
def test_a_collection_of_points_with_times_is_a_track(read: Reader, name: str) -> None:
    points = [
        feature({"type": "Point", "coordinates": place}, **{name: time}, speed=8.5, heading=270, accuracy=4)
        for place, time in zip(TWO_PLACES["coordinates"], TWO_TIMES, strict=True)
    ]
    text = json.dumps({"type": "FeatureCollection", "features": points})

    track = read(text)

    assert [(fix.longitude, fix.at_ms) for fix in track.fixes] == [(-8.57, MORNING), (-8.58, MORNING + 1000)]
    assert {(fix.speed, fix.heading, fix.accuracy) for fix in track.fixes} == {(8.5, 270, 4)}


def test_points_beside_a_line_are_waypoints(read: Reader) -> None:
    features = [feature({"type": "Point", "coordinates": [1, 2]}, name="home"), feature(TWO_PLACES, times=TWO_TIMES)]
    text = json.dumps({"type": "FeatureCollection", "features": features})

    assert read(text).fixes == TWO_FIXES


@given(st.lists(fixes, min_size=1, max_size=5))
def test_a_line_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    coordinates = [
        [fix.longitude, fix.latitude, *([fix.altitude] if fix.altitude is not None else [])] for fix in track
    ]
    line = feature(
        {"type": "LineString", "coordinates": coordinates}, times=[format_rfc3339(fix.at_ms) for fix in track]
    )

    assert read_geojson(json.dumps(line)).track("line").fixes == track


@pytest.mark.parametrize("time", [1_550_480_285, 1_550_480_285.0, 1_550_480_285_000, "2019-02-18T08:58:05"])
def test_the_unit_of_a_number_follows_from_its_size_and_a_text_without_an_offset_is_utc(
    read: Reader, time: object
) -> None:
    assert read(json.dumps(feature(POINT, timestamp=time))).fixes[0].at_ms == MORNING


def test_points_without_a_time_are_left_out_and_counted(read: Reader) -> None:
    features = [feature(POINT, timestamp=TWO_TIMES[0]), feature(POINT), feature(None)]

    track = read(json.dumps({"type": "FeatureCollection", "features": features}))

    assert len(track.fixes) == 1
    assert track.notes == [
        "left out: 1 of 3 points have no timestamp",
        "left out: 1 of 3 points have no geometry",
    ]


def test_what_is_out_of_its_range_or_no_number_is_unknown(read: Reader) -> None:
    [fix] = read(json.dumps(feature(POINT, time=0 + MORNING, speed="1e308", heading=-1, accuracy=True))).fixes

    assert (fix.speed, fix.heading, fix.accuracy) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"type": "FeatureCollection"', "not a track in GeoJSON: Input data was truncated"),
        ('{"type": "FeatureCollection", "features": []}', "no point in it"),
        (json.dumps(feature(None)), "1 of 1 points have no geometry"),
        (json.dumps(feature({"type": "Polygon", "coordinates": []})), "Polygon"),
        (json.dumps(feature(TWO_PLACES)), "2 of 2 points have no time (coordTimes)"),
        (json.dumps(feature(TWO_PLACES, times=TWO_TIMES[:1])), "feature 1: 2 coordinates, but 1 coordTimes"),
        (json.dumps(feature(POINT)), "1 of 1 points have no timestamp"),
        (json.dumps(feature(POINT, time="noon")), "feature 1: not an RFC 3339"),
        (json.dumps(feature({"type": "Point", "coordinates": [1]}, time=0)), "length >= 2"),
        (json.dumps(feature({"type": "Point", "coordinates": [1, float("nan")]}, time=0)), "not a track in GeoJSON"),
        ('{"type": "Feature", "properties": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}", "not a track in GeoJSON"),
        ('{"type": "Feature", "geometry": ' + "[" * 3_000_001, "more than 1,000,000 points"),
        ('{"type": "Feature", "geometry": [' + "1," * 8_000_001, "more than 1,000,000 points"),
    ],
)
def test_what_is_no_track_is_told_why(refused: Refusal, text: str, wrong: str) -> None:
    assert wrong in refused(text)
