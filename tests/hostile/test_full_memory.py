"""Redis is at its maxmemory, by what somebody else put there: what was taken counts, and with room it all goes on."""

from collections.abc import Callable

import pytest

from tests.hostile.conftest import OwnRedis
from tests.hostile.running import SERVICES, Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
AT_FIRST, MORE = 1000, 2000
POSITIONS = AT_FIRST + MORE


@pytest.mark.parametrize(
    ("foreign", "words"), [(46_000_000, "of its maxmemory"), (64_000_000, "(OOM)")], ids=["nearly", "over"]
)
def test_a_foreign_value_that_takes_the_room(
    own_redis: Callable[..., OwnRedis], start_system: Callable[..., Hostile], foreign: int, words: str
) -> None:
    redis = own_redis()
    system = start_system(REDIS_URL=redis.url)
    with device(system, "many") as phones, redis.client() as client:
        phones.publish(AT_FIRST)
        system.wait(lambda: phones.acknowledged > 500, "some positions are acknowledged")
        client.setrange("foreign", foreign, "x")
        client.config_set("maxmemory", 55_000_000)
        system.wait(
            lambda: all(
                "maxmemory" in system.readyz(broker) or "(OOM)" in system.readyz(broker) for broker in SERVICES[:2]
            ),
            "brokers take nothing more",
        )
        phones.publish(MORE)
        system.wait(lambda: words in system.readyz("broker-1") or words in system.system.text, f"{words} is said")
        # What was taken is worked off all the same.
        system.wait(lambda: not client.xlen("raw:{0}"), "decoders have worked off raw")
        acknowledged = phones.acknowledged
        assert acknowledged < POSITIONS
        # An answer may be of a moment ago.
        system.wait(
            lambda: system.get("/v1/zones/campus/occupancy").json()["mobile"] >= acknowledged,
            "all that was acknowledged is counted",
        )
        client.delete("foreign")
        system.wait(lambda: phones.acknowledged == POSITIONS, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == POSITIONS
    system.check_nobody_died()
