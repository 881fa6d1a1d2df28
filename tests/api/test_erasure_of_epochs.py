"""DELETE /v1/devices/{device_id}/positions where keys of hashes rotate, and where who sends is a part of a device."""

import dataclasses
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from core.messages import Position
from documents import DocumentStore
from runtime.devices import DeviceHasher
from runtime.epochs import Rotation
from state.device_keys import DEVICE_KEYS, DeviceKeys
from state.presence import presence_key
from state.sources import Sources
from tests.api.conftest import Parts, client_over, key_for
from tests.conftest import NOON
from tests.documents.positions import position
from tests.kinds_of_tests import CAR

DUBLIN = ZoneInfo("Europe/Dublin")
DAY = 86_400_000
ADDRESS = "/v1/devices/bus-304/positions?kind=car"


@pytest.fixture
async def hasher(service_redis: Redis, documents: DocumentStore) -> DeviceHasher:
    """One whose keys are of days, the oldest of nine days ago; NOON is on 1 March 2026."""
    await documents.setup()
    keys = await DeviceKeys(service_redis).prepare(Rotation.DAY, DUBLIN, now=NOON)
    await Sources(service_redis).note({"gateway:g", "anonymous"}, now=NOON)
    made = DeviceHasher(b"k" * 32, rotates=True)
    made.take_up(keys, destroyed_until=0)
    return made


def sent(hasher: DeviceHasher, at: int, source: str = "") -> Position:
    return position(kind=CAR, device=hasher.hash(CAR, "bus-304", source=source, at=at), observed_at=at)


async def test_what_a_device_left_under_each_key_and_by_each_sender_is_gone(
    parts: Parts, documents: DocumentStore, redis_client: Redis, hasher: DeviceHasher
) -> None:
    never = position(kind=CAR, device=parts.hasher.hash(CAR, "bus-304"), observed_at=NOON - 30 * DAY)
    mine = [sent(hasher, NOON - day * DAY, source) for day in range(9) for source in ("", "gateway:g", "anonymous")]
    other = position(kind=CAR, device=hasher.hash(CAR, "bus-305", at=NOON), observed_at=NOON)
    await documents.put([never, *mine, other])
    await redis_client.zadd(presence_key("{0}", "campus", CAR), {mine[1].device: NOON, other.device: NOON})
    async with client_over(dataclasses.replace(parts, keys=parts.redis)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        body = (await client.delete(ADDRESS)).json()
    assert (body["documents"], body["present"]) == (28, 1)
    assert [document["properties"]["device"] async for document in documents.scan()] == [other.device]


async def test_an_answer_says_that_nobody_can_find_what_is_older_than_the_keys(
    parts: Parts, documents: DocumentStore, redis_client: Redis, hasher: DeviceHasher
) -> None:
    await documents.put([sent(hasher, NOON - 9 * DAY), sent(hasher, NOON)])
    oldest, *_ = await DeviceKeys(parts.redis).read()
    await redis_client.hdel(DEVICE_KEYS, str(oldest.start))
    async with client_over(dataclasses.replace(parts, keys=parts.redis)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        body = (await client.delete(ADDRESS)).json()
    assert body["documents"] == 1
    (told,) = body["cannot_reach"]
    assert told.startswith("Nobody can tell which positions of before 2026-02-21T00:00:00Z were its: the keys of their")
    assert await documents.count() == 1


@pytest.mark.usefixtures("hasher")
async def test_without_the_redis_of_keys_nothing_is_erased_for_it_could_not_be_all(
    parts: Parts, redis_client: Redis
) -> None:
    await redis_client.hset(DEVICE_KEYS, "1", "no key")
    async with client_over(dataclasses.replace(parts, keys=parts.redis)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        assert (await client.delete(ADDRESS)).status_code == 503
