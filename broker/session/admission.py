"""Who is let in: from a CONNECT to an open session, and back when its connection is over."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from amqtt.errors import AMQTTError

from broker.auth.amqtt_broker import AmqttBroker
from broker.auth.owner import owner_of
from broker.auth.users import BusyError
from broker.cluster import Cluster
from broker.cluster.sessions import ForeignSessionError, NoRoomError, Opened
from broker.metrics import BrokerMetrics
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import Connect, RefusedConnectError, Will
from broker.protocol.reasons import ConnectCode, Refusal
from broker.routing.local_delivery import LocalDelivery
from broker.session.client import State
from broker.session.connection import Connection
from broker.session.log_names import LogNames
from broker.session.outboxes import Outboxes
from broker.session.subscribing import Subscribing
from broker.session.topic_rules import TopicRules
from broker.session.user_rate import UserRates
from broker.session.wills import Wills
from broker.settings import BrokerSettings
from broker.tasks import Tasks
from core.kinds import Role
from runtime.buckets import Buckets
from runtime.position_rates import Rate
from runtime.retry import until_available
from state.slots import partition_of

MAX_CLIENT_ID_BYTES = 256
UNKNOWN = "unknown"
"""In place of the name of a user that there is none of."""


class Admission:
    """That of one node."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        clients: dict[str, Connection],
        amqtt: AmqttBroker,
        cluster: Cluster,
        delivery: LocalDelivery,
        subscribing: Subscribing,
        outboxes: Outboxes,
        topic_rules: TopicRules,
        wills: Wills,
        rates: Mapping[Role, Rate],
        connecting: Tasks,
        closing: Tasks,
        metrics: BrokerMetrics,
        role_of: Callable[[str], Awaitable[Role | None]],
        names: LogNames,
        problem: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        """`clients` are kept up to date: who is let in, by client id.

        `rates` are POSITION_RATE. `connecting` are those who are being let in, also where they have gone meanwhile, and
        `closing` what their ends leave to be done. `role_of` answers what the user of a name is, None where there is
        none. `problem` answers why Redis takes nothing at present, None when it does; `now` gives seconds, as the event
        loop does.
        """
        self._settings = settings
        self._clients = clients
        self._amqtt = amqtt
        self._cluster = cluster
        self._delivery = delivery
        self._subscribing = subscribing
        self._outboxes = outboxes
        self._topic_rules = topic_rules
        self._wills = wills
        self._connecting = connecting
        self._closing = closing
        self._metrics = metrics
        self._role_of = role_of
        self._names = names
        self._problem = problem
        self._rates = UserRates(rates, now)
        self._users: Counter[str] = Counter()
        self._logins = Buckets(rate=settings.client_connect_rate / 60, burst=settings.client_connect_rate, seconds=now)

    def connect(self, connection: Connection, request: Connect) -> asyncio.Task[None]:
        """Let a client in, and give it its session. Raises RefusedConnectError."""
        return self._connecting.start(self._connect(connection, request))

    def leave(self, connection: Connection) -> None:
        """A client that was let in has gone, or will not have been let in after all."""
        if self._clients.get(connection.client_id) is connection:
            del self._clients[connection.client_id]
        if connection.role is not Role.ANONYMOUS:
            self._users[connection.user] -= 1
            if self._users[connection.user] <= 0:
                del self._users[connection.user]
        self._wills.release(connection)
        self._subscribing.forget(connection)
        self._closing.detach(self._close_session(connection))

    async def _close_session(self, connection: Connection) -> None:
        await self._wills.publish(connection)
        await until_available(
            lambda: self._cluster.sessions.close(
                connection.client_id, connection.number, forget_will=connection.will is None
            )
        )

    async def _connect(self, connection: Connection, request: Connect) -> None:
        connection.client_id = request.client_id or f"auto-{uuid4().hex}"
        entered = welcomed = False
        try:
            async with asyncio.timeout(self._settings.mqtt_connect_timeout):
                role = await self._role(connection, request)
                # Nothing is waited for from here to there: who is let in is known as soon as that is decided.
                try:
                    will = self._check(connection, request, role)
                except RefusedConnectError as error:
                    error.user = self._names.shown(request.user or "", role)
                    raise
                self._enter(connection, request, role, will)
                entered = True
                opened = await until_available(lambda: self._open(connection))
                if opened.subscriptions:
                    await self._subscribing.restore(connection, opened.subscriptions)
            if connection.state is State.CONNECTING:
                self._welcome(connection, opened)
                welcomed = True
        except TimeoutError as error:
            reason = self._problem() or "the session was not opened in time"
            raise RefusedConnectError(ConnectCode.UNAVAILABLE, reason) from error
        except NoRoomError as error:
            raise RefusedConnectError(ConnectCode.UNAVAILABLE, str(error), reason=Refusal.TOO_MANY_SESSIONS) from error
        except ForeignSessionError as error:
            raise RefusedConnectError(
                ConnectCode.BAD_CLIENT_ID, "the client id is another user's", reason=Refusal.FOREIGN_CLIENT_ID
            ) from error
        finally:
            if entered and not welcomed:
                self.leave(connection)

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
            code = ConnectCode.BAD_CREDENTIALS if request.user else ConnectCode.NOT_AUTHORIZED
            raise RefusedConnectError(code, "no such user, or a wrong password", user=await self._shown(request.user))
        if request.will is not None and not await self._amqtt.may_publish(
            client_id=connection.client_id, user=request.user or "", role=role, topic=request.will.topic
        ):
            raise RefusedConnectError(ConnectCode.NOT_AUTHORIZED, "a plugin refuses a will for its topic")
        return role

    async def _shown(self, user: str | None) -> str:
        """What the log may have of who was refused: people type passwords into the field of the user."""
        if not user:
            return ""
        role = await until_available(lambda: self._role_of(user))
        return self._names.shown(user, role) if role else UNKNOWN

    def _check(self, connection: Connection, request: Connect, role: Role) -> Will | None:
        """The will that it is to have. Raises RefusedConnectError."""
        settings = self._settings
        user = request.user or ""
        # Only now that it is known who that is: else anybody could use up what another one may.
        whose = f"user {user}" if role is not Role.ANONYMOUS else f"address {connection.address}"
        if request.client_id and self._logins.take(f"{whose} {request.client_id}"):
            raise RefusedConnectError(
                ConnectCode.UNAVAILABLE,
                f"more than CLIENT_CONNECT_RATE={settings.client_connect_rate} logins in a minute with its client id",
            )
        older = self._clients.get(connection.client_id)
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
        return self._wills.check(connection, request, role, older)

    def _enter(self, connection: Connection, request: Connect, role: Role, will: Will | None) -> None:
        connection.role, connection.user = role, request.user or ""
        connection.owner = owner_of(connection.user, connection.peer)
        connection.clean = request.clean
        self._wills.hold(connection, will)
        connection.level = request.level
        connection.rate = self._rates.of(role, connection.user or connection.address)
        connection.keepalive = request.keepalive * 1.5
        # A device's messages lie where all else of it does, if it is known who it is.
        name = connection.user if role.kind else connection.client_id
        connection.partition = partition_of(name, self._settings.partitions)
        if role is not Role.ANONYMOUS:
            self._users[connection.user] += 1

    async def _open(self, connection: Connection) -> Opened:
        will = connection.will
        anonymous = connection.role is Role.ANONYMOUS
        return await self._cluster.sessions.open(
            connection.client_id,
            connection.number,
            owner=connection.owner,
            clean=connection.clean,
            will=None if will is None else Message(will.topic, will.payload, will.qos, will.retain, anonymous),
        )

    def _welcome(self, connection: Connection, opened: Opened) -> None:
        """Only now, after it is known who that is, an older connection of the client ends [MQTT-3.1.4-2]."""
        if opened.previous is not None and opened.previous[0] == self._cluster.node:
            self._delivery.disconnect(connection.client_id, opened.previous[1])
        self._clients[connection.client_id] = connection
        connection.received = set(opened.received) or None
        connection.topics = self._topic_rules.known(connection.role)
        connection.state = State.OPEN
        connection.deadline = None
        self._metrics.logins.labels(connection.role.name).inc()
        # In MQTT 3.1 the flag does not exist.
        said = opened.present and connection.level == packets.MQTT_3_1_1
        connection.write(packets.connack(ConnectCode.ACCEPTED, session_present=said))
        if not connection.clean:
            self._outboxes.open_stored(connection, opened.released)
