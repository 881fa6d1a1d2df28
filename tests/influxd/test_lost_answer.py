"""InfluxDB does what it was asked to, and its answer is lost on the way."""

import uuid
from pathlib import Path

import pytest
from redis.asyncio import Redis

import documents
from decoder import rollup
from documents import DocumentSettings, from_document
from tests.conftest import eventually
from tests.decoder.conftest import LIBRARY, HandClock
from tests.influxd.proxy import CutProxy
from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR
from tests.timeseries.live import Live, counted, everything
from timeseries import OccupancyStore, Width, influx_http
from timeseries.influx import InfluxOccupancyStore

pytestmark = pytest.mark.e2e
MINUTE = 60_000


async def cars(store: OccupancyStore, start: int) -> list[int]:
    found = await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=start, end=start + MINUTE)
    return [point.devices for point in found]


async def test_one_lost_answer_holds_the_windows_of_that_write_alone(
    redis_client: Redis, influxd: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_http, "TIMEOUT_MS", 1000)
    monkeypatch.setattr(rollup, "LEASE_MS", 10_000)
    prefix = f"lost-{uuid.uuid4().hex[:12]}"
    clock = HandClock()
    first = clock.now
    async with (
        CutProxy(influxd.port) as proxy,
        InfluxOccupancyStore(url=proxy.url, org=influxd.org, token=influxd.token, bucket_prefix=prefix) as store,
        documents.open_store(DocumentSettings(data_dir=tmp_path)) as archive,
        Live(client=redis_client, clock=clock, folder=tmp_path, store=store, archive=archive) as live,
    ):
        await live.accept("a", CAR, LIBRARY, clock.now)
        await live.done()
        proxy.swallow_an_answer()
        await live.accept("b", CAR, LIBRARY, clock.now)
        await proxy.swallowed.wait()
        await live.accept("c", CAR, LIBRARY, first + 5 * MINUTE)

        async def others_go_on() -> bool:
            return await cars(store, first + 5 * MINUTE) == [1]

        async def some_wait() -> bool:
            return "of rollup wait" in (live.metrics.waiting or "")

        # The clock stands still: nothing that waits comes to an end.
        await eventually(others_go_on)
        await eventually(some_wait)
        assert await live.dirty() > 0
        await live.done()
        assert live.metrics.waiting is None
        positions = [from_document(document) async for document in archive.scan()]
        assert len(positions) == 3
        assert await everything(store) == counted(positions)
