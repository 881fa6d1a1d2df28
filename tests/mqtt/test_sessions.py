"""Sessions (3.1.2.4, 4.1): what is kept, what is discarded, and whether CONNACK says so."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import Connack, Kind, ack, connect, publish


@clause("MQTT-3.2.2-1", "MQTT-3.1.4-3")
@pytest.mark.parametrize("earlier", [True, False])
async def test_clean_session_1_has_no_session_present(service: Service, *, earlier: bool) -> None:
    name = service.name()
    first = await service.connect(name, clean=earlier)
    await first.subscribe((service.topic(), 1))
    await first.disconnect()
    assert not (await service.connect(name, clean=True)).session_present


@clause("MQTT-3.2.2-3", "MQTT-3.1.2-4")
async def test_the_first_connection_has_no_session_present(service: Service) -> None:
    assert not (await service.connect(clean=False)).session_present


@clause("MQTT-3.2.2-2", "MQTT-3.1.2-4", "MQTT-4.1.0-1")
async def test_a_stored_session_is_present_also_without_subscriptions(service: Service) -> None:
    name = service.name()
    await (await service.connect(name, clean=False)).disconnect()
    assert (await service.connect(name, clean=False)).session_present


@clause("MQTT-3.2.2-2", "MQTT-3.1.2-4")
@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_session_is_present_however_the_connection_ended(service: Service, *, goodbye: bool) -> None:
    name = service.name()
    for present in (False, True, True):
        connection = await service.connect(name, clean=False)
        assert connection.session_present is present
        if goodbye:
            await connection.disconnect()
        else:
            connection.drop()


@clause("MQTT-3.1.3-2")
async def test_a_session_belongs_to_its_client_identifier(service: Service) -> None:
    name = service.name()
    await (await service.connect(name, clean=False)).disconnect()
    assert not (await service.connect(f"{name}y", clean=False)).session_present
    assert not (await service.connect(name.upper(), clean=False)).session_present
    assert (await service.connect(name, clean=False)).session_present


@clause("MQTT-3.1.2-4", "MQTT-4.1.0-1")
async def test_subscriptions_are_still_there_after_a_reconnect(service: Service) -> None:
    name = service.name()
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic("a"), 0), (service.topic("b/#"), 1), (service.topic("+/c"), 2))
    await first.disconnect()
    again = await service.connect(name, clean=False)
    publisher = await service.connect()
    for levels in ("a", "b/x", "y/c"):
        await publisher.publish(service.topic(levels), levels.encode(), qos=2)
    received = {(message.payload, message.qos) for message in [await again.take() for _ in range(3)]}
    assert received == {(b"a", 0), (b"b/x", 1), (b"y/c", 2)}


@clause("MQTT-3.1.2-5", "MQTT-4.5.0-1", "MQTT-4.6.0-6")
@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize("qos", [1, 2])
async def test_messages_for_a_client_that_is_away_wait_for_it_in_order(
    service: Service, qos: int, *, goodbye: bool
) -> None:
    name = service.name()
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic("#"), 2))
    if goodbye:
        await first.disconnect()
    else:
        first.drop()
        # Dead to the server as soon as another connection of its name has come and gone.
        await (await service.connect(name, clean=False)).disconnect()
    publisher = await service.connect()
    expected = [f"{number}".encode() for number in range(8)]
    for payload in expected:
        await publisher.publish(service.topic("away"), payload, qos=qos)
    again = await service.connect(name, clean=False)
    assert again.session_present
    messages = [await again.take() for _ in expected]
    assert [message.payload for message in messages] == expected
    assert {(message.qos, message.dup, message.retain) for message in messages} == {(qos, False, False)}
    await again.nothing_more()


@clause("MQTT-3.1.2-5", "MQTT-4.5.0-1")
async def test_a_message_waits_for_every_client_that_is_away(service: Service) -> None:
    names = [service.name() for _ in range(3)]
    for name in names:
        away = await service.connect(name, clean=False)
        await away.subscribe((service.topic(), 1))
        await away.disconnect()
    await (await service.connect()).publish(service.topic(), b"to all", qos=1)
    for name in names:
        again = await service.connect(name, clean=False)
        assert (await again.take()).payload == b"to all"


@clause("MQTT-3.1.2-5", "MQTT-3.3.1-9")
async def test_a_retained_message_that_waited_comes_without_the_retain_flag(service: Service) -> None:
    name = service.name()
    away = await service.connect(name, clean=False)
    await away.subscribe((service.topic(), 1))
    await away.disconnect()
    await (await service.connect()).publish(service.topic(), b"waited", qos=1, retain=True)
    again = await service.connect(name, clean=False)
    message = await again.take()
    assert (message.payload, message.retain) == (b"waited", False)
    await again.nothing_more()


@clause("MQTT-3.1.2-5", "MQTT-3.10.4-1")
async def test_nothing_waits_after_the_subscription_was_deleted(service: Service) -> None:
    name = service.name()
    away = await service.connect(name, clean=False)
    await away.subscribe((service.topic("a"), 1), (service.topic("b"), 1))
    await away.unsubscribe(service.topic("a"))
    await away.disconnect()
    publisher = await service.connect()
    await publisher.publish(service.topic("a"), b"a", qos=1)
    await publisher.publish(service.topic("b"), b"b", qos=1)
    again = await service.connect(name, clean=False)
    assert (await again.take()).payload == b"b"
    await again.nothing_more()


@clause("MQTT-3.1.2-6", "MQTT-3.1.4-3")
async def test_clean_session_1_discards_what_was_stored(service: Service) -> None:
    name = service.name()
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic(), 1))
    await first.disconnect()
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"queued", qos=1)
    clean = await service.connect(name, clean=True)
    await publisher.publish(service.topic(), b"no subscription", qos=1)
    await clean.nothing_more()
    await clean.disconnect()
    again = await service.connect(name, clean=False)
    assert not again.session_present
    await publisher.publish(service.topic(), b"still none", qos=1)
    await again.subscribe((service.topic("own"), 1))
    await publisher.publish(service.topic("own"), b"new", qos=1)
    assert (await again.take()).payload == b"new"


@clause("MQTT-3.1.2-6")
@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_clean_session_ends_with_its_connection(service: Service, *, goodbye: bool) -> None:
    name = service.name()
    first = await service.connect(name, clean=True)
    await first.subscribe((service.topic(), 1))
    if goodbye:
        await first.disconnect()
    else:
        first.drop()
    again = await service.connect(name, clean=False)
    assert not again.session_present
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"no subscription", qos=1)
    await again.subscribe((service.topic("own"), 1))
    await publisher.publish(service.topic("own"), b"own", qos=1)
    assert (await again.take()).payload == b"own"


@clause("MQTT-3.1.2-6", "MQTT-4.3.3-2")
async def test_clean_session_1_discards_the_receivers_state_of_qos_2(service: Service) -> None:
    name, topic = service.name(), service.topic()
    subscriber = await service.subscriber((topic, 2))
    first = await service.connect(name, clean=False)
    await first.send(publish(topic, b"one", qos=2, packet_id=7))
    await first.acknowledged(Kind.PUBREC, 7)
    await first.send(ack(Kind.PUBREL, 7))
    await first.acknowledged(Kind.PUBCOMP, 7)
    await first.send(publish(topic, b"two", qos=2, packet_id=8))
    await first.acknowledged(Kind.PUBREC, 8)
    first.drop()
    clean = await service.connect(name, clean=True)
    # The same identifier in a new session is another message.
    await clean.send(publish(topic, b"three", qos=2, packet_id=8))
    await clean.acknowledged(Kind.PUBREC, 8)
    await clean.send(ack(Kind.PUBREL, 8))
    await clean.acknowledged(Kind.PUBCOMP, 8)
    # A server delivers at PUBLISH or at PUBREL: in the latter case the second message is gone.
    payloads = [(await subscriber.take()).payload for _ in range(2)]
    if payloads[-1] == b"two":
        payloads.append((await subscriber.take()).payload)
    assert payloads in ([b"one", b"three"], [b"one", b"two", b"three"])


@clause("MQTT-3.1.2-7")
async def test_retained_messages_outlive_the_session_that_published_them(service: Service) -> None:
    name = service.name()
    publisher = await service.connect(name, clean=True)
    await publisher.publish(service.topic(), b"stays", qos=1, retain=True)
    await publisher.disconnect()
    await (await service.connect(name, clean=True)).disconnect()
    subscriber = await service.subscriber((service.topic(), 1))
    assert (await subscriber.take()).payload == b"stays"


@clause("MQTT-4.1.0-2")
async def test_a_session_lasts_as_long_as_its_connection(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 1))
    publisher = await service.connect()
    for number in range(3):
        await (await service.connect()).disconnect()
        await publisher.publish(service.topic(), f"{number}".encode(), qos=1)
        assert (await subscriber.take()).payload == f"{number}".encode()


@clause("MQTT-3.1.4-2", "MQTT-3.1.3-2")
@pytest.mark.parametrize("clean", [True, False])
async def test_a_second_connection_of_the_same_client_closes_the_first(service: Service, *, clean: bool) -> None:
    name = service.name()
    first = await service.connect(name, clean=clean)
    second = await service.connect(name, clean=clean)
    await first.closed()
    assert second.session_present is not clean
    assert await second.is_open()
    third = await service.connect(name, clean=clean)
    await second.closed()
    assert await third.is_open()


@clause("MQTT-3.1.4-2", "MQTT-3.1.2-4")
async def test_the_connection_that_took_over_gets_the_messages(service: Service) -> None:
    name = service.name()
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic(), 1))
    publisher = await service.connect()
    for number in range(4):
        taker = await service.connect(name, clean=False)
        assert taker.session_present
        await publisher.publish(service.topic(), f"{number}".encode(), qos=1)
        assert (await taker.take()).payload == f"{number}".encode()
        await taker.nothing_more()


@clause("MQTT-3.1.4-2", "MQTT-3.1.4-1")
async def test_a_connect_that_is_malformed_takes_nothing_over(service: Service) -> None:
    name = service.name()
    first = await service.connect(name)
    await service.refused(connect(name, flags=3))
    await service.refused(connect(name, more=b"more"))
    other = await service.dial()
    await other.send(connect(name, level=77))
    assert await other.receive() == Connack(session_present=False, code=1)
    assert await first.is_open()
