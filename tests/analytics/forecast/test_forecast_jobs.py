"""From what was counted to results in the store, on a store as it is."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analytics.forecast.backtest import Model
from analytics.forecast.jobs import MONDAY_MS, Done, Forecasts
from analytics.forecast.models import Trees
from analytics.forecast.past import DayKind, Floats, Past
from core.kinds import KindId
from core.windows import Width, Window
from tests.analytics.forecast.made_up import no_calendar
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, OccupancyPoint, Result, TimeseriesStore
from timeseries.sqlite import SqliteOccupancyStore

DUBLIN = ZoneInfo("Europe/Dublin")
HOUR = 3_600_000
FIVE = 300_000
WEEKS = 7
NOW = int(datetime(2026, 11, 23, 3, 20, tzinfo=DUBLIN).timestamp() * 1000)
"""A Monday, twenty minutes after three."""
START = NOW - NOW % HOUR - WEEKS * 168 * HOUR
FOREVER = 10**13


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    async with SqliteOccupancyStore(file=tmp_path / "timeseries.sqlite3") as opened:
        await opened.setup()
        yield opened


def expected(at: int) -> int:
    """How many come in the hour: more from week to week, so that last week is too little."""
    local = datetime.fromtimestamp(at / 1000, DUBLIN)
    there = 8 <= local.hour < 18 and local.weekday() < 5
    return (40 + 10 * ((at - START) // (168 * HOUR)) + local.hour) if there else 0


async def fill(store: TimeseriesStore, start: int, end: int, *, kind: KindId = MOBILE, factor: float = 1.0) -> None:
    """Windows and recorded hours of the campus; in each 5m window there are half of those of the hour."""
    points = []
    for at in range(start, end, HOUR):
        devices = round(factor * expected(at))
        if devices:
            points.append(OccupancyPoint(Window(Width.HOUR, at, "campus", kind), devices))
            points += [
                OccupancyPoint(Window(Width.FIVE_MINUTES, at + part * FIVE, "campus", kind), round(devices / 2))
                for part in range(12)
            ]
    (await store.write(points)).check()
    await store.write_coverage([Coverage("campus", kind, at, 2**60 - 1) for at in range(start, end, HOUR)])


class Knowing:
    """A model that knows all, but for one device more each hour."""

    name = "knowing"

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - it asks nobody
        said = []
        for hour in range(past.end, past.end + hours):
            local = datetime.fromtimestamp(hour * 3600, ZoneInfo("UTC")).replace(tzinfo=DUBLIN)
            said.append(expected(int(local.timestamp() * 1000)) + 1.0)
        return np.array([said] * len(past.names))


class Guessing:
    """A model that is worse than any guess."""

    name = "guessing"

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - it asks nobody
        return np.full((len(past.names), hours), 1000.0)


def forecasts(store: TimeseriesStore, *models: Model) -> Forecasts:
    return Forecasts(store, zone=DUBLIN, kind_of=no_calendar, competing=lambda: list(models))


async def of(store: TimeseriesStore, job: str) -> list[Result]:
    return await store.results(job, start=-FOREVER, end=FOREVER)


async def test_a_model_that_beats_the_baselines_is_served_for_two_days_from_the_present_hour_on(
    store: TimeseriesStore,
) -> None:
    await fill(store, START, NOW - NOW % HOUR)
    done = await forecasts(store, Knowing(), Guessing()).forecast(NOW)
    assert done == Done(series=1, scored=1, served=1)
    found = await of(store, "forecast")
    begin = NOW - NOW % HOUR
    assert [each.at for each in found] == [begin + hour * HOUR for hour in range(48)]
    nine = found[6]
    assert (nine.zone, nine.kind, nine.other) == ("campus", MOBILE, "")
    # 40, 70 for the weeks, and 9; and the one that was too many at each origin: by nights and weekends, it is more.
    assert nine.values["value"] == 120.0
    assert nine.values["low"] == pytest.approx(120.0 - 11.0 / 2**0.5)
    assert nine.values["high"] == 120.0
    assert nine.values["computed_at"] == NOW
    scores = {each.other: each.values for each in await of(store, "forecast_score")}
    assert {each.at for each in await of(store, "forecast_score")} == {begin}
    assert (scores["knowing"]["served"], scores["guessing"]["served"]) == (1.0, 0.0)
    assert scores["knowing"]["mase"] < scores["knowing"]["baseline_mase"] < scores["guessing"]["mase"]


async def test_a_forecast_that_is_no_better_is_taken_back(store: TimeseriesStore) -> None:
    await fill(store, START, NOW - NOW % HOUR)
    await forecasts(store, Knowing()).forecast(NOW)
    done = await forecasts(store, Guessing()).forecast(NOW)
    assert done == Done(series=1, scored=1, served=0)
    assert await of(store, "forecast") == []
    assert await of(store, "spread") == []
    (score,) = await of(store, "forecast_score")
    assert (score.other, score.values["served"]) == ("guessing", 0.0)


async def test_the_forecast_of_hours_that_are_over_stays(store: TimeseriesStore) -> None:
    await fill(store, START, NOW - NOW % HOUR)
    await forecasts(store, Knowing()).forecast(NOW - 24 * HOUR)
    await forecasts(store, Knowing()).forecast(NOW)
    found = await of(store, "forecast")
    assert len(found) == 72
    assert [each.values["computed_at"] for each in found] == [float(NOW - 24 * HOUR)] * 24 + [float(NOW)] * 48


async def test_hours_that_were_not_recorded_are_no_zeros(store: TimeseriesStore) -> None:
    """An outage of three working days makes no forecast smaller."""
    end = NOW - NOW % HOUR
    await fill(store, START, end)
    before = forecasts(store, Trees())
    assert (await before.forecast(NOW)).served == 1
    whole = [each.values["value"] for each in await of(store, "forecast")]
    gone, back = end - 5 * 24 * HOUR, end - 2 * 24 * HOUR
    await store.drop("campus", MOBILE, start=gone, end=back)
    await before.forecast(NOW)
    outage = [each.values["value"] for each in await of(store, "forecast")]
    assert sum(outage) > 0.9 * sum(whole)


async def test_a_past_that_is_too_short_has_no_forecast_and_no_score(store: TimeseriesStore) -> None:
    await fill(store, NOW - NOW % HOUR - 20 * 24 * HOUR, NOW - NOW % HOUR)
    assert await forecasts(store, Knowing()).forecast(NOW) == Done(series=1, scored=0, served=0)
    assert await of(store, "forecast") == []
    assert await of(store, "forecast_score") == []


async def test_an_empty_store_has_none_either(store: TimeseriesStore) -> None:
    made = forecasts(store, Knowing())
    assert await made.forecast(NOW) == Done(0, 0, 0)
    assert await made.nowcast(NOW) == 0
    assert await made.anomalies(NOW) == 0


async def test_windows_have_their_part_of_the_forecast_of_the_hour(store: TimeseriesStore) -> None:
    await fill(store, START, NOW - NOW % HOUR)
    made = forecasts(store, Knowing())
    await made.forecast(NOW)
    slots = await of(store, "spread")
    assert [each.at for each in slots] == [MONDAY_MS + slot * FIVE for slot in range(288)]
    assert slots[9 * 12].values["share"] == pytest.approx(0.5, abs=0.01)
    # At 08:21 all is as it was forecast: 08:20 is not over for a minute, and 08:15 is the last that counts.
    now = NOW + 5 * HOUR + 60_000
    await fill(store, NOW - NOW % HOUR, now)
    assert await made.nowcast(now) == 1
    found = await of(store, "nowcast")
    assert [each.at for each in found] == [now - now % FIVE + step * FIVE for step in range(24)]
    assert found[8].values["value"] == pytest.approx(60.0, rel=0.05)


async def test_a_nowcast_is_put_in_the_place_of_the_one_before(store: TimeseriesStore) -> None:
    await fill(store, START, NOW + 8 * HOUR - NOW % HOUR)
    made = forecasts(store, Knowing())
    await made.forecast(NOW)
    await made.nowcast(NOW + 6 * HOUR)
    first = await of(store, "nowcast")
    await made.nowcast(NOW + 6 * HOUR + FIVE)
    found = await of(store, "nowcast")
    assert [each.at for each in found] == [first[0].at + step * FIVE for step in range(25)]
    assert [each.values["computed_at"] for each in found] == [first[0].values["computed_at"]] + [
        float(NOW + 6 * HOUR + FIVE)
    ] * 24


async def test_a_quarter_of_an_hour_with_three_times_as_many_is_an_anomaly(store: TimeseriesStore) -> None:
    begin = NOW - NOW % HOUR
    await fill(store, START, begin + 7 * HOUR)
    made = forecasts(store, Knowing())
    await made.forecast(NOW)
    # Nine o'clock is as usual, ten is not.
    await fill(store, begin + 7 * HOUR, begin + 8 * HOUR, factor=3.0)
    ten = begin + 7 * HOUR
    assert await made.anomalies(ten + 10 * 60_000 + 60_000) == 0
    assert await of(store, "anomalies") == []
    assert await made.anomalies(ten + 15 * 60_000 + 60_000) == 1
    (found,) = await of(store, "anomalies")
    assert (found.zone, found.kind, found.at) == ("campus", MOBILE, ten + 2 * FIVE)
    assert found.values["devices"] == 180.0
    assert found.values["value"] == pytest.approx(60.0, abs=2.0)
    assert found.values["low"] < 60 < found.values["high"] < 180
    assert await made.anomalies(ten + 20 * 60_000 + 60_000) == 1
    assert [each.at for each in await of(store, "anomalies")] == [ten + 2 * FIVE, ten + 3 * FIVE]


async def test_an_outage_is_no_anomaly(store: TimeseriesStore) -> None:
    begin = NOW - NOW % HOUR
    await fill(store, START, begin + 7 * HOUR)
    made = forecasts(store, Knowing())
    await made.forecast(NOW)
    # Nothing is counted at ten, and nothing says that anything would have been.
    assert await made.anomalies(begin + 7 * HOUR + 31 * 60_000) == 0
    # With what says so it is one: nobody came.
    await store.write_coverage([Coverage("campus", MOBILE, begin + 7 * HOUR, 2**60 - 1)])
    assert await made.anomalies(begin + 7 * HOUR + 31 * 60_000) == 1


async def test_another_process_goes_by_the_forecast_that_is_stored(store: TimeseriesStore) -> None:
    await fill(store, START, NOW + 8 * HOUR - NOW % HOUR)
    await forecasts(store, Knowing()).forecast(NOW)
    assert await forecasts(store).nowcast(NOW + 6 * HOUR) == 1


async def test_kinds_are_forecast_each_by_itself(store: TimeseriesStore) -> None:
    await fill(store, START, NOW - NOW % HOUR)
    await fill(store, START, NOW - NOW % HOUR, kind=CAR, factor=0.0)
    done = await forecasts(store, Knowing()).forecast(NOW)
    # Of cars there is never any: no guess was ever wrong, and nothing is to be beaten.
    assert done == Done(series=2, scored=1, served=1)
    assert {each.kind for each in await of(store, "forecast")} == {MOBILE}


JOBS = ("forecast", "forecast_score", "nowcast", "anomalies")


async def test_what_was_forecast_is_kept_for_a_quarter_of_a_year(store: TimeseriesStore) -> None:
    old, young = NOW - 93 * 24 * HOUR, NOW - 91 * 24 * HOUR
    for job in JOBS:
        await store.write_results([Result(job, "campus", MOBILE, "", at, {"value": 1.0}) for at in (old, young)])
    await forecasts(store, Knowing()).forecast(NOW)
    for job in JOBS:
        assert [each.at for each in await of(store, job)] == [young]


async def test_windows_that_are_kept_for_a_shorter_time_than_hours_are_no_zeros(tmp_path: Path) -> None:
    shares = {}
    for days in (365, 7, 1 / 24):
        keep = {Width.FIVE_MINUTES: int(days * 24 * HOUR)}
        file = tmp_path / f"{days:.0f}.sqlite3"
        async with SqliteOccupancyStore(file=file, keep=keep, clock=lambda: NOW) as store:
            await store.setup()
            await fill(store, START, NOW - NOW % HOUR)
            await forecasts(store, Knowing()).forecast(NOW)
            shares[days] = {round(each.values["share"], 1) for each in await of(store, "spread")}
    # At noon five of ten, and in the night, of which nobody knows any, the same part.
    assert shares == {365: {0.5}, 7: {0.5}, 1 / 24: set()}
