import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks.csv import read_csv
from tests.simulator.fixes import fixes
from tests.simulator.tracks.conftest import HERE, Reader, Refusal


@given(st.lists(fixes, min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_csv_gives_the_fixes_that_were_written(track: list[Fix], delimiter: str) -> None:
    rows = [["Time", "LON", "lat ", "Altitude"]]
    rows += [
        [
            format_rfc3339(fix.at_ms),
            repr(fix.longitude),
            repr(fix.latitude),
            "" if fix.altitude is None else str(fix.altitude),
        ]
        for fix in track
    ]

    text = "\r\n".join(delimiter.join(row) for row in rows)

    assert read_csv(text.encode()).track("points").fixes == track


@pytest.mark.parametrize(
    "text",
    [
        "lat,lon,time\n52.6738,-8.5701,2019-02-18T09:01:00Z\n",
        "\ufeffLatitude,Longitude,Timestamp\n52.6738,-8.5701,1550480460\n",
        'Id,Date,Time,Lat (deg),Lng,Comment\n7,2019-02-18,09:01:00,52.6738,-8.5701,"a,""b""\n c"\n',
        "date;time;latitude;longitude\n2019/02/18;09:01:00;52,6738;-8,5701\n",
        "sep=;\nlat;lng;date_time\n52.6738;-8.5701;2019-02-18 09:01:00\n",
        "device_id\tlong\tlat\ttst\n7\t-8.5701\t52.6738\t1550480460000\n",
        "\n\n lon , lat , recorded_at \n\n -8.5701 , 52.6738 , 2019-02-18T10:01:00+01:00 \n\n",
        "time|latitude|longitude\n1550480460000000|52.6738|-8.5701",
    ],
)  # fmt: skip
def test_columns_are_found_by_their_names_and_times_are_utc_unless_they_say_otherwise(read: Reader, text: str) -> None:
    assert read(text).fixes == [HERE]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
def test_csv_may_be_in_an_encoding_of_windows(read: Reader, encoding: str) -> None:
    assert read("Straße,lat,lon,time\nx,52.6738,-8.5701,1550480460\n".encode(encoding)).fixes == [HERE]


def test_what_gpslogger_measures_is_kept_in_its_units(read: Reader) -> None:
    text = (
        "time,lat,lon,elevation,accuracy,bearing,speed,satellites,provider\n"
        "2019-02-18T09:01:00Z,52.6738,-8.5701,12.5,4,270,1.5,9,gps\n"
    )

    assert read(text).fixes == [
        Fix(longitude=-8.5701, latitude=52.6738, at_ms=HERE.at_ms, altitude=12.5, accuracy=4, heading=270, speed=1.5)
    ]


def test_a_speed_in_kilometres_an_hour_becomes_metres_a_second(read: Reader) -> None:
    assert read("time,lat,lon,Speed (km/h)\n1550480460,1,2,36\n").fixes[0].speed == pytest.approx(10)


def test_rows_without_a_place_or_a_time_are_left_out_and_counted(read: Reader) -> None:
    track = read("time,lat,lon\n1550480460,52.6738,-8.5701\n,1,2\nMonday,1,2\n1550480460,,\n1550480460\n")

    assert track.fixes == [HERE]
    assert track.notes == [
        "left out: 1 of 5 rows have no time",
        "left out: 1 of 5 rows have no time that can be read, such as 2019-02-18T08:58:05Z",
        "left out: 2 of 5 rows have no place",
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("lat,lon\n1,2\n", "CSV without a column for time: it needs columns for latitude (lat, latitude), longitude"),
        ("a,b,c\n1,2,3\n", "CSV without a column for latitude and longitude and time: it needs"),
        ("52.6738,-8.5701,1550480460\n", "its first line has 52.6738, -8.5701, 1550480460"),
        ("lat,lon,time\n", "no row in it"),
        ("lat,lon,time\n52 north,2,1550480460\n", "row 1: '52 north' is not a number of degrees"),
        ("lat,lon,time\n91,2,1550480460\n", "row 1: latitude 91"),
        ('lat;lon;time\n1;2;1550480460\n"52,6738,1";2;1550480460\n', "row 2: '52.6738,1' is not a number of degrees"),
        ("lat,lon,time\n" + "1" * 70_000, "line 2 has more than 65,536 characters"),
        ('lat,lon,time\n"' + "1\n" * 70_000, "no CSV that can be read: field larger than field limit"),
    ],
)
def test_what_is_no_track_is_told_which_columns_it_needs_or_which_row_is_wrong(
    refused: Refusal, text: str, wrong: str
) -> None:
    assert wrong in refused(text)


def test_short_lines_take_no_more_memory_than_long_ones() -> None:
    data = b"lat,lon,time\n" + b"a\n" * 100_000
    tracemalloc.start()
    try:
        assert read_csv(data).where() == "row 100000"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * len(data)
