"""SUBSCRIBE and SUBACK (3.8, 3.9)."""

import pytest

from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Service
from tests.mqtt.wire import Suback, subscribe


@clause("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-2.3.1-7", "MQTT-3.9.3-2")
@pytest.mark.parametrize("packet_id", [1, 2, 255, 256, 65_535])
async def test_suback_has_the_identifier_of_its_subscribe(service: Service, packet_id: int) -> None:
    connection = await service.connect()
    await connection.send(subscribe(packet_id, (service.topic(), 1)))
    assert await connection.receive() == Suback(packet_id, (1,))


@clause("MQTT-3.9.3-1", "MQTT-3.8.4-5", "MQTT-3.8.4-4")
async def test_return_codes_are_in_the_order_of_the_filters(service: Service) -> None:
    connection = await service.connect()
    qoses = (2, 0, 1, 1, 0, 2, 0)
    filters = [(service.topic(f"{index}"), qos) for index, qos in enumerate(qoses)]
    assert await connection.subscribe(*filters) == qoses


@clause("MQTT-3.8.4-6", "MQTT-3.3.5-1", "MQTT-4.3.1-1")
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
async def test_delivery_is_at_the_minimum_of_the_published_and_the_granted_qos(
    service: Service, published: int, granted: int
) -> None:
    subscriber = await service.subscriber((service.topic(), granted))
    await (await service.connect()).publish(service.topic(), b"payload", qos=published)
    message = await subscriber.take()
    assert (message.qos, message.payload, message.dup) == (min(published, granted), b"payload", False)
    await subscriber.nothing_more()


@clause("MQTT-3.8.4-3")
@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0), (1, 2), (2, 1), (1, 1)])
async def test_the_same_filter_again_replaces_the_subscription(service: Service, first: int, second: int) -> None:
    subscriber = await service.subscriber((service.topic("+"), first))
    assert await subscriber.subscribe((service.topic("+"), second)) == (second,)
    await (await service.connect()).publish(service.topic("t"), b"once", qos=2)
    message = await subscriber.take()
    assert (message.payload, message.qos) == (b"once", second)
    await subscriber.nothing_more()


@clause("MQTT-3.8.4-3")
async def test_replacing_a_subscription_interrupts_nothing(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 1))
    publisher = await service.connect()
    expected = [f"{number}".encode() for number in range(40)]
    received = []
    for payload in expected:
        await publisher.publish(service.topic(), payload, qos=1)
        assert await subscriber.subscribe((service.topic(), 1)) == (1,)
        received.append((await subscriber.take()).payload)
    assert received == expected


@clause("MQTT-3.8.4-3")
async def test_a_replaced_subscription_of_a_stored_session_stays_replaced(service: Service) -> None:
    name = service.name()
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic(), 2))
    await first.subscribe((service.topic(), 1))
    await first.disconnect()
    again = await service.connect(name, clean=False)
    await (await service.connect()).publish(service.topic(), b"once", qos=2)
    assert (await again.take()).qos == 1
    await again.nothing_more()


@clause("MQTT-3.8.4-3")
async def test_another_filter_that_matches_the_same_topics_does_not_replace(service: Service) -> None:
    subscriber = await service.subscriber((service.topic("+"), 0), (service.topic("#"), 1))
    await subscriber.unsubscribe(service.topic("#"))
    await (await service.connect()).publish(service.topic("t"), b"first", qos=1)
    assert (await subscriber.take()).qos == 0


@clause("MQTT-3.8.4-4")
async def test_the_same_filter_twice_in_one_packet_is_as_two_packets(service: Service) -> None:
    subscriber = await service.connect()
    assert await subscriber.subscribe((service.topic(), 2), (service.topic(), 1)) == (2, 1)
    await (await service.connect()).publish(service.topic(), b"once", qos=2)
    assert (await subscriber.take()).qos == 1
    await subscriber.nothing_more()


@clause("MQTT-3.3.5-1", "MQTT-4.5.0-1")
@pytest.mark.parametrize(
    "qoses",
    [
        pytest.param((0, 1, 2), marks=mosquitto_deviates("delivers one copy, of the first subscription's QoS")),
        (2, 1, 0),
        (1, 1, 1),
        (0, 0, 0),
    ],
)
async def test_overlapping_subscriptions_deliver_at_the_highest_qos(
    service: Service, qoses: tuple[int, int, int]
) -> None:
    filters = [service.topic("a/b"), service.topic("a/+"), service.topic("#")]
    subscriber = await service.subscriber(*zip(filters, qoses, strict=True))
    publisher = await service.connect()
    await publisher.publish(service.topic("a/b"), b"overlapping", qos=2)
    await publisher.publish(service.topic("x"), b"end", qos=2)
    copies = []
    while (message := await subscriber.take()).payload == b"overlapping":
        copies.append(message.qos)
    # One copy of the highest QoS, or one for each subscription with its own (3.3.5).
    assert sorted(copies) in ([max(qoses)], sorted(qoses))


@clause("MQTT-4.5.0-1", "MQTT-3.3.2-3")
async def test_each_of_many_subscribers_gets_its_copy(service: Service) -> None:
    subscribers = [await service.subscriber((service.topic("+/t"), qos)) for qos in (0, 1, 2, 0, 1, 2)]
    for number in range(2):
        await (await service.connect()).publish(service.topic(f"{number}/t"), b"copy", qos=2)
    for qos, subscriber in zip((0, 1, 2, 0, 1, 2), subscribers, strict=True):
        messages = [await subscriber.take() for _ in range(2)]
        assert [message.qos for message in messages] == [qos, qos]
        assert {message.topic for message in messages} == {service.topic("0/t"), service.topic("1/t")}


@clause("MQTT-4.5.0-1")
async def test_a_client_gets_what_it_publishes_itself(service: Service) -> None:
    client = await service.subscriber((service.topic(), 2))
    for qos in range(3):
        await client.publish(service.topic(), b"own", qos=qos)
        assert (await client.take()).qos == qos
