"""The store that the settings choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from timeseries.settings import TimeseriesSettings
from timeseries.sqlite import FILE_NAME, RELEASED_FILE_NAME, SqliteOccupancyStore
from timeseries.store import TimeseriesStore


@asynccontextmanager
async def open_store(settings: TimeseriesSettings, *, released: bool = False) -> AsyncIterator[TimeseriesStore]:
    """The occupancy store of TIMESERIES_STORE, closed with the context; `released`: that of released counts.

    The two share nothing, so that who may read the one need not have a right to the other. Opening neither waits for
    the store nor makes anything in it: call `setup` and, on UnavailableError, call it again.
    """
    if settings.timeseries_store == "influxdb":
        from timeseries.influx import InfluxOccupancyStore  # noqa: PLC0415 - its client is only there where it is used

        async with InfluxOccupancyStore(
            url=settings.influxdb_v2_url,
            org=settings.influxdb_v2_org,
            token=settings.influxdb_v2_token.get_secret_value(),
            bucket_prefix=settings.released_bucket_prefix if released else settings.influxdb_bucket_prefix,
            keep=settings.keep,
        ) as influx:
            yield influx
    else:
        file = settings.data_dir / (RELEASED_FILE_NAME if released else FILE_NAME)
        async with SqliteOccupancyStore(file=file, keep=settings.keep) as sqlite:
            yield sqlite
