"""Packets in any pieces and of any length; those that break the standard are in breaking.py."""

import asyncio

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import PINGREQ, Connack, Kind, ack, connect, frame, publish, subscribe


@clause("MQTT-7.1.1-1")
async def test_packets_may_come_byte_by_byte(service: Service) -> None:
    connection = await service.dial()
    topic = service.topic()
    packets = connect(service.name()) + subscribe(9, (topic, 1)) + publish(topic, b"x" * 200, qos=1, packet_id=5)
    for byte in packets:
        await connection.send(bytes((byte,)))
        # Let the event loop write each byte on its own.
        await asyncio.sleep(0)
    assert await connection.receive() == Connack(session_present=False, code=0)
    await connection.acknowledged(Kind.PUBACK, 5)
    await connection.receive()
    assert (await connection.take()).payload == b"x" * 200


@clause("MQTT-7.1.1-1")
@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 60_000])
async def test_a_payload_arrives_whole_at_every_length_of_the_remaining_length(service: Service, length: int) -> None:
    payload = bytes(index % 251 for index in range(length))
    subscriber = await service.subscriber((service.topic(), 1))
    await (await service.connect()).publish(service.topic(), payload, qos=1)
    assert (await subscriber.take()).payload == payload


@clause("MQTT-7.1.1-1")
async def test_a_client_that_breaks_the_protocol_ends_its_own_connection_alone(service: Service) -> None:
    neighbours = [await service.connect() for _ in service.addresses]
    for _ in service.addresses:
        await service.breaks(frame(0xF0))
    for neighbour in neighbours:
        await neighbour.send(PINGREQ)
        await neighbour.receive()


@pytest.mark.parametrize("kind", [Kind.PUBACK, Kind.PUBCOMP])
async def test_an_acknowledgement_of_nothing_does_not_disturb_what_follows(service: Service, kind: Kind) -> None:
    subscriber = await service.subscriber((service.topic(), 1))
    await subscriber.send(ack(kind, 4711))
    await (await service.connect()).publish(service.topic(), b"after", qos=1)
    assert (await subscriber.take()).payload == b"after"
