"""Windows in the store of the settings, for tests of commands."""

import asyncio

from tests.kinds_of_tests import CAR
from timeseries import OccupancyPoint, TimeseriesSettings, Width, Window, open_store


def write(*starts: int) -> None:
    """Cars on the campus in minutes that begin then (ms since the epoch): one in the first, two in the second."""

    async def fill() -> None:
        async with open_store(TimeseriesSettings()) as store:
            await store.setup()
            await store.write(
                [
                    OccupancyPoint(
                        window=Window(width=Width.MINUTE, start=start, zone="campus", kind=CAR), devices=number
                    )
                    for number, start in enumerate(starts, start=1)
                ]
            )

    asyncio.run(fill())
