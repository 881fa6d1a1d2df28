"""The server as the receiver of QoS 0, 1 and 2 (3.3.4, 4.3): what it answers, and what it delivers."""

import pytest

from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Connection, Service
from tests.mqtt.wire import Ack, Kind, ack, publish


async def release(connection: Connection, packet_id: int) -> None:
    """The second half of QoS 2."""
    await connection.send(ack(Kind.PUBREL, packet_id))
    await connection.acknowledged(Kind.PUBCOMP, packet_id)


@clause("MQTT-3.3.4-1", "MQTT-4.3.1-1", "MQTT-2.3.1-5")
async def test_qos_0_is_not_acknowledged_and_arrives_without_an_identifier(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"\x00\x07payload")
    await publisher.nothing_more()
    message = await subscriber.message()
    assert (message.payload, message.qos, message.dup, message.packet_id) == (b"\x00\x07payload", 0, False, None)


@clause("MQTT-3.3.4-1", "MQTT-4.3.2-2", "MQTT-2.3.1-6")
@pytest.mark.parametrize("packet_id", [1, 255, 256, 65_535])
async def test_qos_1_gets_a_puback_of_its_identifier(service: Service, packet_id: int) -> None:
    publisher = await service.connect()
    await publisher.send(publish(service.topic(), b"payload", qos=1, packet_id=packet_id))
    assert await publisher.receive() == Ack(Kind.PUBACK, packet_id)
    await publisher.nothing_more()


@clause("MQTT-3.3.4-1", "MQTT-4.3.3-2", "MQTT-2.3.1-6", "MQTT-2.2.2-1")
@pytest.mark.parametrize("packet_id", [1, 255, 256, 65_535])
async def test_qos_2_gets_a_pubrec_and_its_pubrel_a_pubcomp(service: Service, packet_id: int) -> None:
    publisher = await service.connect()
    await publisher.send(publish(service.topic(), b"payload", qos=2, packet_id=packet_id))
    assert await publisher.receive() == Ack(Kind.PUBREC, packet_id)
    await publisher.nothing_more()
    await publisher.send(ack(Kind.PUBREL, packet_id))
    assert await publisher.receive() == Ack(Kind.PUBCOMP, packet_id)
    await publisher.nothing_more()


@clause("MQTT-4.3.2-2")
@pytest.mark.parametrize("dup", [False, True])
async def test_an_identifier_of_qos_1_that_was_acknowledged_is_a_new_message(service: Service, *, dup: bool) -> None:
    subscriber = await service.subscriber((service.topic(), 1))
    publisher = await service.connect()
    for payload in (b"first", b"second"):
        await publisher.send(publish(service.topic(), payload, qos=1, packet_id=5, dup=dup))
        await publisher.acknowledged(Kind.PUBACK, 5)
    assert await subscriber.take_payloads(2) == [b"first", b"second"]


@clause("MQTT-3.3.1-3")
@pytest.mark.parametrize("qos", [1, 2])
async def test_dup_does_not_go_out_to_subscribers(service: Service, qos: int) -> None:
    subscriber = await service.subscriber((service.topic(), qos))
    publisher = await service.connect()
    await publisher.send(publish(service.topic(), b"again", qos=qos, packet_id=5, dup=True))
    if qos == 2:
        await publisher.acknowledged(Kind.PUBREC, 5)
        await release(publisher, 5)
    message = await subscriber.take()
    assert (message.payload, message.qos, message.dup) == (b"again", qos, False)


@clause("MQTT-4.3.3-2")
@pytest.mark.parametrize("copies", [1, pytest.param(2, marks=mosquitto_deviates("closes at the second copy"))])
async def test_a_publish_of_qos_2_sent_again_before_pubrel_is_acknowledged_and_delivered_once(
    service: Service, copies: int
) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    publisher = await service.connect()
    for dup in (False, *[True] * copies):
        await publisher.send(publish(service.topic(), b"once", qos=2, packet_id=5, dup=dup))
        assert await publisher.receive() == Ack(Kind.PUBREC, 5)
    await release(publisher, 5)
    await publisher.publish(service.topic(), b"end", qos=2)
    assert await subscriber.take_payloads(2) == [b"once", b"end"]


@clause("MQTT-4.3.3-2", "MQTT-4.4.0-1")
async def test_a_publish_of_qos_2_sent_again_after_a_reconnect_is_delivered_once(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    name = service.name()
    publisher = await service.connect(name, clean=False)
    await publisher.send(publish(service.topic(), b"once", qos=2, packet_id=5))
    await publisher.acknowledged(Kind.PUBREC, 5)
    for _ in range(3):
        publisher.drop()
        publisher = await service.connect(name, clean=False)
        assert publisher.session_present
        await publisher.send(publish(service.topic(), b"once", qos=2, packet_id=5, dup=True))
        assert await publisher.receive() == Ack(Kind.PUBREC, 5)
    await release(publisher, 5)
    await publisher.publish(service.topic(), b"end", qos=2)
    assert await subscriber.take_payloads(2) == [b"once", b"end"]


@clause("MQTT-4.3.3-2", "MQTT-4.4.0-1")
async def test_a_pubrel_sent_again_after_a_reconnect_is_answered_and_nothing_delivered_twice(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    name = service.name()
    publisher = await service.connect(name, clean=False)
    await publisher.send(publish(service.topic(), b"once", qos=2, packet_id=5))
    await publisher.acknowledged(Kind.PUBREC, 5)
    for _ in range(3):
        publisher.drop()
        publisher = await service.connect(name, clean=False)
        await publisher.send(ack(Kind.PUBREL, 5))
        assert await publisher.receive() == Ack(Kind.PUBCOMP, 5)
    await publisher.publish(service.topic(), b"end", qos=2)
    assert await subscriber.take_payloads(2) == [b"once", b"end"]


@clause("MQTT-4.3.3-2")
async def test_a_message_of_qos_2_released_by_a_new_connection_is_delivered(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    name = service.name()
    publisher = await service.connect(name, clean=False)
    await publisher.send(publish(service.topic(), b"kept", qos=2, packet_id=5))
    await publisher.acknowledged(Kind.PUBREC, 5)
    await publisher.disconnect()
    publisher = await service.connect(name, clean=False)
    await release(publisher, 5)
    assert (await subscriber.take()).payload == b"kept"


@clause("MQTT-4.3.3-2")
async def test_an_identifier_of_qos_2_that_was_completed_is_a_new_message(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    name = service.name()
    for payload in (b"first", b"second", b"third"):
        publisher = await service.connect(name, clean=False)
        for again in (payload + b"a", payload + b"b"):
            await publisher.send(publish(service.topic(), again, qos=2, packet_id=5, dup=True))
            await publisher.acknowledged(Kind.PUBREC, 5)
            await release(publisher, 5)
        await publisher.disconnect()
    expected = [b"firsta", b"firstb", b"seconda", b"secondb", b"thirda", b"thirdb"]
    assert await subscriber.take_payloads(6) == expected


@clause("MQTT-4.3.3-2")
async def test_a_pubrel_of_nothing_is_answered(service: Service) -> None:
    publisher = await service.connect()
    await publisher.send(ack(Kind.PUBREL, 4711))
    assert await publisher.receive() == Ack(Kind.PUBCOMP, 4711)


@clause("MQTT-2.3.1-6", "MQTT-4.3.3-2")
async def test_the_identifiers_of_two_publishers_have_nothing_to_do_with_each_other(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    publishers = [await service.connect() for _ in range(3)]
    for number, publisher in enumerate(publishers):
        await publisher.send(publish(service.topic(), f"{number}".encode(), qos=2, packet_id=5))
        await publisher.acknowledged(Kind.PUBREC, 5)
    for publisher in publishers:
        await release(publisher, 5)
    assert sorted(await subscriber.take_payloads(3)) == [b"0", b"1", b"2"]


@clause("MQTT-4.6.0-2")
async def test_pubacks_come_in_the_order_of_the_publishes(service: Service) -> None:
    publisher = await service.connect()
    identifiers = [9, 3, 700, 2, 65_535, 1, 8, 44]
    await publisher.send(*(publish(service.topic(f"{i}"), b"x", qos=1, packet_id=i) for i in identifiers))
    assert [await publisher.receive() for _ in identifiers] == [Ack(Kind.PUBACK, i) for i in identifiers]


@clause("MQTT-4.6.0-3", "MQTT-4.6.0-4")
async def test_pubrecs_and_pubcomps_come_in_the_order_of_what_they_answer(service: Service) -> None:
    publisher = await service.connect()
    identifiers = [9, 3, 700, 2, 65_535, 1, 8, 44]
    await publisher.send(*(publish(service.topic(f"{i}"), b"x", qos=2, packet_id=i) for i in identifiers))
    assert [await publisher.receive() for _ in identifiers] == [Ack(Kind.PUBREC, i) for i in identifiers]
    await publisher.send(*(ack(Kind.PUBREL, i) for i in identifiers))
    assert [await publisher.receive() for _ in identifiers] == [Ack(Kind.PUBCOMP, i) for i in identifiers]


@clause("MQTT-3.3.4-1")
async def test_a_mix_of_qos_in_one_write_is_acknowledged_by_kind(service: Service) -> None:
    publisher = await service.connect()
    topic = service.topic()
    await publisher.send(
        publish(topic, b"0"),
        publish(topic, b"1", qos=1, packet_id=1),
        publish(topic, b"2", qos=2, packet_id=2),
        publish(topic, b"0"),
        publish(topic, b"1", qos=1, packet_id=3),
    )
    received = [await publisher.receive() for _ in range(3)]
    expected = [Ack(Kind.PUBACK, 1), Ack(Kind.PUBREC, 2), Ack(Kind.PUBACK, 3)]
    assert sorted(received, key=str) == sorted(expected, key=str)
    await publisher.nothing_more()
