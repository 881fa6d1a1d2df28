"""Who on this node has subscribed to what, and what that makes the node want of the others."""

from collections.abc import Callable, Container, Iterable, Mapping
from itertools import chain
from types import MappingProxyType

from msgspec import structs

from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.topics import TopicTree, must_be_named
from broker.routing.app_versions import WIRE_PREFIX, AppVersions, wire_filters
from broker.routing.ports import Subscriber
from broker.shares import Shares
from core.kinds import Role
from core.versions import public_name
from state.routes import SubscriptionOptions

MAX_REMEMBERED = 4096
"""Topics whose subscribers are remembered until somebody subscribes or unsubscribes."""
MAX_REMEMBERED_SUBSCRIBERS = 200_000
"""Of all remembered topics together: where there would be more, all are forgotten."""
FILTER_BYTES = 64
"""What a filter counts besides its own bytes."""
_NONE: Mapping[str, int] = MappingProxyType({})


def _size(topic_filter: str) -> int:
    return len(topic_filter.encode()) + FILTER_BYTES


class Subscriptions:
    """The subscriptions of the connections of one node."""

    def __init__(
        self, *, shares: Shares, may_receive: Callable[[Subscriber, str], bool], app_versions: AppVersions
    ) -> None:
        """`may_receive` says whether what is published to a topic may be delivered to a client.

        `shares` are those of the filters: of an owner, each filter of each connection; in all, each filter once.
        """
        self._shares = shares
        self._may_receive = may_receive
        self._app_versions = app_versions
        self._filters: dict[Subscriber, dict[str, int]] = {}
        self._tree: TopicTree[Subscriber, int] = TopicTree()
        self._as_published: TopicTree[Subscriber, int] = TopicTree()
        """Of these, the filters of services that match topics as applications publish to them."""
        self._remembered: dict[str, list[tuple[Subscriber, int]]] = {}
        self._remembered_subscribers = 0
        self._viewers: dict[str, tuple[str, list[tuple[Subscriber, int]]]] = {}
        """Of the remembered topics that versions of applications publish to: the name that people see, and who gets
        what is published there under that name.
        """

    @property
    def count(self) -> int:
        """Filters of all connections; one that several have counts for each."""
        return sum(map(len, self._filters.values()))

    def filters_of(self, subscriber: Subscriber) -> Mapping[str, int]:
        """What a connection has subscribed to: the QoS that was granted, by topic filter."""
        return self._filters.get(subscriber, _NONE)

    def without_room(self, subscriber: Subscriber, filters: Iterable[str]) -> list[str]:
        """Those filters, new to this connection, for which its owner or the node have no room."""
        refused: list[str] = []
        size = in_all = 0
        present = self.filters_of(subscriber)
        for topic_filter in filters:
            if topic_filter in present:
                continue
            own = _size(topic_filter)
            new = 0 if self._tree.at(topic_filter) else own
            if self._shares.has_room(subscriber.owner, size + own, in_all=in_all + new):
                size += own
                in_all += new
            else:
                refused.append(topic_filter)
        return refused

    def add(self, subscriber: Subscriber, topic_filter: str, qos: int) -> None:
        """Subscribe, or change what is granted [MQTT-3.8.4-3]."""
        present = self._filters.setdefault(subscriber, {})
        if topic_filter not in present:
            size = _size(topic_filter)
            self._shares.change(subscriber.owner, size, in_all=0 if self._tree.at(topic_filter) else size)
        present[topic_filter] = qos
        self._tree.set(topic_filter, subscriber, qos)
        if wire_filters({topic_filter: qos}, subscriber.role):
            self._as_published.set(topic_filter, subscriber, qos)
        self.forget_choices()

    def remove(self, subscriber: Subscriber, topic_filter: str) -> None:
        """Unsubscribe."""
        present = self._filters.get(subscriber)
        if present is not None and present.pop(topic_filter, None) is not None:
            if not present:
                del self._filters[subscriber]
            self._tree.remove(topic_filter, subscriber)
            self._as_published.remove(topic_filter, subscriber)
            size = _size(topic_filter)
            self._shares.change(subscriber.owner, -size, in_all=0 if self._tree.at(topic_filter) else -size)
            self.forget_choices()

    def forget_choices(self) -> None:
        """Find out anew who gets what: a rule of an application is another one, for example."""
        self._remembered.clear()
        self._viewers.clear()
        self._remembered_subscribers = 0

    def deliver(self, message: Message) -> None:
        """Hand a message to each connection that wants it, once [MQTT-3.3.5-1], with the lower QoS of the two.

        What a version of an application publishes reaches those whom it is for under the name that people see.
        """
        subscribers = self._subscribers(message.topic)
        seen = self._viewers.get(message.topic)
        _hand_over(message, subscribers)
        if seen is not None:
            name, viewers = seen
            _hand_over(structs.replace(message, topic=name), viewers)

    def shown_as(self, subscriber: Subscriber, topic: str) -> str:
        """Under which name a message goes out to a connection that gets it."""
        if not topic.startswith(WIRE_PREFIX):
            return topic
        # Not `_subscribers`, which finds everybody's: this is asked for each topic that is retained, at each SUBSCRIBE.
        if subscriber.role is Role.SERVICE and any(each is subscriber for each, _ in self._as_published.match(topic)):
            return topic
        seen = public_name(topic)
        return topic if seen is None else seen[0]

    def wake(self, topics: Iterable[str]) -> None:
        """States have changed on other nodes: persistent sessions that want them look for what is new."""
        wanted = {each for topic in topics for each, qos in self._subscribers(topic) if qos and not each.clean}
        for subscriber in wanted:
            subscriber.wake()

    def wants(self, topic: str) -> bool:
        """Whether anybody here receives what is published to a topic."""
        return bool(self._subscribers(topic))

    def interest(self, topic_filter: str) -> SubscriptionOptions | None:
        """What the node wants of the others for a filter; None for nothing.

        Messages of QoS 0 alone where only persistent sessions want more, which they get by their queues; else of any.
        """
        found = self._tree.at(topic_filter)
        if not found:
            return None
        any_qos = any(subscriber.clean or not qos for subscriber, qos in found.items())
        return SubscriptionOptions(2 if any_qos else 0, any(each.role is Role.SERVICE for each in found))

    def _matches(self, topic: str) -> Iterable[tuple[Subscriber, int]]:
        if not must_be_named(topic):
            return self._tree.match(topic)
        services = (match for match in self._tree.match(topic) if match[0].role is Role.SERVICE)
        return chain(services, self._tree.match(topic, leading_wildcards=False))

    def _subscribers(self, topic: str) -> list[tuple[Subscriber, int]]:
        remembered = self._remembered.get(topic)
        if remembered is None:
            granted: dict[Subscriber, int] = {}
            for subscriber, qos in self._matches(topic):
                if qos >= granted.get(subscriber, 0) and self._may_receive(subscriber, topic):
                    granted[subscriber] = qos
            remembered = list(granted.items())
            self._make_room(len(remembered))
            self._remembered[topic] = remembered
            if topic.startswith(WIRE_PREFIX) and (seen := public_name(topic)) is not None:
                viewers = self._find_viewers(*seen, others=granted)
                self._remembered_subscribers += len(viewers)
                self._viewers[topic] = seen[0], viewers
        return remembered

    def _make_room(self, subscribers: int) -> None:
        many = self._remembered_subscribers + subscribers > MAX_REMEMBERED_SUBSCRIBERS
        if many or len(self._remembered) >= MAX_REMEMBERED:
            self.forget_choices()
        self._remembered_subscribers += subscribers

    def _find_viewers(
        self, name: str, app: str, version: str, *, others: Container[Subscriber]
    ) -> list[tuple[Subscriber, int]]:
        """Who gets what a version publishes under the name that people see: none of the `others`."""
        return [
            (each, qos)
            for each, qos in self._subscribers(name)
            if each not in others and self._app_versions.is_for(app, version, each.person, each.role)
        ]


def _hand_over(message: Message, subscribers: Iterable[tuple[Subscriber, int]]) -> None:
    packet = None
    for subscriber, granted in subscribers:
        qos = min(granted, message.qos)
        if not qos and packet is None:
            packet = packets.publish(message.topic, message.payload)
        subscriber.deliver(message, qos, packet)
