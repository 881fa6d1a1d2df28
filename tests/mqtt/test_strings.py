"""UTF-8 encoded strings (1.5.3) wherever a packet holds one, and topic names as they are (4.7.3)."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import Will, connect, publish, subscribe, unsubscribe

ILL_FORMED = pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"a\xff", id="no-utf-8-byte"),
        pytest.param(b"\xc3", id="ends-within-a-character"),
        pytest.param(b"\x80a", id="continuation-first"),
        pytest.param(b"\xc0\xaf", id="overlong-two-bytes"),
        pytest.param(b"\xe0\x80\xaf", id="overlong-three-bytes"),
        pytest.param(b"a\xed\xa0\x80", id="first-surrogate"),
        pytest.param(b"a\xed\xbf\xbf", id="last-surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond-unicode"),
        pytest.param(b"a\x00b", id="null", marks=clause("MQTT-1.5.3-2")),
        pytest.param(b"\xc0\x80", id="overlong-null", marks=clause("MQTT-1.5.3-2")),
    ],
)


@clause("MQTT-1.5.3-1", "MQTT-3.1.3-4")
@ILL_FORMED
async def test_an_ill_formed_client_identifier_closes_the_connection(service: Service, text: bytes) -> None:
    connection = await service.dial()
    await connection.send(connect(text))
    await connection.closed()


@clause("MQTT-1.5.3-1", "MQTT-3.1.3-10")
@ILL_FORMED
async def test_an_ill_formed_will_topic_closes_the_connection(service: Service, text: bytes) -> None:
    await service.refused(connect(service.name(), will=Will(text)))


@clause("MQTT-1.5.3-1", "MQTT-3.1.3-11")
@ILL_FORMED
async def test_an_ill_formed_user_name_closes_the_connection(service: Service, text: bytes) -> None:
    await service.refused(connect(service.name(), user=text, password=b"any"))


@clause("MQTT-1.5.3-1")
@ILL_FORMED
async def test_an_ill_formed_protocol_name_closes_the_connection(service: Service, text: bytes) -> None:
    connection = await service.dial()
    await connection.send(connect(service.name(), protocol=text))
    await connection.closed_whatever_came_before()


@clause("MQTT-1.5.3-1", "MQTT-3.3.2-1", "MQTT-4.7.3-2")
@pytest.mark.parametrize("qos", [0, 1, 2])
@ILL_FORMED
async def test_an_ill_formed_topic_name_closes_the_connection(service: Service, text: bytes, qos: int) -> None:
    await service.breaks(publish(text, b"payload", qos=qos, packet_id=7 if qos else None))


@clause("MQTT-1.5.3-1", "MQTT-3.8.3-1", "MQTT-4.7.3-2")
@ILL_FORMED
async def test_an_ill_formed_topic_filter_in_subscribe_closes_the_connection(service: Service, text: bytes) -> None:
    await service.breaks(subscribe(7, (text, 0)))


@clause("MQTT-1.5.3-1", "MQTT-3.10.3-1", "MQTT-4.7.3-2")
@ILL_FORMED
async def test_an_ill_formed_topic_filter_in_unsubscribe_closes_the_connection(service: Service, text: bytes) -> None:
    await service.breaks(unsubscribe(7, text))


@clause("MQTT-1.5.3-3")
@pytest.mark.parametrize("place", ["{}\ufeff", "\ufeff{}", "{}/\ufeff/a"])
async def test_a_zero_width_no_break_space_is_kept_in_topics(service: Service, place: str) -> None:
    topic = place.format(service.prefix)
    subscriber = await service.subscriber((topic, 1))
    other = await service.subscriber((topic.replace("\ufeff", ""), 1))
    publisher = await service.connect()
    await publisher.publish(topic, b"with", qos=1)
    assert (await subscriber.take()).topic == topic
    await publisher.publish(topic.replace("\ufeff", ""), b"without", qos=1)
    assert (await other.take()).payload == b"without"


@clause("MQTT-1.5.3-3", "MQTT-3.1.3-2")
async def test_a_zero_width_no_break_space_is_kept_in_client_identifiers(service: Service) -> None:
    name = service.name()
    plain = await service.connect(name)
    marked = await service.connect(f"\ufeff{name}")
    assert await plain.is_open()
    assert await marked.is_open()


@clause("MQTT-4.7.3-4", "MQTT-3.3.2-3")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("caf\u00e9", "cafe\u0301", id="composed"),
        pytest.param("Accounts", "ACCOUNTS", id="case"),
        pytest.param("a b", "a  b", id="spaces"),
        pytest.param("a", "a ", id="trailing-space"),
        pytest.param("ﬁ", "fi", id="ligature"),
        pytest.param("a/b", "a//b", id="levels"),
        pytest.param("\U0001f697", "\U0001f698", id="beyond-the-basic-plane"),
    ],
)
async def test_topics_are_compared_as_they_are(service: Service, one: str, other: str) -> None:
    subscriber = await service.subscriber((service.topic(one), 1))
    publisher = await service.connect()
    await publisher.publish(service.topic(other), b"other", qos=1)
    await publisher.publish(service.topic(one), b"one", qos=1)
    message = await subscriber.take()
    assert (message.topic, message.payload) == (service.topic(one), b"one")
