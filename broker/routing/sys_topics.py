"""`$SYS/broker/...`: what a node says of itself to services that are connected to it; retained, and its own alone."""

from typing import TYPE_CHECKING

from broker.protocol.message import Message
from broker.protocol.topics import TopicTree
from runtime.service import Stop, pause

if TYPE_CHECKING:
    from broker.node import Node

PREFIX = "$SYS/broker/"


class SysTopics:
    """The figures of one node, published every SYS_INTERVAL where they have changed."""

    def __init__(self, *, node: "Node") -> None:
        self._node = node
        self._started = node.now()
        self._values: dict[str, bytes] = {}

    def matching(self, topic_filter: str) -> list[Message]:
        """What is retained for a topic filter."""
        if not topic_filter.startswith("$"):
            return []
        tree: TopicTree[str, None] = TopicTree()
        tree.set(topic_filter, "", None)
        return [
            Message(topic, payload, 0, retain=True)
            for topic, payload in self._values.items()
            if next(tree.match(topic), None) is not None
        ]

    async def run(self, stop: Stop) -> None:
        """Keep them up to date, until `stop`."""
        while not stop.is_set():
            self.update()
            await pause(self._node.settings.sys_interval, stop)

    def update(self) -> None:
        """Publish what has changed."""
        for name, value in self._figures().items():
            topic, payload = PREFIX + name, str(value).encode()
            if self._values.get(topic) != payload:
                self._values[topic] = payload
                self._node.subscriptions.deliver(Message(topic, payload, 0))

    def _figures(self) -> dict[str, str | int]:
        node, metrics = self._node, self._node.metrics
        return {
            "node": node.settings.broker_node,
            "version": "campus-occupancy, amqtt 0.12.1",
            "uptime": int(node.now() - self._started),
            "clients/connected": len(node.clients),
            "connections": len(node.connections),
            "messages/received": sum(metrics.received),
            "messages/sent": sum(metrics.sent),
            "bytes/received": node.bytes_in,
            "bytes/sent": node.bytes_out,
            "publish/bytes/received": metrics.received_bytes,
            "sessions": node.cluster.usage.sessions,
            "sessions/bytes": node.cluster.usage.session_bytes,
            "retained/messages": node.cluster.usage.retained,
            "retained/bytes": node.cluster.usage.retained_bytes,
            "retained/refused": node.cluster.dropped.retained,
            "messages/waiting/raw": node.ingest.length,
            "bytes/waiting/in": node.ingest.waiting,
            "bytes/waiting/out": sum(connection.waiting_out for connection in node.connections.values()),
            "problem": node.problem or "",
        }
