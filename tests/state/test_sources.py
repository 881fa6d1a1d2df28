from redis.asyncio import Redis

from state.sources import SOURCES, Sources, read_sources
from tests.conftest import NOON

DAY = 86_400_000


async def test_sources_are_known_for_a_year_after_the_last_of_them(service_redis: Redis) -> None:
    sources = Sources(service_redis)
    await sources.note({"gateway:a", "key:1"}, now=NOON)
    await sources.note({"gateway:a"}, now=NOON + 300 * DAY)
    await sources.note({"anonymous"}, now=NOON + 370 * DAY)
    assert await read_sources(service_redis) == ["gateway:a", "anonymous"]


async def test_a_source_is_told_of_once_a_day(service_redis: Redis) -> None:
    sources = Sources(service_redis)
    await sources.note({"gateway:a"}, now=NOON)
    await service_redis.delete(SOURCES)
    await sources.note({"gateway:a"}, now=NOON + 1)
    assert await read_sources(service_redis) == []
    await sources.note({"gateway:a"}, now=NOON + DAY)
    assert await read_sources(service_redis) == ["gateway:a"]
