"""Many devices whose lists must be gone through: what is too much for one script is cut before it does anything."""

import pytest
from redis.asyncio import Redis

from decoder.effects import Effects
from state.devices import Settling
from state.effect_parts import parts
from state.effects import TooMuchError
from tests.conftest import NOON
from tests.decoder.conftest import effects_of
from tests.decoder.test_settling import Sent, batch_of, present
from tests.oracle.believed import Said

DEVICES = [f"device-{number}" for number in range(10)]
ZONES = [f"zone-{number:02}" for number in range(60)]


def weak(device: str, at: int, margin: int = 10) -> Sent:
    """Near the edge of many zones, and in them."""
    zones = ZONES if margin >= 0 else []
    return Sent(device, at, Said(at, ("campus", *zones), tuple((zone, margin) for zone in ZONES)))


@pytest.fixture
async def effects(redis_client: Redis) -> Effects:
    """That of devices which have full lists, one second after the other, and no evidence."""
    found = effects_of(redis_client, settling=Settling(12, 256))
    for first in range(0, 256, 64):
        times = range(first, first + 64)
        sent = [
            weak(device, NOON - 270_000 + 1000 * each, -10 if each % 2 else 10) for device in DEVICES for each in times
        ]
        await found.apply(batch_of(sent), now=NOON)
    return found


async def test_what_is_too_much_for_one_script_is_done_in_several(redis_client: Redis, effects: Effects) -> None:
    late = [weak(device, NOON - 100_500) for device in DEVICES]
    await redis_client.config_resetstat()
    await effects.apply(batch_of(late), now=NOON)
    assert (await redis_client.info("commandstats"))["cmdstat_evalsha"]["calls"] >= 3
    assert await present(redis_client, ZONES[0]) == {"campus": DEVICES}


async def test_a_script_that_is_too_much_has_done_nothing(redis_client: Redis, effects: Effects) -> None:
    sent = batch_of([weak(device, NOON - 100_500) for device in DEVICES])
    own = effects._partitions[0]
    (part,) = parts(sent.positions, (), own.room, now=NOON, said=sent.said)
    before = {key: await redis_client.dump(key) for key in await redis_client.keys()}
    with pytest.raises(TooMuchError) as raised:
        await own.apply(part, number=0, now=NOON)
    assert raised.value.pieces == 2
    assert {key: await redis_client.dump(key) for key in await redis_client.keys()} == before
