"""What a restore refuses, with a real Redis: half of one is never taken for a whole one."""

import random
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from backup.catalogue import Catalogue, Counted
from backup.erasures import Erasures
from backup.manifest import Manifest, What, new_id
from backup.progress import Shown
from backup.restoring import Restored, Restoring
from backup.saving import Saving
from backup.series import line
from core.clock import system_clock
from core.errors import BadSettingsError
from core.kinds import KindId
from core.windows import Width, Window
from runtime.settings import CommonSettings
from state import restoring
from state.client import Redis, open_redis
from state.released import Released, ReleasedWriter, read_released
from tests.conftest import NOON, redis_executable
from tests.redis_servers.cluster import RedisCluster
from tests.redis_servers.single import single_redis
from timeseries.sqlite import SqliteOccupancyStore
from timeseries.store import OccupancyPoint, TimeseriesStore

NOISE = random.Random(3).randbytes(8_000_000)  # noqa: S311 - the same at every run
LAYOUT = "layout:{campus}"
WHOLE = "redis/20260301T120000Z-0001 series/20260301T120000Z-0002"


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    """A Redis of this test's own, for it is emptied."""
    with single_redis(redis_executable(), "--repl-diskless-sync-delay", "0") as url:
        async with open_redis(CommonSettings(redis_url=url)) as client:
            yield client


@pytest.fixture(autouse=True)
def _no_long_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes meanwhile does so at once in these tests."""
    monkeypatch.setattr(restoring, "LOOK_SECONDS", 0.01)


def point(at: int, devices: int) -> OccupancyPoint:
    return OccupancyPoint(Window(Width.MINUTE, at, "campus", KindId("car")), devices)


async def of_series(catalogue: Catalogue, text: bytes = b"") -> Manifest:
    async def data() -> AsyncIterator[bytes]:
        yield text

    backup_id = new_id(NOON)
    part = await catalogue.write_part(What.SERIES, backup_id, "2026-03-01", data(), Counted(), now=NOON)
    manifest = Manifest(what=What.SERIES, id=backup_id, begun_at=NOON, ended_at=NOON, parts=(part,))
    await catalogue.write(manifest)
    return manifest


async def of_redis(catalogue: Catalogue, redis: Redis) -> Manifest:
    with Shown(watched=False) as shown:
        saving = Saving(client=redis, catalogue=catalogue, shown=shown, clock=system_clock, keep_days=30)
        return await saving.redis()


async def restore(
    catalogue: Catalogue, redis: Redis, *chosen: Manifest, over: bool = False, series: TimeseriesStore | None = None
) -> Restored:
    with Shown(watched=False) as shown:
        work = Restoring(
            catalogue=catalogue, shown=shown, clock=system_clock, erasures=Erasures(None, (), ()), over=over
        )
        return await work.run(
            {each.what: each for each in chosen}, redis=redis, documents=None, series=series, partitions=1
        )


async def keys(redis: Redis) -> set[bytes | str]:
    return set(await redis.keys("*"))


@pytest.mark.parametrize("over", [False, True])
async def test_a_restore_of_redis_that_was_cut_off_is_not_ended_by_one_of_series(
    catalogue: Catalogue, redis: Redis, *, over: bool
) -> None:
    await restoring.mark(redis, WHOLE)
    with pytest.raises(BadSettingsError, match=f"the restore of {WHOLE} was begun and has not come to its end"):
        await restore(catalogue, redis, await of_series(catalogue), over=over)
    assert await redis.hget(LAYOUT, "restoring") == WHOLE.encode()


async def test_one_of_series_that_was_cut_off_gives_way_to_another_with_over_alone(
    catalogue: Catalogue, redis: Redis
) -> None:
    manifest = await of_series(catalogue)
    await redis.hset(LAYOUT, mapping={"version": "3", "partitions": "1"})
    await restoring.mark(redis, "series/20260301T120000Z-0002")
    with pytest.raises(BadSettingsError, match="or begin another with --over"):
        await restore(catalogue, redis, manifest)
    await restore(catalogue, redis, manifest, over=True)
    assert await redis.hgetall(LAYOUT) == {b"version": b"3", b"partitions": b"1"}


async def test_a_redis_that_is_not_empty_is_emptied_with_over_alone(catalogue: Catalogue, redis: Redis) -> None:
    await redis.hset(LAYOUT, mapping={"version": "3", "partitions": "1"})
    await redis.set("saved", "1")
    manifest = await of_redis(catalogue, redis)
    await redis.set("later", "1")
    with pytest.raises(BadSettingsError, match="Redis is not empty"):
        await restore(catalogue, redis, manifest)
    assert await keys(redis) == {LAYOUT.encode(), b"saved", b"later"}
    # Also over a restore of other backups that was cut off.
    await restoring.mark(redis, WHOLE)
    with pytest.raises(BadSettingsError, match="has not come to its end"):
        await restore(catalogue, redis, manifest)
    await restore(catalogue, redis, manifest, over=True)
    assert await keys(redis) == {LAYOUT.encode(), b"saved"}
    assert await redis.hgetall(LAYOUT) == {b"version": b"3", b"partitions": b"1"}


async def test_a_redis_that_somebody_writes_to_is_refused(
    catalogue: Catalogue, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.set("saved", "1")
    manifest = await of_redis(catalogue, redis)

    async def meanwhile(*_: Any) -> None:
        await redis.mset({"theirs": "1", "more": "2"})

    monkeypatch.setattr(restoring, "pause", meanwhile)
    with pytest.raises(BadSettingsError, match="somebody writes to this Redis: stop all services"):
        await restore(catalogue, redis, manifest, over=True)
    # It stays marked, so nothing starts on it; what they wrote is gone before anything is restored.
    assert await redis.hget(LAYOUT, "restoring") == f"emptying redis/{manifest.id}".encode()
    with pytest.raises(BadSettingsError, match="Redis is not empty"):
        await restore(catalogue, redis, manifest)
    assert {b"theirs", b"more"} < await keys(redis)
    monkeypatch.undo()
    await restore(catalogue, redis, manifest, over=True)
    assert await keys(redis) == {b"saved"}


async def test_one_that_dies_while_it_removes_what_was_there_leaves_its_mark_and_is_done_again(
    catalogue: Catalogue, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.hset(LAYOUT, mapping={"version": "3", "partitions": "1"})
    await redis.set("saved", "1")
    manifest = await of_redis(catalogue, redis)
    await redis.set("later", "1")

    async def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "refuse_others", dies)
        with pytest.raises(KeyboardInterrupt):
            await restore(catalogue, redis, manifest, over=True)
    assert await redis.hgetall(LAYOUT) == {b"restoring": f"emptying redis/{manifest.id}".encode()}
    assert await keys(redis) == {LAYOUT.encode()}
    # What it had not come to, as in another Redis, the same command removes.
    await redis.set("left", "1")
    with pytest.raises(BadSettingsError, match="Redis is not empty"):
        await restore(catalogue, redis, manifest)
    await restore(catalogue, redis, manifest, over=True)
    assert await keys(redis) == {LAYOUT.encode(), b"saved"}


async def test_an_empty_redis_needs_no_over_also_where_the_first_attempt_died(
    catalogue: Catalogue, redis: Redis
) -> None:
    await redis.set("saved", "1")
    manifest = await of_redis(catalogue, redis)
    await redis.flushdb()
    await restoring.mark(redis, f"redis/{manifest.id}", emptied=False)
    await restore(catalogue, redis, manifest)
    assert await keys(redis) == {b"saved"}


@pytest.mark.parametrize("kind", ["one Redis", "a cluster"])
async def test_a_large_key_is_written_piece_by_piece(
    kind: str, redis: Redis, request: pytest.FixtureRequest, catalogue: Catalogue
) -> None:
    """Not as redis-py does, which holds it three times: some hundred kilobytes are all that is on the way."""
    await redis.set("saved", NOISE)
    await redis.set("soon", NOISE, px=3_600_000)
    await redis.set("small", "1")
    manifest = await of_redis(catalogue, redis)
    assert manifest.parts[0].largest == 8_000_005
    url = request.getfixturevalue("cluster").url if kind == "a cluster" else None
    async with open_redis(CommonSettings(redis_url=url)) if url else nullcontext(redis) as target:
        await restoring.empty(target, "redis/20260301T120000Z-0001")
        await restore(catalogue, target, manifest, over=True)
        assert await target.get("saved") == await target.get("soon") == NOISE
        assert await target.get("small") == b"1"
        assert 0 < await target.pttl("soon") <= 3_600_000
        key = (b"saved", 0, bytearray(cast("bytes", await target.dump("saved"))))
        await target.delete("saved")
        tracemalloc.start()
        try:
            await restoring.put(target, [key])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert await target.get("saved") == NOISE
        assert peak < 2_000_000
        await restoring.empty(target, "done")
        await restoring.finish(target)


async def test_what_was_released_is_restored_and_its_thresholds_are_not(catalogue: Catalogue, redis: Redis) -> None:
    released = Released(NOON, "one", {"library": {KindId("car"): 130}})
    assert await ReleasedWriter(redis).tell(released, after=b"", walks=b"secret", over=[])
    manifest = await of_redis(catalogue, redis)
    await restore(catalogue, redis, manifest, over=True)
    await restoring.finish(redis)
    assert await read_released(redis) == released
    assert await redis.exists("release:{campus}") == 0


async def test_a_large_key_that_redis_does_not_take_is_said_to_be_one(redis: Redis) -> None:
    with pytest.raises(BadSettingsError, match="this Redis does not take a key of the backup"):
        await restoring.put(redis, [(b"a", 0, bytearray(b"\1" * 2_000_000))])


async def test_a_redis_that_takes_no_such_key_is_refused_before_it_is_emptied(
    catalogue: Catalogue, redis: Redis
) -> None:
    await redis.set("saved", NOISE[:1_100_000])
    manifest = await of_redis(catalogue, redis)
    await redis.config_set("proto-max-bulk-len", 1_048_576)
    with pytest.raises(BadSettingsError, match=r"takes 1,048,576 bytes at once.*CONFIG SET proto-max-bulk-len 1\d{6}$"):
        await restore(catalogue, redis, manifest, over=True)
    assert await keys(redis) == {b"saved"}


async def test_of_a_cluster_the_mark_alone_is_left(cluster: RedisCluster) -> None:
    async with open_redis(CommonSettings(redis_url=cluster.url)) as client:
        await client.flushall()
        for index in range(30):
            await client.set(f"key:{{{index}}}", "v")
        await restoring.empty(client, "redis/20260301T120000Z-0001")
        assert await restoring.keys_there(client) == 1
        assert await restoring.marked(client) == ("redis/20260301T120000Z-0001", False)
        await client.flushall()


async def test_series_that_are_there_are_written_over_with_over_alone(
    catalogue: Catalogue, redis: Redis, tmp_path: Path
) -> None:
    async with SqliteOccupancyStore(file=tmp_path / "series.db") as series:
        await series.setup()
        await series.write([point(NOON, 5), point(NOON + 60_000, 7)])
        manifest = await of_series(catalogue, line(point(NOON, 3)))
        with pytest.raises(BadSettingsError, match="the time-series store is not empty"):
            await restore(catalogue, redis, manifest, series=series)
        await restore(catalogue, redis, manifest, over=True, series=series)
        found = await series.windows(Width.MINUTE, start=NOON, end=NOON + 120_000)
    assert sorted((each.window.start, each.devices) for each in found) == [(NOON, 3), (NOON + 60_000, 7)]
