"""Windows: where they begin and end, also on the days on which clocks change."""

from datetime import datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.kinds import DEFAULT_KINDS, KindId
from tests.kinds_of_tests import CAR
from timeseries import Width, Window, nominal_ms, window_end, window_start, windows_between

DUBLIN = ZoneInfo("Europe/Dublin")
KOLKATA = ZoneInfo("Asia/Kolkata")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
HOUR = 3_600_000
DAY = 24 * HOUR
# Each has its own trap: an offset of half an hour, a change by half an hour, clocks that change at midnight or over it,
# a day that never was, an offset that is no quarter of an hour.
ZONES = [
    "UTC",
    "Europe/Dublin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Monrovia",
    "Asia/Gaza",
]
YEAR_2100 = 4_102_444_800_000

widths = st.sampled_from(Width)
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.integers(0, YEAR_2100)


def at(text: str, zone: ZoneInfo | None = None) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment.replace(tzinfo=zone) if zone else moment).timestamp() * 1000)


@given(widths, instants, zones)
@example(Width.DAY, at("2009-11-01T00:00:30-02:30"), ZoneInfo("America/St_Johns"))  # before clocks go back to 23:01
@example(Width.DAY, at("2009-11-01T00:00:30-03:30"), ZoneInfo("America/St_Johns"))  # the same minute once more
@example(Width.DAY, at("2009-10-31T23:30:00-03:30"), ZoneInfo("America/St_Johns"))  # and the hour between
@example(Width.DAY, at("2011-12-30T10:00:00Z"), ZoneInfo("Pacific/Apia"))  # the end of 29 and the start of 31 December
@example(Width.DAY, at("1970-01-02T00:44:29Z"), ZoneInfo("Africa/Monrovia"))  # one second before midnight
@example(Width.DAY, 0, DUBLIN)  # a day that began before the epoch
def test_every_instant_is_in_its_window(width: Width, instant: int, zone: ZoneInfo) -> None:
    start = window_start(width, instant, zone)
    end = window_end(width, start, zone)
    assert start <= instant < end
    # Idempotent, and the same from both ends.
    assert window_start(width, start, zone) == start
    assert window_start(width, end - 1, zone) == start
    # Contiguous.
    assert window_start(width, end, zone) == end


@given(instants, zones)
def test_a_day_begins_at_a_midnight_of_its_time_zone(instant: int, zone: ZoneInfo) -> None:
    start = datetime.fromtimestamp(window_start(Width.DAY, instant, zone) / 1000, zone)
    just_before = datetime.fromtimestamp(window_start(Width.DAY, instant, zone) / 1000 - 1, zone)
    assert start.date() > just_before.date()


@given(st.sampled_from([Width.MINUTE, Width.FIVE_MINUTES, Width.HOUR]), instants, zones)
def test_shorter_windows_are_aligned_to_the_epoch(width: Width, instant: int, zone: ZoneInfo) -> None:
    start = window_start(width, instant, zone)
    assert start % nominal_ms[width] == 0
    assert window_end(width, start, zone) - start == nominal_ms[width]


@given(widths, instants, st.integers(-DAY, 3 * DAY), zones)
def test_a_range_gives_each_window_that_has_a_part_in_it(width: Width, start: int, length: int, zone: ZoneInfo) -> None:
    starts = list(islice(windows_between(width, start, start + length, zone), 200))
    if length <= 0:
        assert starts == []
        return
    assert starts[0] == window_start(width, start, zone)
    assert all(window_end(width, one, zone) == following for one, following in pairwise(starts))
    assert starts[-1] < start + length
    if len(starts) < 200:
        assert window_end(width, starts[-1], zone) >= start + length


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-28", 24), ("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25), ("2026-10-26", 24)],
)
def test_days_in_dublin_are_23_or_25_hours_long_when_clocks_change(day: str, hours: int) -> None:
    start = window_start(Width.DAY, at(f"{day}T12:00", DUBLIN), DUBLIN)
    assert start == at(f"{day}T00:00", DUBLIN)
    assert window_end(Width.DAY, start, DUBLIN) - start == hours * HOUR


def test_an_hour_that_comes_twice_is_two_windows_of_one_day() -> None:
    day = at("2026-10-25T00:00", DUBLIN)
    assert len(list(windows_between(Width.HOUR, day, window_end(Width.DAY, day, DUBLIN), DUBLIN))) == 25


def test_days_in_kolkata_begin_at_half_past_six_in_the_evening_utc() -> None:
    assert window_start(Width.DAY, at("2026-03-01T12:00:00Z"), KOLKATA) == at("2026-02-28T18:30:00Z")
    assert window_start(Width.DAY, at("2026-03-01T18:29:59.999Z"), KOLKATA) == at("2026-02-28T18:30:00Z")
    assert window_start(Width.DAY, at("2026-03-01T18:30:00Z"), KOLKATA) == at("2026-03-01T18:30:00Z")


@pytest.mark.parametrize(("day", "hours"), [("2026-04-05", 24.5), ("2026-10-04", 23.5), ("2026-10-05", 24)])
def test_clocks_on_lord_howe_change_by_half_an_hour(day: str, hours: float) -> None:
    start = window_start(Width.DAY, at(f"{day}T12:00", LORD_HOWE), LORD_HOWE)
    assert start == at(f"{day}T00:00", LORD_HOWE)
    assert window_end(Width.DAY, start, LORD_HOWE) - start == hours * HOUR


def test_the_windows_of_the_recorded_bus_are_those_of_the_clock() -> None:
    instant = at("2019-02-18T08:58:47.250Z")
    starts = {width: window_start(width, instant, DUBLIN) for width in Width}
    assert starts == {
        Width.MINUTE: at("2019-02-18T08:58:00Z"),
        Width.FIVE_MINUTES: at("2019-02-18T08:55:00Z"),
        Width.HOUR: at("2019-02-18T08:00:00Z"),
        Width.DAY: at("2019-02-18T00:00:00Z"),
    }


def test_a_range_includes_the_window_it_begins_in_and_excludes_its_end() -> None:
    start, end = at("2026-03-01T12:00:30Z"), at("2026-03-01T12:03:00Z")
    minutes = [at(f"2026-03-01T12:0{minute}:00Z") for minute in range(3)]
    assert list(windows_between(Width.MINUTE, start, end, DUBLIN)) == minutes
    assert list(windows_between(Width.MINUTE, start, end + 1, DUBLIN)) == [*minutes, end]


def test_a_long_range_is_not_calculated_before_it_is_asked_for() -> None:
    assert list(islice(windows_between(Width.MINUTE, 0, 10**15, DUBLIN), 2)) == [0, 60_000]


@pytest.mark.parametrize("instant", [10**18, -(10**18), 253_402_300_799_999])
def test_a_day_beyond_the_calendar_is_refused(instant: int) -> None:
    with pytest.raises(ValueError, match="no time in the years 1 to 9999"):
        window_start(Width.DAY, instant, KOLKATA)


@given(
    widths,
    st.integers(-DAY, YEAR_2100),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    st.sampled_from(DEFAULT_KINDS.ids),
)
def test_a_window_is_read_back_from_its_member(width: Width, start: int, zone: str, kind: KindId) -> None:
    window = Window(width=width, start=start, zone=zone, kind=kind)
    assert Window.parse(window.member) == window


def test_a_member_is_written_as_the_key_map_says() -> None:
    window = Window(width=Width.FIVE_MINUTES, start=1_550_480_100_000, zone="car-park-west", kind=CAR)
    assert window.member == "5m:1550480100000:car-park-west:car"


@pytest.mark.parametrize(
    "member",
    [
        "",
        "5m:1550480100000:campus",
        "5m:1550480100000:campus:car:",
        "2m:1550480100000:campus:car",
        "5m:1550480100000:campus:Bike",
        "5m:1550480100000:.campus:car",
        "5m:1550480100000:-campus:car",
        "5m:1550480100000::car",
        f"5m:1550480100000:{'a' * 65}:car",
        "5m:+1:campus:car",
        "5m:1.5:campus:car",
        "5m:1_000:campus:car",
        "5m:007:campus:car",
        "5m:-0:campus:car",
        "5m:\u0661:campus:car",  # a one, in Arabic
        "5m: 1:campus:car",
        "5m:9999999999999999:campus:car",
        "5m:1550480100000:campus:car\n",
    ],
)
def test_what_is_no_member_is_refused(member: str) -> None:
    with pytest.raises(ValueError, match="is not a window"):
        Window.parse(member)


@given(st.text(max_size=60))
def test_any_text_is_a_window_or_refused(text: str) -> None:
    try:
        window = Window.parse(text)
    except ValueError:
        return
    assert window.member == text
