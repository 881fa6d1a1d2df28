"""From settings to an engine and what its jobs read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import timeseries
from analytics.calendar import load_calendar
from analytics.engines import Engine
from analytics.engines.duck import DuckEngine
from analytics.hours import HOUR_MS, hours_between
from analytics.running import Sources
from analytics.settings import AnalyticsSettings
from analytics.zones import related_zones, zones_table
from core.clock import system_clock
from core.errors import BadSettingsError
from geofence import Campus, InvalidCampusError, load_campus
from lake.layout import dim_path
from lake.reading import filesystem
from lake.schema import TIME
from lake.store import Lake, open_lake
from lake.writing import write_table
from timeseries import TimeseriesStore

EngineName = Literal["duckdb", "spark"]
YEAR_MS = 366 * 24 * HOUR_MS


def open_sources(settings: AnalyticsSettings) -> Sources:
    """The lake, and what else jobs read. Raises BadSettingsError."""
    zone = ZoneInfo(settings.campus_timezone)
    return Sources(
        lake=open_lake(settings, settings.data_dir),
        related=related_zones(campus_of(settings)),
        zone=zone,
        calendar=load_calendar(settings.calendar_file, zone),
        presence_ttl_ms=settings.presence_ttl * 1000,
    )


def campus_of(settings: AnalyticsSettings) -> Campus:
    """The campus of CAMPUS_FILE: what was changed by the API since is not in it. Raises BadSettingsError."""
    try:
        return load_campus(settings.campus_file)
    except InvalidCampusError as error:
        raise BadSettingsError(f"CAMPUS_FILE: {error}") from error


class Stores(NamedTuple):
    """Time-series stores."""

    counted: TimeseriesStore
    """True windows; of the lake's jobs the results that are told to nobody but those who run the system."""
    told: TimeseriesStore
    """The windows that are told, and what is told of them: of released counts where PRIVACY is not open."""


@asynccontextmanager
async def open_stores(settings: AnalyticsSettings) -> AsyncIterator[Stores]:
    """Both stores, closed with the context; under `open` they are one."""
    async with AsyncExitStack() as resources:
        counted = await resources.enter_async_context(timeseries.open_store(settings))
        if settings.policy.is_open:
            yield Stores(counted, counted)
        else:
            told = timeseries.open_store(settings, released=True)
            yield Stores(counted, await resources.enter_async_context(told))


@contextmanager
def open_engine(settings: AnalyticsSettings, lake: Lake, name: EngineName = "duckdb") -> Iterator[Engine]:
    """An engine, closed with the context. Raises BadSettingsError where it is not installed."""
    engine: Engine
    if name == "spark":
        try:
            from analytics.engines.spark import SparkEngine  # noqa: PLC0415 - half a gigabyte, where it is wanted
        except ImportError as error:
            raise BadSettingsError(
                "Spark is not installed here: `make spark`, and then .venv/spark/bin/python -m analytics"
            ) from error
        engine = SparkEngine(
            memory=settings.analytics_memory.replace("B", "").lower(), threads=settings.analytics_threads
        )
    else:
        engine = DuckEngine(
            memory=settings.analytics_memory,
            threads=settings.analytics_threads,
            spill=settings.data_dir / "analytics-spill",
            filesystem=filesystem(lake),
        )
    try:
        yield engine
    finally:
        engine.close()


def write_dimensions(settings: AnalyticsSettings, sources: Sources, start: int, end: int) -> None:
    """Write `dim/zones`, `dim/related` and `dim/hours` anew, for notebooks and tools that join them.

    The hours are those of [start, end), ms since the epoch, and of two years around the present. Raises
    UnavailableError and BadSettingsError.
    """
    now = system_clock()
    since, until = min(start, now - YEAR_MS), max(end, now + YEAR_MS)
    hours = hours_between(since - since % HOUR_MS, until, sources.zone, sources.calendar)
    timed = hours.set_column(0, "at", hours["at_ms"].cast(TIME))
    write_table(sources.lake, dim_path("hours"), timed)
    write_table(sources.lake, dim_path("zones"), zones_table(campus_of(settings)))
    if len(sources.related):
        write_table(sources.lake, dim_path("related"), sources.related)
