"""One node: what its connections ask of it, and what the other nodes have for it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import structlog
from amqtt.errors import AMQTTError

from broker.auth.access import may_publish, may_receive
from broker.auth.amqtt_broker import AmqttBroker
from broker.auth.owner import owner_of
from broker.auth.users import Authenticator, BusyError
from broker.cluster import Cluster, Limits
from broker.cluster.publisher import Publish
from broker.cluster.retained import state_filters
from broker.cluster.sessions import ForeignSessionError, NoRoomError, Opened
from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.newest_input import NewestInput
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import (
    FAILURE,
    Connect,
    ConnectCode,
    PacketType,
    RefusedConnectError,
    Subscribe,
    Unsubscribe,
)
from broker.protocol.topics import must_be_named
from broker.routing.route_advertiser import RouteAdvertiser
from broker.routing.subscriptions import Subscriptions
from broker.routing.sys_topics import SysTopics
from broker.session.connection import Connection, State
from broker.session.outbox import Outbox
from broker.session.refusals import Refusals
from broker.session.stored_outbox import StoredOutbox
from broker.session.topic_rules import Topic, TopicRules
from broker.session.unfinished import Unfinished
from broker.session.user_rate import UserRates
from broker.settings import BrokerSettings
from broker.shares import Shares
from broker.tasks import Tasks
from core.clock import Clock
from core.messages import DEVICE_ROLES, Role, ingest_kind
from runtime.buckets import Buckets
from runtime.failures import Failures
from runtime.position_rates import parse_rates
from runtime.retry import until_available
from runtime.service import Stop, Wakeup, pause, work_until_stopped
from state.client import Redis
from state.durability import Writes
from state.raw_redis import raw_redis
from state.server import RedisWatch
from state.slots import partition_of

MAX_CLIENT_ID_BYTES = 256
WILL_BYTES = 64
"""What a will counts besides its topic and its payload."""
MINOR_STAGES = frozenset({"sys", "drain", "newest-input"})
"""Without them a node serves its clients all the same."""
SWEEP_SECONDS = 0.25
LEAVE_SECONDS = 3.0
"""How long the ends of all connections may take when the node stops."""

_log = structlog.stdlib.get_logger("node")


def _will_bytes(will: packets.Will) -> int:
    return len(will.topic.encode()) + len(will.payload) + WILL_BYTES


class Node:
    """Everything that the connections of one process share."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        client: Redis,
        authenticator: Authenticator,
        metrics: BrokerMetrics,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.connections: dict[int, Connection] = {}
        self.clients: dict[str, Connection] = {}
        self.metrics = metrics
        self.failures = Failures("broker", metrics.registry, minor=MINOR_STAGES)
        self.now = asyncio.get_running_loop().time
        self.redis = RedisWatch(
            client=client,
            registry=metrics.registry,
            limit_share=settings.redis_memory_share,
            reserve=settings.redis_reserve,
        )
        self.ingest = Ingest(
            client=client,
            partitions=settings.partitions,
            max_length=settings.raw_max_length,
            no_room=lambda: self.redis.problem,
            writes=Writes(raw_redis(client), durability=settings.durability, replicas=settings.replicas),
        )
        self._newest_input = NewestInput(client=client, newest=lambda: self.ingest.newest)
        self._writes = Writes(client, durability=settings.durability, replicas=settings.replicas)
        self.cluster = Cluster(
            client=client,
            name=settings.broker_node,
            local=self,
            writes=self._writes,
            clock=clock,
            limits=Limits(
                session_expiry_ms=settings.session_expiry * 1000,
                queue_max_length=settings.queue_max_length,
                queue_max_age_ms=settings.queue_max_age * 1000,
                retained_max=settings.retained_max,
                retained_max_bytes=settings.retained_max_bytes,
                retained_anonymous_max=settings.retained_anonymous_max,
                retained_anonymous_max_bytes=settings.retained_anonymous_max_bytes,
                queue_positions_max_age_ms=settings.queue_positions_max_age * 1000,
                sessions_max=settings.sessions_max,
                sessions_user_max=settings.sessions_user_max,
                queue_max_bytes=settings.queue_max_bytes,
                sessions_user_max_bytes=settings.sessions_user_max_bytes,
                sessions_max_bytes=settings.sessions_max_bytes,
                inbox_max_bytes=settings.inbox_max_bytes,
            ),
            failures=self.failures,
            no_room=lambda: self.redis.disk_problem,
        )
        self.subscriptions = Subscriptions(
            shares=Shares(each=settings.mqtt_user_filter_bytes, most=settings.mqtt_filter_bytes),
            may_receive=may_receive,
        )
        self._wills = Shares(each=settings.mqtt_user_will_bytes, most=settings.mqtt_will_bytes)
        self.advertiser = RouteAdvertiser(subscriptions=self.subscriptions, sessions=self.cluster.sessions)
        self.sys = SysTopics(
            settings=settings,
            subscriptions=self.subscriptions,
            cluster=self.cluster,
            ingest=self.ingest,
            metrics=metrics,
            connections=self.connections,
            clients=self.clients,
            problem=lambda: self.problem,
            now=self.now,
        )
        self.unfinished = Unfinished(settings.mqtt_unfinished_bytes)
        self.rates = UserRates(parse_rates(settings.position_rate), self.now)
        self._authenticator = authenticator
        self._no_subscribe = [each.strip() for each in settings.mqtt_no_subscribe.split(",") if each.strip()]
        self._amqtt = AmqttBroker(internal=self, authenticator=authenticator, no_subscribe=self._no_subscribe)
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._logins = Buckets(
            rate=settings.client_connect_rate / 60, burst=settings.client_connect_rate, seconds=self.now
        )
        self._next_number = 0
        self.topic_rules = TopicRules(settings=settings, may_publish=may_publish)
        self.refusals = Refusals(metrics=metrics, max_payload=settings.mqtt_max_payload, now=self.now)
        self._ended = Wakeup()
        self.tasks = Tasks(self._ended.wake)
        self.connecting = Tasks(self._ended.wake)
        """Of clients that are being let in, also where those have gone meanwhile."""

    # --- its life -----------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Why it is not ready; None when it is."""
        return self._writes.problem or self.ingest.problem or self.redis.problem or self.cluster.problem

    @property
    def has_too_much_qos_0(self) -> bool:
        """Whether messages of QoS 0 have to be dropped: Redis is away or full, and as many wait as may."""
        return self.metrics.qos_0_waiting >= self.settings.qos0_buffer and self.problem is not None

    async def run(self, stop: Stop) -> None:
        """Serve until `stop`; then end all connections, so that their wills and sessions are in order."""
        inner = Stop()

        async def leave(_: Stop) -> None:
            await stop.wait()
            try:
                await self._leave()
            finally:
                inner.set()

        await self._amqtt.start()
        try:
            await work_until_stopped(
                {
                    "redis": self.redis.run,
                    **self.ingest.stages(),
                    "cluster": self.cluster.run,
                    "newest-input": self._newest_input.run,
                    "interest": self.advertiser.run,
                    "sweep": self._sweep,
                    "sys": self.sys.run,
                    "leave": leave,
                },
                inner,
                self.failures,
            )
        finally:
            while self.connecting or self.tasks:
                await self.connecting.end()
                await self.tasks.end()
            await self._amqtt.shutdown()

    async def _leave(self) -> None:
        self.connecting.cancel()
        for connection in list(self.connections.values()):
            connection.end("")
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while self.connections or self.connecting or self.tasks:
                    await self._ended.wait()
        for connection in list(self.connections.values()):
            connection.abort()

    async def _sweep(self, stop: Stop) -> None:
        while not stop.is_set():
            await pause(SWEEP_SECONDS, stop)
            now = self.now()
            for connection in list(self.connections.values()):
                if connection.state is State.OPEN:
                    if overdue := connection.overdue(now):
                        connection.abort(*overdue)
                    elif self.problem:
                        # Those that were stopped for what they sent at QoS 0 alone may go on.
                        connection.read_on()
                elif connection.deadline is not None and now > connection.deadline:
                    if connection.state is State.NEW:
                        connection.abort("connect_timeout", "no CONNECT in time")
                    elif connection.state is State.CLOSING:
                        connection.abort()

    # --- connections --------------------------------------------------------------------------------------------------

    def new_connection(self) -> Connection:
        """The protocol of a connection that has just come."""
        self._next_number += 1
        return Connection(self, self._next_number)

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        most = self.settings.broker_max_connections
        if len(self.connections) >= most:
            self.refusals.refuse("too_many_connections", f"BROKER_MAX_CONNECTIONS={most}", connection)
            return False
        share = self.settings.broker_address_share
        if self._addresses[connection.address] >= max(1, int(most * share)):
            self.refusals.refuse("too_many_of_one_address", f"BROKER_ADDRESS_SHARE={share} of {most}", connection)
            return False
        self.connections[connection.number] = connection
        self._addresses[connection.address] += 1
        return True

    def hold_unfinished(self, connection: Connection, size: int) -> None:
        """A connection holds so many bytes of packets that are not complete; somebody may have to go for that."""
        for each in self.unfinished.hold(connection, size):
            if isinstance(each, Connection):
                limit = self.settings.mqtt_unfinished_bytes
                each.abort("unfinished", f"holds most of more than MQTT_UNFINISHED_BYTES={limit}")

    def lost(self, connection: Connection, *, was_open: bool) -> None:
        """A connection is over."""
        if self.connections.pop(connection.number, None) is not None:
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]
        self._ended.wake()
        if was_open:
            self._forget(connection)
            self.tasks.detach(self._close_session(connection))

    def _forget(self, connection: Connection) -> None:
        if self.clients.get(connection.client_id) is connection:
            del self.clients[connection.client_id]
        if connection.role is not Role.ANONYMOUS:
            self._users[connection.user] -= 1
            if self._users[connection.user] <= 0:
                del self._users[connection.user]
        self._wills.change(connection.owner, -connection.will_bytes)
        filters = list(self.subscriptions.filters_of(connection))
        for topic_filter in filters:
            self.subscriptions.remove(connection, topic_filter)
        if filters:
            self.advertiser.note(filters)

    async def _close_session(self, connection: Connection) -> None:
        if connection.will is not None:
            will = await until_available(
                lambda: self.cluster.publisher.publish_will(self.cluster.node, connection.number)
            )
            if will is not None:
                self.subscriptions.deliver(will)
        await until_available(
            lambda: self.cluster.sessions.close(
                connection.client_id, connection.number, forget_will=connection.will is None
            )
        )

    def connect(self, connection: Connection, request: Connect) -> asyncio.Task[None]:
        """Let a client in, and give it its session. Raises Refused."""
        return self.connecting.start(self._connect(connection, request))

    async def _connect(self, connection: Connection, request: Connect) -> None:
        connection.client_id = request.client_id or f"auto-{uuid4().hex}"
        entered = welcomed = False
        try:
            async with asyncio.timeout(self.settings.mqtt_connect_timeout):
                role = await self._role(connection, request)
                # Nothing is waited for from here to there: who is let in is known as soon as that is decided.
                self._check(connection, request, role)
                self._enter(connection, request, role)
                entered = True
                opened = await until_available(lambda: self._open(connection))
                if opened.subscriptions:
                    await self._restore(connection, opened)
            if connection.state is State.CONNECTING:
                self._welcome(connection, opened)
                welcomed = True
        except TimeoutError as error:
            raise RefusedConnectError(
                ConnectCode.UNAVAILABLE, self.problem or "the session was not opened in time"
            ) from error
        except NoRoomError as error:
            raise RefusedConnectError(ConnectCode.UNAVAILABLE, str(error), reason="too_many_sessions") from error
        except ForeignSessionError as error:
            raise RefusedConnectError(
                ConnectCode.BAD_CLIENT_ID, "the client id is another user's", reason="foreign_client_id"
            ) from error
        finally:
            if entered and not welcomed:
                self._forget(connection)
                self.tasks.detach(self._close_session(connection))

    async def _role(self, connection: Connection, request: Connect) -> Role:
        try:
            role = await until_available(
                lambda: self._amqtt.authenticate(
                    client_id=connection.client_id, user=request.user, password=request.password, peer=connection.peer
                )
            )
        except (BusyError, AMQTTError) as error:
            raise RefusedConnectError(ConnectCode.UNAVAILABLE, str(error)) from error
        if role is None:
            code = ConnectCode.NOT_AUTHORIZED if request.user is None else ConnectCode.BAD_CREDENTIALS
            raise RefusedConnectError(code, "no such user, or a wrong password")
        return role

    def _check(self, connection: Connection, request: Connect, role: Role) -> None:
        settings = self.settings
        user = request.user or ""
        # Only now that it is known who that is: else anybody could use up what another one may.
        whose = f"user {user}" if role is not Role.ANONYMOUS else f"address {connection.address}"
        if request.client_id and self._logins.take(f"{whose} {request.client_id}"):
            raise RefusedConnectError(
                ConnectCode.UNAVAILABLE,
                f"more than CLIENT_CONNECT_RATE={settings.client_connect_rate} logins in a minute with its client id",
            )
        older = self.clients.get(connection.client_id)
        # The connection that this one takes the place of is about to end.
        others = self._users[user] - (older is not None and older.user == user)
        if role is not Role.ANONYMOUS and others >= settings.mqtt_user_connections:
            raise RefusedConnectError(
                ConnectCode.UNAVAILABLE, f"the user has MQTT_USER_CONNECTIONS={settings.mqtt_user_connections} already"
            )
        if len(request.client_id.encode()) > MAX_CLIENT_ID_BYTES:
            raise RefusedConnectError(
                ConnectCode.BAD_CLIENT_ID, f"a client identifier of more than {MAX_CLIENT_ID_BYTES} bytes"
            )
        will = request.will
        if will is not None:
            # A position that was made before the connection began is none: wills go to other topics.
            if not may_publish(role, will.topic) or ingest_kind(will.topic) or self.topic_rules.problem(will.topic):
                raise RefusedConnectError(
                    ConnectCode.NOT_AUTHORIZED, "a will for a topic that this client may not have one for"
                )
            if len(will.payload) > settings.mqtt_max_payload:
                limit = f"MQTT_MAX_PAYLOAD={settings.mqtt_max_payload}"
                raise RefusedConnectError(
                    ConnectCode.NOT_AUTHORIZED, f"a will of {len(will.payload)} bytes is over {limit}"
                )
            owner = owner_of(user, connection.peer)
            own = _will_bytes(will) - (older.will_bytes if older is not None and older.owner == owner else 0)
            if not self._wills.has_room(owner, own):
                raise RefusedConnectError(
                    ConnectCode.UNAVAILABLE,
                    f"no room for its will: MQTT_USER_WILL_BYTES={settings.mqtt_user_will_bytes}, "
                    f"MQTT_WILL_BYTES={settings.mqtt_will_bytes}",
                    reason="too_many_wills",
                )

    def _enter(self, connection: Connection, request: Connect, role: Role) -> None:
        connection.role, connection.user = role, request.user or ""
        connection.owner = owner_of(connection.user, connection.peer)
        connection.clean, connection.will = request.clean, request.will
        connection.will_bytes = _will_bytes(request.will) if request.will else 0
        self._wills.change(connection.owner, connection.will_bytes)
        connection.level = request.level
        connection.rate = self.rates.of(role, connection.user or connection.address)
        connection.keepalive = request.keepalive * 1.5
        # A device's messages lie where all else of it does, if it is known who it is.
        name = connection.user if role in DEVICE_ROLES else connection.client_id
        connection.partition = partition_of(name, self.settings.partitions)
        if role is not Role.ANONYMOUS:
            self._users[connection.user] += 1

    async def _open(self, connection: Connection) -> Opened:
        will = connection.will
        anonymous = connection.role is Role.ANONYMOUS
        return await self.cluster.sessions.open(
            connection.client_id,
            connection.number,
            owner=connection.owner,
            clean=connection.clean,
            will=None if will is None else Message(will.topic, will.payload, will.qos, will.retain, anonymous),
        )

    async def _restore(self, connection: Connection, opened: Opened) -> None:
        lost = []
        for topic_filter, qos in opened.subscriptions.items():
            # Asked again: the user may have got another role since.
            if await self._may_subscribe(connection, topic_filter):
                self.subscriptions.add(connection, topic_filter, qos)
            else:
                lost.append(topic_filter)
        if lost:
            await until_available(
                lambda: self.cluster.sessions.unsubscribe(
                    connection.client_id, connection.number, lost, persistent=True, interest={}
                )
            )
        await self.advertiser.update(list(self.subscriptions.filters_of(connection)))

    def _welcome(self, connection: Connection, opened: Opened) -> None:
        """Only now, after it is known who that is, an older connection of the client ends [MQTT-3.1.4-2]."""
        if opened.previous is not None and opened.previous[0] == self.cluster.node:
            self.kick(connection.client_id, opened.previous[1])
        self.clients[connection.client_id] = connection
        connection.received = set(opened.received) or None
        connection.welcome(session_present=opened.present)
        if not connection.clean:
            outbox = connection.make_stored_outbox(connection.make_outbox())
            connection.outbox = outbox
            outbox.begin(opened.released)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(self, connection: Connection, request: Subscribe) -> None:
        """Subscribe a client, answer it, and send it what is retained. Raises SupersededError."""
        granted = [
            qos if await self._may_subscribe(connection, topic_filter) else FAILURE
            for topic_filter, qos in request.filters
        ]
        filters = {each: qos for (each, _), qos in zip(request.filters, granted, strict=True) if qos != FAILURE}
        present = self.subscriptions.filters_of(connection)
        room = self.settings.mqtt_max_subscriptions - len(present)
        for topic_filter in [each for each in filters if each not in present][max(0, room) :]:
            del filters[topic_filter]
            self.refusals.refuse("too_many_subscriptions", "", connection)
        for topic_filter in self.subscriptions.without_room(connection, filters):
            del filters[topic_filter]
            self.refusals.refuse("filter_bytes", "MQTT_USER_FILTER_BYTES or MQTT_FILTER_BYTES", connection)
        if connection.outbox is None:
            connection.outbox = connection.make_outbox()
        memory = connection.outbox.memory if isinstance(connection.outbox, StoredOutbox) else connection.outbox
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
            retained = await self._retained(list(filters))
            connection.answers.promise(packets.suback(request.packet_id, codes))
            await self._send_retained(connection, memory, filters, retained)
        finally:
            memory.let_go()

    async def _subscribe(self, connection: Connection, filters: dict[str, int]) -> None:
        """Subscribe; those of `filters` for which there is no room are taken out of it."""
        role = connection.role
        states = bool(state_filters(filters, role)) and not state_filters(
            self.subscriptions.filters_of(connection), role
        )
        for topic_filter, qos in filters.items():
            self.subscriptions.add(connection, topic_filter, qos)
        changed = list(filters)
        if not connection.clean and filters:
            refused = await until_available(
                lambda: self.cluster.sessions.subscribe(
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
                self.subscriptions.remove(connection, topic_filter)
                self.refusals.refuse("session_bytes", "SESSIONS_USER_MAX_BYTES or SESSIONS_MAX_BYTES", connection)
        await self.advertiser.update(changed)

    async def _retained(self, filters: list[str]) -> list[list[Message]]:
        if not filters:
            return []
        found = await until_available(lambda: self.cluster.retained.matching(filters))
        return [self.sys.matching(each) + messages for each, messages in zip(filters, found, strict=True)]

    async def _send_retained(
        self, connection: Connection, memory: Outbox, filters: dict[str, int], retained: list[list[Message]]
    ) -> None:
        stored: list[tuple[str, int]] = []
        for (topic_filter, qos), messages in zip(filters.items(), retained, strict=True):
            for message in messages:
                if not self._may_receive(connection.role, message.topic, topic_filter):
                    continue
                if qos and message.qos and not connection.clean:
                    stored.append((message.topic, min(qos, message.qos)))
                    continue
                await connection.until_writable()
                memory.send_retained(message, min(qos, message.qos))
                self.metrics.sent[min(qos, message.qos)] += 1
        if stored:
            await until_available(
                lambda: self.cluster.sessions.enqueue_retained(connection.client_id, connection.number, stored)
            )
            connection.wake()

    @staticmethod
    def _may_receive(role: Role, topic: str, topic_filter: str) -> bool:
        by_wildcard = topic_filter[0] in "+#" and role is not Role.SERVICE
        return may_receive(role, topic) and not (by_wildcard and must_be_named(topic))

    async def unsubscribe(self, connection: Connection, request: Unsubscribe) -> None:
        """Unsubscribe a client, and answer it. Raises SupersededError."""
        for topic_filter in request.filters:
            self.subscriptions.remove(connection, topic_filter)
        if not connection.clean:
            await until_available(
                lambda: self.cluster.sessions.unsubscribe(
                    connection.client_id, connection.number, request.filters, persistent=True, interest={}
                )
            )
        await self.advertiser.update(request.filters)
        connection.answers.promise(packets.acknowledgement(PacketType.UNSUBACK, request.packet_id))

    async def _may_subscribe(self, connection: Connection, topic_filter: str) -> bool:
        if problem := self.topic_rules.problem(topic_filter):
            self.refusals.refuse("topic_limit", problem, connection)
            return False
        allowed = await self._amqtt.may_subscribe(
            client_id=connection.client_id, user=connection.user, role=connection.role, topic_filter=topic_filter
        )
        if not allowed:
            self.refusals.refuse("subscribe", "", connection)
        return allowed

    # --- messages -----------------------------------------------------------------------------------------------------

    def is_wanted(self, topic: Topic) -> bool:
        """Whether anybody, here or elsewhere, has subscribed to an ingest topic."""
        return self.subscriptions.wants(topic.name) or self.cluster.routes.ingest_wanted(topic.name)

    def route(self, messages: list[Publish], done: Callable[[], None], failed: Callable[[], None]) -> None:
        """Publish; `done` is called once Redis holds what has to be kept, `failed` where a defect prevents that."""
        self.tasks.detach(self._route(messages, done), failed)

    async def _route(self, messages: list[Publish], done: Callable[[], None]) -> None:
        new = await until_available(lambda: self.cluster.publisher.publish(messages))
        for publish, is_new in zip(messages, new, strict=True):
            if is_new:
                self.subscriptions.deliver(publish.message)
        done()

    async def publish_internally(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish on behalf of the node itself: what a plugin of amqtt asks for."""
        message = Message(topic, payload, qos, retain)
        await until_available(lambda: self.cluster.publisher.publish([Publish(message)]))
        self.subscriptions.deliver(message)

    # --- what other nodes have for this one ---------------------------------------------------------------------------

    def deliver(self, messages: list[Message]) -> None:
        """Messages that were published on other nodes."""
        for message in messages:
            self.subscriptions.deliver(message)

    def wake(self, client_id: str) -> None:
        """There is something in the queue of a persistent session."""
        connection = self.clients.get(client_id)
        if connection is not None:
            connection.wake()

    def changed(self, topics: list[str]) -> None:
        """States have changed on other nodes, and are for persistent sessions here."""
        self.subscriptions.wake(topics)

    def kick(self, client_id: str, connection: int) -> None:
        """A client has connected elsewhere: the older connection ends."""
        older = self.connections.get(connection)
        if older is not None and older.client_id == client_id:
            older.end("taken_over")

    def expelled(self) -> None:
        """The others took this node for dead: its sessions are theirs, and its clients have to come again."""
        self.advertiser.forget()
        for connection in list(self.connections.values()):
            connection.abort("expelled")

    def users_changed(self) -> None:
        """Somebody has changed the users."""
        self.tasks.detach(self._send_away())

    async def _send_away(self) -> None:
        async def changed() -> set[str]:
            connected = {each.user: each.role for each in self.connections.values() if each.role is not Role.ANONYMOUS}
            return await self._authenticator.changed(connected)

        gone = await until_available(changed)
        for connection in list(self.connections.values()):
            if connection.user in gone and connection.role is not Role.ANONYMOUS:
                connection.abort("user_changed")
