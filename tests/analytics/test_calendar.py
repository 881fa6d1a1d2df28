from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from analytics.calendar import Calendar, load_calendar
from analytics.hours import hours_between
from core.clock import parse_rfc3339
from core.errors import BadSettingsError
from runtime.settings import CampusSettings

DUBLIN = ZoneInfo("Europe/Dublin")


def _calendar(folder: Path, *events: str, zone: ZoneInfo = DUBLIN) -> Calendar:
    file = folder / "calendar.ics"
    inner = "".join(f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events))
    file.write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test\n{inner}END:VCALENDAR\n", encoding="utf-8")
    return load_calendar(file, zone)


def _days(calendar: Calendar, *days: str) -> list[str]:
    return [calendar.of(date.fromisoformat(day)) for day in days]


def test_without_a_calendar_all_days_are_alike() -> None:
    calendar = load_calendar(None, DUBLIN)

    assert (calendar.empty, calendar.of(date(2026, 12, 25))) == (True, "")


def test_a_term_ends_before_its_end_and_a_holiday_in_it_is_a_holiday(tmp_path: Path) -> None:
    calendar = _calendar(
        tmp_path,
        "DTSTART;VALUE=DATE:20260907\nDTEND;VALUE=DATE:20261219\nCATEGORIES:TERM",
        "DTSTART;VALUE=DATE:20261026\nCATEGORIES:Work,Holiday",
        "DTSTART;VALUE=DATE:20261028\nCATEGORIES:EXAM",
    )

    days = _days(calendar, "2026-09-06", "2026-09-07", "2026-10-26", "2026-10-28", "2026-12-18", "2026-12-19")
    assert days == ["", "term", "holiday", "term", "term", ""]


def test_a_holiday_comes_again_each_year_but_for_the_one_that_is_left_out(tmp_path: Path) -> None:
    calendar = _calendar(
        tmp_path,
        "DTSTART;VALUE=DATE:20200317\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20280317\n"
        "RDATE;VALUE=DATE:20280320\nCATEGORIES:HOLIDAY",
        "DTSTART;VALUE=DATE:20251231\nDURATION:P3D\nRRULE:FREQ=YEARLY;UNTIL=20261231\nCATEGORIES:HOLIDAY",
    )

    assert _days(calendar, "2019-03-17", "2026-03-17", "2028-03-17", "2028-03-20") == [
        "",
        "holiday",
        "",
        "holiday",
    ]
    assert _days(calendar, "2026-01-02", "2026-01-03", "2026-12-31", "2027-01-02", "2027-12-31") == [
        "holiday",
        "",
        "holiday",
        "holiday",
        "",
    ]


def test_one_of_several_that_was_moved_is_where_it_was_moved_to(tmp_path: Path) -> None:
    calendar = _calendar(
        tmp_path,
        "DTSTART;VALUE=DATE:20260605\nRRULE:FREQ=WEEKLY;COUNT=3\nCATEGORIES:HOLIDAY",
        "RECURRENCE-ID;VALUE=DATE:20260612\nDTSTART;VALUE=DATE:20260613\nCATEGORIES:HOLIDAY",
    )
    assert _days(calendar, "2026-06-05", "2026-06-12", "2026-06-13") == ["holiday", "holiday", "holiday"]

    # It is one of those of the first event where it has its UID.
    text = (tmp_path / "calendar.ics").read_text(encoding="utf-8").replace("UID:1", "UID:0")
    (tmp_path / "calendar.ics").write_text(text, encoding="utf-8")
    moved = load_calendar(tmp_path / "calendar.ics", DUBLIN)
    assert _days(moved, "2026-06-05", "2026-06-12", "2026-06-13", "2026-06-19") == ["holiday", "", "holiday", "holiday"]


def test_a_time_of_day_makes_whole_days_of_the_campus(tmp_path: Path) -> None:
    event = "DTSTART:20260630T233000Z\nDTEND:20260702T000000Z\nCATEGORIES:HOLIDAY"

    assert _days(_calendar(tmp_path, event), "2026-06-30", "2026-07-01", "2026-07-02", "2026-07-03") == [
        "",
        "holiday",
        "holiday",
        "",
    ]
    utc = _calendar(tmp_path, event, zone=ZoneInfo("UTC"))
    assert _days(utc, "2026-06-30", "2026-07-01", "2026-07-02") == ["holiday", "holiday", ""]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("SUMMARY:Term\nCATEGORIES:TERM", "event 'Term': it has no DTSTART"),
        ("SUMMARY:Term\nDTSTART;VALUE=DATE:20260907\nRRULE:FREQ=SECONDLY\nCATEGORIES:TERM", "FREQ=SECONDLY"),
        (
            "SUMMARY:Term\nDTSTART;VALUE=DATE:20260907\nDTEND;VALUE=DATE:20260901\nCATEGORIES:TERM",
            "event 'Term': it ends before it begins",
        ),
    ],
)
def test_an_event_that_cannot_be_used_is_named_with_its_file(event: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettingsError, match=r"CALENDAR_FILE: .*calendar\.ics: ") as raised:
        _calendar(tmp_path, event)

    assert reason in str(raised.value)


def test_what_is_no_calendar_is_told(tmp_path: Path) -> None:
    file = tmp_path / "calendar.ics"
    file.write_text("hello", encoding="utf-8")

    with pytest.raises(BadSettingsError, match="it is no iCal file"):
        load_calendar(file, DUBLIN)
    with pytest.raises(BadSettingsError, match="cannot read it: No such file"):
        load_calendar(tmp_path / "none.ics", DUBLIN)


def test_the_day_on_which_clocks_go_back_has_25_hours_and_the_one_on_which_they_go_forward_23() -> None:
    zone = ZoneInfo(CampusSettings().campus_timezone)
    start, end = parse_rfc3339("2026-01-01T00:00:00Z"), parse_rfc3339("2027-01-01T00:00:00Z")
    hours = hours_between(start, end, zone, Calendar()).to_pylist()

    back = [each["hour"] for each in hours if each["day"] == "2026-10-25"]
    forward = [each["hour"] for each in hours if each["day"] == "2026-03-29"]
    assert (len(back), back[:4]) == (25, [0, 1, 1, 2])
    assert (len(forward), forward[:3]) == (23, [0, 2, 3])
