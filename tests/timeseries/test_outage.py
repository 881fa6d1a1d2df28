"""A store that is away for ten minutes of traffic: nobody else waits for it, and nothing is missing afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from redis.asyncio import Redis

import documents
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from decoder import rollup
from documents import DocumentSettings, DocumentStore, from_document
from runtime import sqlite
from tests.conftest import POSITIONS, eventually
from tests.decoder.conftest import LIBRARY, HandClock
from tests.kinds_of_tests import CAR
from tests.timeseries.conftest import ORG, TOKEN, FakeInflux
from tests.timeseries.live import Live, counted, everything
from timeseries import OccupancyStore, TimeseriesSettings, Width, Window, influx_http, open_store
from timeseries.influx import InfluxOccupancyStore

MINUTE = 60_000
DEVICES = 6


pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(influx_http, "TIMEOUT_MS", 500)
    monkeypatch.setattr(rollup, "LEASE_MS", 200)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[DocumentStore]:
    async with documents.open_store(DocumentSettings(data_dir=tmp_path)) as opened:
        yield opened


async def minutes_of_traffic(live: Live, clock: HandClock, minutes: int) -> None:
    """Devices of both kinds that move; each minute, all but the store of occupancy is done with it at once."""
    for minute in range(minutes):
        clock.now += MINUTE
        for number in range(DEVICES):
            kind = DEFAULT_KINDS.ids[number % 2]
            place = (LIBRARY[0] + number * 0.0004, LIBRARY[1] + minute * 0.0001)
            await live.accept(f"device-{number}", kind, place, clock.now - number * 1000)
        await live.observed()


async def archived(store: DocumentStore) -> list[Position]:
    return [from_document(document) async for document in store.scan()]


async def outage(
    live: Live, clock: HandClock, *, begin: Callable[[], object], end: Callable[[], object]
) -> list[Position]:
    """Two minutes, ten more without the store, two after; the documents of all."""
    await minutes_of_traffic(live, clock, 2)
    await live.done()
    begin()
    await minutes_of_traffic(live, clock, 10)
    # Counted, and archived as documents, while the store is away; and just the one stage waits.
    found = await archived(live.archive)
    assert len(found) == 12 * DEVICES
    await eventually(lambda: waits(live, "rollup"))
    assert await live.dirty() > 10
    end()
    await live.done()
    await eventually(lambda: works(live))
    await minutes_of_traffic(live, clock, 2)
    await live.done()
    return await archived(live.archive)


async def works(live: Live) -> bool:
    return live.metrics.waiting is None


async def waits(live: Live, stage: str) -> bool:
    waiting = live.metrics.waiting
    assert all(stage in part for part in (waiting or stage).split("; "))
    return waiting is not None


class FolderInTheWay:
    """The file is gone, and what has its name is none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._aside = file.with_suffix(".aside")

    def begin(self) -> None:
        self._file.rename(self._aside)
        self._file.mkdir()

    def end(self) -> None:
        self._file.rmdir()
        self._aside.rename(self._file)


class Locked:
    """Another process is in the middle of a transaction, and stays there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self) -> None:
        self._connection = sqlite3.connect(self._file, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        with closing(self._connection):
            self._connection.execute("ROLLBACK")


@pytest.mark.parametrize("trouble", [FolderInTheWay, Locked])
async def test_a_file_that_cannot_be_written_for_ten_minutes_has_the_whole_history_afterwards(
    redis_client: Redis,
    clock: HandClock,
    tmp_path: Path,
    archive: DocumentStore,
    trouble: type[FolderInTheWay | Locked],
) -> None:
    async with (
        open_store(TimeseriesSettings(data_dir=tmp_path)) as store,
        Live(client=redis_client, clock=clock, folder=tmp_path, store=store, archive=archive) as live,
    ):
        away = trouble(tmp_path / "timeseries.sqlite3")
        positions = await outage(live, clock, begin=away.begin, end=away.end)
        assert await everything(store) == counted(positions)


async def overloaded(_: web.Request) -> web.Response:
    return web.json_response({"code": "unavailable", "message": "overloaded"}, status=503)


async def starting(_: web.Request) -> web.Response:
    return web.json_response({"message": "starting"}, status=503, headers={"Retry-After": "0.05"})


async def too_many(_: web.Request) -> web.Response:
    return web.json_response({"message": "slow down"}, status=429, headers={"Retry-After": "0.05"})


async def hangs(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("trouble", [overloaded, starting, too_many, hangs, hangs_up])
async def test_an_influxdb_that_is_away_for_ten_minutes_has_the_whole_history_afterwards(
    redis_client: Redis,
    clock: HandClock,
    tmp_path: Path,
    archive: DocumentStore,
    influx: FakeInflux,
    trouble: Callable[[web.Request], Awaitable[web.Response]],
) -> None:
    async with (
        InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as store,
        Live(client=redis_client, clock=clock, folder=tmp_path, store=store, archive=archive) as live,
    ):
        positions = await outage(
            live,
            clock,
            begin=lambda: setattr(influx, "trouble", trouble),
            end=lambda: setattr(influx, "trouble", None),
        )
    assert influx.points == {as_stored(window): devices for window, devices in counted(positions).items()}


def as_stored(window: Window) -> tuple[str, str, int]:
    return f"occupancy_{window.width}", f"occupancy,kind={window.kind},zone={window.zone}", window.start


class Switched:
    """A store of documents that can be away."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self.away = False

    async def setup(self) -> None:
        await self._store.setup()

    async def being_built(self) -> list[str]:
        return await self._store.being_built()

    async def put(self, positions: Sequence[Position], **options: Any) -> int:
        if self.away:
            raise UnavailableError("out for lunch")
        return await self._store.put(positions, **options)


async def test_documents_that_cannot_be_stored_for_ten_minutes_delay_no_count_and_are_complete_afterwards(
    redis_client: Redis, clock: HandClock, tmp_path: Path, archive: DocumentStore
) -> None:
    switched = Switched(archive)
    async with (
        open_store(TimeseriesSettings(data_dir=tmp_path)) as store,
        Live(
            client=redis_client, clock=clock, folder=tmp_path, store=store, archive=cast("DocumentStore", switched)
        ) as live,
    ):
        await store.setup()
        switched.away = True
        minutes = [clock.now + number * MINUTE for number in range(1, 11)]
        for _ in minutes:
            clock.now += MINUTE
            for number in range(DEVICES):
                await live.accept(f"device-{number}", CAR, LIBRARY, clock.now)
            # The figure of this minute is there before the next begins.
            await eventually(lambda: stored(store, clock.now))
        assert await redis_client.xlen(POSITIONS) > 0
        await eventually(lambda: waits(live, "archive"))
        assert await archive.count() == 0
        switched.away = False
        await live.done()
        found = await archived(archive)
        assert len(found) == 10 * DEVICES
        assert await everything(store) == counted(found)


async def stored(store: OccupancyStore, minute: int) -> bool:
    points = await store.history(zone="campus", kind=CAR, width=Width.MINUTE, start=minute, end=minute + 1)
    return [point.devices for point in points] == [DEVICES]
