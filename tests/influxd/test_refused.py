"""What InfluxDB itself refuses of a write, and what is made of it."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR
from timeseries import OccupancyPoint, Width, Window
from timeseries.influx import InfluxOccupancyStore

pytestmark = pytest.mark.e2e
HOUR = 3_600_000
YEAR = 364 * 24 * HOUR
"""A bucket's shard is as long."""
NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""


def points(start: int, count: int) -> list[OccupancyPoint]:
    return [OccupancyPoint(Window(Width.HOUR, start + hour * HOUR, "campus", CAR), 1) for hour in range(count)]


async def stored(store: InfluxOccupancyStore) -> set[int]:
    """After that year: of a range that has two types InfluxDB reads the first alone."""
    found = await store.history(zone="campus", kind=CAR, width=Width.HOUR, start=NINE + YEAR, end=NINE + 4 * YEAR)
    return {point.window.start for point in found}


@pytest.fixture
async def store(influxd: InfluxServer) -> AsyncIterator[InfluxOccupancyStore]:
    """In whose bucket of hours something else has written `devices` as a float, in one year."""
    prefix = f"refused-{uuid.uuid4().hex[:12]}"
    async with InfluxOccupancyStore(
        url=influxd.url, org=influxd.org, token=influxd.token, bucket_prefix=prefix
    ) as opened:
        await opened.setup()
        influxd.write(f"{prefix}_1h", f"occupancy,kind=car,zone=elsewhere devices=1.5 {NINE}")
        yield opened


async def test_the_few_points_of_a_year_that_takes_none_are_refused_and_all_others_are_stored(
    store: InfluxOccupancyStore,
) -> None:
    good, bad = points(NINE + 2 * YEAR, 200), points(NINE, 3)
    written = await store.write([*good[:100], *bad, *good[100:]])
    assert written.undone == []
    assert written.refused.keys() == {point.window for point in bad}
    assert all("field type conflict" in words for words in written.refused.values())
    assert await stored(store) == {point.window.start for point in good}


async def test_a_batch_of_which_the_most_is_of_that_year_waits_and_the_others_are_stored(
    store: InfluxOccupancyStore,
) -> None:
    good, bad = points(NINE + 2 * YEAR, 10), points(NINE, 60)
    written = await store.write([*good, *bad])
    assert written.refused == {}
    assert {window for each in written.undone for window in each.windows} == {point.window for point in bad}
    assert "field type conflict" in str(written.undone[0].error)
    assert await stored(store) == {point.window.start for point in good}
