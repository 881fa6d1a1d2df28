"""What clients subscribe to: whether they may, where it is kept, and what is retained for it."""

from collections.abc import Mapping

from msgspec import structs

from broker.auth.access import AccessRules
from broker.auth.amqtt_broker import AmqttBroker
from broker.cluster import Cluster
from broker.cluster.retained import state_filters
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import PacketType, Subscribe, Unsubscribe
from broker.protocol.reasons import FAILURE, Refusal
from broker.protocol.topics import must_be_named
from broker.routing.app_versions import AppVersions
from broker.routing.route_advertiser import RouteAdvertiser
from broker.routing.subscriptions import Subscriptions
from broker.routing.sys_topics import SysTopics
from broker.session.connection import Connection
from broker.session.outbox import Outbox
from broker.session.outboxes import Outboxes
from broker.session.refusals import Refusals
from broker.session.topic_rules import TopicRules
from broker.settings import BrokerSettings
from core.kinds import Role
from core.versions import public_name
from runtime.retry import until_available


class Subscribing:
    """That of all clients of a node."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        amqtt: AmqttBroker,
        access: AccessRules,
        cluster: Cluster,
        subscriptions: Subscriptions,
        app_versions: AppVersions,
        advertiser: RouteAdvertiser,
        sys_topics: SysTopics,
        outboxes: Outboxes,
        refusals: Refusals,
        topic_rules: TopicRules,
    ) -> None:
        self._settings = settings
        self._amqtt = amqtt
        self._access = access
        self._cluster = cluster
        self._subscriptions = subscriptions
        self._app_versions = app_versions
        self._advertiser = advertiser
        self._sys_topics = sys_topics
        self._outboxes = outboxes
        self._refusals = refusals
        self._topic_rules = topic_rules

    async def subscribe(self, connection: Connection, request: Subscribe) -> None:
        """Subscribe a client, answer it, and send it what is retained. Raises SupersededError."""
        granted = [
            qos if await self._may_subscribe(connection, topic_filter) else FAILURE
            for topic_filter, qos in request.filters
        ]
        filters = {each: qos for (each, _), qos in zip(request.filters, granted, strict=True) if qos != FAILURE}
        self._drop_what_has_no_room(connection, filters)
        memory = self._outboxes.of(connection).memory
        # What is published from now on comes after what is retained: it is newer.
        memory.hold()
        try:
            await self._subscribe(connection, filters)
            codes = [
                qos if qos == FAILURE or each in filters else FAILURE
                for (each, _), qos in zip(request.filters, granted, strict=True)
            ]
            if connection.level == packets.MQTT_3_1:
                # It knows no refusal: what it may not have is granted, and brings nothing.
                codes = [0 if code == FAILURE else code for code in codes]
            retained = await self._retained(connection, list(filters))
            connection.answers.promise(packets.suback(request.packet_id, codes))
            await self._send_retained(connection, memory, filters, retained)
        finally:
            memory.let_go()

    async def unsubscribe(self, connection: Connection, request: Unsubscribe) -> None:
        """Unsubscribe a client, and answer it. Raises SupersededError."""
        for topic_filter in request.filters:
            self._subscriptions.remove(connection, topic_filter)
        if not connection.clean:
            await self._forget_stored(connection, request.filters)
        await self._advertiser.update(request.filters)
        connection.answers.promise(packets.acknowledgement(PacketType.UNSUBACK, request.packet_id))

    async def restore(self, connection: Connection, subscriptions: Mapping[str, int]) -> None:
        """Subscribe a client to what its session has: the QoS that was granted, by topic filter."""
        lost = []
        for topic_filter, qos in subscriptions.items():
            # Asked again: the user may have got another role since.
            if await self._may_subscribe(connection, topic_filter):
                self._subscriptions.add(connection, topic_filter, qos)
            else:
                lost.append(topic_filter)
        if lost:
            await self._forget_stored(connection, lost)
        await self._advertiser.update(list(self._subscriptions.filters_of(connection)))

    def forget(self, connection: Connection) -> None:
        """A client has gone; what its session keeps stays."""
        filters = list(self._subscriptions.filters_of(connection))
        for topic_filter in filters:
            self._subscriptions.remove(connection, topic_filter)
        if filters:
            self._advertiser.note(filters)

    async def _may_subscribe(self, connection: Connection, topic_filter: str) -> bool:
        if problem := self._topic_rules.problem(topic_filter):
            self._refusals.refuse(Refusal.TOPIC_LIMIT, problem, connection)
            return False
        allowed = await self._amqtt.may_subscribe(
            client_id=connection.client_id, user=connection.user, role=connection.role, topic_filter=topic_filter
        )
        if not allowed:
            self._refusals.refuse(Refusal.SUBSCRIBE, "", connection)
        return allowed

    def _drop_what_has_no_room(self, connection: Connection, filters: dict[str, int]) -> None:
        present = self._subscriptions.filters_of(connection)
        room = self._settings.mqtt_max_subscriptions - len(present)
        for topic_filter in [each for each in filters if each not in present][max(0, room) :]:
            del filters[topic_filter]
            self._refusals.refuse(Refusal.TOO_MANY_SUBSCRIPTIONS, "", connection)
        for topic_filter in self._subscriptions.without_room(connection, filters):
            del filters[topic_filter]
            self._refusals.refuse(Refusal.FILTER_BYTES, "MQTT_USER_FILTER_BYTES or MQTT_FILTER_BYTES", connection)

    async def _subscribe(self, connection: Connection, filters: dict[str, int]) -> None:
        """Subscribe; those of `filters` for which there is no room are taken out of it."""
        role = connection.role
        present = self._subscriptions.filters_of(connection)
        states = bool(state_filters(filters, role)) and not state_filters(present, role)
        for topic_filter, qos in filters.items():
            self._subscriptions.add(connection, topic_filter, qos)
        changed = list(filters)
        if not connection.clean and filters:
            refused = await until_available(
                lambda: self._cluster.sessions.subscribe(
                    connection.client_id,
                    connection.number,
                    filters,
                    persistent=True,
                    ingest=role is Role.SERVICE,
                    interest={},
                    states=states,
                )
            )
            for topic_filter in refused:
                del filters[topic_filter]
                self._subscriptions.remove(connection, topic_filter)
                self._refusals.refuse(
                    Refusal.SESSION_BYTES, "SESSIONS_USER_MAX_BYTES or SESSIONS_MAX_BYTES", connection
                )
        await self._advertiser.update(changed)

    async def _forget_stored(self, connection: Connection, filters: list[str]) -> None:
        await until_available(
            lambda: self._cluster.sessions.unsubscribe(
                connection.client_id, connection.number, filters, persistent=True, interest={}
            )
        )

    async def _retained(self, connection: Connection, filters: list[str]) -> list[list[Message]]:
        if not filters:
            return []
        person, role = connection.person, connection.role
        of_apps = {each: self._app_versions.wire_filter(each, person, role) for each in filters}
        wire = {each for each in of_apps.values() if each is not None}
        asked = [*filters, *wire]
        answer = await until_available(lambda: self._cluster.retained.matching(asked))
        found = dict(zip(asked, answer, strict=True))
        return [
            self._sys_topics.matching(each)
            + [message for message in found[each] if self._name(connection, message) == message.topic]
            + [message for message in found.get(of_apps[each] or "", ()) if self._sees(connection, message)]
            for each in filters
        ]

    def _name(self, connection: Connection, message: Message) -> str:
        return self._subscriptions.shown_as(connection, message.topic)

    def _sees(self, connection: Connection, message: Message) -> bool:
        """Whether a client gets what a version of an application has published, under the name that people see."""
        topic = message.topic
        if self._name(connection, message) == topic:
            return False
        seen = public_name(topic)
        return seen is not None and self._app_versions.is_for(*seen[1:], connection.person, connection.role)

    async def _send_retained(
        self, connection: Connection, memory: Outbox, filters: dict[str, int], retained: list[list[Message]]
    ) -> None:
        stored: list[tuple[str, int]] = []
        for (topic_filter, qos), messages in zip(filters.items(), retained, strict=True):
            for message in messages:
                name = self._name(connection, message)
                if not self._may_receive(connection, name, topic_filter):
                    continue
                if qos and message.qos and not connection.clean:
                    stored.append((message.topic, min(qos, message.qos)))
                    continue
                await connection.until_writable()
                memory.send_retained(structs.replace(message, topic=name), min(qos, message.qos))
        if stored:
            await until_available(
                lambda: self._cluster.sessions.enqueue_retained(connection.client_id, connection.number, stored)
            )
            connection.wake()

    def _may_receive(self, connection: Connection, topic: str, topic_filter: str) -> bool:
        by_wildcard = topic_filter[0] in "+#" and connection.role is not Role.SERVICE
        allowed = self._access.may_receive(connection.role, topic, user=connection.user)
        return allowed and not (by_wildcard and must_be_named(topic))
