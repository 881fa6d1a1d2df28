"""What clients of one role may do with a topic name."""

from broker.auth.access import AccessRules
from broker.protocol import packets
from broker.settings import BrokerSettings
from core.kinds import Kinds, Role

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

    def __init__(self, *, settings: BrokerSettings, kinds: Kinds, access: AccessRules) -> None:
        self._settings = settings
        self._kinds = kinds
        self._access = access
        self._known: dict[Role, dict[bytes, Topic]] = {}

    def known(self, role: Role) -> dict[bytes, Topic]:
        """What is known of the topic names that users with a role have published to; it grows with `find`."""
        return self._known.setdefault(role, {})

    def may_have_will(self, role: Role, topic: str) -> bool:
        """Whether a client may have a will for a topic.

        None for positions: one that was made before the connection began is none.
        """
        allowed = self._access.may_publish(role, topic) and not self._kinds.ingest_kind(topic)
        return allowed and not self.problem(topic)

    def find(self, role: Role, name: bytes) -> Topic:
        """Find out about a topic name. Raises ProtocolViolationError for one that is none."""
        topic = packets.topic_name(name)
        refused = ""
        if self.problem(topic):
            refused = "topic_limit"
        elif not self._access.may_publish(role, topic):
            refused = "publish"
        known = self.known(role)
        if len(known) >= MAX_TOPICS:
            known.clear()
        known[name] = found = Topic(topic, ingest=self._kinds.ingest_kind(topic) is not None, refused=refused)
        return found

    def problem(self, topic: str) -> str | None:
        """Why a topic name, or a topic filter, is larger than it may be; None where it is not."""
        if len(topic.encode()) > self._settings.mqtt_topic_bytes:
            return f"more than MQTT_TOPIC_BYTES={self._settings.mqtt_topic_bytes} bytes"
        if topic.count("/") >= self._settings.mqtt_topic_levels:
            return f"more than MQTT_TOPIC_LEVELS={self._settings.mqtt_topic_levels} levels"
        return None
