from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fix import Fix
from simulator.tracks.plt import read_plt
from tests.simulator.fixes import on_a_grid
from tests.simulator.tracks.conftest import HERE, Reader, Refusal, places

HEADING = "Geolife trajectory\r\nWGS 84\r\nAltitude is in Feet\r\nReserved 3\r\n0,2,255,My Track,0,0,2,8421376\r\n0\r\n"
OZI = (
    "OziExplorer Track Point File Version 2.1\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,walk,0,0,2,8421376\n1\n"
)


@given(st.lists(on_a_grid, min_size=1, max_size=5))
def test_a_geolife_file_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    lines = [
        f"{fix.latitude!r},{fix.longitude!r},0,-777,0,"
        + datetime.fromtimestamp(fix.at_ms / 1000, tz=UTC).strftime("%Y-%m-%d,%H:%M:%S")
        for fix in track
    ]

    assert read_plt((HEADING + "\r\n".join(lines)).encode()).track("walk").fixes == track


def test_of_oziexplorer_the_days_count_and_feet_become_metres(read: Reader) -> None:
    track = read(f"{OZI}  52.6738, -8.5701,0, 100.0,43514.3756944, 18-Feb-19, 9:01:00 AM\n")

    [fix] = track.fixes
    assert fix.at_ms == pytest.approx(HERE.at_ms, abs=10)
    assert fix.altitude == pytest.approx(30.48)


def test_lines_without_a_time_are_left_out_and_counted(read: Reader) -> None:
    track = read(f"{HEADING}52.6738,-8.5701,0,-777,0,2019-02-18,09:01:00\n1,2,0,-777,,,\n")

    assert places(track) == [(HERE.longitude, HERE.latitude, HERE.at_ms)]
    assert track.notes == ["left out: 1 of 2 points have no time that can be read"]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("", "no point in it"),
        ("52.6738,-8.5701", "line 7 is cut off: 2 of 7 columns"),
        ("52.6738,west,0,0,0,2019-02-18,09:01:00", "line 7: 'west' is not a number of degrees"),
    ],
)
def test_what_is_no_track_is_told_why_and_where(refused: Refusal, lines: str, wrong: str) -> None:
    assert wrong in refused(HEADING + lines)
