import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fix import Fix
from simulator.tracks.fit import read_fit
from tests.simulator.fit_files import UNKNOWN, definition, fit, framed, record, semicircles
from tests.simulator.fixes import on_a_grid
from tests.simulator.recordings import MORNING, walk
from tests.simulator.tracks.conftest import Reader, Refusal

SEMICIRCLE = 180 / (1 << 31)
SINCE_2000 = 946_684_800_000


@given(
    st.lists(on_a_grid.filter(lambda fix: SINCE_2000 <= fix.at_ms <= SINCE_2000 + (1 << 41)), min_size=1, max_size=5)
)
def test_a_fit_file_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    # A semicircle of 180 degrees is one too many, and the one before it says that nothing is known.
    track = [fix for fix in track if semicircles(fix.longitude) < UNKNOWN] or walk(1)

    read = read_fit(fit(track)).track("watch").fixes

    assert [fix.at_ms for fix in read] == [fix.at_ms for fix in track]
    for fix, written in zip(read, track, strict=True):
        assert fix.longitude == pytest.approx(written.longitude, abs=SEMICIRCLE)
        assert fix.latitude == pytest.approx(written.latitude, abs=SEMICIRCLE)


def test_altitude_and_speed_have_the_units_of_a_fix(read: Reader) -> None:
    [fix] = read(fit([Fix(longitude=-8.57, latitude=52.67, at_ms=MORNING, altitude=12.4, speed=1.5)])).fixes

    assert (fix.at_ms, fix.speed) == (MORNING, 1.5)
    assert fix.altitude == pytest.approx(12.4)


def test_records_without_a_place_are_left_out_and_counted(read: Reader) -> None:
    indoors, outdoors = walk(2)

    track = read(framed(definition() + record(indoors, placed=False) + record(outdoors)))

    assert [fix.at_ms for fix in track.fixes] == [outdoors.at_ms]
    assert track.notes == ["left out: 1 of 2 records have no place"]


def test_a_time_since_the_recorder_was_switched_on_is_none(read: Reader, refused: Refusal) -> None:
    since_power_on = struct.pack("<BIiiHH", 0, 3600, 0, 0, 0xFFFF, 0xFFFF)

    assert "1 of 1 records have no time" in refused(framed(definition() + since_power_on))
    assert len(read(framed(definition() + since_power_on + record(walk(1)[0]))).fixes) == 1


def test_files_that_are_chained_are_one_track(read: Reader) -> None:
    assert [fix.at_ms for fix in read(fit(walk(2)) + fit(walk(3)[2:])).fixes] == [fix.at_ms for fix in walk(3)]


def test_a_wrong_checksum_is_said(read: Reader) -> None:
    data = bytearray(fit(walk(2)))
    data[-1] ^= 1

    track = read(bytes(data))

    assert len(track.fixes) == 2
    assert track.notes == ["its checksum is wrong: some of it may be, too"]


@pytest.mark.parametrize("length", [12, 14, 20, 50, 80])
def test_a_file_that_is_cut_off_says_of_how_much(refused: Refusal, length: int) -> None:
    data = fit(walk(4))

    assert refused(data[:length]) == (
        f"a FIT file that is cut off: it has {length} of {len(data)} bytes. Copy it again"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no record in it"),
        (record(walk(1)[0]), "a FIT file that cannot be read: FitParseError"),
        (definition(), "no record in it"),
        (definition()[:-1], "a FIT file that cannot be read: "),
    ],
)
def test_what_is_no_track_is_told_why(refused: Refusal, body: bytes, words: str) -> None:
    assert words in refused(framed(body))
