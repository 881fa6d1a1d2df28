"""Redis answers, but not now: a script of somebody else's that takes long, too few replicas, a failover."""

import threading
from contextlib import suppress

import pytest
import redis

from tests.hostile.running import SERVICES, Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BUSY_SCRIPT = "local t = redis.call('TIME')[1] + 9; while tonumber(redis.call('TIME')[1]) < t do end"


def test_a_script_of_nine_seconds_is_waited_for(system: Hostile) -> None:
    def loop() -> None:
        with system.redis() as client, suppress(redis.RedisError):
            client.eval(BUSY_SCRIPT, 0)

    with device(system, "busy") as phones:
        phones.publish(50)
        system.wait(lambda: phones.acknowledged == 50, "50 positions are acknowledged")
        looping = threading.Thread(target=loop)
        looping.start()
        phones.publish(50)
        for service in SERVICES:
            system.until_waiting(service, "BUSY", "does not answer")
        looping.join()
        system.wait(lambda: phones.acknowledged == 100, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == 100
    system.check_nobody_died()


@pytest.mark.parametrize(
    ("name", "value", "usual", "words"),
    [("min-replicas-to-write", "1", "0", "(NOREPLICAS)"), ("maxmemory", "1", "0", "(OOM)")],
)
def test_writes_that_are_refused_are_waited_for(system: Hostile, name: str, value: str, usual: str, words: str) -> None:
    before = system.documents()
    with system.redis() as client, device(system, f"refused-{name}") as phones:
        client.config_set(name, value)
        try:
            phones.publish(20)
            for service in ("broker-1", "broker-2"):
                system.until_waiting(
                    service, words, "not enough good replicas", "Not enough good replicas", "maxmemory"
                )
            assert phones.acknowledged == 0
        finally:
            client.config_set(name, usual)
        system.wait(lambda: phones.acknowledged == 20, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == before + 20
    system.check_nobody_died()


def test_a_redis_that_became_a_replica_is_left_as_soon_as_it_is_one_no_more(system: Hostile) -> None:
    before = system.documents()
    with system.redis() as client, device(system, "replica") as phones:
        client.replicaof("127.0.0.1", "1")
        try:
            phones.publish(20)
            system.until_waiting("broker-1", "(READONLY)")
            assert phones.acknowledged == 0
        finally:
            client.replicaof("NO", "ONE")
        system.wait(lambda: phones.acknowledged == 20, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == before + 20
    system.check_nobody_died()
