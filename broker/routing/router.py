"""From whoever publishes here to all who have subscribed, here and elsewhere."""

from collections.abc import Callable

from broker.cluster import Cluster
from broker.cluster.publisher import Publish
from broker.protocol.message import Message
from broker.routing.subscriptions import Subscriptions
from broker.tasks import Tasks
from runtime.retry import until_available


class Router:
    """That of one node."""

    def __init__(self, *, cluster: Cluster, subscriptions: Subscriptions, tasks: Tasks) -> None:
        self._cluster = cluster
        self._subscriptions = subscriptions
        self._tasks = tasks

    def is_wanted(self, topic: str) -> bool:
        """Whether anybody, here or elsewhere, has subscribed to an ingest topic."""
        return self._subscriptions.wants(topic) or self._cluster.routes.ingest_wanted(topic)

    def route(self, messages: list[Publish], kept: Callable[[], None], failed: Callable[[], None]) -> None:
        """Publish; `kept` is called once Redis holds what has to be kept, `failed` where a defect prevents that."""
        self._tasks.detach(self._route(messages, kept), failed)

    async def _route(self, messages: list[Publish], kept: Callable[[], None]) -> None:
        new = await until_available(lambda: self._cluster.publisher.publish(messages))
        for publish, is_new in zip(messages, new, strict=True):
            if is_new:
                self._subscriptions.deliver(publish.message)
        kept()

    async def publish_internally(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish on behalf of the node itself: what a plugin of amqtt asks for."""
        message = Message(topic, payload, qos, retain)
        await until_available(lambda: self._cluster.publisher.publish([Publish(message)]))
        self._subscriptions.deliver(message)

    async def publish_will(self, connection: int) -> None:
        """Publish the will of a connection of this node, unless somebody has already."""
        will = await until_available(lambda: self._cluster.publisher.publish_will(self._cluster.node, connection))
        if will is not None:
            self._subscriptions.deliver(will)
