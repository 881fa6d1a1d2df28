"""Keepalive (3.1.2.10). The tests take the time of a keepalive: one second, and half of one."""

import asyncio

from tests.conftest import WAIT_SECONDS
from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import PINGREQ, Publish, Will, connect, publish

BRIEF = 0.6
"""Seconds: more than half a keepalive of 1 s, and less than all of it."""
EARLIEST = 1.4
"""Seconds after its last packet before which a client of keepalive 1 is not disconnected."""


@clause("MQTT-3.1.2-24")
async def test_a_silent_client_is_disconnected_after_1_5_times_its_keepalive(service: Service) -> None:
    unhurried = await service.connect(keepalive=0)
    patient = await service.connect(keepalive=60)
    now = asyncio.get_running_loop().time
    before = now()
    await (await service.connect(keepalive=1)).closed(limit=WAIT_SECONDS)
    # From before its last packet, and so not less, however busy the machine is.
    assert now() - before > EARLIEST
    assert await unhurried.is_open()
    assert await patient.is_open()


@clause("MQTT-3.1.2-24", "MQTT-3.1.2-8")
async def test_the_will_of_a_silent_client_is_published(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    silent = await service.connect(keepalive=1, will=Will(service.topic("will"), b"silent", qos=1))
    await silent.closed(limit=WAIT_SECONDS)
    assert (await watcher.take()).payload == b"silent"


@clause("MQTT-3.1.2-24")
async def test_what_a_silent_client_is_sent_does_not_keep_it(service: Service) -> None:
    publisher = await service.connect()
    silent = await service.subscriber((service.topic(), 0), keepalive=1)

    async def feed() -> None:
        while True:
            await publisher.publish(service.topic(), b"more")
            await publisher.is_closed_within(BRIEF)

    feeding = asyncio.create_task(feed())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            received = await silent.closed_whatever_came_before()
    finally:
        feeding.cancel()
    assert len(received) > 1
    assert all(isinstance(packet, Publish) for packet in received)


@clause("MQTT-3.1.2-24")
async def test_any_packet_keeps_a_client(service: Service) -> None:
    client = await service.connect(keepalive=1)
    for packet in (PINGREQ, publish(service.topic("nobody"), b"qos 0"), PINGREQ, publish(service.topic("nobody"))):
        assert not await client.is_closed_within(BRIEF)
        await client.send(packet)
        if packet is PINGREQ:
            await client.receive()
    assert await client.is_open()


@clause("MQTT-3.1.2-24")
async def test_a_packet_that_is_never_complete_does_not_keep_a_client(service: Service) -> None:
    client = await service.connect(keepalive=1)
    async with asyncio.timeout(WAIT_SECONDS):
        for byte in publish(service.topic(), b"x" * 100):
            await client.send(bytes((byte,)))
            if await client.is_closed_within(BRIEF):
                return
    raise AssertionError("the server has waited for the whole packet")


async def test_a_connect_may_come_in_two_parts(service: Service) -> None:
    waiting = await service.dial()
    whole = connect(service.name())
    await waiting.send(whole[:5])
    assert not await waiting.is_closed_within(BRIEF)
    await waiting.send(whole[5:])
    await waiting.receive()
    assert await waiting.is_open()
