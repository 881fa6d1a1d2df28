"""UNSUBSCRIBE and UNSUBACK (3.10, 3.11)."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import Ack, Kind, ack, unsubscribe


@clause("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-2.3.1-7")
@pytest.mark.parametrize("packet_id", [1, 256, 65_535])
async def test_unsuback_has_the_identifier_of_its_unsubscribe_also_where_nothing_was_subscribed(
    service: Service, packet_id: int
) -> None:
    connection = await service.connect()
    await connection.send(unsubscribe(packet_id, service.topic("never"), service.topic("ever/#")))
    assert await connection.receive() == Ack(Kind.UNSUBACK, packet_id)
    await connection.nothing_more()


@clause("MQTT-3.10.4-2")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_nothing_new_comes_after_unsubscribe(service: Service, qos: int) -> None:
    subscriber = await service.subscriber((service.topic("a"), qos), (service.topic("b"), qos))
    publisher = await service.connect()
    await publisher.publish(service.topic("a"), b"before", qos=qos)
    assert (await subscriber.take()).payload == b"before"
    await subscriber.unsubscribe(service.topic("a"))
    await publisher.publish(service.topic("a"), b"after", qos=qos)
    await publisher.publish(service.topic("b"), b"end", qos=qos)
    assert (await subscriber.take()).payload == b"end"


@clause("MQTT-3.10.4-1")
@pytest.mark.parametrize(
    ("subscribed", "other"),
    [("a/+", "a/b"), ("a/b", "a/+"), ("a/b", "#"), ("a/#", "a"), ("a/b", "a/B"), ("a/b", "a/b/"), ("a/b", "a")],
)
async def test_a_filter_that_is_not_the_same_deletes_nothing(service: Service, subscribed: str, other: str) -> None:
    subscriber = await service.subscriber((service.topic(subscribed), 1))
    await subscriber.unsubscribe(service.topic(other))
    await (await service.connect()).publish(service.topic("a/b"), b"still", qos=1)
    assert (await subscriber.take()).payload == b"still"


@clause("MQTT-3.10.4-1", "MQTT-3.10.4-2")
@pytest.mark.parametrize("levels", ["a/+", "a/#", "+/b", "a/b", "/", "a//b"])
async def test_a_filter_with_the_same_characters_deletes(service: Service, levels: str) -> None:
    subscriber = await service.subscriber((service.topic(levels), 1), (service.topic("end"), 1))
    await subscriber.unsubscribe(service.topic(levels))
    publisher = await service.connect()
    for topic in ("a/b", "/", "a//b"):
        await publisher.publish(service.topic(topic), b"deleted", qos=1)
    await publisher.publish(service.topic("end"), b"end", qos=1)
    assert (await subscriber.take()).payload == b"end"


@clause("MQTT-3.10.4-6", "MQTT-3.10.4-2")
async def test_several_filters_in_one_packet_get_one_unsuback(service: Service) -> None:
    subscriber = await service.subscriber(*[(service.topic(levels), 1) for levels in ("a", "b", "c", "end")])
    await subscriber.send(unsubscribe(9, service.topic("a"), service.topic("none"), service.topic("c")))
    assert await subscriber.receive() == Ack(Kind.UNSUBACK, 9)
    publisher = await service.connect()
    for levels in ("a", "c", "b"):
        await publisher.publish(service.topic(levels), levels.encode(), qos=1)
    assert (await subscriber.take()).payload == b"b"
    await subscriber.nothing_more()


@clause("MQTT-3.10.4-3")
async def test_deliveries_of_qos_1_that_were_begun_are_sent_again_also_after_unsubscribe(service: Service) -> None:
    name = service.name()
    subscriber = await service.connect(name, clean=False)
    await subscriber.subscribe((service.topic(), 1))
    await (await service.connect()).publish(service.topic(), b"begun", qos=1)
    begun = await subscriber.message()
    await subscriber.unsubscribe(service.topic())
    subscriber.drop()
    again = await service.connect(name, clean=False)
    message = await again.take()
    assert (message.payload, message.packet_id, message.dup) == (b"begun", begun.packet_id, True)


@clause("MQTT-3.10.4-3")
async def test_deliveries_of_qos_2_that_were_begun_are_completed_after_unsubscribe(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    await (await service.connect()).publish(service.topic(), b"begun", qos=2)
    begun = await subscriber.message()
    assert begun.packet_id
    await subscriber.unsubscribe(service.topic())
    await subscriber.send(ack(Kind.PUBREC, begun.packet_id))
    assert await subscriber.receive() == Ack(Kind.PUBREL, begun.packet_id)
    await subscriber.send(ack(Kind.PUBCOMP, begun.packet_id))
    await subscriber.nothing_more()
