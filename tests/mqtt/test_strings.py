"""Strings and topic names are kept and compared as they are (1.5.3, 4.7.3); ill-formed ones are in breaking.py."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service


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
