"""The server as the sender of QoS 1 and 2 (4.3, 4.4, 4.6): identifiers, second deliveries, order."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Connection, Service
from tests.mqtt.wire import Ack, Kind, Publish, ack


async def subscribed(service: Service, qos: int) -> tuple[str, Connection]:
    """A client with a stored session and a subscription; its name too."""
    name = service.name()
    connection = await service.connect(name, clean=False)
    await connection.subscribe((service.topic("#"), qos))
    return name, connection


async def published(service: Service, *messages: tuple[bytes, int], topic: str = "t") -> None:
    publisher = await service.connect()
    for payload, qos in messages:
        await publisher.publish(service.topic(topic), payload, qos=qos)


@clause("MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-2.3.1-4")
@pytest.mark.parametrize("qos", [1, 2])
async def test_messages_in_flight_have_identifiers_of_their_own(service: Service, qos: int) -> None:
    _, subscriber = await subscribed(service, qos)
    await published(service, *((f"{number}".encode(), qos) for number in range(8)))
    messages = [await subscriber.message() for _ in range(8)]
    assert len({message.packet_id for message in messages}) == 8
    assert not any(message.dup for message in messages)
    assert {message.qos for message in messages} == {qos}


@clause("MQTT-2.3.1-4", "MQTT-4.3.2-1")
async def test_an_identifier_is_not_used_again_while_its_message_is_in_flight(service: Service) -> None:
    _, subscriber = await subscribed(service, 1)
    await published(service, (b"held", 1))
    held = await subscriber.message()
    await published(service, *((f"{number}".encode(), 1) for number in range(30)))
    for _ in range(30):
        assert (await subscriber.take()).packet_id != held.packet_id


@clause("MQTT-4.3.3-1", "MQTT-2.3.1-6", "MQTT-2.2.2-1")
async def test_pubrec_is_answered_by_pubrel_of_the_same_identifier(service: Service) -> None:
    _, subscriber = await subscribed(service, 2)
    await published(service, (b"exactly once", 2))
    message = await subscriber.message()
    assert message.packet_id
    await subscriber.send(ack(Kind.PUBREC, message.packet_id))
    assert await subscriber.receive() == Ack(Kind.PUBREL, message.packet_id)
    await subscriber.send(ack(Kind.PUBCOMP, message.packet_id))
    await subscriber.nothing_more()


@clause("MQTT-4.3.2-1", "MQTT-4.3.3-1")
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_is_sent_once_on_a_connection_that_lives(service: Service, qos: int) -> None:
    _, subscriber = await subscribed(service, qos)
    await published(service, (b"once", qos))
    await subscriber.message()
    await published(service, (b"next", qos))
    assert (await subscriber.message()).payload == b"next"
    await subscriber.nothing_more()


@clause("MQTT-4.4.0-1", "MQTT-3.3.1-1", "MQTT-2.3.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1")
@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize("qos", [1, 2])
async def test_an_unacknowledged_publish_comes_again_with_its_identifier_and_dup(
    service: Service, qos: int, *, goodbye: bool
) -> None:
    name, subscriber = await subscribed(service, qos)
    await published(service, (b"again", qos))
    first = await subscriber.message()
    for _ in range(3):
        if goodbye:
            await subscriber.disconnect()
        else:
            subscriber.drop()
        subscriber = await service.connect(name, clean=False)
        assert subscriber.session_present
        again = await subscriber.message()
        assert again == Publish(first.topic, b"again", qos, dup=True, packet_id=first.packet_id)
        await subscriber.nothing_more()


@clause("MQTT-4.4.0-1", "MQTT-4.6.0-1", "MQTT-4.6.0-6")
@pytest.mark.parametrize("qos", [1, 2])
async def test_unacknowledged_publishes_come_again_in_their_order_and_new_ones_after_them(
    service: Service, qos: int
) -> None:
    name, subscriber = await subscribed(service, qos)
    await published(service, *((f"old {number}".encode(), qos) for number in range(6)))
    firsts = [await subscriber.message() for _ in range(6)]
    await subscriber.disconnect()
    await published(service, *((f"new {number}".encode(), qos) for number in range(6)))
    again = await service.connect(name, clean=False)
    messages = [await again.message() for _ in range(12)]
    assert [message.payload.decode() for message in messages] == [
        *(f"old {number}" for number in range(6)),
        *(f"new {number}" for number in range(6)),
    ]
    assert [message.dup for message in messages] == [True] * 6 + [False] * 6
    assert [message.packet_id for message in messages[:6]] == [first.packet_id for first in firsts]
    assert len({message.packet_id for message in messages}) == 12


@clause("MQTT-4.4.0-1", "MQTT-4.6.0-1")
async def test_publishes_of_both_qos_come_again_in_their_order(service: Service) -> None:
    name, subscriber = await subscribed(service, 2)
    await published(service, (b"a", 1), (b"b", 2), (b"c", 1), (b"d", 2), (b"e", 1))
    firsts = [await subscriber.message() for _ in range(5)]
    subscriber.drop()
    again = await service.connect(name, clean=False)
    messages = [await again.message() for _ in range(5)]
    assert [(message.payload, message.packet_id) for message in messages] == [
        (first.payload, first.packet_id) for first in firsts
    ]


@clause("MQTT-4.4.0-1")
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_acknowledged_does_not_come_again(service: Service, qos: int) -> None:
    name, subscriber = await subscribed(service, qos)
    await published(service, *((f"{number}".encode(), qos) for number in range(6)))
    for _ in range(3):
        await subscriber.take()
    for _ in range(3):
        await subscriber.message()
    # The answer to a PINGREQ says that the server has read the acknowledgements before it.
    await subscriber.ping()
    await subscriber.disconnect()
    again = await service.connect(name, clean=False)
    assert await again.take_payloads(3) == [b"3", b"4", b"5"]
    await again.nothing_more()
    await again.disconnect()
    await (await service.connect(name, clean=False)).nothing_more()


@clause("MQTT-4.4.0-1")
async def test_acknowledgements_in_another_order_are_taken_one_by_one(service: Service) -> None:
    name, subscriber = await subscribed(service, 1)
    await published(service, *((f"{number}".encode(), 1) for number in range(5)))
    messages = [await subscriber.message() for _ in range(5)]
    for index in (3, 1):
        await subscriber.send(ack(Kind.PUBACK, messages[index].packet_id or 0))
    await subscriber.ping()
    subscriber.drop()
    again = await service.connect(name, clean=False)
    assert await again.take_payloads(3) == [b"0", b"2", b"4"]
    await again.nothing_more()


@clause("MQTT-4.4.0-1", "MQTT-4.3.3-1")
@pytest.mark.parametrize("goodbye", [True, False])
async def test_an_unacknowledged_pubrel_comes_again_and_its_publish_does_not(
    service: Service, *, goodbye: bool
) -> None:
    name, subscriber = await subscribed(service, 2)
    await published(service, (b"received", 2))
    message = await subscriber.message()
    assert message.packet_id
    await subscriber.send(ack(Kind.PUBREC, message.packet_id))
    assert await subscriber.receive() == Ack(Kind.PUBREL, message.packet_id)
    for _ in range(3):
        if goodbye:
            await subscriber.disconnect()
        else:
            subscriber.drop()
        subscriber = await service.connect(name, clean=False)
        assert await subscriber.receive() == Ack(Kind.PUBREL, message.packet_id)
        await subscriber.nothing_more()
    await subscriber.send(ack(Kind.PUBCOMP, message.packet_id))
    await subscriber.ping()
    await subscriber.disconnect()
    await (await service.connect(name, clean=False)).nothing_more()


@clause("MQTT-4.6.0-4", "MQTT-4.6.0-6")
async def test_pubrels_come_in_the_order_of_the_pubrecs(service: Service) -> None:
    _, subscriber = await subscribed(service, 2)
    await published(service, *((f"{number}".encode(), 2) for number in range(5)))
    identifiers = [(await subscriber.message()).packet_id or 0 for _ in range(5)]
    await subscriber.send(*(ack(Kind.PUBREC, packet_id) for packet_id in identifiers))
    assert [await subscriber.receive() for _ in range(5)] == [Ack(Kind.PUBREL, i) for i in identifiers]


@clause("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_the_messages_of_a_client_arrive_in_the_order_in_which_it_sent_them(service: Service, qos: int) -> None:
    subscribers = [await service.subscriber((service.topic("#"), qos)) for _ in range(2)]
    publisher = await service.connect()
    expected = [f"{number}".encode() for number in range(50)]
    for payload in expected:
        await publisher.publish(service.topic("ordered"), payload, qos=qos)
    for subscriber in subscribers:
        assert await subscriber.take_payloads(50) == expected


@clause("MQTT-4.6.0-6")
async def test_messages_of_many_publishers_keep_the_order_of_each(service: Service) -> None:
    subscriber = await service.subscriber((service.topic("#"), 1))
    publishers = [await service.connect() for _ in range(4)]
    for number in range(10):
        for index, publisher in enumerate(publishers):
            await publisher.publish(service.topic("shared"), f"{index} {number}".encode(), qos=1)
    received = [payload.decode().split() for payload in await subscriber.take_payloads(40)]
    for index in range(4):
        numbers = [int(number) for sender, number in received if sender == f"{index}"]
        assert numbers == list(range(10))


@clause("MQTT-4.5.0-1", "MQTT-4.3.2-1")
async def test_a_message_is_kept_where_the_connection_dies_before_it_is_acknowledged(service: Service) -> None:
    name, subscriber = await subscribed(service, 1)
    for number in range(5):
        await published(service, (f"{number}".encode(), 1))
        assert (await subscriber.message()).payload == f"{number}".encode()
        subscriber.drop()
        subscriber = await service.connect(name, clean=False)
        assert (await subscriber.take()).payload == f"{number}".encode()
        await subscriber.ping()
