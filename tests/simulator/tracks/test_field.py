"""Files that people have, as `replay` takes or refuses them (tests/field/README.md)."""

from pathlib import Path

import pytest

from simulator.fix import BadTrackError, Fix
from simulator.tracks import read_tracks
from tests.simulator.recordings import only_track

FIELD = Path(__file__).parents[2] / "field" / "tracks"
NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""


def minute(number: int, **measured: float) -> Fix:
    """That of the files: each minute another ten-thousandth of a degree to the west."""
    longitude = [-8.57, -8.5701, -8.5702, -8.5703, -8.5704][number] if number < 5 else -8.5709
    return Fix(longitude=longitude, latitude=52.6738, at_ms=NINE + number * 60_000, **measured)


TAKEN = [
    ("t01-segments.gpx", [minute(number, altitude=12.5) for number in (1, 2, 3, 4)]),
    ("t06-bom.gpx", [minute(1, altitude=12.5)]),
    ("t08-gpx10.gpx", [Fix(longitude=-8.5701, latitude=52.6738, at_ms=NINE + 60_250, speed=1.2)]),
    ("t10-waypoints.gpx", [minute(1, altitude=12.5), minute(2, altitude=12.5)]),
    ("t16-geolife.plt", [Fix(longitude=-8.5701, latitude=52.6738, at_ms=NINE, altitude=12.4968)]),
    ("t17.kml", [minute(1, altitude=0)]),
    ("t20.csv", [minute(1)]),
    ("t21.nmea", [minute(1, speed=0, heading=360)]),
    ("t22.rec", [minute(1)]),
    ("t23-timeline.json", [Fix(longitude=-8.5701, latitude=52.6738, at_ms=NINE + 60_250)]),
    ("t24-semantic.json", [minute(1)]),
    ("t26-gpslogger.geojson", [minute(1, accuracy=5, speed=1, heading=12.5)]),
    # A millisecond is the least that there is.
    ("t31-msfloat.geojson", [minute(1)]),
    ("t35-örtchen straße.gpx", [minute(1, altitude=12.5)]),
    ("t37-backwards.gpx", [minute(number, altitude=12.5) for number in (9, 3, 3, 1)]),
]


@pytest.mark.parametrize(("name", "fixes"), TAKEN)
def test_a_track_from_the_field_is_read(name: str, fixes: list[Fix]) -> None:
    track = only_track(FIELD / name)
    assert track.fixes == pytest.approx(fixes) if name == "t16-geolife.plt" else track.fixes == fixes
    assert track.name == name.rpartition(".")[0]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("t10-waypoints.gpx", "it has no track: its waypoints are used"),
        ("t21.nmea", "no checksum in it is right: its lines are used all the same"),
    ],
)
def test_what_was_taken_to_mean_something_is_said(name: str, note: str) -> None:
    assert only_track(FIELD / name).notes == [note]


REFUSED = [
    ("t02-no-times.gpx", "2 of 2 points have no time"),
    ("t11-rollover.gpx", "the year of 1 of 1 points is before 1990, which is not believable"),
    ("t12-comma.gpx", "point 1: '52,6738' has a decimal comma"),
    ("t13-empty.gpx", "no point in it"),
    ("t14-cut.gpx", "it is cut off: line 3, column 202"),
    ("t19.fit", "a FIT file that is cut off: it has 14 of 16 bytes"),
    ("t29-dawarich.geojson", "feature 1: the time 1550480460 is a number in quotes"),
    ("t30-coordtimes.geojson", "coordinates[1][2]`: a number is missing there"),
    ("t33-doctype.gpx", "it has a DOCTYPE"),
]


@pytest.mark.parametrize(("name", "words"), REFUSED)
def test_a_track_from_the_field_that_cannot_be_replayed_is_told_why(name: str, words: str) -> None:
    with pytest.raises(BadTrackError) as refused:
        read_tracks(FIELD / name)
    assert str(refused.value).startswith(f"{FIELD / name}: ")
    assert words in str(refused.value)


def test_each_file_is_one_of_these() -> None:
    asked = [name for name, _ in TAKEN] + [name for name, _ in REFUSED]
    assert sorted(asked) == sorted(file.name for file in FIELD.iterdir())
