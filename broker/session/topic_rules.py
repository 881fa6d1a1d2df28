"""What clients of one role may do with a topic name."""

from collections.abc import Callable

from broker.protocol import packets
from broker.settings import BrokerSettings
from core.messages import Role, ingest_kind

MAX_TOPICS = 4096
"""Topic names of one role that are remembered; at more, all of them are forgotten."""


class Topic:
    """What the node knows about a topic name that somebody with a certain role publishes to."""

    __slots__ = ("ingest", "name", "refused")

    def __init__(self, name: str, *, ingest: bool, refused: str) -> None:
        self.name = name
        self.ingest = ingest
        """Whether what is published to it is a position."""
        self.refused = refused
        """Why nobody of that role may publish to it: a fixed word; empty if they may."""


class TopicRules:
    """The rules of one node, and what they say of the names that have come."""

    def __init__(self, *, settings: BrokerSettings, may_publish: Callable[[Role, str], bool]) -> None:
        self._settings = settings
        self._may_publish = may_publish
        self._known: dict[Role, dict[bytes, Topic]] = {}

    def known(self, role: Role) -> dict[bytes, Topic]:
        """What is known of the topic names that users with a role have published to; it grows with `find`."""
        return self._known.setdefault(role, {})

    def find(self, role: Role, name: bytes) -> Topic:
        """Find out about a topic name. Raises ProtocolViolationError for one that is none."""
        topic = packets.topic_name(name)
        refused = ""
        if self.problem(topic):
            refused = "topic_limit"
        elif not self._may_publish(role, topic):
            refused = "publish"
        known = self.known(role)
        if len(known) >= MAX_TOPICS:
            known.clear()
        known[name] = found = Topic(topic, ingest=ingest_kind(topic) is not None, refused=refused)
        return found

    def problem(self, topic: str) -> str | None:
        """Why a topic name, or a topic filter, is larger than it may be; None where it is not."""
        if len(topic.encode()) > self._settings.mqtt_topic_bytes:
            return f"more than MQTT_TOPIC_BYTES={self._settings.mqtt_topic_bytes} bytes"
        if topic.count("/") >= self._settings.mqtt_topic_levels:
            return f"more than MQTT_TOPIC_LEVELS={self._settings.mqtt_topic_levels} levels"
        return None
