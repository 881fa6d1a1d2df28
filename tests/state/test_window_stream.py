"""The stream of windows is kept short; what is cut off is counted, and noted where the lake is to be told."""

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from state import window_stream
from state.client import Redis as ServiceRedis
from state.window_stream import WINDOWS, ExportedWindow, WindowStream, decode_windows
from tests.conftest import NOON, entries

HOUR_MS = 3_600_000
GAPS = "gaps:{campus}"


def windows(hour: int, count: int = 1) -> list[ExportedWindow]:
    start = NOON + hour * HOUR_MS
    return [
        ExportedWindow("library", "car", "1m", start + minute * 60_000, start + minute * 60_000 + 60_000, 7, NOON)
        for minute in range(count)
    ]


async def hours(client: Redis) -> list[int]:
    """Of what is in the stream, from noon on."""
    found = [decode_windows(fields)[0].start for fields in await entries(client, WINDOWS)]
    return [(start - NOON) // HOUR_MS for start in found]


async def test_what_was_appended_is_read_again(redis_client: Redis, service_redis: ServiceRedis) -> None:
    assert await WindowStream(service_redis).append(windows(0, 3)) == 0
    (fields,) = await entries(redis_client, WINDOWS)
    assert decode_windows(fields) == windows(0, 3)


async def test_what_is_too_much_is_cut_off_from_its_oldest_end_and_noted(
    redis_client: Redis, service_redis: ServiceRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = WindowStream(service_redis, notes_gaps=True)
    await stream.append(windows(0))
    size = len((await entries(redis_client, WINDOWS))[0][b"d"])
    monkeypatch.setattr(window_stream, "MOST_BYTES", 3 * size)
    assert [await stream.append(windows(hour)) for hour in (1, 2)] == [0, 0]
    assert await stream.append(windows(3)) == 1
    assert await hours(redis_client) == [1, 2, 3]
    assert await redis_client.smembers(GAPS) == {str(NOON).encode()}
    # One that is as large as several pushes out several.
    assert await stream.append(windows(4, 4)) == 3
    assert await hours(redis_client) == [4]
    assert await redis_client.scard(GAPS) == 4


async def test_where_there_is_no_lake_nothing_is_noted(
    redis_client: Redis, service_redis: ServiceRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_stream, "MOST_BYTES", 1)
    stream = WindowStream(service_redis)
    assert [await stream.append(windows(hour)) for hour in (0, 1)] == [0, 1]
    assert await hours(redis_client) == [1]
    assert not await redis_client.exists(GAPS)


async def test_what_nobody_can_read_is_cut_off_too(
    redis_client: Redis, service_redis: ServiceRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fields in ({"hello": "world"}, {"d": "world", "b": "x"}, {"d": b"\xc1"}, {"d": b"\x91\x01"}):
        await redis_client.xadd(WINDOWS, fields)  # type: ignore[arg-type]
    monkeypatch.setattr(window_stream, "MOST_BYTES", 1)
    assert await WindowStream(service_redis, notes_gaps=True).append(windows(0)) == 4
    assert await hours(redis_client) == [0]


async def test_a_redis_that_is_away_is_unavailable(away_redis: ServiceRedis) -> None:
    with pytest.raises(UnavailableError):
        await WindowStream(away_redis).append(windows(0))
