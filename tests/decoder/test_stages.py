import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import documents
import timeseries
from core.errors import Reason, UnavailableError
from core.kinds import DEFAULT_KINDS
from decoder.housekeeping import Housekeeping
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly, Stages
from documents import DocumentStore
from geofence import load_campus
from runtime import failures
from runtime.service import Stop, work_until_stopped
from state.dirty_windows import waiting
from state.group import Group
from state.presence import presence_key
from state.status import read_status
from tests.conftest import NOON, POSITIONS, RAW, TOTALS, eventually
from tests.decoder.conftest import HASHER, LIBRARY, TTL, HandClock, MakeObserver, dead_letters, finisher_of, raw
from tests.kinds_of_tests import CAR
from tests.raw_streams import append_each
from timeseries import Width

LEASE_MS = 60_000

GroupOf = Callable[[str], Group]


def payload(device: str, at: int) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": device, "timestamp": at},
    }
    return base64.b64encode(json.dumps(feature).encode())


async def accepted(client: Redis, *payloads: bytes) -> None:
    for each in payloads:
        await append_each(client, raw(each))


class Running:
    """Stages that run until the test ends, or until they are killed."""

    def __init__(self, stages: Stages) -> None:
        self._stop = Stop()
        self._tasks = [asyncio.ensure_future(stage(self._stop)) for stage in stages.values()]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait_for(asyncio.gather(*self._tasks), 10)

    async def kill(self) -> None:
        alive = set(self._tasks)
        while alive:  # more than once: see runtime.service
            for task in alive:
                task.cancel()
            _, alive = await asyncio.wait(alive, timeout=0.05)


@pytest.fixture
def settings(data_dir: Path) -> DecoderSettings:
    return DecoderSettings(data_dir=data_dir, presence_ttl=TTL, observe_batch=50, claim_after=0.001, rollup_every=0)


@pytest.fixture
async def stores(settings: DecoderSettings) -> AsyncIterator[tuple[DocumentStore, timeseries.OccupancyStore]]:
    async with documents.open_store(settings) as archive, timeseries.open_store(settings) as series:
        yield archive, series


async def idle(client: Redis) -> bool:
    return not (await client.xlen(RAW) or await client.xlen(POSITIONS) or await waiting(client, 1))


def assembled(
    client: Redis,
    settings: DecoderSettings,
    stores: tuple[DocumentStore, timeseries.OccupancyStore],
    clock: HandClock,
) -> Stages:
    assembly = Assembly(kinds=DEFAULT_KINDS, settings=settings, client=client, clock=clock, metrics=DecoderMetrics())
    return assembly.observe(load_campus(None), HASHER) | assembly.archive(stores[0]) | assembly.rollup(stores[1])


async def test_messages_become_documents_and_points_whatever_dies_in_between(
    redis_client: Redis, settings: DecoderSettings, stores: tuple[DocumentStore, timeseries.OccupancyStore]
) -> None:
    devices = [f"device-{number}" for number in range(20)]
    sent = [payload(device, NOON - minute * 60_000) for minute in range(20) for device in devices]
    clock = HandClock()
    running = Running(assembled(redis_client, settings, stores, clock))
    for start in range(0, len(sent), 100):
        await accepted(redis_client, *sent[start : start + 100])
        await running.kill()
        # What the dead one had claimed is free again.
        clock.now += 2 * LEASE_MS
        running = Running(assembled(redis_client, settings, stores, clock))
    await accepted(redis_client, *sent[:50])  # delivered twice
    await eventually(lambda: idle(redis_client))
    await running.stop()
    assert await stores[0].count() == 400
    for width, windows in ((Width.MINUTE, 20), (Width.FIVE_MINUTES, 5), (Width.HOUR, 2), (Width.DAY, 1)):
        found = await stores[1].history(
            zone="glucksman-library", kind=CAR, width=width, start=NOON - 86_400_000, end=NOON + 1
        )
        assert [point.devices for point in found] == [20] * windows
    totals = (await read_status(redis_client, 1)).totals
    assert totals == {"accepted": 450, "finished": 450, "messages": 450, "positions": 450}


async def test_a_stage_that_meets_a_defect_does_not_keep_the_others_from_their_work(
    redis_client: Redis,
    settings: DecoderSettings,
    stores: tuple[DocumentStore, timeseries.OccupancyStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(failures, "LONGEST_PAUSE_SECONDS", 0.05)
    archive, series = stores
    settings = settings.model_copy(update={"poison_after": 1000})
    put, noted, stop = archive.put, failures.Failures(), Stop()

    async def defect(*_: object, **named: object) -> None:
        raise ValueError(f"a defect {len(named)}")

    monkeypatch.setattr(archive, "put", defect)
    running = asyncio.ensure_future(
        work_until_stopped(assembled(redis_client, settings, stores, HandClock()), stop, noted)
    )
    await accepted(redis_client, payload("a", NOON))

    async def counted() -> bool:
        window = {"zone": "glucksman-library", "kind": CAR, "width": Width.HOUR}
        return bool(await series.history(**window, start=NOON - 86_400_000, end=NOON + 1))  # type: ignore[arg-type]

    await eventually(counted)

    async def told() -> bool:
        return noted.problem == "stage archive-0 fails, and is started again: ValueError (the log has its words)"

    await eventually(told)
    assert await archive.count() == 0
    monkeypatch.setattr(archive, "put", put)
    await eventually(lambda: idle(redis_client))
    assert await archive.count() == 1
    stop.set()
    await running


async def test_a_lost_answer_is_not_counted_twice(
    redis_client: Redis, observer_of: MakeObserver, group_of: GroupOf
) -> None:
    """Redis did the work, and the answer never arrived."""

    class Forgetful:
        lost = False

        async def finish(self, *args: Any, **options: Any) -> dict[bytes, int | None] | None:
            finished = await finisher_of(redis_client).finish(*args, **options)
            if not self.lost:
                self.lost = True
                raise UnavailableError("the line is dead", retry_after=0.001)
            return finished

    group = group_of("a")
    await group.create()
    await accepted(redis_client, b"%%%", payload("a", NOON))
    observer = observer_of(finisher=Forgetful())
    await observer(await group.read(10))
    assert len(await dead_letters(redis_client)) == 1
    assert await redis_client.hget(TOTALS, "messages") == b"2"


async def test_an_entry_that_no_broker_wrote_is_a_dead_letter_and_stops_nothing(
    redis_client: Redis, observer_of: MakeObserver, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    await redis_client.xadd(RAW, {"hello": "world"})
    await accepted(redis_client, payload("a", NOON))
    observer = observer_of()
    await observer(await group.read(10))
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.MALFORMED_ENTRY]
    assert await redis_client.hget(TOTALS, "positions") == b"1"


async def test_presence_that_has_lapsed_is_removed(redis_client: Redis, clock: HandClock) -> None:
    key = presence_key("{0}", "main", "car")
    await redis_client.zadd(key, {"old": NOON - TTL * 1000, "new": NOON - TTL * 1000 + 1})
    housekeeping = Housekeeping(
        kinds=DEFAULT_KINDS,
        client=redis_client,
        partitions=1,
        zones=lambda: ["main"],
        presence_ttl=TTL,
        forget_after=60,
        dead_letters_keep=1000,
        clock=clock,
    )
    await housekeeping.tidy()
    assert await redis_client.zrange(key, 0, -1) == [b"new"]


async def test_the_append_only_file_is_rewritten_after_messages_and_only_then(
    redis_client: Redis, clock: HandClock
) -> None:
    async def rewrites() -> int:
        # Redis 6 counts no rewrites; this is how often it was asked for one.
        return int((await redis_client.info("commandstats")).get("cmdstat_bgrewriteaof", {"calls": 0})["calls"])

    async def calm() -> bool:
        persistence = await redis_client.info("persistence")
        return not (persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"])

    await redis_client.config_set("appendonly", "yes")
    try:
        await eventually(calm)
        housekeeping = Housekeeping(
            kinds=DEFAULT_KINDS,
            client=redis_client,
            partitions=1,
            zones=list,
            presence_ttl=TTL,
            forget_after=60,
            dead_letters_keep=1000,
            clock=clock,
        )
        before = await rewrites()
        await redis_client.hincrby(TOTALS, "messages", 1)
        for expected in (1, 1):
            await housekeeping.forget()
            await eventually(calm)
            assert await rewrites() - before == expected
    finally:
        await redis_client.config_set("appendonly", "no")
