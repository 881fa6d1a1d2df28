"""Fixed headers (2.2), packet identifiers (2.3.1), and bodies that do not fit them."""

import asyncio

import pytest

from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Service
from tests.mqtt.wire import PINGREQ, Connack, Kind, ack, connect, frame, publish, string, subscribe, unsubscribe

FILTER = string("t") + b"\x00"
LENIENT = mosquitto_deviates("ignores it")


@clause("MQTT-4.8.0-1")
@pytest.mark.parametrize("first", [0x00, 0xF0], ids=["type-0", "type-15"])
async def test_a_reserved_packet_type_closes_the_connection(service: Service, first: int) -> None:
    await service.breaks(frame(first))
    await service.refused(frame(first))


@clause("MQTT-4.8.0-1")
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\x20\x02\x00\x00", id="connack"),
        pytest.param(b"\x90\x03\x00\x01\x00", id="suback", marks=LENIENT),
        pytest.param(b"\xb0\x02\x00\x01", id="unsuback", marks=LENIENT),
        pytest.param(b"\xd0\x00", id="pingresp", marks=LENIENT),
    ],
)
async def test_a_packet_that_only_a_server_sends_closes_the_connection(service: Service, packet: bytes) -> None:
    await service.breaks(packet)


@clause("MQTT-2.2.2-2")
@pytest.mark.parametrize("flags", range(1, 16))
@pytest.mark.parametrize(
    ("first", "body"),
    [
        pytest.param(0x40, b"\x00\x01", id="puback", marks=LENIENT),
        pytest.param(0x50, b"\x00\x01", id="pubrec", marks=LENIENT),
        pytest.param(0x70, b"\x00\x01", id="pubcomp", marks=LENIENT),
        pytest.param(0xC0, b"", id="pingreq", marks=LENIENT),
        pytest.param(0xE0, b"", id="disconnect", marks=clause("MQTT-3.14.1-1")),
    ],
)
async def test_reserved_flags_close_the_connection(service: Service, first: int, body: bytes, flags: int) -> None:
    await service.breaks(frame(first | flags, body))


@clause("MQTT-2.2.2-2")
@pytest.mark.parametrize("flags", [flags for flags in range(16) if flags != 2])
@pytest.mark.parametrize(
    ("first", "body"),
    [
        pytest.param(0x60, b"\x00\x01", id="pubrel", marks=clause("MQTT-3.6.1-1")),
        pytest.param(0x80, b"\x00\x01" + FILTER, id="subscribe", marks=clause("MQTT-3.8.1-1")),
        pytest.param(0xA0, b"\x00\x01" + string("t"), id="unsubscribe", marks=clause("MQTT-3.10.1-1")),
    ],
)
async def test_flags_other_than_0010_close_the_connection(
    service: Service, first: int, body: bytes, flags: int
) -> None:
    await service.breaks(frame(first | flags, body))


@clause("MQTT-3.3.1-4")
@pytest.mark.parametrize("dup", [False, True])
async def test_both_qos_bits_of_publish_close_the_connection(service: Service, *, dup: bool) -> None:
    await service.breaks(publish(service.topic(), b"payload", qos=3, packet_id=7, dup=dup))


@clause("MQTT-3.3.1-2", "MQTT-4.8.0-1")
@LENIENT
async def test_dup_at_qos_0_closes_the_connection(service: Service) -> None:
    await service.breaks(publish(service.topic(), b"payload", dup=True))


@clause("MQTT-2.3.1-1")
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(publish("t", qos=1, packet_id=0), id="publish-1"),
        pytest.param(publish("t", qos=2, packet_id=0), id="publish-2"),
        pytest.param(subscribe(0, ("t", 0)), id="subscribe"),
        pytest.param(unsubscribe(0, "t"), id="unsubscribe"),
    ],
)
async def test_packet_identifier_0_closes_the_connection(service: Service, packet: bytes) -> None:
    await service.breaks(packet)


@clause("MQTT-4.8.0-1")
@pytest.mark.parametrize("first", [0x10, 0x30, 0x82, 0xC0])
async def test_a_remaining_length_of_five_bytes_closes_the_connection(service: Service, first: int) -> None:
    await service.breaks(bytes((first, 0x80, 0x80, 0x80, 0x80, 0x01)))


@clause("MQTT-4.8.0-1")
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\x30\x00", id="publish-empty"),
        pytest.param(b"\x30\x01\x00", id="publish-half-a-length"),
        pytest.param(b"\x30\x03\x00\x05t", id="publish-topic-too-long"),
        pytest.param(b"\x32\x03\x00\x01t", id="publish-without-identifier"),
        pytest.param(b"\x32\x04\x00\x01t\x00", id="publish-half-an-identifier"),
        pytest.param(b"\x40\x00", id="puback-empty"),
        pytest.param(b"\x40\x01\x00", id="puback-short"),
        pytest.param(b"\x40\x03\x00\x01\x00", id="puback-long", marks=LENIENT),
        pytest.param(b"\x50\x01\x00", id="pubrec-short"),
        pytest.param(b"\x50\x03\x00\x01\x00", id="pubrec-long", marks=LENIENT),
        pytest.param(b"\x62\x01\x00", id="pubrel-short"),
        pytest.param(b"\x62\x03\x00\x01\x00", id="pubrel-long", marks=LENIENT),
        pytest.param(b"\x70\x01\x00", id="pubcomp-short"),
        pytest.param(b"\x70\x03\x00\x01\x00", id="pubcomp-long", marks=LENIENT),
        pytest.param(b"\x82\x00", id="subscribe-empty"),
        pytest.param(b"\x82\x01\x00", id="subscribe-half-an-identifier"),
        pytest.param(b"\x82\x05\x00\x01\x00\x01t", id="subscribe-without-qos"),
        pytest.param(b"\x82\x06\x00\x01\x00\x09t\x00", id="subscribe-filter-too-long"),
        pytest.param(b"\x82\x08\x00\x01\x00\x01t\x00\x00\x01", id="subscribe-second-filter-cut"),
        pytest.param(b"\xa2\x00", id="unsubscribe-empty"),
        pytest.param(b"\xa2\x05\x00\x01\x00\x09t", id="unsubscribe-filter-too-long"),
        pytest.param(b"\xa2\x06\x00\x01\x00\x01t\x00", id="unsubscribe-second-filter-cut"),
        pytest.param(b"\xc0\x01\x00", id="pingreq-long", marks=LENIENT),
        pytest.param(b"\xe0\x01\x00", id="disconnect-long"),
    ],
)
async def test_a_body_that_does_not_fit_closes_the_connection(service: Service, packet: bytes) -> None:
    await service.breaks(packet)


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
