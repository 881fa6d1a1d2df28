import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks.timeline import read_timeline
from tests.simulator.fixes import on_a_grid
from tests.simulator.tracks.conftest import HERE, Reader, Refusal, places

E7 = {"latitudeE7": 526_738_000, "longitudeE7": -85_701_000}
PATH_E7 = {"latE7": 526_738_000, "lngE7": -85_701_000}
AT = "2019-02-18T09:01:00Z"
LATER = "2019-02-18T09:05:00Z"
MINUTES_4 = 240_000


@given(st.lists(on_a_grid, min_size=1, max_size=5))
def test_records_give_the_fixes_that_were_written_by_time(track: list[Fix]) -> None:
    locations = [
        {
            "latitudeE7": round(fix.latitude * 10_000_000),
            "longitudeE7": round(fix.longitude * 10_000_000),
            "timestamp": format_rfc3339(fix.at_ms),
            "activity": [{"activity": [{"type": "STILL", "confidence": 100}]}],
        }
        for fix in track
    ]

    read = read_timeline(json.dumps({"locations": locations})).track("phone").fixes

    assert read == sorted(track, key=lambda fix: fix.at_ms)


@pytest.mark.parametrize(
    "location",
    [
        E7 | {"timestamp": AT},
        E7 | {"timestamp": "2019-02-18T09:01:00.000Z", "source": "WIFI", "deviceTag": 7},
        E7 | {"timestampMs": "1550480460000"},
        # As if a number of 32 bits had no sign.
        {"latitudeE7": 526_738_000, "longitudeE7": -85_701_000 + (1 << 32), "timestamp": AT},
    ],
)
def test_records_of_any_year_are_read(read: Reader, location: dict[str, object]) -> None:
    assert read(json.dumps({"locations": [location]})).fixes == [HERE]


def test_what_a_phone_measured_is_kept(read: Reader) -> None:
    measured = {"accuracy": 12, "altitude": 30, "velocity": 3, "heading": 270}

    [fix] = read(json.dumps({"locations": [E7 | {"timestamp": AT} | measured]})).fixes

    assert (fix.accuracy, fix.altitude, fix.speed, fix.heading) == (12, 30, 3, 270)


def test_locations_without_a_place_or_a_time_are_left_out_and_counted(read: Reader) -> None:
    track = read(json.dumps({"locations": [E7 | {"timestamp": AT}, {"timestamp": AT}, E7, E7 | {"timestamp": "x"}]}))

    assert track.fixes == [HERE]
    assert track.notes == [
        "left out: 1 of 4 points have no place",
        "left out: 2 of 4 points have no time that can be read",
    ]


SPAN = {"startTimestamp": AT, "endTimestamp": LATER}
SPAN_MS = {"startTimestampMs": "1550480460000", "endTimestampMs": "1550480700000"}
ENDS = [(-8.5701, 52.6738, HERE.at_ms), (-8.5701, 52.6738, HERE.at_ms + MINUTES_4)]


@pytest.mark.parametrize("duration", [SPAN, SPAN_MS])
def test_months_give_both_ends_of_stays_and_ways_and_the_points_between(read: Reader, duration: dict[str, str]) -> None:
    stay = {"placeVisit": {"location": E7 | {"name": "Library"}, "duration": duration}}
    way = {
        "activitySegment": {
            "startLocation": E7,
            "endLocation": E7,
            "duration": duration,
            "simplifiedRawPath": {"points": [PATH_E7 | {"accuracyMeters": 9, "timestamp": "2019-02-18T09:02:00Z"}]},
            "waypointPath": {"waypoints": [PATH_E7]},
        }
    }

    assert places(read(json.dumps({"timelineObjects": [stay]}))) == ENDS
    track = read(json.dumps({"timelineObjects": [way, {}]}))
    assert places(track) == [ENDS[0], (-8.5701, 52.6738, HERE.at_ms + 60_000), ENDS[1]]
    assert [fix.accuracy for fix in track.fixes] == [None, 9, None]


GEO = "geo:52.673800,-8.570100"
TIMES = {"startTime": "2019-02-18T10:01:00.000+01:00", "endTime": LATER}


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ({"visit": {"topCandidate": {"placeLocation": GEO, "semanticType": "Home"}}}, ENDS),
        ({"activity": {"start": GEO, "end": GEO, "distanceMeters": "7"}}, ENDS),
        (
            {
                "timelinePath": [
                    {"point": GEO, "durationMinutesOffsetFromStartTime": "0"},
                    {"point": GEO, "durationMinutesOffsetFromStartTime": 4},
                ]
            },
            ENDS,
        ),
    ],
)
def test_the_list_of_a_phone_gives_stays_ways_and_paths(
    read: Reader, segment: dict[str, object], expected: list[tuple[float, float, int]]
) -> None:
    assert places(read(json.dumps([TIMES | segment, {"timelineMemory": {}}]))) == expected


DEGREES = "52.6738°, -8.5701°"


def test_the_segments_and_signals_of_another_phone_are_read(read: Reader) -> None:
    document = {
        "semanticSegments": [
            TIMES | {"visit": {"topCandidate": {"placeLocation": {"latLng": DEGREES}}}},
            TIMES | {"activity": {"start": {"latLng": DEGREES}, "end": {"latLng": DEGREES}}},
            TIMES | {"timelinePath": [{"point": DEGREES, "time": "2019-02-18T09:02:00.000Z"}]},
        ],
        "rawSignals": [
            {"position": {"LatLng": DEGREES, "accuracyMeters": 9, "timestamp": "2019-02-18T09:03:00Z"}},
            {"wifiScan": {"deliveryTime": AT}},
        ],
        "userLocationProfile": {},
    }

    track = read(json.dumps(document, ensure_ascii=False))

    assert [fix.at_ms - HERE.at_ms for fix in track.fixes] == [0, 0, 60_000, 120_000, MINUTES_4, MINUTES_4]
    assert {(fix.longitude, fix.latitude) for fix in track.fixes} == {(-8.5701, 52.6738)}
    assert track.fixes[3].accuracy == 9


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"locations": []}', "no point in it"),
        ('{"locations": [{"latitudeE7": 1, "longitudeE7": 2}]}', "1 of 1 points have no time that can be read"),
        ('{"locations": [{"latitudeE7": 1e400}]}', "no Google Timeline that can be read"),
        ('{"locations": [{"latitudeE7": "north"}]}', "Expected `int | null`, got `str`"),
        ('{"locations": [', "no Google Timeline that can be read: Input data was truncated"),
        ('{"locations": ' + "{" * 3_000_001, "more than 3,000,000 objects"),
        ('[{"visit": {"topCandidate": {"placeLocation": "Library"}}}]', "1 of 1 points have no place"),
        ('[{"visit": {"topCandidate": {"placeLocation": "geo:52.6,-8.5"}}}]', "1 of 1 points have no time"),
    ],
)
def test_what_is_no_track_is_told_why(refused: Refusal, text: str, wrong: str) -> None:
    assert wrong in refused(text)
