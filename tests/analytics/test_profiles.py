from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from analytics.calendar import load_calendar
from analytics.engines.duck import DuckEngine
from analytics.hours import MONDAY_MS
from analytics.running import Sources, run_job
from lake.layout import COVERAGE, date_of, date_prefix, one_part
from lake.rows import WindowRow
from lake.schema import COVERAGE as COVERAGE_SCHEMA
from lake.writing import write_table, write_windows
from tests.analytics.crowd import DAY, HOUR, MONDAY

ALL, WEEK = (1 << 60) - 1, 7 * DAY
TEN = MONDAY + 10 * HOUR
"""Ten o'clock of a Monday in winter, when Dublin has UTC."""


def _record(sources: Sources, hours: dict[int, tuple[int | None, int]]) -> None:
    """Of the hall: devices, None where there is no window, and the minutes that were recorded, by the hour's start."""
    write_windows(
        sources.lake,
        [
            WindowRow("hall", "car", "1h", at, at + HOUR, devices, at + HOUR)
            for at, (devices, _) in hours.items()
            if devices is not None
        ],
    )
    for at, (_, minutes) in hours.items():
        rows = pa.table([["hall"], ["car"], [at], [minutes]], schema=COVERAGE_SCHEMA)
        write_table(sources.lake, one_part(date_prefix(COVERAGE, date_of(at))), rows)


def test_a_typical_hour_is_the_quartiles_of_its_hours_and_one_without_a_window_had_nobody(
    duck: DuckEngine, sources: Sources
) -> None:
    _record(sources, {TEN + week * WEEK: (devices, ALL) for week, devices in enumerate([40, None, 10, 20, 30])})

    assert run_job(duck, "profiles", MONDAY, MONDAY + 5 * WEEK, sources).to_pylist() == [
        {
            "zone": "hall", "kind": "car", "other": "", "at": MONDAY_MS + 10 * HOUR,
            "hours": 5, "q1": 10.0, "median": 20.0, "q3": 30.0,
        }
    ]  # fmt: skip


def test_an_hour_of_which_too_little_was_recorded_changes_no_quartile(duck: DuckEngine, sources: Sources) -> None:
    fifty_three, fifty_four = (1 << 53) - 1, (1 << 54) - 1
    _record(sources, {TEN: (40, fifty_four), TEN + WEEK: (2, fifty_three), TEN + 2 * WEEK: (None, 0)})

    (found,) = run_job(duck, "profiles", MONDAY, MONDAY + 5 * WEEK, sources).to_pylist()

    assert (found["hours"], found["median"]) == (1, 40.0)


def test_of_a_window_the_row_that_was_written_last_counts(duck: DuckEngine, sources: Sources) -> None:
    _record(sources, {TEN: (40, ALL)})
    write_windows(sources.lake, [WindowRow("hall", "car", "1h", TEN, TEN + HOUR, 45, TEN + 3 * HOUR)])
    write_windows(sources.lake, [WindowRow("hall", "car", "1h", TEN, TEN + HOUR, 12, TEN + 2 * HOUR)])

    (found,) = run_job(duck, "profiles", MONDAY, MONDAY + DAY, sources).to_pylist()

    assert found["median"] == 45.0


def test_holidays_and_terms_have_weeks_of_their_own(duck: DuckEngine, sources: Sources, tmp_path: Path) -> None:
    file = tmp_path / "calendar.ics"
    file.write_text(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test\n"
        "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20261123\nDTEND;VALUE=DATE:20261205\nCATEGORIES:TERM\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:2\nDTSTART;VALUE=DATE:20261130\nCATEGORIES:HOLIDAY\nEND:VEVENT\nEND:VCALENDAR\n",
        encoding="utf-8",
    )
    calendar = load_calendar(file, ZoneInfo("Europe/Dublin"))
    assert [calendar.of(date(2026, 11, day)) for day in (22, 23, 30)] == ["", "term", "holiday"]
    _record(sources, {TEN + week * WEEK: (devices, ALL) for week, devices in enumerate([40, 3, 20])})

    found = run_job(duck, "profiles", MONDAY, MONDAY + 3 * WEEK, replace(sources, calendar=calendar)).to_pylist()

    assert [(each["other"], each["median"]) for each in found] == [("", 20.0), ("holiday", 3.0), ("term", 40.0)]


def test_an_hour_of_the_week_is_on_the_clocks_of_the_campus(duck: DuckEngine, sources: Sources) -> None:
    summer = TEN - 20 * WEEK
    _record(sources, {summer: (7, ALL)})

    (found,) = run_job(duck, "profiles", summer - DAY, summer + DAY, sources).to_pylist()

    assert found["at"] == MONDAY_MS + 11 * HOUR
