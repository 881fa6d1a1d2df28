from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fix import Fix
from simulator.tracks.nmea import read_nmea
from tests.simulator.fixes import on_a_grid
from tests.simulator.tracks.conftest import HERE, Reader, Refusal

RMC = "GPRMC,090100,A,5240.428,N,00834.206,W,10.0,361.0,180219,,,A"
GGA = "GPGGA,090100,5240.428,N,00834.206,W,1,08,0.9,12.5,M,46.9,M,,"


def sentence(content: str, *, wrong: int = 0) -> str:
    checksum = wrong
    for character in content:
        checksum ^= ord(character)
    return f"${content}*{checksum:02X}\r\n"


def rmc(fix: Fix) -> str:
    moment = datetime.fromtimestamp(fix.at_ms / 1000, tz=UTC)
    latitude, longitude = (
        f"{int(abs(degrees)):0{digits}d}{abs(degrees) % 1 * 60:010.7f}"
        for degrees, digits in ((fix.latitude, 2), (fix.longitude, 3))
    )
    north, east = "S" if fix.latitude < 0 else "N", "W" if fix.longitude < 0 else "E"
    return sentence(f"GNRMC,{moment:%H%M%S},A,{latitude},{north},{longitude},{east},,,{moment:%d%m%y},,,A")


@given(st.lists(on_a_grid.filter(lambda fix: fix.at_ms < 3_124_224_000_000), min_size=1, max_size=5))
def test_nmea_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    # Two digits of a year are those from 1969 to 2068.
    read = read_nmea("".join(map(rmc, track)).encode()).track("receiver").fixes

    assert [fix.at_ms for fix in read] == [fix.at_ms for fix in track]
    for fix, written in zip(read, track, strict=True):
        assert fix.longitude == pytest.approx(written.longitude, abs=2e-7)
        assert fix.latitude == pytest.approx(written.latitude, abs=2e-7)


@pytest.mark.parametrize("text", [sentence(GGA) + sentence(RMC), sentence(RMC) + sentence(GGA)])
def test_the_altitude_is_that_of_the_same_second_before_or_after(read: Reader, text: str) -> None:
    [fix] = read(text).fixes

    assert (fix.longitude, fix.latitude, fix.at_ms) == (HERE.longitude, HERE.latitude, HERE.at_ms)
    assert (fix.altitude, fix.heading) == (12.5, None)
    assert fix.speed == pytest.approx(5.144, abs=0.001)


def test_the_altitude_of_another_second_is_none(read: Reader) -> None:
    assert read(sentence(GGA.replace("090100", "090059")) + sentence(RMC)).fixes[0].altitude is None


def test_what_a_logger_writes_around_a_sentence_is_passed_over(read: Reader) -> None:
    text = f"2019-02-18 09:01:00 > {sentence(RMC)}$GPGSV,3,1,09*00\n\\s:x*11\\{sentence(RMC.replace('0100', '0101'))}"

    assert [fix.at_ms for fix in read(b"\x00\xb5b" + text.encode()).fixes] == [HERE.at_ms, HERE.at_ms + 1000]


def test_lines_without_a_checksum_are_used(read: Reader) -> None:
    track = read(f"${RMC}\n")

    assert (len(track.fixes), track.notes) == (1, [])


def test_a_line_with_a_wrong_checksum_is_left_out_where_others_are_right(read: Reader) -> None:
    track = read(sentence(RMC) + sentence(RMC.replace("5240", "5340"), wrong=1))

    assert [fix.latitude for fix in track.fixes] == [52.6738]
    assert track.notes == ["left out: 1 of 2 RMC sentences have a wrong checksum"]


def test_lines_without_a_fix_or_a_date_or_that_are_broken_are_left_out_and_counted(read: Reader) -> None:
    no_fix, no_date, broken = "GPRMC,090059,V,,,,,,,180219,,,N", RMC.replace("180219", ""), RMC.replace("10.0", "fast")

    track = read("".join(map(sentence, (no_fix, no_date, broken, RMC))))

    assert len(track.fixes) == 1
    assert track.notes == [
        "left out: 1 of 4 RMC sentences have no fix",
        "left out: 1 of 4 RMC sentences have no date and time",
        "left out: 1 of 4 RMC sentences cannot be read",
    ]


@pytest.mark.parametrize("length", range(7, 60))
def test_a_sentence_that_is_cut_is_left_out(read: Reader, length: int) -> None:
    track = read(f"${RMC[:length]}\n${GGA[:length]}\n{sentence(RMC)}")

    assert track.fixes[-1].at_ms == HERE.at_ms


def test_without_rmc_there_is_no_date(refused: Refusal) -> None:
    assert refused(sentence(GGA)) == "no RMC sentence in it: it alone has date and place"


def test_the_last_second_of_a_day_is_of_that_day(read: Reader) -> None:
    text = RMC.replace("090100", "235959.750").replace("180219", "311299")

    assert read(sentence(text)).fixes[0].at_ms == 946_684_799_750
