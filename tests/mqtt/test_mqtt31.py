"""MQTT 3.1 (protocol name MQIsdp, level 3), where it differs from 3.1.1."""

from typing import Any

import pytest

from tests.mqtt.client import ClosedError, Connection, Service
from tests.mqtt.wire import Connack, Kind, Suback, Will, ack, connect, publish, subscribe, unsubscribe

OLD: dict[str, Any] = {"protocol": "MQIsdp", "level": 3}


async def old_client(service: Service, **fields: Any) -> Connection:
    return await service.connect(**OLD, **fields)


async def test_mqisdp_at_level_3_is_accepted(service: Service) -> None:
    connection = await service.dial()
    await connection.send(connect(service.name(), **OLD))
    assert await connection.receive() == Connack(session_present=False, code=0)
    assert await connection.is_open()


@pytest.mark.parametrize(("protocol", "level"), [("MQIsdp", 4), ("MQIsdp", 2), ("MQTT", 3), ("MQIsdp", 5)])
async def test_a_name_and_a_level_that_do_not_belong_together_get_return_code_1(
    service: Service, protocol: str, level: int
) -> None:
    connection = await service.dial()
    await connection.send(connect(service.name(), protocol=protocol, level=level))
    assert await connection.receive() == Connack(session_present=False, code=1)
    await connection.closed()


@pytest.mark.parametrize("length", [1, 23, 24, 64])
async def test_a_client_identifier_may_be_longer_than_23_characters(service: Service, length: int) -> None:
    """MQTT 3.1 says 23 at the most; its clients have not kept to that, and nothing is gained by refusing them."""
    await service.connect((service.prefix * 6)[:length], **OLD)


@pytest.mark.parametrize("clean", [True, False])
async def test_an_empty_client_identifier_is_refused(service: Service, *, clean: bool) -> None:
    """MQTT 3.1 (CONNECT, client identifier): 1 to 23 characters, else return code 2."""
    connection = await service.dial()
    await connection.send(connect("", clean=clean, **OLD))
    assert await connection.receive() == Connack(session_present=False, code=2)
    await connection.closed()


async def test_connack_does_not_say_that_a_session_is_present(service: Service) -> None:
    """The byte is reserved in MQTT 3.1; the session is there all the same."""
    name = service.name()
    first = await old_client(service, client_id=name, clean=False)
    await first.subscribe((service.topic(), 1))
    await first.disconnect()
    await (await service.connect()).publish(service.topic(), b"waited", qos=1)
    again = await old_client(service, client_id=name, clean=False)
    assert not again.session_present
    assert (await again.take()).payload == b"waited"


async def test_a_session_goes_on_between_the_two_versions(service: Service) -> None:
    name = service.name()
    old = await old_client(service, client_id=name, clean=False)
    await old.subscribe((service.topic(), 1))
    await old.disconnect()
    new = await service.connect(name, clean=False)
    assert new.session_present
    await (await old_client(service)).publish(service.topic(), b"both", qos=1)
    assert (await new.take()).payload == b"both"


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_old_and_new_clients_hear_each_other(service: Service, qos: int) -> None:
    old = await old_client(service)
    await old.subscribe((service.topic("old/#"), qos))
    new = await service.subscriber((service.topic("new/#"), qos))
    await old.publish(service.topic("new/t"), b"from old", qos=qos, retain=True)
    await new.publish(service.topic("old/t"), b"from new", qos=qos, retain=True)
    assert [(message.payload, message.qos) for message in (await new.take(), await old.take())] == [
        (b"from old", qos),
        (b"from new", qos),
    ]


@pytest.mark.parametrize("topic_filter", ["car-iotp/#", "nosubscribe", "test/nosubscribe", "$SYS/#"])
async def test_suback_does_not_say_0x80(service: Service, topic_filter: str) -> None:
    """A client of MQTT 3.1 knows 0, 1 and 2 alone: a filter that it may not have is granted, and brings nothing."""
    connection = await old_client(service)
    await connection.send(subscribe(7, (topic_filter, 1), (service.topic(), 2)))
    suback = await connection.receive()
    assert isinstance(suback, Suback)
    assert suback.packet_id == 7
    assert len(suback.codes) == 2
    assert 0x80 not in suback.codes


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(publish("t", qos=1, packet_id=3, dup=True), id="publish"),
        pytest.param(subscribe(4, ("t", 0), flags=0b1010), id="subscribe"),
        pytest.param(unsubscribe(5, "t", flags=0b1010), id="unsubscribe"),
        pytest.param(ack(Kind.PUBREL, 6, flags=0b1010), id="pubrel"),
    ],
)
async def test_dup_is_a_flag_of_every_request(service: Service, packet: bytes) -> None:
    """MQTT 3.1 (DUP): set on a second delivery of PUBLISH, PUBREL, SUBSCRIBE and UNSUBSCRIBE."""
    connection = await old_client(service)
    await connection.send(packet)
    try:
        await connection.receive()
    except ClosedError:
        pytest.fail("the server closed the connection")


async def test_the_will_of_an_old_client_is_published(service: Service) -> None:
    watcher = await service.subscriber((service.topic("will"), 1))
    (await old_client(service, will=Will(service.topic("will"), b"lost", qos=1))).drop()
    assert (await watcher.take()).payload == b"lost"
