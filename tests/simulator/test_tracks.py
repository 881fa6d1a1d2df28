import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import tracks
from simulator.fix import BadTrackError, Fix
from simulator.gpx import read_gpx
from simulator.tracks import read_track
from tests.simulator.recordings import MORNING, gpx, recorded, walk

LATEST_MS = 253_402_300_799_999

fixes = st.builds(
    Fix,
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    at_ms=st.integers(0, LATEST_MS),
    altitude=st.none() | st.floats(-500, 9000),
)


@given(st.lists(fixes, min_size=1, max_size=5))
def test_a_gpx_file_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    assert read_gpx(gpx(track)) == track


def test_the_fixes_of_all_segments_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    first, second, third = walk(3)
    text = gpx([first, second, third]).replace("</time></trkpt>", "</time></trkpt></trkseg><trkseg>", 1)

    assert read_track(recorded(tmp_path, text)) == [first, second, third]


def test_waypoints_of_a_gpx_file_are_ignored(tmp_path: Path) -> None:
    text = gpx(walk(1)).replace("<trk>", '<wpt lat="1" lon="2"><name>home</name></wpt><trk>')

    assert read_track(recorded(tmp_path, text)) == walk(1)


def test_a_gpx_route_with_times_is_a_track(tmp_path: Path) -> None:
    text = '<gpx version="1.1"><rte><rtept lat="52.6" lon="-8.5"><time>2019-02-18T08:58:05Z</time></rtept></rte></gpx>'

    assert read_track(recorded(tmp_path, text)) == [Fix(longitude=-8.5, latitude=52.6, at_ms=MORNING)]


def test_speed_and_course_of_gpx_1_0_are_kept(tmp_path: Path) -> None:
    text = (
        '<gpx version="1.0"><trk><trkseg><trkpt lat="52.6" lon="-8.5"><time>2019-02-18T08:58:05Z</time>'
        "<course>270</course><speed>8.5</speed></trkpt></trkseg></trk></gpx>"
    )

    assert read_track(recorded(tmp_path, text)) == [
        Fix(longitude=-8.5, latitude=52.6, at_ms=MORNING, speed=8.5, heading=270)
    ]


@pytest.mark.parametrize(
    ("time", "at_ms"),
    [
        ("2019-02-18T08:58:05", MORNING),
        ("2019-02-18T09:58:05+01:00", MORNING),
        ("2019-02-18T08:58:05.250Z", MORNING + 250),
    ],
)
def test_gpx_times_are_utc_unless_they_say_otherwise(tmp_path: Path, time: str, at_ms: int) -> None:
    text = gpx(walk(1)).replace("2019-02-18T08:58:05Z", time)

    assert read_track(recorded(tmp_path, text))[0].at_ms == at_ms


def feature(geometry: Mapping[str, object] | None, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


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
def test_a_line_takes_its_times_from_where_converters_put_them(tmp_path: Path, properties: dict[str, object]) -> None:
    text = json.dumps(feature(TWO_PLACES, **properties))

    assert read_track(recorded(tmp_path, text)) == TWO_FIXES


@pytest.mark.parametrize("times", [[[TWO_TIMES[0]], [TWO_TIMES[1]]], TWO_TIMES])
def test_the_parts_of_an_interrupted_line_follow_each_other(tmp_path: Path, times: list[object]) -> None:
    geometry = {"type": "MultiLineString", "coordinates": [[[-8.57, 52.67]], [[-8.58, 52.68, 19.5]]]}

    assert read_track(recorded(tmp_path, json.dumps(feature(geometry, coordTimes=times)))) == TWO_FIXES


@pytest.mark.parametrize("name", ["timestamp", "time"])
def test_a_collection_of_points_with_times_is_a_track(tmp_path: Path, name: str) -> None:
    points = [
        feature({"type": "Point", "coordinates": place}, **{name: time}, speed=8.5, heading=270, accuracy=4)
        for place, time in zip(TWO_PLACES["coordinates"], TWO_TIMES, strict=True)
    ]
    text = json.dumps({"type": "FeatureCollection", "features": points})

    read = read_track(recorded(tmp_path, text, "phone.geojson"))

    assert [(fix.longitude, fix.at_ms) for fix in read] == [(-8.57, MORNING), (-8.58, MORNING + 1000)]
    assert {(fix.speed, fix.heading, fix.accuracy) for fix in read} == {(8.5, 270, 4)}


def test_points_beside_a_line_are_waypoints(tmp_path: Path) -> None:
    features = [feature({"type": "Point", "coordinates": [1, 2]}, name="home"), feature(TWO_PLACES, times=TWO_TIMES)]
    text = json.dumps({"type": "FeatureCollection", "features": features})

    assert read_track(recorded(tmp_path, text)) == TWO_FIXES


ENTITIES = '<!DOCTYPE gpx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "neither GPX nor GeoJSON"),
        ("longitude,latitude", "neither GPX nor GeoJSON"),
        ("<gpx", "not GPX"),
        ('<gpx version="1.1"/>', "no fixes"),
        (gpx(walk(1)).replace("<gpx", ENTITIES + "<gpx", 1), "DOCTYPE"),
        (gpx(walk(2)).replace("<time>2019-02-18T08:58:06Z</time>", ""), "point 2 has no time"),
        (gpx(walk(2)).replace("2019-02-18T08:58:06Z", "2019-02-31T08:58:06Z"), "point 2 has no time"),
        (gpx(walk(1)).replace('lon="-8.57"', 'lon="-188.57"'), "point 1: longitude"),
        (gpx(walk(1)).replace('lat="52.67"', 'lat="nan"'), "point 1: latitude"),
        (gpx(walk(1)).replace('lat="52.67"', 'lat="north"'), "not GPX"),
        (gpx(walk(1)).replace("<time>", "<ele>inf</ele><time>"), "point 1: altitude"),
        ("{", "not a track in GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "no fixes"),
        (json.dumps(feature(None)), "no fixes"),
        (json.dumps(feature({"type": "Polygon", "coordinates": []})), "Polygon"),
        (json.dumps(feature(TWO_PLACES)), "feature 1: 2 coordinates, but 0 coordTimes"),
        (json.dumps(feature(TWO_PLACES, times=TWO_TIMES[:1])), "feature 1: 2 coordinates, but 1 coordTimes"),
        (json.dumps(feature({"type": "Point", "coordinates": [1, 2]})), "feature 1: the point has no timestamp"),
        (json.dumps(feature({"type": "Point", "coordinates": [1, 2]}, time="noon")), "feature 1: not an RFC 3339"),
        (json.dumps(feature({"type": "Point", "coordinates": [1]}, time=0)), "length >= 2"),
        (json.dumps(feature({"type": "Point", "coordinates": [1, float("nan")]}, time=0)), "not a track in GeoJSON"),
        ('{"type": "Feature", "properties": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}", "not a track in GeoJSON"),
    ],
)
def test_what_is_no_track_is_refused_with_the_name_of_the_file_and_the_fault(
    tmp_path: Path, text: str, wrong: str
) -> None:
    path = recorded(tmp_path, text)

    with pytest.raises(BadTrackError) as refused:
        read_track(path)

    assert str(refused.value).startswith(f"{path}: ")
    assert wrong in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "track.gpx"
    path.write_bytes(gpx(walk(1)).encode("utf-16"))

    with pytest.raises(BadTrackError, match="not UTF-8 at byte 0"):
        read_track(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read_track(recorded(tmp_path, "\ufeff" + gpx(walk(2)))) == walk(2)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(tmp_path, gpx(walk(1)))
    monkeypatch.setattr(tracks, "MAX_BYTES", path.stat().st_size)
    assert read_track(path) == walk(1)
    monkeypatch.setattr(tracks, "MAX_BYTES", path.stat().st_size - 1)

    with pytest.raises(BadTrackError, match="larger than"):
        read_track(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTrackError, match=r"nowhere\.gpx: No such file"):
        read_track(tmp_path / "nowhere.gpx")
