"""The service: what is due when. Each job is for itself: one that fails or waits keeps no other from its work."""

import asyncio
import time as monotonic_time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from analytics.engines import Engine
from analytics.export_command import WindowsFiller
from analytics.forecast.jobs import SETTLED_MS, Forecasts
from analytics.hours import HOUR_MS
from analytics.jobs import CHECK, Job
from analytics.keeping import keep_in_lake
from analytics.opening import campus_of, open_engine, open_sources, open_stores, write_dimensions
from analytics.running import DAY_MS, Slice, Sources, check, slices
from analytics.schedule import LastDue, daily, every
from analytics.settings import AnalyticsSettings
from analytics.stored import store_slice
from core.clock import Clock, format_rfc3339, system_clock, to_milliseconds
from core.errors import UnavailableError
from core.kinds import KindId
from lake.layout import OCCUPANCY, POSITIONS, date_of, path_date
from lake.reading import paths
from runtime import retry
from runtime.failures import Failures
from runtime.ops import serve_ops
from runtime.service import Stop, pause, work_until_stopped
from runtime.settings import OpsSettings
from timeseries import Result, TimeseriesStore, Width
from timeseries.results import COMPUTED_AT, DAYS, UNTIL

NIGHT = time(3)
FIVE_MINUTES_MS = 300_000
LOOK_SECONDS = 15.0
"""How often a job looks whether it is due."""
LATE_MS = 2 * DAY_MS
"""Days before the last run that are worked out again: positions may come so late and count."""
EXPORTED_MS = HOUR_MS
"""How long after an hour its positions may be on their way to the lake: LAKE_EVERY is that long at the most."""
FIRST_MS = 92 * DAY_MS
"""How far the first run goes back."""
TYPICAL_MS = 56 * DAY_MS
"""Eight weeks: what a typical week is made of."""
RUNS_MS = 31 * DAY_MS
"""How far back is looked for the last run."""
JOB_NAMES = ("visits", "flows", "profiles", "forecast", "nowcast", "anomalies")

Answer = TypeVar("Answer")
_log = structlog.stdlib.get_logger("analytics")


class ServiceSettings(AnalyticsSettings, OpsSettings):
    """What the service needs beside its commands."""


class AnalyticsMetrics:
    """What the service counts."""

    def __init__(self) -> None:
        """Each series is there from the first scrape on."""
        self.registry = CollectorRegistry()
        self.runs = Counter("analytics_runs", "Runs that ended, by job.", ["job"], registry=self.registry)
        self.seconds = Gauge(
            "analytics_run_seconds", "How long the last run of a job took.", ["job"], registry=self.registry
        )
        self.done_at = Gauge(
            "analytics_done_timestamp_seconds",
            "When the last run that is done was due, by job; 0: none that this process knows of.",
            ["job"],
            registry=self.registry,
        )
        self.served = Gauge(
            "analytics_forecast_series", "Zones and kinds of which a forecast is served.", registry=self.registry
        )
        self.anomalies = Gauge(
            "analytics_anomalies",
            "Zones and kinds that have been unlike their forecast for a quarter of an hour.",
            registry=self.registry,
        )
        for job in JOB_NAMES:
            self.runs.labels(job)
            self.seconds.labels(job)
            self.done_at.labels(job)


class Runs:
    """Which runs are done, so that a restart repeats none of them; kept as results."""

    def __init__(self, store: TimeseriesStore, *, campus: str, kind: KindId) -> None:
        """`campus` is its id as a zone, `kind` the first of the table: a result has both."""
        self._store = store
        self._campus = campus
        self._kind = kind

    async def last(self, job: str, now: int) -> int | None:
        """When the last run of a job that is done was due; None where that is a month ago, or never was."""
        found = await self._store.results("runs", start=now - RUNS_MS, end=now + 1, zone=self._campus)
        return max((each.at for each in found if each.other == job), default=None)

    async def note(self, job: str, due: int, *, seconds: float, now: int) -> None:
        """Keep that a run is done."""
        values = {"seconds": seconds, COMPUTED_AT: float(now)}
        await self._store.write_results([Result("runs", self._campus, self._kind, job, due, values)])


@dataclass(frozen=True)
class Scheduled:
    """A job that is run whenever it is due, once for each time; what was missed meanwhile is one run."""

    name: str
    last_due: LastDue
    work: Callable[[int | None, int], Awaitable[None]]
    """Is given when its last run was due, if that is known, and the time of now."""
    clock: Clock
    metrics: AnalyticsMetrics
    waits: "Waits"
    runs: Runs | None = None
    """None: it is run at the start, whatever was before."""
    alone: asyncio.Lock | None = None
    """Held while it works, and not while it waits for a store: of those that have it one works at a time."""

    async def run(self, stop: Stop) -> None:
        """Run whenever it is due, until `stop`."""
        done = None
        if self.runs is not None:
            runs = self.runs
            done = await self.waits.until_available(self.name, lambda: runs.last(self.name, self.clock()))
            self.metrics.done_at.labels(self.name).set((done or 0) / 1000)
        while not stop.is_set():
            done = await self.step(done)
            await pause(LOOK_SECONDS, stop)

    async def step(self, done: int | None) -> int | None:
        """Run once if it is due; the answer is when the last run that is done was due. Raises what a defect raises."""
        due = self.last_due(self.clock())
        if done is not None and due <= done:
            return done
        seconds = await self.waits.until_available(self.name, lambda: self._tried(done))
        if self.runs is not None:
            runs = self.runs
            note = lambda: runs.note(self.name, due, seconds=seconds, now=self.clock())  # noqa: E731 - once
            await self.waits.until_available(self.name, note)
            _log.info("job done", job=self.name, due=format_rfc3339(due), seconds=round(seconds, 1))
        self.metrics.runs.labels(self.name).inc()
        self.metrics.seconds.labels(self.name).set(seconds)
        self.metrics.done_at.labels(self.name).set(due / 1000)
        return due

    async def _tried(self, done: int | None) -> float:
        """Work once; how many seconds that took. Who waits for a store lets others work meanwhile."""
        async with self.alone or asyncio.Lock():
            begun = monotonic_time.monotonic()
            await self.work(done, self.clock())
            return monotonic_time.monotonic() - begun


class Waits:
    """Who waits for what, for /readyz and the log."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._reasons: dict[str, str] = {}

    @property
    def problem(self) -> str | None:
        """What is waited for, as a sentence; None where nobody waits."""
        return "; ".join(f"{name} waits: {reason}" for name, reason in sorted(self._reasons.items())) or None

    async def until_available(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, tried again as long as it raises UnavailableError."""
        return await retry.until_available(work, told=_Told(self._reasons, name), backoff=retry.FOR_STORES)


@dataclass(frozen=True, slots=True)
class _Told:
    reasons: dict[str, str]
    name: str

    def waits(self, error: UnavailableError) -> bool:
        """Note the reason, and log the first of it."""
        if self.reasons.get(self.name) != str(error):
            _log.warning("job waits", job=self.name, reason=str(error))
        self.reasons[self.name] = str(error)
        return True

    def answered(self) -> None:
        """It goes on."""
        if self.reasons.pop(self.name, None) is not None:
            _log.info("job goes on", job=self.name)


class LakeJobs:
    """Visits, flows and profiles, from the lake into the lake and into the store."""

    def __init__(self, settings: AnalyticsSettings, sources: Sources, store: TimeseriesStore, *, campus: str) -> None:
        """`campus` is its id as a zone."""
        self._settings = settings
        self._sources = sources
        self._store = store
        self._campus = campus

    async def run(self, job: Job, done: int | None, now: int) -> None:
        """Work out what is new since the run that was due at `done`, and the two days before it, in whole days (UTC).

        Of profiles that is eight weeks, always. The first run goes back for `FIRST_MS`. Raises UnavailableError.
        """
        settled = now if job == "profiles" else now - EXPORTED_MS
        end = settled - settled % HOUR_MS
        start = end - TYPICAL_MS if job == "profiles" else max((done or 0) - LATE_MS, end - FIRST_MS)
        start -= start % DAY_MS
        table = OCCUPANCY if job == "profiles" else POSITIONS
        if job == "profiles":
            await self._hours_that_were_recorded(start, end, again=(done or 0) - LATE_MS)
        since = date_of(min(start, end - FIRST_MS))
        there = await asyncio.to_thread(paths, self._sources.lake, table, since, date_of(end - 1 + DAY_MS))
        # Nothing is worked out where nothing is exported, and of days before the first that was.
        dates = [start_of(day) for day in map(path_date, there) if day is not None]
        if dates and start <= (first := min(dates)):
            start = await self._first(job, first)
        if dates and start < end:
            await self._run(job, start, end, now)
        if (kept := await self._store.kept_since(Width.HOUR)) is not None and job != "profiles":
            await self._store.replace_results(job, 0, kept, [])
            await self._store.replace_results(DAYS, 0, kept - kept % DAY_MS, [])

    async def _first(self, job: Job, day: int) -> int:
        """From when on the first day of the lake is worked out: what was before is, with a day that it has no more."""
        found = await self._store.results(DAYS, start=day, end=day + DAY_MS)
        return max((int(each.values[UNTIL]) for each in found if each.other == job), default=day)

    async def _hours_that_were_recorded(self, start: int, end: int, *, again: int) -> None:
        """Coverage goes no other way into the lake; and the hours of before the export began go with it."""
        filler = WindowsFiller(
            lake=self._sources.lake, series=self._store, zone=self._sources.zone, widths=(Width.HOUR,)
        )
        await filler.fill_missing(start, end, again=again)
        await asyncio.to_thread(write_dimensions, self._settings, self._sources, start, end)

    async def _run(self, job: Job, start: int, end: int, now: int) -> None:
        # One thread for all that the engine does: it is closed after what was in hand, whoever has been cancelled.
        with _own_thread() as in_thread:
            opened = open_engine(self._settings, self._sources.lake)
            engine = await in_thread(opened.__enter__)
            try:
                parts = slices(engine, job, start, end, self._sources)
                while (found := await in_thread(lambda: self._next(engine, job, parts))) is not None:
                    await store_slice(self._store, job, found, campus=self._campus, now=now)
            finally:
                in_thread.last(lambda: opened.__exit__(None, None, None))

    def _next(self, engine: Engine, job: Job, parts: Iterator[Slice]) -> Slice | None:
        """The next slice, kept in the lake, visits with what does not add up in them."""
        found = next(parts, None)
        if found is None:
            return None
        keep_in_lake(self._sources.lake, job, found)
        if job == "visits":
            differing = check(engine, found.rows, found.start, found.end, self._sources)
            keep_in_lake(self._sources.lake, CHECK, Slice(found.start, found.end, differing))
            if len(differing):
                _log.warning(
                    "entries and exits do not add up to how presence changed: see results/visits_check in the lake",
                    date=str(date_of(found.start)),
                    rows=len(differing),
                )
        return found


def start_of(day: date) -> int:
    """When a date begins in UTC, ms since the epoch."""
    return to_milliseconds(datetime.combine(day, time(), UTC))


class _OwnThread:
    """Does one thing after the other in a thread."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def __call__(self, work: Callable[[], Answer]) -> Answer:
        """The answer of `work`, which is done to its end also where nobody waits for it any more."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def last(self, work: Callable[[], object]) -> None:
        """Do this when all else is done, and wait for nothing."""
        self._executor.submit(work)

    def end(self) -> None:
        """Take nothing more."""
        self._executor.shutdown(wait=False)


@contextmanager
def _own_thread() -> Iterator[_OwnThread]:
    thread = _OwnThread()
    try:
        yield thread
    finally:
        thread.end()


def scheduled(
    *,
    forecasts: Forecasts,
    lake_jobs: LakeJobs,
    runs: Runs,
    metrics: AnalyticsMetrics,
    waits: Waits,
    clock: Clock,
    night: LastDue,
) -> list[Scheduled]:
    """All jobs of the service."""
    alone = asyncio.Lock()

    def of_lake(job: Job) -> Scheduled:
        async def work(done: int | None, now: int) -> None:
            await lake_jobs.run(job, done, now)

        return Scheduled(job, night, work, clock, metrics, waits, runs, alone)

    async def forecast(_: int | None, now: int) -> None:
        metrics.served.set((await forecasts.forecast(now)).served)

    async def nowcast(_: int | None, now: int) -> None:
        await forecasts.nowcast(now)

    async def anomalies(_: int | None, now: int) -> None:
        metrics.anomalies.set(await forecasts.anomalies(now))

    often = every(FIVE_MINUTES_MS, after_ms=SETTLED_MS)
    return [
        Scheduled("forecast", night, forecast, clock, metrics, waits, runs, alone),
        of_lake("visits"),
        of_lake("flows"),
        of_lake("profiles"),
        Scheduled("nowcast", often, nowcast, clock, metrics, waits),
        Scheduled("anomalies", often, anomalies, clock, metrics, waits),
    ]


async def serve(settings: ServiceSettings, stop: Stop, *, clock: Clock = system_clock) -> None:
    """Run what is due until `stop`. Raises BadSettingsError for a setting that cannot work."""
    metrics, waits = AnalyticsMetrics(), Waits()
    failures = Failures("analytics", metrics.registry)
    sources = open_sources(settings)
    campus = campus_of(settings).boundary.id
    async with AsyncExitStack() as resources:
        stores = await resources.enter_async_context(open_stores(settings))
        store = stores.counted
        jobs = scheduled(
            # What is told is made of what is told: a forecast of true counts would tell of them.
            forecasts=Forecasts(stores.told, zone=sources.zone, kind_of=sources.calendar.of),
            lake_jobs=LakeJobs(settings, sources, store, campus=campus),
            runs=Runs(store, campus=campus, kind=settings.kinds().ids[0]),
            metrics=metrics,
            waits=waits,
            clock=clock,
            night=daily(NIGHT, sources.zone),
        )
        failures.expects(job.name for job in jobs)
        await resources.enter_async_context(
            serve_ops(
                settings,
                service="analytics",
                ready=lambda: failures.problem or waits.problem,
                registry=metrics.registry,
            )
        )
        await waits.until_available("setup", store.setup)
        if stores.told is not store:
            await waits.until_available("setup", stores.told.setup)
        _log.info("analytics", jobs=[job.name for job in jobs], lake=sources.lake.name)
        await work_until_stopped({job.name: job.run for job in jobs}, stop, failures)
    _log.info("stopped")
