"""Who on this node has subscribed to what, and what that makes the node want of the others."""

from collections.abc import Iterable
from itertools import chain

from broker.auth.access import may_receive, must_be_named
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.topics import TopicTree
from broker.session.connection import Connection
from broker.shares import Shares
from core.messages import Role

MAX_REMEMBERED = 4096
"""Topics whose subscribers are remembered until somebody subscribes or unsubscribes."""
FILTER_BYTES = 64
"""What a filter counts besides its own bytes."""
ANY_QOS = 1
"""Flag of an interest: somebody is here who gets messages of any QoS from the node itself."""
QOS_0_ALONE = 2
"""Flag of an interest: persistent sessions alone, whose messages of QoS 1 and 2 come by their queues."""
INGEST = 4
"""Flag of an interest: somebody may also receive what is published to the ingest topics."""


def _size(topic_filter: str) -> int:
    return len(topic_filter.encode()) + FILTER_BYTES


class Subscriptions:
    """The subscriptions of the connections of one node."""

    def __init__(self, shares: Shares) -> None:
        """`shares` are those of the filters: of an owner, each filter of each connection; in all, each filter once."""
        self._shares = shares
        self._tree: TopicTree[Connection, int] = TopicTree()
        self._remembered: dict[str, list[tuple[Connection, int]]] = {}

    def without_room(self, connection: Connection, filters: Iterable[str]) -> list[str]:
        """Those filters, new to this connection, for which its owner or the node have no room."""
        refused: list[str] = []
        size = in_all = 0
        for topic_filter in filters:
            if topic_filter in (connection.filters or ()):
                continue
            own = _size(topic_filter)
            new = 0 if self._tree.at(topic_filter) else own
            if self._shares.has_room(connection.owner, size + own, in_all=in_all + new):
                size += own
                in_all += new
            else:
                refused.append(topic_filter)
        return refused

    def add(self, connection: Connection, topic_filter: str, qos: int) -> None:
        """Subscribe, or change what is granted [MQTT-3.8.4-3]."""
        if connection.filters is None:
            connection.filters = {}
        if topic_filter not in connection.filters:
            size = _size(topic_filter)
            self._shares.change(connection.owner, size, in_all=0 if self._tree.at(topic_filter) else size)
        connection.filters[topic_filter] = qos
        self._tree.set(topic_filter, connection, qos)
        self._remembered.clear()

    def remove(self, connection: Connection, topic_filter: str) -> None:
        """Unsubscribe."""
        if connection.filters is not None and connection.filters.pop(topic_filter, None) is not None:
            self._tree.remove(topic_filter, connection)
            size = _size(topic_filter)
            self._shares.change(connection.owner, -size, in_all=0 if self._tree.at(topic_filter) else -size)
            self._remembered.clear()

    def deliver(self, message: Message) -> None:
        """Hand a message to each connection that wants it, once [MQTT-3.3.5-1], with the lower QoS of the two."""
        packet = None
        for connection, granted in self._subscribers(message.topic):
            qos = min(granted, message.qos)
            if not qos and packet is None:
                packet = packets.publish(message.topic, message.payload)
            connection.deliver(message, qos, packet)

    def wake(self, topics: Iterable[str]) -> None:
        """States have changed on other nodes: persistent sessions that want them look for what is new."""
        wanted = {each for topic in topics for each, qos in self._subscribers(topic) if qos and not each.clean}
        for connection in wanted:
            connection.wake()

    def wants(self, topic: str) -> bool:
        """Whether anybody here receives what is published to a topic."""
        return bool(self._subscribers(topic))

    def interest(self, topic_filter: str) -> int | None:
        """The flags of what the node wants of the others for a filter; None for nothing."""
        found = self._tree.at(topic_filter)
        if not found:
            return None
        flags = QOS_0_ALONE
        for connection, qos in found.items():
            if connection.clean or not qos:
                flags = ANY_QOS
                break
        return flags | INGEST if any(connection.role is Role.SERVICE for connection in found) else flags

    def _matches(self, topic: str) -> Iterable[tuple[Connection, int]]:
        if not must_be_named(topic):
            return self._tree.match(topic)
        services = (match for match in self._tree.match(topic) if match[0].role is Role.SERVICE)
        return chain(services, self._tree.match(topic, leading_wildcards=False))

    def _subscribers(self, topic: str) -> list[tuple[Connection, int]]:
        remembered = self._remembered.get(topic)
        if remembered is None:
            granted: dict[Connection, int] = {}
            for connection, qos in self._matches(topic):
                if qos >= granted.get(connection, 0) and may_receive(connection.role, topic):
                    granted[connection] = qos
            remembered = list(granted.items())
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[topic] = remembered
        return remembered
