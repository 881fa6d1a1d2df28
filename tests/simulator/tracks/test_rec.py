import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fix import Fix
from simulator.tracks.rec import read_rec
from tests.simulator.fixes import on_a_grid
from tests.simulator.tracks.conftest import HERE, Reader, Refusal

LOCATION = '{"_type":"location","lat":52.6738,"lon":-8.5701,"tst":1550480460}'


@given(st.lists(on_a_grid, min_size=1, max_size=5))
def test_a_file_of_the_recorder_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    lines = [
        "2019-02-18T09:01:00Z\t*                 \t"
        + json.dumps({"_type": "location", "lat": fix.latitude, "lon": fix.longitude, "tst": fix.at_ms // 1000})
        for fix in track
    ]

    assert read_rec("\n".join(lines).encode()).track("phone").fixes == track


@pytest.mark.parametrize(
    "line",
    [
        f"2019-02-18T09:01:00Z\t*                 \t{LOCATION}",
        f"owntracks/jane/phone {LOCATION}",
        LOCATION,
        LOCATION.replace("52.6738", '"52.6738"'),
    ],
)
def test_lines_of_the_recorder_of_mosquitto_sub_and_json_alone_are_read(read: Reader, line: str) -> None:
    assert read(f"{line}\n\n{line}\n").fixes == [HERE, HERE]


def test_what_a_phone_measures_is_kept_and_its_speed_in_metres_a_second(read: Reader) -> None:
    [fix] = read(LOCATION.replace("}", ',"acc":12,"alt":30,"vel":36,"cog":270,"batt":80}')).fixes

    assert (fix.accuracy, fix.altitude, fix.heading) == (12, 30, 270)
    assert fix.speed == pytest.approx(10)


def test_what_unicode_calls_the_end_of_a_line_may_stand_in_a_name(read: Reader) -> None:
    assert read(LOCATION.replace("}", ',"poi":"a\u2028b\x85c"}')).fixes == [HERE]


def test_what_is_no_location_is_left_out_and_counted(read: Reader) -> None:
    others = ['{"_type":"lwt","tst":1550480460}', '{"_type":"encrypted","data":"x"}', LOCATION.replace('"tst"', '"t"')]

    track = read("\n".join([LOCATION, *others, "# nothing"]))

    assert track.fixes == [HERE]
    assert track.notes == [
        "left out: 1 of 4 messages are no locations",
        "left out: 1 of 4 messages are encrypted",
        "left out: 1 of 4 messages have no time (tst)",
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"_type":"encrypted","data":"x"}', "1 of 1 messages are encrypted"),
        (f"{LOCATION}\n{LOCATION[:-5]}", "line 2 has JSON that cannot be read: Input data was truncated"),
        (LOCATION.replace("52.6738", "91"), "message 1: latitude 91"),
        (LOCATION.replace("52.6738", "null"), "line 1: 'None' is not a number of degrees"),
    ],
)
def test_what_is_no_track_is_told_why_and_where(refused: Refusal, text: str, wrong: str) -> None:
    assert wrong in refused(text)
