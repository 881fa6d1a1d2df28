"""Retained messages (3.3.1.3)."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import publish


@clause("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8", "MQTT-3.8.4-6")
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [1, 2])
async def test_a_retained_message_is_kept_with_its_qos_for_later_subscribers(
    service: Service, published: int, granted: int
) -> None:
    await (await service.connect()).publish(service.topic(), b"kept", qos=published, retain=True)
    for _ in range(2):
        subscriber = await service.subscriber((service.topic(), granted))
        message = await subscriber.take()
        assert (message.topic, message.payload) == (service.topic(), b"kept")
        assert (message.qos, message.retain, message.dup) == (min(published, granted), True, False)
        await subscriber.nothing_more()


@clause("MQTT-3.3.1-7")
async def test_a_retained_message_of_qos_0_replaces_the_one_before(service: Service) -> None:
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"old", qos=1, retain=True)
    await publisher.publish(service.topic(), b"new", qos=0, retain=True)
    # Its acknowledgement says that the server has come to it, and so to the one of QoS 0 before it.
    await publisher.publish(service.topic("barrier"), qos=1)
    subscriber = await service.subscriber((service.topic(), 1))
    # A server may forget the new one, never remember the old one. Those that we know of keep it.
    message = await subscriber.take()
    assert (message.payload, message.qos, message.retain) == (b"new", 0, True)


@clause("MQTT-3.3.1-5")
async def test_the_last_retained_message_replaces_those_before_it(service: Service) -> None:
    for payload in (b"one", b"two", b"three"):
        await (await service.connect()).publish(service.topic(), payload, qos=1, retain=True)
    subscriber = await service.subscriber((service.topic(), 1))
    assert (await subscriber.take()).payload == b"three"
    await subscriber.nothing_more()


@clause("MQTT-3.3.1-9")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_an_established_subscription_gets_it_without_the_retain_flag(service: Service, qos: int) -> None:
    subscriber = await service.subscriber((service.topic(), qos))
    await (await service.connect()).publish(service.topic(), b"live", qos=qos, retain=True)
    message = await subscriber.take()
    assert (message.payload, message.retain, message.qos) == (b"live", False, qos)


@clause("MQTT-3.3.1-10", "MQTT-3.3.1-11")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_an_empty_retained_message_is_delivered_and_removes_the_stored_one(service: Service, qos: int) -> None:
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"kept", qos=1, retain=True)
    watcher = await service.subscriber((service.topic(), qos))
    assert (await watcher.take()).payload == b"kept"
    await publisher.publish(service.topic(), b"", qos=qos, retain=True)
    message = await watcher.take()
    assert (message.payload, message.retain, message.qos) == (b"", False, qos)
    await publisher.publish(service.topic("barrier"), qos=1)
    for _ in service.addresses:
        await (await service.subscriber((service.topic(), 2))).nothing_more()


@clause("MQTT-3.3.1-12")
@pytest.mark.parametrize("payload", [b"passing", b""])
async def test_a_message_without_retain_leaves_the_stored_one_alone(service: Service, payload: bytes) -> None:
    publisher = await service.connect()
    await publisher.publish(service.topic(), b"kept", qos=1, retain=True)
    await publisher.publish(service.topic(), payload, qos=1)
    subscriber = await service.subscriber((service.topic(), 1))
    assert (await subscriber.take()).payload == b"kept"
    await subscriber.nothing_more()


@clause("MQTT-3.3.1-12")
async def test_a_message_without_retain_is_not_stored(service: Service) -> None:
    await (await service.connect()).publish(service.topic(), b"passing", qos=2)
    await (await service.subscriber((service.topic(), 2))).nothing_more()


@clause("MQTT-3.8.4-3", "MQTT-3.3.1-8")
async def test_subscribing_again_sends_the_retained_messages_again(service: Service) -> None:
    await (await service.connect()).publish(service.topic("a"), b"kept", qos=1, retain=True)
    subscriber = await service.connect()
    for _ in range(3):
        assert await subscriber.subscribe((service.topic("#"), 1)) == (1,)
        message = await subscriber.take()
        assert (message.payload, message.retain) == (b"kept", True)
        await subscriber.nothing_more()


@clause("MQTT-3.3.1-6")
async def test_a_wildcard_subscription_gets_every_retained_message_that_matches(service: Service) -> None:
    publisher = await service.connect()
    for levels in ("a", "a/b", "a/b/c", "a/x/c", "d"):
        await publisher.publish(service.topic(levels), levels.encode(), qos=1, retain=True)
    for filter_levels, expected in (
        ("#", {b"a", b"a/b", b"a/b/c", b"a/x/c", b"d"}),
        ("a/#", {b"a", b"a/b", b"a/b/c", b"a/x/c"}),
        ("+", {b"a", b"d"}),
        ("a/+/c", {b"a/b/c", b"a/x/c"}),
        ("a/b", {b"a/b"}),
    ):
        subscriber = await service.subscriber((service.topic(filter_levels), 1))
        assert set(await subscriber.take_payloads(len(expected))) == expected
        await subscriber.nothing_more()


@clause("MQTT-3.3.1-6", "MQTT-3.8.4-4")
async def test_each_filter_of_a_subscribe_brings_its_retained_messages(service: Service) -> None:
    publisher = await service.connect()
    for levels in ("a", "b"):
        await publisher.publish(service.topic(levels), levels.encode(), qos=1, retain=True)
    subscriber = await service.subscriber((service.topic("a"), 1), (service.topic("b"), 0))
    messages = [await subscriber.take() for _ in range(2)]
    assert {(message.payload, message.qos, message.retain) for message in messages} == {
        (b"a", 1, True),
        (b"b", 0, True),
    }


@clause("MQTT-3.3.1-6")
async def test_a_session_that_is_resumed_is_not_a_new_subscription(service: Service) -> None:
    name = service.name()
    await (await service.connect()).publish(service.topic(), b"kept", qos=1, retain=True)
    first = await service.connect(name, clean=False)
    await first.subscribe((service.topic(), 1))
    assert (await first.take()).payload == b"kept"
    await first.disconnect()
    await (await service.connect(name, clean=False)).nothing_more()


@clause("MQTT-3.3.1-6", "MQTT-3.3.2-3")
async def test_a_client_gets_only_the_retained_messages_it_subscribed_to(service: Service) -> None:
    await (await service.connect()).publish(service.topic("others"), b"not for you", qos=1, retain=True)
    await (await service.subscriber((service.topic("#"), 1))).take()
    newcomer = await service.connect()
    await newcomer.nothing_more()
    await newcomer.subscribe((service.topic("own"), 1))
    await newcomer.nothing_more()


@clause("MQTT-3.3.1-9", "MQTT-3.3.1-3")
async def test_dup_and_retain_of_the_publisher_do_not_go_out_to_subscribers(service: Service) -> None:
    subscriber = await service.subscriber((service.topic(), 2))
    publisher = await service.connect()
    for qos in (1, 2):
        await publisher.send(publish(service.topic(), b"flags", qos=qos, packet_id=qos, retain=True, dup=True))
        if qos == 1:
            message = await subscriber.take()
            assert (message.dup, message.retain) == (False, False)
