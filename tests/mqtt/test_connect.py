"""CONNECT and CONNACK (3.1, 3.2): who is let in, and with which answer."""

import pytest

from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Service
from tests.mqtt.wire import (
    DISCONNECT,
    PINGREQ,
    Connack,
    Pingresp,
    Suback,
    Will,
    connect,
    frame,
    publish,
    string,
    subscribe,
)


@clause("MQTT-3.1.4-4", "MQTT-3.2.0-1", "MQTT-7.1.1-1", "MQTT-2.2.2-1")
async def test_a_valid_connect_is_accepted(service: Service) -> None:
    connection = await service.dial()
    await connection.send(connect(service.name()))
    assert await connection.receive() == Connack(session_present=False, code=0)
    await connection.nothing_more()


@clause("MQTT-3.1.3-1", "MQTT-3.1.2-19", "MQTT-3.1.2-21")
async def test_a_connect_with_every_field_is_answered(service: Service) -> None:
    connection = await service.dial()
    will = Will(service.topic("will"), b"gone", qos=2, retain=True)
    await connection.send(connect(service.name(), will=will, user="nobody", password=b"\x00\xff"))
    connack = await connection.receive()
    # A service that has users may refuse this one, by the return codes that are there for it.
    assert isinstance(connack, Connack)
    assert connack.code in {0, 4, 5}


@clause("MQTT-3.1.3-1", "MQTT-3.1.2-9")
async def test_the_will_of_a_connect_is_the_one_that_it_names(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 2))
    dying = await service.connect(will=Will(service.topic("will"), b"\x00\xffgone", qos=2))
    dying.drop()
    message = await watcher.take()
    assert (message.topic, message.payload, message.qos) == (service.topic("will"), b"\x00\xffgone", 2)


@clause("MQTT-3.2.0-1")
async def test_packets_sent_right_behind_connect_are_answered_after_connack(service: Service) -> None:
    connection = await service.dial()
    topic = service.topic()
    await connection.send(connect(service.name()), subscribe(1, (topic, 0)), publish(topic, b"soon"), PINGREQ)
    assert isinstance(await connection.receive(), Connack)
    rest = [await connection.receive() for _ in range(3)]
    assert Suback(1, (0,)) in rest
    assert Pingresp() in rest


@clause("MQTT-3.1.0-2", "MQTT-4.8.0-1")
async def test_a_second_connect_closes_the_connection(service: Service) -> None:
    name = service.name()
    connection = await service.connect(name)
    await connection.send(connect(name))
    await connection.closed()


@clause("MQTT-3.1.2-2", "MQTT-3.2.2-4", "MQTT-3.2.2-5")
@pytest.mark.parametrize("level", [0, 3, 6, 127, 255])
async def test_an_unsupported_protocol_level_gets_return_code_1_and_a_close(service: Service, level: int) -> None:
    connection = await service.dial()
    await connection.send(connect(service.name(), level=level))
    assert await connection.receive() == Connack(session_present=False, code=1)
    await connection.closed()


@clause("MQTT-3.1.2-2", "MQTT-3.2.2-4", "MQTT-3.2.2-5")
@mosquitto_deviates("speaks MQTT 5 also")
async def test_mqtt_5_gets_return_code_1_and_a_close(service: Service) -> None:
    connection = await service.dial()
    # As an MQTT 5 client writes it: no properties, after the keepalive.
    fields = string("MQTT") + bytes((5, 2)) + (60).to_bytes(2, "big")
    await connection.send(frame(0x10, fields + b"\x00" + string(service.name())))
    assert await connection.receive() == Connack(session_present=False, code=1)
    await connection.closed()


@clause("MQTT-3.1.4-5")
async def test_what_follows_a_connect_that_was_refused_is_not_processed(service: Service) -> None:
    topic = service.topic()
    watcher = await service.subscriber((topic, 0))
    connection = await service.dial()
    await connection.send(connect(service.name(), level=99), publish(topic, b"refused"))
    assert await connection.receive() == Connack(session_present=False, code=1)
    await connection.closed()
    await (await service.connect()).publish(topic, b"accepted")
    assert (await watcher.message()).payload == b"accepted"


@clause("MQTT-3.1.3-5")
@pytest.mark.parametrize("characters", ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "7"])
async def test_letters_and_digits_are_allowed_as_a_client_identifier(service: Service, characters: str) -> None:
    await service.connect(characters)


@pytest.mark.parametrize("name", ["a/b", "with space", "é", "-_.:", "x" * 64])
async def test_other_client_identifiers_are_allowed_as_well(service: Service, name: str) -> None:
    await service.connect(name)


@clause("MQTT-3.1.3-6")
async def test_each_client_without_an_identifier_gets_one_of_its_own(service: Service) -> None:
    first = await service.connect("")
    second = await service.connect("")
    third = await service.connect("")
    assert not any(connection.session_present for connection in (first, second, third))
    assert await first.is_open()
    assert await second.is_open()


@clause("MQTT-3.1.3-7", "MQTT-3.1.3-8", "MQTT-3.1.3-9", "MQTT-3.2.2-4", "MQTT-3.2.2-5")
async def test_an_empty_client_identifier_with_clean_session_0_gets_return_code_2_and_a_close(service: Service) -> None:
    connection = await service.dial()
    await connection.send(connect("", clean=False))
    assert await connection.receive() == Connack(session_present=False, code=2)
    await connection.closed()


@clause("MQTT-3.12.4-1")
async def test_a_ping_is_answered(service: Service) -> None:
    connection = await service.connect()
    await connection.send(PINGREQ, PINGREQ)
    assert [await connection.receive() for _ in range(2)] == [Pingresp(), Pingresp()]


async def test_disconnect_closes_the_connection(service: Service) -> None:
    connection = await service.connect()
    await connection.send(DISCONNECT)
    await connection.closed()
