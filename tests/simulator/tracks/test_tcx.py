import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks.tcx import read_tcx
from tests.simulator.fixes import fixes
from tests.simulator.recordings import walk
from tests.simulator.tracks.conftest import Reader, Refusal


def point(fix: Fix, more: str = "") -> str:
    altitude = "" if fix.altitude is None else f"<AltitudeMeters>{fix.altitude!r}</AltitudeMeters>"
    return (
        f"<Trackpoint><Time>{format_rfc3339(fix.at_ms)}</Time><Position>"
        f"<LatitudeDegrees>{fix.latitude!r}</LatitudeDegrees><LongitudeDegrees>{fix.longitude!r}</LongitudeDegrees>"
        f"</Position>{altitude}{more}</Trackpoint>"
    )


def tcx(points: str) -> str:
    return (
        '<?xml version="1.0"?>\n<TrainingCenterDatabase '
        'xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"><Activities><Activity Sport="Running">'
        f'<Id>2019-02-18T08:58:05Z</Id><Lap StartTime="2019-02-18T08:58:05Z"><TotalTimeSeconds>9</TotalTimeSeconds>'
        f"<Track>{points}</Track></Lap></Activity></Activities></TrainingCenterDatabase>"
    )


@given(st.lists(fixes, min_size=1, max_size=5))
def test_an_activity_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    assert read_tcx(tcx("".join(map(point, track))).encode()).track("run").fixes == track


def test_laps_and_tracks_follow_each_other(read: Reader) -> None:
    first, second, third = map(point, walk(3))
    text = tcx(f"{first}</Track><Track>{second}</Track></Lap><Lap><Track>{third}")

    assert read(text).fixes == walk(3)


def test_the_speed_of_an_extension_is_kept(read: Reader) -> None:
    more = "<Extensions><ns3:TPX><ns3:Speed>2.5</ns3:Speed></ns3:TPX></Extensions>"

    assert read(tcx(point(walk(1)[0], more))).fixes[0].speed == 2.5


def test_track_points_without_a_place_or_a_time_are_left_out_and_counted(read: Reader) -> None:
    indoors = "<Trackpoint><Time>2019-02-18T08:58:05Z</Time><HeartRateBpm><Value>90</Value></HeartRateBpm></Trackpoint>"
    timeless = point(walk(1)[0]).replace("2019-02-18T08:58:05Z", "")

    track = read(tcx(indoors + timeless + point(walk(1)[0])))

    assert track.fixes == walk(1)
    assert track.notes == [
        "left out: 1 of 3 track points have no place",
        "left out: 1 of 3 track points have no time",
    ]


@pytest.mark.parametrize(
    ("points", "wrong"),
    [
        ("", "no track point in it"),
        (point(walk(1)[0]).replace("52.67", "52,67"), "track point 1: '52,67' has a decimal comma"),
        (point(walk(1)[0]).replace("52.67", "95.67"), "track point 1: latitude 95.67"),
    ],
)
def test_what_is_no_track_is_told_why(refused: Refusal, points: str, wrong: str) -> None:
    assert wrong in refused(tcx(points))
