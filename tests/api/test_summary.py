import asyncio
import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.history.summary import WEEKDAYS, popular_times
from api.settings import ApiSettings
from core.clock import format_rfc3339, parse_rfc3339
from core.kinds import DEFAULT_KINDS
from tests.api.conftest import Parts, assert_problem, client_over, record, watched
from tests.conftest import NOON, WAIT_SECONDS
from tests.kinds_of_tests import CAR
from timeseries import Coverage, TimeseriesStore, Width, open_store

KEMMY = "/v1/zones/kemmy/occupancy/summary"
HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
DUBLIN = ZoneInfo("Europe/Dublin")
# 2026-03-01 is a Sunday, in winter time: the hours of the campus are those of UTC.
TUESDAY_11 = parse_rfc3339("2026-02-24T11:00:00Z")


async def summary(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get(KEMMY, params={"kind": "car", **query})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def cell(body: Mapping[str, Any], weekday: str, hour: int) -> tuple[float | None, int]:
    [day] = [day for day in body["popular_times"] if day["weekday"] == weekday]
    found = day["hours"][hour]
    assert found["hour"] == hour
    return found["devices"], found["weeks"]


async def test_the_peak_the_mean_and_the_usual_week_of_four_weeks(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    for week, count in enumerate((9, 5, 2, 30)):
        await record(store, "kemmy", CAR, Width.HOUR, {TUESDAY_11 - week * WEEK: count})
    await record(store, "kemmy", CAR, Width.HOUR, {TUESDAY_11 + HOUR: 4})
    # The system was counting all the time: so mostly nobody was there.
    await watched(store, "kemmy", CAR, TUESDAY_11 - 3 * WEEK, NOON)

    body = await summary(client)

    assert (body["zone"], body["kind"], body["window"]) == ("kemmy", "car", "1h")
    assert (body["timezone"], body["campus_timezone"]) == ("UTC", "Europe/Dublin")
    assert (body["start"], body["end"]) == (format_rfc3339(NOON - 4 * WEEK), "2026-03-01T12:00:00Z")
    assert (body["first"], body["last"]) == (format_rfc3339(TUESDAY_11 - 3 * WEEK), "2026-03-01T11:00:00Z")
    hours = (NOON - (TUESDAY_11 - 3 * WEEK)) // HOUR
    assert body["hours"] == hours
    assert body["recorded_minutes"] == 60 * hours
    assert body["mean"] == round((9 + 5 + 2 + 30 + 4) / hours, 2)
    assert body["peak"] == {
        "start": "2026-02-03T11:00:00Z",
        "end": "2026-02-03T12:00:00Z",
        "devices": 30,
    }
    assert body["busiest"] == {"weekday": "tuesday", "hour": 11, "devices": 7.0, "weeks": 4}
    assert cell(body, "tuesday", 11) == (7.0, 4)
    assert cell(body, "tuesday", 12) == (0.0, 4)
    # Before the first hour nothing is known: the first Tuesday morning is not one of nobody.
    assert cell(body, "tuesday", 10) == (0.0, 3)
    assert body["weeks"] == 4
    assert body["suppressed"] is False


async def test_what_is_not_known_is_not_zero(client: httpx.AsyncClient) -> None:
    body = await summary(client)

    assert (body["first"], body["last"], body["hours"], body["weeks"]) == (None, None, 0, 0)
    assert (body["peak"], body["mean"], body["busiest"]) == (None, None, None)
    assert [day["weekday"] for day in body["popular_times"]] == list(WEEKDAYS)
    for day in body["popular_times"]:
        assert day["hours"] == [{"hour": hour, "devices": None, "suppressed": False, "weeks": 0} for hour in range(24)]


async def test_a_time_in_which_nothing_was_recorded_halves_no_figure(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    # A replay of long ago, then an outage of a week in the middle of four.
    await record(store, "kemmy", CAR, Width.HOUR, {parse_rfc3339("2019-02-18T08:00:00Z"): 1})
    for week in (0, 1, 3):
        await record(store, "kemmy", CAR, Width.HOUR, {TUESDAY_11 - week * WEEK: 60})

    body = await summary(client, start="2019-02-18T08:00:00Z")

    assert body["first"] == "2019-02-18T08:00:00Z"
    assert cell(body, "tuesday", 11) == (60.0, 3)
    assert (body["hours"], body["mean"]) == (4, 45.25)


async def test_what_is_called_first_can_be_asked_for(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await record(store, "kemmy", CAR, Width.HOUR, {parse_rfc3339("1980-01-06T00:00:00Z"): 1, TUESDAY_11: 3})

    first = (await summary(client))["first"]

    assert first == "1980-01-06T00:00:00Z"
    assert (await summary(client, start=first))["hours"] == 2


async def test_minutes_that_were_not_recorded_are_said(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await store.write_coverage([Coverage("kemmy", CAR, NOON - HOUR, 0b111)])

    body = await summary(client)

    assert (body["hours"], body["recorded_minutes"], body["mean"]) == (1, 3, 0.0)


async def test_hours_that_were_not_recorded_are_not_counted(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await record(store, "kemmy", CAR, Width.HOUR, {NOON - 10 * HOUR: 6, NOON - 9 * HOUR: 2})

    body = await summary(client)

    assert (body["hours"], body["mean"]) == (2, 4.0)


async def test_only_whole_hours_that_are_over_count(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    hours = {NOON - 2 * HOUR: 100, NOON - HOUR: 3, NOON: 100}
    await record(store, "kemmy", CAR, Width.HOUR, hours)

    body = await summary(client, start="2026-03-01T10:00:00.001Z", end="2026-03-01T13:00:00Z")

    assert (body["hours"], body["mean"], body["peak"]["devices"]) == (1, 3.0, 3)


async def test_a_range_without_a_whole_hour_rests_on_none(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await record(store, "kemmy", CAR, Width.HOUR, {NOON - HOUR: 3})

    for start, end in (
        ("2026-03-01T11:10:00Z", "2026-03-01T11:50:00Z"),
        ("2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z"),
    ):
        assert (await summary(client, start=start, end=end))["hours"] == 0


async def test_popular_times_are_in_the_time_of_the_campus_whatever_tz_is(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    summer = parse_rfc3339("2025-07-07T23:00:00Z")  # midnight of Tuesday in Dublin
    await record(store, "kemmy", CAR, Width.HOUR, {summer: 8})

    body = await summary(client, start="2025-07-07T00:00:00Z", end="2025-07-09T00:00:00Z", tz="America/New_York")

    assert body["busiest"] == {"weekday": "tuesday", "hour": 0, "devices": 8.0, "weeks": 1}
    assert (body["timezone"], body["campus_timezone"]) == ("America/New_York", "Europe/Dublin")
    assert body["peak"] == {"start": "2025-07-07T19:00:00-04:00", "end": "2025-07-07T20:00:00-04:00", "devices": 8}


def test_the_hour_that_comes_twice_counts_once_a_week_with_the_greater_count() -> None:
    back = parse_rfc3339("2025-10-26T00:00:00Z")  # 01:00 in Dublin, and an hour later again

    for first, second in ((4, 9), (9, 4)):
        sunday = popular_times({back: first, back + HOUR: second}, DUBLIN)[6]
        assert (sunday.hours[1].devices, sunday.hours[1].weeks) == (9.0, 1)


@given(st.dictionaries(st.integers(0, 8 * 168), st.integers(0, 50), max_size=60))
def test_popular_times_are_the_plain_median_by_weekday_and_hour(counts: dict[int, int]) -> None:
    # Half a year without a change of clocks.
    begin = parse_rfc3339("2025-11-03T00:00:00Z")
    devices = {begin + hour * HOUR: count for hour, count in counts.items()}

    days = popular_times(devices, DUBLIN)

    assert [len(day.hours) for day in days] == [24] * 7
    for number, day in enumerate(days):
        for each in day.hours:
            expected = [
                count
                for at, count in devices.items()
                if (moment := datetime.fromtimestamp(at // 1000, DUBLIN)).weekday() == number
                and moment.hour == each.hour
            ]
            assert each.weeks == len(expected)
            assert each.devices == (median(expected) if expected else None)


async def test_figures_that_rest_on_few_phones_are_withheld(parts: Parts, store: TimeseriesStore) -> None:
    counts = {TUESDAY_11: 4, TUESDAY_11 + HOUR: 20, TUESDAY_11 + 2 * HOUR: 8}
    for kind in DEFAULT_KINDS.ids:
        await record(store, "kemmy", kind, Width.HOUR, counts)
    settings = ApiSettings(data_dir=parts.settings.data_dir, privacy_min_count=5)

    async with client_over(dataclasses.replace(parts, settings=settings)) as client:
        phones = await summary(client, kind="mobile")
        cars = await summary(client, kind="car")

    assert phones["suppressed"] is True
    # The 4 goes in as 0: nobody can compute it from the mean.
    assert phones["mean"] == round(28 / 3, 2)
    assert phones["peak"]["devices"] == 20
    assert cell(phones, "tuesday", 11) == (None, 1)
    assert phones["popular_times"][1]["hours"][11]["suppressed"] is True
    assert cell(phones, "tuesday", 13) == (8.0, 1)
    assert cars["suppressed"] is False
    assert cell(cars, "tuesday", 11) == (4.0, 1)


async def test_a_range_with_too_many_recorded_hours_is_refused_with_a_hint(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await watched(store, "kemmy", CAR, NOON - 1001 * HOUR, NOON)
    query = {"kind": "car", "start": "2016-03-01T00:00:00Z", "end": "2026-03-01T12:00:00Z"}

    problem = assert_problem(await client.get(KEMMY, params=query), 422)

    assert "1,001 recorded hours" in str(problem["detail"])
    assert "choose a shorter range" in str(problem["detail"])


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({}, "kind"),
        ({"kind": "car", "window": "1h"}, "window"),
        ({"kind": "car", "tz": "Dublin"}, "tz"),
        ({"kind": "car", "start": "2026-03-02T00:00:00Z"}, "start"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(
    client: httpx.AsyncClient, query: dict[str, str], parameter: str
) -> None:
    problem = assert_problem(await client.get(KEMMY, params=query), 422)

    assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_an_unknown_zone_has_no_summary(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/zones/atlantis/occupancy/summary", params={"kind": "car"}), 404)


async def test_a_store_that_is_away_or_silent_is_a_503(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        async def coverage_extent(self, *_: object) -> None:
            await asyncio.Event().wait()

        async def kept_since(self, _: Width) -> None:
            return None

    monkeypatch.setattr("api.history.summary.STORE_SECONDS", 0.05)
    (tmp_path / "a-file").write_text("no folder")
    async with open_store(ApiSettings(data_dir=tmp_path / "a-file")) as away:
        for store in (away, Silent()):
            changed = dataclasses.replace(parts, store=store)  # type: ignore[arg-type] # it has what is asked of it
            async with client_over(changed) as client, asyncio.timeout(WAIT_SECONDS):
                answer = await client.get(KEMMY, params={"kind": "car"})
                assert_problem(answer, 503)
                assert answer.headers["retry-after"] == "1"
