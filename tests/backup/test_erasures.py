"""Which devices a restore knows to be erased, where keys of their hashes rotate."""

from pathlib import Path
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from backup.erasures import Erasures
from core.kinds import DEFAULT_KINDS
from documents import DocumentSettings, open_store
from runtime.devices import DeviceHasher
from runtime.epochs import Rotation
from runtime.settings import DeviceSettings
from state.device_keys import DeviceKeys
from state.sources import Sources
from tests.conftest import NOON
from tests.documents.positions import position
from tests.kinds_of_tests import CAR

DAY = 86_400_000


async def test_an_erased_device_is_left_out_by_each_key_that_is_left_and_erased_by_each_sender(
    redis_server: str, service_redis: Redis, tmp_path: Path
) -> None:
    keys = await DeviceKeys(service_redis).prepare(Rotation.DAY, ZoneInfo("Europe/Dublin"), now=NOON)
    hasher = DeviceHasher(b"\xab" * 32, rotates=True)
    hasher.take_up(keys, destroyed_until=0)
    settings = DeviceSettings.model_validate({"device_key": "ab" * 32, "keys_redis_url": redis_server})
    erasures = await Erasures.of(settings, ["bus-304"], DEFAULT_KINDS)

    mine = [hasher.hash(CAR, "bus-304", at=NOON - day * DAY) for day in range(9)]
    assert all(erasures.covers(each) for each in (*mine, DeviceHasher(b"\xab" * 32).hash(CAR, "bus-304")))
    assert not erasures.covers(hasher.hash(CAR, "bus-305", at=NOON))

    # Who sent for devices is known once Redis is as it was.
    await Sources(service_redis).note({"gateway:g"}, now=NOON)
    by_gateway = hasher.hash(CAR, "bus-304", source="gateway:g", at=NOON)
    async with open_store(DocumentSettings(data_dir=tmp_path)) as documents:
        await documents.setup()
        await documents.put([position(kind=CAR, device=each, observed_at=NOON) for each in (*mine, by_gateway)])
        assert await erasures.repeat(documents, service_redis, partitions=1, now=NOON) == 10
        assert await documents.count() == 0
