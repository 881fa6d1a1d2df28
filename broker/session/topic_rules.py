"""What clients of one role may do with a topic name."""

from enum import Enum, auto

from broker.auth.access import AccessRules
from broker.auth.amqtt_broker import AmqttBroker
from broker.protocol import packets
from broker.protocol.reasons import Refusal
from broker.settings import BrokerSettings
from core.kinds import Kinds, Role

MAX_TOPICS = 4096
"""Topic names of one role that are remembered; at more, all of them are forgotten."""
MAX_TOPICS_EACH = 64
"""The same of one client, where plugins are asked."""


class WillRule(Enum):
    """What becomes of a will for a topic."""

    KEEP = auto()
    LEAVE_OUT = auto()
    """The client is let in without it: apps that send positions cannot choose whether they have one, or where."""
    REFUSE = auto()


class Topic:
    """What the node knows about a topic name that somebody with a certain role publishes to."""

    __slots__ = ("ingest", "name", "refused")

    def __init__(self, name: str, *, ingest: bool, refused: Refusal | None) -> None:
        self.name = name
        self.ingest = ingest
        """Whether what is published to it is a position."""
        self.refused = refused
        """Why nobody of that role may publish to it; None if they may."""


class TopicRules:
    """The rules of one node, and what they say of the names that have come."""

    def __init__(self, *, settings: BrokerSettings, kinds: Kinds, access: AccessRules, amqtt: AmqttBroker) -> None:
        self._settings = settings
        self._kinds = kinds
        self._access = access
        self._amqtt = amqtt
        self._known: dict[Role, dict[bytes, Topic]] = {}

    @property
    def are_asked(self) -> bool:
        """Whether plugins that are not ours filter topics: then each name has to be asked about with `ask`."""
        return self._amqtt.filters_publishing

    def known(self, role: Role) -> dict[bytes, Topic]:
        """For one client, what is known of topic names; it grows with `find` and `ask`.

        All clients of a role share it, unless plugins may answer differently for each.
        """
        return {} if self.are_asked else self._known.setdefault(role, {})

    async def ask(self, known: dict[bytes, Topic], name: bytes, *, client_id: str, user: str, role: Role) -> None:
        """Find out about a topic name, also from plugins, and add it to what is known of one client.

        Raises ProtocolViolationError for one that is none, and what the plugins raise.
        """
        topic = self._look(role, name)
        if not topic.refused and not await self._amqtt.may_publish(
            client_id=client_id, user=user, role=role, topic=topic.name
        ):
            topic.refused = Refusal.PUBLISH
        _remember(known, name, topic, MAX_TOPICS_EACH)

    def will(self, role: Role, topic: str) -> WillRule:
        """Whether a client may have a will for a topic.

        None for positions: one that was made before the connection began is none.
        """
        if self.problem(topic) or not self._access.may_publish(role, topic):
            return WillRule.REFUSE
        ingest = self._kinds.ingest_kind(topic) is not None or self._kinds.is_unmapped(topic)
        return WillRule.LEAVE_OUT if ingest else WillRule.KEEP

    def find(self, role: Role, name: bytes) -> Topic:
        """Find out about a topic name. Raises ProtocolViolationError for one that is none."""
        topic = self._look(role, name)
        _remember(self._known.setdefault(role, {}), name, topic, MAX_TOPICS)
        return topic

    def _look(self, role: Role, name: bytes) -> Topic:
        topic = packets.topic_name(name)
        refused = None
        if self.problem(topic):
            refused = Refusal.TOPIC_LIMIT
        elif not self._access.may_publish(role, topic):
            refused = Refusal.PUBLISH
        elif self._kinds.is_unmapped(topic):
            refused = Refusal.UNMAPPED
        return Topic(topic, ingest=self._kinds.ingest_kind(topic) is not None, refused=refused)

    def problem(self, topic: str) -> str | None:
        """Why a topic name, or a topic filter, is larger than it may be; None where it is not."""
        if len(topic.encode()) > self._settings.mqtt_topic_bytes:
            return f"more than MQTT_TOPIC_BYTES={self._settings.mqtt_topic_bytes} bytes"
        if topic.count("/") >= self._settings.mqtt_topic_levels:
            return f"more than MQTT_TOPIC_LEVELS={self._settings.mqtt_topic_levels} levels"
        return None


def _remember(known: dict[bytes, Topic], name: bytes, topic: Topic, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[name] = topic
