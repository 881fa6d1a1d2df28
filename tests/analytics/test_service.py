"""The service: what is due is run once, each job for itself."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest

import timeseries
from analytics.forecast.jobs import Forecasts
from analytics.opening import open_stores
from analytics.running import Sources
from analytics.schedule import daily, every
from analytics.service import (
    JOB_NAMES,
    AnalyticsMetrics,
    LakeJobs,
    Runs,
    Scheduled,
    ServiceSettings,
    Waits,
    serve,
)
from core.clock import parse_rfc3339
from core.errors import BadSettingsError, UnavailableError
from disclosure.policy import Privacy
from lake.reading import read_table
from lake.store import Lake
from lake.writing import write_positions
from runtime.failures import Failures
from runtime.service import Stop, work_until_stopped
from tests.analytics.crowd import DAY, HOUR, MONDAY, row
from tests.kinds_of_tests import CAR
from tests.ports import free_port
from timeseries import Coverage, OccupancyPoint, Result, TimeseriesStore, Width, Window, hour_of
from timeseries.sqlite import SqliteOccupancyStore

NIGHT_ZONE = ZoneInfo("Europe/Dublin")
NIGHT = daily(time(3), NIGHT_ZONE)
NOW = MONDAY + 2 * DAY + 10 * HOUR
"""A Wednesday at ten, in winter."""
LONG = 60.0
DONE = re.compile(r'^analytics_runs_total\{job="\w+"\} 1\.0', re.MULTILINE)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    async with SqliteOccupancyStore(file=tmp_path / "timeseries.sqlite3") as opened:
        await opened.setup()
        yield opened


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def job(
    clock: Clock,
    work: Callable[[int | None, int], Awaitable[None]],
    *,
    runs: Runs | None = None,
    waits: Waits | None = None,
    name: str = "visits",
) -> Scheduled:
    return Scheduled(name, NIGHT, work, clock, AnalyticsMetrics(), waits or Waits(), runs)


@asynccontextmanager
async def running(*jobs: Scheduled) -> AsyncIterator[Failures]:
    """Jobs side by side, as the service has them."""
    stop, failures = Stop(), Failures("analytics")
    task = asyncio.create_task(work_until_stopped({each.name: each.run for each in jobs}, stop, failures))
    try:
        yield failures
    finally:
        stop.set()
        await asyncio.wait_for(task, LONG)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - of other tasks, that tell nobody
            await asyncio.sleep(0.01)


async def test_what_is_due_is_run_once_for_each_time(store: TimeseriesStore) -> None:
    clock, seen = Clock(), []

    async def work(done: int | None, now: int) -> None:
        seen.append((done, now))

    nightly = job(clock, work, runs=Runs(store, campus="campus", kind=CAR))
    three = MONDAY + 2 * DAY + 3 * HOUR
    done = await nightly.step(None)
    assert (done, seen) == (three, [(None, NOW)])
    assert await nightly.step(done) == three
    clock.now = three + DAY - 1
    assert await nightly.step(done) == three
    clock.now = three + DAY
    assert await nightly.step(done) == three + DAY
    # Three nights later it is run once.
    clock.now = three + 4 * DAY
    assert await nightly.step(three + DAY) == three + 4 * DAY
    assert seen == [(None, NOW), (three, three + DAY), (three + DAY, three + 4 * DAY)]


async def test_a_restart_repeats_no_run_that_is_done(store: TimeseriesStore) -> None:
    clock, ran = Clock(), []
    runs = Runs(store, campus="campus", kind=CAR)

    async def work(done: int | None, _: int) -> None:
        ran.append(done)

    first = job(clock, work, runs=runs)
    async with running(first):
        await until(lambda: first.metrics.registry.get_sample_value("analytics_runs_total", {"job": "visits"}) == 1)
    again = job(clock, work, runs=runs)
    other = job(clock, work, runs=runs, name="flows")
    async with running(again, other):
        await until(lambda: other.metrics.registry.get_sample_value("analytics_runs_total", {"job": "flows"}) == 1)
        await until(
            lambda: bool(again.metrics.registry.get_sample_value("analytics_done_timestamp_seconds", {"job": "visits"}))
        )
    assert ran == [None, None]
    assert await runs.last("visits", NOW) == MONDAY + 2 * DAY + 3 * HOUR
    assert await runs.last("profiles", NOW) is None
    assert await runs.last("visits", NOW + 40 * DAY) is None


async def test_a_job_that_fails_keeps_no_other_from_its_work() -> None:
    clock, ran = Clock(), []

    async def fails(_: int | None, __: int) -> None:
        raise RuntimeError("a defect")

    async def works(_: int | None, __: int) -> None:
        ran.append(1)

    async with running(job(clock, fails), job(clock, works, name="flows")) as failures:
        await until(lambda: bool(ran) and failures.problem is not None)
        assert failures.problem == "stage visits fails, and is started again: RuntimeError (the log has its words)"


async def test_a_job_that_fails_is_run_again() -> None:
    clock, ran = Clock(), []

    async def work(_: int | None, __: int) -> None:
        ran.append(1)
        if len(ran) == 1:
            raise RuntimeError("a defect")

    async with running(job(clock, work)):
        await until(lambda: len(ran) == 2)


async def test_a_store_that_is_away_is_waited_for_and_the_others_go_on() -> None:
    clock, waits, ran = Clock(), Waits(), []
    back = asyncio.Event()

    async def needs_the_store(_: int | None, __: int) -> None:
        if not back.is_set():
            raise UnavailableError("the store is away")
        ran.append("visits")

    async def works(_: int | None, __: int) -> None:
        ran.append("flows")

    async with running(
        job(clock, needs_the_store, waits=waits), job(clock, works, waits=waits, name="flows")
    ) as failures:
        await until(lambda: waits.problem == "visits waits: the store is away" and ran == ["flows"])
        assert failures.problem is None
        back.set()
        await until(lambda: ran == ["flows", "visits"])
        assert waits.problem is None


async def test_who_waits_for_a_lake_that_is_away_keeps_none_of_those_that_share_its_lock_from_work() -> None:
    clock, waits, ran, alone = Clock(), Waits(), [], asyncio.Lock()

    async def needs_the_lake(_: int | None, __: int) -> None:
        raise UnavailableError("the lake is away")

    async def works(_: int | None, __: int) -> None:
        ran.append("forecast")

    visits = Scheduled("visits", NIGHT, needs_the_lake, clock, AnalyticsMetrics(), waits, alone=alone)
    forecast = Scheduled("forecast", NIGHT, works, clock, AnalyticsMetrics(), waits, alone=alone)
    waiting = asyncio.create_task(visits.step(None))
    try:
        await until(lambda: waits.problem == "visits waits: the lake is away")
        async with asyncio.timeout(LONG):
            await forecast.step(None)
    finally:
        waiting.cancel()
    assert ran == ["forecast"]


async def test_of_those_that_share_a_lock_one_works_at_a_time() -> None:
    clock, alone, at_work, most = Clock(), asyncio.Lock(), [], []

    async def work(_: int | None, __: int) -> None:
        at_work.append(1)
        most.append(len(at_work))
        await asyncio.sleep(0)
        at_work.pop()

    jobs = [
        Scheduled(name, every(1), work, clock, AnalyticsMetrics(), Waits(), alone=alone) for name in ("a", "b", "c")
    ]
    await asyncio.gather(*(each.step(None) for each in jobs))
    assert most == [1, 1, 1]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ServiceSettings:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_MEMORY", "256MB")
    monkeypatch.setenv("ANALYTICS_THREADS", "1")
    return ServiceSettings()


async def test_visits_and_flows_of_the_lake_are_in_the_store_and_in_the_lake(
    settings: ServiceSettings, sources: Sources, lake: Lake, store: TimeseriesStore
) -> None:
    write_positions(
        lake,
        [
            row("a" * 32, MONDAY + 8 * HOUR, "campus", "kemmy"),
            row("a" * 32, MONDAY + 8 * HOUR + 1_800_000, "campus", "library"),
        ],
    )
    jobs = LakeJobs(settings, sources, store, campus="campus")
    await jobs.run("visits", None, NOW)
    await jobs.run("flows", None, NOW)
    visits = await store.results("visits", start=MONDAY, end=NOW)
    assert [(each.zone, each.at, each.values["entries"], each.values["exits"]) for each in visits] == [
        ("campus", MONDAY + 8 * HOUR, 1.0, 0.0),
        ("kemmy", MONDAY + 8 * HOUR, 1.0, 1.0),
        ("library", MONDAY + 8 * HOUR, 1.0, 0.0),
        ("campus", MONDAY + 9 * HOUR, 0.0, 1.0),
        ("library", MONDAY + 9 * HOUR, 0.0, 1.0),
    ]
    (flow,) = await store.results("flows", start=MONDAY, end=NOW)
    assert (flow.zone, flow.other, flow.at, flow.values["devices"]) == ("kemmy", "library", MONDAY + 8 * HOUR, 1.0)
    assert len(read_table(lake, "results/visits/date=2026-11-23/part-0.parquet")) == 5
    assert lake.list("results/visits_check") == []


async def test_an_hour_whose_positions_may_not_be_in_the_lake_yet_is_not_worked_out(
    settings: ServiceSettings, sources: Sources, lake: Lake, store: TimeseriesStore
) -> None:
    write_positions(lake, [row("a" * 32, NOW - 3 * HOUR, "campus"), row("b" * 32, NOW - 30 * 60_000, "campus")])
    # A quarter of a minute after three or ten, the last minutes of the hour before are still gathered.
    await LakeJobs(settings, sources, store, campus="campus").run("visits", None, NOW + 15_000)
    assert [each.at for each in await store.results("visits", start=0, end=NOW)] == [NOW - 3 * HOUR, NOW - 2 * HOUR]
    (day,) = await store.results("days", start=0, end=NOW)
    assert (day.other, day.values["until"]) == ("visits", NOW - HOUR)


async def test_what_came_late_is_counted_by_the_next_run(
    settings: ServiceSettings, sources: Sources, lake: Lake, store: TimeseriesStore
) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus")])
    jobs = LakeJobs(settings, sources, store, campus="campus")
    await jobs.run("visits", None, NOW)
    write_positions(lake, [row("b" * 32, MONDAY + 8 * HOUR, "campus"), row("c" * 32, MONDAY - 5 * DAY, "campus")])
    await jobs.run("visits", NIGHT(NOW), NOW + DAY)
    found = await store.results("visits", start=MONDAY - 9 * DAY, end=NOW)
    # Of two days before the last run on; what is later still is for `python -m analytics run`.
    assert [(each.at, each.values["entries"]) for each in found] == [
        (MONDAY + 8 * HOUR, 2.0),
        (MONDAY + 9 * HOUR, 0.0),
    ]


async def test_a_day_is_not_worked_out_again_without_the_day_before_it_that_the_lake_has_dropped(
    settings: ServiceSettings, sources: Sources, lake: Lake, store: TimeseriesStore
) -> None:
    midnight = MONDAY + DAY
    write_positions(lake, [row("a" * 32, midnight + minutes * 60_000, "campus") for minutes in (-10, 20, 190)])
    jobs = LakeJobs(settings, sources, store, campus="campus")
    await jobs.run("visits", None, midnight + 4 * HOUR)

    async def entries() -> dict[int, float]:
        found = await store.results("visits", start=MONDAY, end=NOW)
        return {(each.at - midnight) // HOUR: each.values["entries"] for each in found}

    assert await entries() == {-1: 1.0, 1: 0.0}
    lake.delete([each.path for each in lake.list("positions/date=2026-11-23")])
    await jobs.run("visits", NIGHT(midnight + 4 * HOUR), NOW)
    # Who was there at midnight has not come anew; what was not worked out yet is.
    assert await entries() == {-1: 1.0, 1: 0.0, 3: 1.0, 4: 0.0}
    await jobs.run("visits", NIGHT(NOW), NOW + HOUR)
    assert await entries() == {-1: 1.0, 1: 0.0, 3: 1.0, 4: 0.0}


async def test_an_empty_lake_has_no_results(
    settings: ServiceSettings, sources: Sources, store: TimeseriesStore
) -> None:
    jobs = LakeJobs(settings, sources, store, campus="campus")
    await jobs.run("visits", None, NOW)
    await jobs.run("profiles", None, NOW)
    assert await store.results("visits", start=0, end=NOW) == []


async def test_a_typical_week_is_of_the_windows_and_the_recorded_hours_of_the_store(
    settings: ServiceSettings, sources: Sources, store: TimeseriesStore
) -> None:
    ten = MONDAY + 10 * HOUR
    await store.write([OccupancyPoint(Window(Width.HOUR, ten, "campus", CAR), 7)])
    await store.write_coverage([Coverage("campus", CAR, ten + hour * HOUR, (1 << 60) - 1) for hour in (0, 1)])
    await LakeJobs(settings, sources, store, campus="campus").run("profiles", None, MONDAY + DAY)
    found = await store.results("profiles", start=0, end=28 * DAY)
    assert [(each.values["median"], each.values["hours"]) for each in found] == [(7.0, 1.0), (0.0, 1.0)]


async def test_results_go_with_the_windows_of_their_time(
    settings: ServiceSettings, sources: Sources, lake: Lake, tmp_path: Path
) -> None:
    write_positions(lake, [row("a" * 32, MONDAY - 30 * DAY, "campus"), row("a" * 32, MONDAY + 8 * HOUR, "campus")])
    keep = {timeseries.Width.HOUR: 7 * DAY}
    async with SqliteOccupancyStore(file=tmp_path / "other.sqlite3", keep=keep, clock=lambda: NOW) as store:
        await store.setup()
        await LakeJobs(settings, sources, store, campus="campus").run("visits", None, NOW)
        assert {each.at for each in await store.results("visits", start=0, end=NOW)} == {
            MONDAY + 8 * HOUR,
            MONDAY + 9 * HOUR,
        }


async def ran_once(settings: ServiceSettings) -> None:
    """The service, until each of its jobs was run."""
    stop = Stop()
    task = asyncio.create_task(serve(settings, stop, clock=lambda: NOW))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.ops_port}") as session:

        async def text(path: str) -> str:
            try:
                async with session.get(path) as answer:
                    return await answer.text()
            except aiohttp.ClientConnectorError:
                return ""

        async with asyncio.timeout(LONG):
            while len(DONE.findall(await text("/metrics"))) < len(JOB_NAMES):  # noqa: ASYNC110 - another's
                await asyncio.sleep(0.05)
        assert await text("/readyz") == "ready\n"
    stop.set()
    await asyncio.wait_for(task, LONG)


async def test_the_service_runs_all_that_is_due_says_so_and_stops(
    settings: ServiceSettings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus", "kemmy")])
    monkeypatch.setenv("OPS_PORT", str(free_port()))
    settings = ServiceSettings()
    await ran_once(settings)
    async with timeseries.open_store(settings) as store:
        runs = await store.results("runs", start=0, end=NOW)
        assert [(each.other, each.at) for each in runs] == [
            (name, parse_rfc3339("2026-11-25T03:00:00Z")) for name in ("flows", "forecast", "profiles", "visits")
        ]
        assert len(await store.results("visits", start=0, end=NOW)) == 2


async def test_where_counts_are_protected_the_service_forecasts_in_the_store_of_released_ones_alone(
    settings: ServiceSettings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_positions(lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus", "kemmy")])
    monkeypatch.setenv("OPS_PORT", str(free_port()))
    monkeypatch.setenv("PRIVACY", "protected")
    settings = ServiceSettings()
    # A forecast of before, which goes with the next run.
    old = Result("forecast", "kemmy", CAR, "", NOW + HOUR, {"value": 1.0})
    async with open_stores(settings) as stores:
        for store in stores:
            await store.setup()
            await store.write_results([old])
    await ran_once(settings)
    async with open_stores(settings) as stores:
        counted, told = [await store.results("forecast", start=0, end=NOW + DAY) for store in stores]
        assert (counted, told) == ([old], [])
        assert len(await stores.counted.results("visits", start=0, end=NOW)) == 2
        assert await stores.told.results("visits", start=0, end=NOW) == []


async def test_where_counts_are_protected_forecasts_are_of_released_windows_and_lie_beside_them(
    settings: ServiceSettings,
) -> None:
    protected = settings.model_copy(update={"privacy": Privacy.PROTECTED})
    hour = hour_of(NOW) - HOUR
    async with open_stores(protected) as stores:
        await stores.counted.setup()
        await stores.told.setup()
        await stores.counted.write_coverage([Coverage("kemmy", CAR, hour, 2**60 - 1)])
        of_true_counts = await Forecasts(stores.told, zone=NIGHT_ZONE, kind_of=lambda _: "workday").forecast(NOW)
        await stores.told.write_coverage([Coverage(zone, CAR, hour, 2**60 - 1) for zone in ("kemmy", "schuman")])
        of_released_ones = await Forecasts(stores.told, zone=NIGHT_ZONE, kind_of=lambda _: "workday").forecast(NOW)
        await stores.told.write_results([Result("nowcast", "kemmy", CAR, "", NOW, {"value": 130.0})])

    assert (of_true_counts.series, of_released_ones.series) == (0, 2)
    async with timeseries.open_store(protected) as counted, timeseries.open_store(protected, released=True) as told:
        assert await counted.results("nowcast", start=0, end=NOW + 1) == []
        assert [each.zone for each in await told.results("nowcast", start=0, end=NOW + 1)] == ["kemmy"]


async def test_where_counts_are_told_as_they_are_there_is_one_store(settings: ServiceSettings) -> None:
    async with open_stores(settings) as stores:
        assert stores.told is stores.counted
    assert not (settings.data_dir / "released.sqlite3").exists()


async def test_a_calendar_that_is_not_there_ends_the_service(
    monkeypatch: pytest.MonkeyPatch, settings: ServiceSettings, tmp_path: Path
) -> None:
    monkeypatch.setenv("CALENDAR_FILE", str(tmp_path / "none.ics"))
    assert settings.calendar_file is None
    with pytest.raises(BadSettingsError, match=r"CALENDAR_FILE: .*none\.ics: cannot read it"):
        await serve(ServiceSettings(), Stop(), clock=lambda: NOW)
