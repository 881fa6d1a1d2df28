"""One node: its parts put together, and its life."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from broker.auth.access import AccessRules
from broker.auth.amqtt_broker import AmqttBroker
from broker.auth.users import Authenticator
from broker.cluster import Cluster, Limits
from broker.cluster.app_rules import AppRules
from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.newest_input import NewestInput
from broker.routing.app_versions import AppVersions
from broker.routing.local_delivery import LocalDelivery
from broker.routing.route_advertiser import RouteAdvertiser
from broker.routing.router import Router
from broker.routing.subscriptions import Subscriptions
from broker.routing.sys_topics import SysTopics
from broker.session.admission import Admission
from broker.session.connection import Connection
from broker.session.connection_registry import ConnectionRegistry
from broker.session.control_packets import ControlPackets
from broker.session.deadlines import Deadlines
from broker.session.log_names import LogNames
from broker.session.outboxes import Outboxes
from broker.session.packet_reader import PacketReader
from broker.session.publishing import Publishing
from broker.session.refusals import Refusals
from broker.session.subscribing import Subscribing
from broker.session.topic_rules import TopicRules
from broker.session.wills import Wills
from broker.settings import BrokerSettings
from broker.shares import Shares
from broker.tasks import Tasks
from core.clock import Clock
from core.kinds import Kinds
from core.versions import Route
from runtime.failures import Failures
from runtime.service import Stop, Wakeup, work_until_stopped
from state.apps import AppStore
from state.client import Redis
from state.durability import Writes
from state.raw_redis import raw_redis
from state.server import RedisWatch

MINOR_STAGES = frozenset({"sys", "drain", "newest-input", "refusals"})
"""Without them a node serves its clients all the same."""
STAGES = MINOR_STAGES | {
    "node",
    "connections",
    "redis",
    "cluster",
    "publisher",
    "follower",
    "reaper",
    "member",
    "membership",
    "app-rules",
    "interest",
    "sweep",
    "leave",
}
"""All that can fail, here, in `broker.serving` and in `broker.cluster`, beside an appender for each partition."""
LEAVE_SECONDS = 3.0
"""How long the ends of all connections may take when the node stops."""


class Node:
    """Everything that the connections of one process share; to them it is `broker.session.ports.Node`."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        kinds: Kinds,
        client: Redis,
        authenticator: Authenticator,
        metrics: BrokerMetrics,
        clock: Clock,
    ) -> None:
        self.settings = settings
        access = AccessRules(kinds, counts_are_true=settings.policy.is_open)
        self.metrics = metrics
        self.now = asyncio.get_running_loop().time
        self.failures = Failures("broker", metrics.registry, minor=MINOR_STAGES)
        self.failures.expects(STAGES)
        self.connections: dict[int, Connection] = {}
        self.clients: dict[str, Connection] = {}
        self._next_number = 0
        self._ended = Wakeup()
        self.tasks = Tasks(self._ended.wake)
        self.connecting = Tasks(self._ended.wake)
        """Of clients that are being let in, also where those have gone meanwhile."""

        # What it has of Redis.
        self.redis = RedisWatch(
            client=client,
            registry=metrics.registry,
            limit_share=settings.redis_memory_share,
            reserve=settings.redis_reserve,
        )
        writes = partial(
            Writes, durability=settings.durability, replicas=settings.replicas, reserve=settings.redis_reserve
        )
        self.ingest = Ingest(
            client=client,
            kinds=kinds,
            partitions=settings.partitions,
            max_length=settings.raw_max_length,
            no_room=lambda: self.redis.problem,
            writes=writes(raw_redis(client)),
        )
        self.failures.expects(self.ingest.stages())
        self._newest_input = NewestInput(client=client, newest=lambda: self.ingest.newest)
        self._writes = writes(client)

        # Who wants what, here and elsewhere.
        self._app_versions = AppVersions()
        self._app_rules = AppRules(AppStore(client), self._follow)
        self.subscriptions = Subscriptions(
            shares=Shares(each=settings.mqtt_user_filter_bytes, most=settings.mqtt_filter_bytes),
            may_receive=lambda each, topic: access.may_receive(each.role, topic, user=each.user),
            app_versions=self._app_versions,
        )
        delivery = LocalDelivery(
            connections=self.connections,
            clients=self.clients,
            subscriptions=self.subscriptions,
            changed_users=authenticator.changed,
            forget_routes=lambda: self.advertiser.forget(),  # noqa: PLW0108 - it is made below, with the cluster
            tasks=self.tasks,
        )
        self.cluster = Cluster(
            client=client,
            kinds=kinds,
            name=settings.broker_node,
            local=delivery,
            writes=self._writes,
            clock=clock,
            limits=Limits.of(settings),
            failures=self.failures,
            no_room=lambda: self.redis.disk_problem,
        )
        self.advertiser = RouteAdvertiser(subscriptions=self.subscriptions, sessions=self.cluster.sessions)
        router = Router(cluster=self.cluster, subscriptions=self.subscriptions, tasks=self.tasks)
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

        # What clients may do, and what comes of it.
        closed = [each.strip() for each in settings.mqtt_no_subscribe.split(",") if each.strip()]
        self._amqtt = AmqttBroker(
            internal=router,
            authenticator=authenticator,
            access=access,
            no_subscribe=closed,
            plugins=settings.mqtt_plugins,
        )
        names = LogNames()
        self.refusals = Refusals(metrics=metrics, max_payload=settings.mqtt_max_payload, now=self.now, names=names)
        topic_rules = TopicRules(settings=settings, kinds=kinds, access=access, amqtt=self._amqtt)
        outboxes = Outboxes(
            settings=settings,
            sessions=self.cluster.sessions,
            subscriptions=self.subscriptions,
            app_versions=self._app_versions,
            metrics=metrics,
        )
        subscribing = Subscribing(
            settings=settings,
            amqtt=self._amqtt,
            access=access,
            cluster=self.cluster,
            subscriptions=self.subscriptions,
            app_versions=self._app_versions,
            advertiser=self.advertiser,
            sys_topics=self.sys,
            outboxes=outboxes,
            refusals=self.refusals,
            topic_rules=topic_rules,
        )
        self.admission = Admission(
            settings=settings,
            clients=self.clients,
            amqtt=self._amqtt,
            cluster=self.cluster,
            delivery=delivery,
            subscribing=subscribing,
            outboxes=outboxes,
            topic_rules=topic_rules,
            rates=settings.position_rates(kinds),
            wills=Wills(settings=settings, topic_rules=topic_rules, router=router, metrics=metrics),
            connecting=self.connecting,
            closing=self.tasks,
            metrics=metrics,
            role_of=authenticator.role_of,
            names=names,
            problem=lambda: self.problem,
            now=self.now,
        )
        self.registry = ConnectionRegistry(
            settings=settings,
            connections=self.connections,
            refusals=self.refusals,
            left=self.admission.leave,
            ended=self._ended.wake,
        )
        publishing = Publishing(
            settings=settings,
            clock=clock,
            metrics=metrics,
            refusals=self.refusals,
            topic_rules=topic_rules,
            ingest=self.ingest,
            router=router,
            problem=lambda: self.problem,
        )
        control = ControlPackets(
            admission=self.admission,
            subscribing=subscribing,
            sessions=self.cluster.sessions,
            problem=lambda: self.problem,
        )
        self.reader = PacketReader(settings=settings, publishing=publishing, control=control)
        self._deadlines = Deadlines(connections=self.connections, problem=lambda: self.problem, now=self.now)

    @property
    def problem(self) -> str | None:
        """Why it is not ready; None when it is."""
        return (
            self._writes.problem
            or self.ingest.problem
            or self.redis.problem
            or self.cluster.problem
            or self._app_rules.problem
        )

    def _follow(self, routes: Mapping[str, Route]) -> None:
        if self._app_versions.replace(routes):
            self.subscriptions.forget_choices()

    def new_connection(self) -> Connection:
        """The protocol of a connection that has just come."""
        self._next_number += 1
        return Connection(self, self._next_number)

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
                    "app-rules": self._app_rules.run,
                    "newest-input": self._newest_input.run,
                    "interest": self.advertiser.run,
                    "sweep": self._deadlines.run,
                    "sys": self.sys.run,
                    "refusals": self.refusals.run,
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
            connection.end(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while self.connections or self.connecting or self.tasks:
                    await self._ended.wait()
        for connection in list(self.connections.values()):
            connection.abort()
