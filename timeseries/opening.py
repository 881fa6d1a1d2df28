"""The store that the settings choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from timeseries.settings import TimeseriesSettings
from timeseries.sqlite import FILE_NAME, SqliteOccupancyStore
from timeseries.store import TimeseriesStore


@asynccontextmanager
async def open_store(settings: TimeseriesSettings) -> AsyncIterator[TimeseriesStore]:
    """The occupancy store of TIMESERIES_STORE, closed with the context.

    Opening neither waits for the store nor makes anything in it: call `setup` and, on UnavailableError, call it again.
    """
    if settings.timeseries_store == "influxdb":
        from timeseries.influx import InfluxOccupancyStore  # noqa: PLC0415 - its client is only there where it is used

        async with InfluxOccupancyStore(
            url=settings.influxdb_v2_url,
            org=settings.influxdb_v2_org,
            token=settings.influxdb_v2_token.get_secret_value(),
            bucket_prefix=settings.influxdb_bucket_prefix,
            keep=settings.keep,
        ) as influx:
            yield influx
    else:
        async with SqliteOccupancyStore(file=settings.data_dir / FILE_NAME, keep=settings.keep) as sqlite:
            yield sqlite
