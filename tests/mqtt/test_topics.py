"""Topic names and filters (4.7): which filters there are, and what they match."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import publish


@clause("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-3.3.2-3")
@pytest.mark.parametrize(
    ("topic_filter", "matching", "others"),
    [
        ("a/b/c", ["a/b/c"], ["a/b", "a/b/c/d", "a/b/C", "/a/b/c", "a/b/c/"]),
        ("a/#", ["a", "a/", "a/b", "a/b/c", "a//b"], ["b", "ab", "A/b", "/a"]),
        ("a/b/#", ["a/b", "a/b/c", "a/b/c/d"], ["a", "a/c", "a/bc"]),
        ("+", ["a", "b", ""], ["a/b", "/", "a/"]),
        ("a/+", ["a/b", "a/"], ["a", "a/b/c", "a/b/", "/b"]),
        ("+/b", ["a/b", "/b"], ["b", "a/b/c", "a/c"]),
        ("a/+/c", ["a/b/c", "a//c"], ["a/c", "a/b/b/c", "a/b/c/d"]),
        ("+/+", ["a/b", "/", "a/", "/b"], ["a", "a/b/c", "//"]),
        ("+/b/#", ["a/b", "a/b/c", "/b"], ["a/c", "b", "a"]),
        ("/", ["/"], ["", "a/", "/a", "//"]),
        ("/+", ["/a", "/"], ["a", "/a/b", "a/b"]),
        ("//a", ["//a"], ["/a", "a", "///a"]),
        ("a//b", ["a//b"], ["a/b", "a/x/b"]),
        ("a b/é/+", ["a b/é/x"], ["a b/e/x", "ab/é/x"]),
        ("$x/+", ["$x/a"], ["x/a", "$x", "$x/a/b"]),
    ],
)
async def test_a_filter_matches_what_the_standard_says(
    service: Service, topic_filter: str, matching: list[str], others: list[str]
) -> None:
    subscriber = await service.subscriber((service.topic(topic_filter), 1), (service.topic("e/n/d/!"), 1))
    publisher = await service.connect()
    for levels in [*others, *matching, "e/n/d/!"]:
        await publisher.publish(service.topic(levels), levels.encode(), qos=1)
    received = [(await subscriber.take()).topic for _ in [*matching, "end"]]
    assert received == [service.topic(levels) for levels in [*matching, "e/n/d/!"]]


@clause("MQTT-4.7.1-1", "MQTT-4.7.2-1")
@pytest.mark.parametrize("topic_filter", ["#", "+/{}/#", "+/+", "+/{}"])
async def test_a_filter_may_begin_with_a_wildcard_and_then_does_not_match_dollar_topics(
    service: Service, topic_filter: str
) -> None:
    subscriber = await service.connect()
    await subscriber.subscribe((topic_filter.format(service.prefix), 1))
    own = await service.subscriber((f"$own/{service.prefix}", 1))
    publisher = await service.connect()
    await publisher.publish(f"$own/{service.prefix}", b"dollar", qos=1)
    await publisher.publish(f"own/{service.prefix}", b"plain", qos=1)
    payloads = []
    # Others publish too, and this subscriber hears it.
    while (message := await subscriber.take()).payload != b"plain" or service.prefix not in message.topic:
        payloads.append(message.topic)
    assert not [topic for topic in payloads if topic.startswith("$") or service.prefix in topic]
    # Whether clients may use such topics at all is the server's own business; Mosquitto and ours let them.
    assert (await own.take()).payload == b"dollar"


@clause("MQTT-4.7.2-1")
@pytest.mark.parametrize("topic_filter", ["#", "+/broker/#", "+/#"])
async def test_a_leading_wildcard_does_not_bring_the_servers_own_topics(service: Service, topic_filter: str) -> None:
    subscriber = await service.subscriber((topic_filter, 0))
    await (await service.connect()).publish(f"{service.prefix}/broker/end", b"end", qos=1)
    topics = []
    while not (message := await subscriber.take()).topic.startswith(service.prefix):
        topics.append(message.topic)
    assert not [topic for topic in topics if topic.startswith("$")]


@clause("MQTT-3.3.5-2")
async def test_a_publish_that_is_not_allowed_is_acknowledged_or_closes_and_later_ones_are_not_harmed(
    service: Service,
) -> None:
    subscriber = await service.subscriber((service.topic(), 1))
    publisher = await service.connect()
    await publisher.send(publish("$SYS/broker/version", b"forged", qos=1, packet_id=7))
    if await publisher.is_open():
        # Both came, the acknowledgement before the answer to the PINGREQ.
        assert (await publisher.receive()) is not None
        await publisher.publish(service.topic(), b"later", qos=1)
        assert (await subscriber.take()).payload == b"later"
