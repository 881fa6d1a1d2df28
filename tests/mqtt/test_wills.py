"""Wills (3.1.2.5 to 3.1.2.7)."""

import pytest

from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Service
from tests.mqtt.wire import DISCONNECT, Will, frame, publish


@clause("MQTT-3.1.2-8", "MQTT-3.1.2-16")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_will_is_published_at_its_qos_when_the_connection_is_lost(service: Service, qos: int) -> None:
    watcher = await service.subscriber((service.topic("#"), 2))
    dying = await service.connect(will=Will(service.topic("will"), b"lost", qos=qos))
    dying.drop()
    message = await watcher.take()
    assert (message.topic, message.payload, message.qos) == (service.topic("will"), b"lost", qos)
    assert not message.retain


@clause("MQTT-3.1.2-8")
async def test_a_will_is_published_when_the_client_closes_without_disconnect(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    dying = await service.connect(will=Will(service.topic("will"), b"closed", qos=1))
    dying.writer.close()
    assert (await watcher.take()).payload == b"closed"


@clause("MQTT-3.1.2-8")
@pytest.mark.parametrize(
    "violation",
    [
        pytest.param(frame(0xF0), id="reserved-type"),
        pytest.param(publish("a/#"), id="wildcard"),
        pytest.param(frame(0xE1), id="disconnect-with-flags"),
        pytest.param(b"\xc0\x80\x80\x80\x80\x01", id="length"),
    ],
)
async def test_a_will_is_published_when_the_server_closes_for_a_violation(service: Service, violation: bytes) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    dying = await service.connect(will=Will(service.topic("will"), b"violation", qos=1))
    await dying.send(violation)
    await dying.closed()
    assert (await watcher.take()).payload == b"violation"


@clause("MQTT-3.1.2-8", "MQTT-3.1.4-2")
@pytest.mark.parametrize(
    "clean", [True, pytest.param(False, marks=mosquitto_deviates("drops the will where a stored session goes on"))]
)
async def test_a_will_is_published_when_another_connection_takes_over(service: Service, *, clean: bool) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    name = service.name()
    first = await service.connect(name, clean=clean, will=Will(service.topic("will"), b"first", qos=1))
    second = await service.connect(name, clean=clean, will=Will(service.topic("will"), b"second", qos=1))
    await first.closed()
    assert (await watcher.take()).payload == b"first"
    await watcher.nothing_more()
    second.drop()
    assert (await watcher.take()).payload == b"second"


@clause("MQTT-3.14.4-3", "MQTT-3.1.2-10")
async def test_a_will_is_not_published_after_disconnect(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    polite = await service.connect(will=Will(service.topic("will"), b"must not come", qos=1))
    await polite.disconnect()
    await (await service.connect()).publish(service.topic("will"), b"afterwards", qos=1)
    assert (await watcher.take()).payload == b"afterwards"
    await watcher.nothing_more()


@clause("MQTT-3.14.4-3")
async def test_a_will_is_not_published_where_disconnect_was_the_last_thing_sent(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    hasty = await service.connect(will=Will(service.topic("will"), b"must not come", qos=1))
    await hasty.send(publish(service.topic("will"), b"last words", qos=1, packet_id=1), DISCONNECT)
    hasty.writer.close()
    assert (await watcher.take()).payload == b"last words"
    await (await service.connect()).publish(service.topic("will"), b"afterwards", qos=1)
    assert (await watcher.take()).payload == b"afterwards"


@clause("MQTT-3.1.2-10")
async def test_a_will_is_published_once(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    name = service.name()
    dying = await service.connect(name, clean=False, will=Will(service.topic("will"), b"once", qos=1))
    dying.drop()
    assert (await watcher.take()).payload == b"once"
    # Its session lives on without that will.
    again = await service.connect(name, clean=False)
    assert again.session_present
    again.drop()
    await (await service.connect(name, clean=False)).disconnect()
    await (await service.connect()).publish(service.topic("will"), b"afterwards", qos=1)
    assert (await watcher.take()).payload == b"afterwards"


@clause("MQTT-3.1.2-12")
async def test_without_the_will_flag_nothing_is_published(service: Service) -> None:
    watcher = await service.subscriber((service.topic("#"), 1))
    name = service.name()
    (await service.connect(name)).drop()
    await (await service.connect(name)).disconnect()
    await (await service.connect()).publish(service.topic("t"), b"afterwards", qos=1)
    assert (await watcher.take()).payload == b"afterwards"


@clause("MQTT-3.1.2-17")
async def test_a_will_with_retain_is_retained(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    dying = await service.connect(will=Will(service.topic("will"), b"kept", qos=1, retain=True))
    dying.drop()
    message = await watcher.take()
    assert (message.payload, message.retain) == (b"kept", False)
    later = await service.subscriber((service.topic("will"), 1))
    message = await later.take()
    assert (message.payload, message.retain, message.qos) == (b"kept", True, 1)


@clause("MQTT-3.1.2-16")
async def test_a_will_without_retain_is_not_retained(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    await (await service.connect()).publish(service.topic("will"), b"before", qos=1, retain=True)
    await watcher.take()
    dying = await service.connect(will=Will(service.topic("will"), b"passing", qos=1))
    dying.drop()
    assert (await watcher.take()).payload == b"passing"
    later = await service.subscriber((service.topic("will"), 1))
    assert (await later.take()).payload == b"before"


@clause("MQTT-3.1.2-17", "MQTT-3.3.1-11")
async def test_an_empty_will_with_retain_removes_the_retained_message(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    await (await service.connect()).publish(service.topic("will"), b"before", qos=1, retain=True)
    await watcher.take()
    dying = await service.connect(will=Will(service.topic("will"), b"", qos=1, retain=True))
    dying.drop()
    assert (await watcher.take()).payload == b""
    later = await service.subscriber((service.topic("will"), 1))
    await later.nothing_more()


@clause("MQTT-3.1.2-8", "MQTT-3.1.2-5")
async def test_a_will_waits_for_a_client_that_is_away(service: Service) -> None:
    name = service.name()
    away = await service.connect(name, clean=False)
    await away.subscribe((service.topic("will"), 1))
    await away.disconnect()
    watcher = await service.subscriber((service.topic("will"), 1))
    (await service.connect(will=Will(service.topic("will"), b"waited", qos=1))).drop()
    assert (await watcher.take()).payload == b"waited"
    again = await service.connect(name, clean=False)
    assert (await again.take()).payload == b"waited"


@clause("MQTT-3.1.2-8")
async def test_the_will_of_a_connection_is_its_own_also_where_an_earlier_one_had_another(service: Service) -> None:
    watcher = await service.subscriber((service.topic("#"), 1))
    name = service.name()
    await (await service.connect(name, clean=False, will=Will(service.topic("old"), b"old", qos=1))).disconnect()
    (await service.connect(name, clean=False, will=Will(service.topic("new"), b"new", qos=1))).drop()
    assert (await watcher.take()).payload == b"new"
    await watcher.nothing_more()
