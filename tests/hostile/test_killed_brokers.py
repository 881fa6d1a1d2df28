"""Brokers are killed in the middle of everything: what sessions hold and cost is exact afterwards."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from tests.hostile.running import Hostile
from tests.hostile.test_frozen_brokers import brokers
from tests.hostile.test_one_user import login
from tests.mqtt.client import ClosedError, Connection, Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ENTRY, SUBSCRIPTION, RELEASED = 32, 192, 96
CLIENTS = [(f"client-{number}", ("demo-mobile", "demo-service", "")[number % 3]) for number in range(9)]


def counted_and_found(client: redis.Redis) -> tuple[dict[str, int], dict[str, int], set[str], set[str]]:
    """Bytes by owner as they are counted, and as they are; clients by the index of all, and by those of owners."""
    found: dict[str, int] = {}
    everybody = {member.decode() for member in cast("set[bytes]", client.smembers("sessions:{mqtt}"))}
    by_owner: set[str] = set()
    for key in client.scan_iter("owner:{mqtt}:*"):
        by_owner |= {member.decode() for member in cast("set[bytes]", client.smembers(key))}
    for name in everybody:
        size = RELEASED * client.zcard(f"released:{{mqtt}}:{name}")
        for queue in (f"queue:{{mqtt}}:{name}", f"brief:{{mqtt}}:{name}"):
            for _, fields in cast("list[Any]", client.xrange(queue)):
                size += len(next(value for field, value in fields.items() if field != b"a")) + ENTRY
        for topic_filter in cast("list[bytes]", client.hkeys(f"subscriptions:{{mqtt}}:{name}")):
            size += len(name) + 2 * len(topic_filter) + SUBSCRIPTION
        owner = cast("bytes", client.hget(f"session:{{mqtt}}:{name}", "owner")).decode()
        for each in (owner, "all"):
            found[each] = found.get(each, 0) + size
    counted = {
        name.decode(): int(size)
        for name, size in cast("dict[bytes, bytes]", client.hgetall("sessions:bytes:{mqtt}")).items()
    }
    return counted, {name: size for name, size in found.items() if size}, everybody, by_owner


async def come_and_go(service: Service, client_id: str, user: dict[str, Any], stop: asyncio.Event) -> None:
    """Connect, subscribe, take some messages, acknowledge a part of them, and be cut off; again and again."""
    while not stop.is_set():
        connection: Connection | None = None
        try:
            connection = await service.connect(client_id, clean=False, **user)
            await connection.subscribe(("v1/#", 2))
            if user.get("user") != "demo-mobile":
                await connection.subscribe(("chat/+", 2))
                for number in range(5):
                    await connection.publish(f"chat/{number}", bytes(100 * number), qos=number % 3)
            async with asyncio.timeout(0.3):
                while True:
                    await connection.take()
        except (AssertionError, ClosedError, OSError, TimeoutError):
            await asyncio.sleep(0.05)
        finally:
            if connection is not None:
                connection.drop()


async def test_what_sessions_cost_is_exact_however_often_brokers_are_killed(
    start_system: Callable[..., Hostile],
) -> None:
    system = start_system(CLIENT_CONNECT_RATE="100000")
    service = Service([("127.0.0.1", system.system.mqtt_port)])
    stop = asyncio.Event()
    clients = [
        asyncio.create_task(come_and_go(service, name, login(system, user) if user else {}, stop))
        for name, user in CLIENTS
    ]
    # A third time within a minute would end the system.
    for _ in range(2):
        await asyncio.sleep(1)  # clients are to be in the middle of what they do
        for process in brokers(system):
            os.kill(process, signal.SIGKILL)
        await asyncio.to_thread(system.until_ready)
    await asyncio.sleep(1)
    stop.set()
    await asyncio.gather(*clients)
    service.drop_all()

    def exact() -> bool:
        with system.redis() as client:
            counted, found, everybody, by_owner = counted_and_found(client)
        return counted == found and everybody == by_owner == {name for name, _ in CLIENTS} and len(counted) == 4

    await asyncio.to_thread(system.wait, exact, "what is counted is what there is")
    system.until_ready()
