"""`$SYS/broker/...`: what a node says of itself to services that are connected to it; retained, and its own alone."""

from collections.abc import Callable, Mapping

from broker.cluster import Cluster
from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.protocol.message import Message
from broker.protocol.topics import TopicTree
from broker.routing.ports import Subscriber
from broker.routing.subscriptions import Subscriptions
from broker.settings import BrokerSettings
from runtime.service import Stop, pause

PREFIX = "$SYS/broker/"


class SysTopics:
    """The figures of one node, published every SYS_INTERVAL where they have changed."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        subscriptions: Subscriptions,
        cluster: Cluster,
        ingest: Ingest,
        metrics: BrokerMetrics,
        connections: Mapping[int, Subscriber],
        clients: Mapping[str, Subscriber],
        problem: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        """`problem` answers why the node is not ready, None when it is; `now` is the event loop's clock."""
        self._settings = settings
        self._subscriptions = subscriptions
        self._cluster = cluster
        self._ingest = ingest
        self._metrics = metrics
        self._connections = connections
        self._clients = clients
        self._problem = problem
        self._now = now
        self._started = now()
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
            await pause(self._settings.sys_interval, stop)

    def update(self) -> None:
        """Publish what has changed."""
        for name, value in self._figures().items():
            topic, payload = PREFIX + name, str(value).encode()
            if self._values.get(topic) != payload:
                self._values[topic] = payload
                self._subscriptions.deliver(Message(topic, payload, 0))

    def _figures(self) -> dict[str, str | int]:
        metrics, usage = self._metrics, self._cluster.usage
        return {
            "node": self._settings.broker_node,
            "version": "campus-occupancy, amqtt 0.12.1",
            "uptime": int(self._now() - self._started),
            "clients/connected": len(self._clients),
            "connections": len(self._connections),
            "messages/received": sum(metrics.received),
            "messages/sent": sum(metrics.sent),
            "bytes/received": metrics.bytes_in,
            "bytes/sent": metrics.bytes_out,
            "publish/bytes/received": metrics.received_bytes,
            "sessions": usage.sessions,
            "sessions/bytes": usage.session_bytes,
            "retained/messages": usage.retained,
            "retained/bytes": usage.retained_bytes,
            "retained/refused": self._cluster.dropped.retained,
            "messages/waiting/raw": self._ingest.length,
            "bytes/waiting/in": self._ingest.waiting,
            "bytes/waiting/out": sum(connection.waiting_out for connection in self._connections.values()),
            "problem": self._problem() or "",
        }
