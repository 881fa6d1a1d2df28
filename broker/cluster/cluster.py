"""One node's part of the cluster, put together."""

import asyncio
import time
from collections.abc import Callable

import structlog

from broker.cluster.follower import Follower
from broker.cluster.identity import Identity
from broker.cluster.limits import Dropped, Limits, Usage
from broker.cluster.local import Local
from broker.cluster.membership import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, Membership
from broker.cluster.publisher import Publisher
from broker.cluster.reaper import Reaper
from broker.cluster.retained import Retained
from broker.cluster.routes import Routes
from broker.cluster.sessions import Sessions
from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import Kinds
from runtime.failures import Failures
from runtime.service import Stop, work_until_stopped
from state.client import Redis
from state.durability import Writes
from state.mqtt import PipelineBatcher, Scripts
from state.nodes import Nodes
from state.retained import RetainedStore
from state.routes import RouteStore
from state.sessions import SessionStore

LEAVE_SECONDS = 2.0

_log = structlog.stdlib.get_logger("cluster")


class Cluster:
    """What a node shares with others through Redis.

    `name` is BROKER_NODE. `heartbeat` and `dead_after` are in seconds, as is what `monotonic` answers. All nodes should
    have the same limits and times.
    """

    def __init__(
        self,
        *,
        client: Redis,
        kinds: Kinds,
        name: str,
        local: Local,
        clock: Clock,
        limits: Limits,
        heartbeat: float = HEARTBEAT_SECONDS,
        dead_after: float = DEAD_AFTER_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        failures: Failures | None = None,
        no_room: Callable[[], str | None] = lambda: None,
        writes: Writes | None = None,
    ) -> None:
        """`writes` says when what clients are acknowledged counts; unless given, once Redis has answered."""
        self._failures = failures
        self._identity = Identity(name)
        self.dropped = Dropped()
        # A node says that it lives, whether there are replicas or not.
        scripts, acknowledged = Scripts(client), Scripts(client, writes)
        nodes, store = Nodes(client, scripts), SessionStore(client, PipelineBatcher(acknowledged))
        self.routes = Routes(store=RouteStore(client), kinds=kinds, identity=self._identity)
        self.sessions = Sessions(
            store=store,
            routes=self.routes,
            identity=self._identity,
            limits=limits,
            dropped=self.dropped,
            clock=clock,
        )
        self.retained = Retained(RetainedStore(client))
        self.publisher = Publisher(
            nodes=nodes,
            scripts=acknowledged,
            identity=self._identity,
            kinds=kinds,
            routes=self.routes,
            limits=limits,
            dropped=self.dropped,
            clock=clock,
            no_room=no_room,
        )
        self._follower = Follower(nodes=nodes, identity=self._identity, routes=self.routes, local=local)
        self._reaper = Reaper(
            nodes=nodes,
            sessions=store,
            publisher=self.publisher,
            local=local,
            limits=limits,
            dropped=self.dropped,
            clock=clock,
        )
        self._membership = Membership(
            nodes=nodes,
            scripts=scripts,
            identity=self._identity,
            kinds=kinds,
            routes=self.routes,
            reaper=self._reaper,
            local=local,
            monotonic=monotonic,
            heartbeat=heartbeat,
            dead_after=dead_after,
        )

    @property
    def node(self) -> str:
        """This life of the node, `<name>:<8 hex digits>`; another one after `Local.fenced`."""
        return self._identity.node

    @property
    def usage(self) -> Usage:
        """What the whole cluster holds."""
        return self._membership.usage

    @property
    def nodes_seen(self) -> int:
        """How many nodes there are, with this one; 0 while it has no part in them."""
        return self._membership.nodes_seen

    @property
    def problem(self) -> str | None:
        """Why this node is cut off from the others; None when all is well."""
        return self._membership.problem or self._follower.problem or self.publisher.problem

    async def run(self, stop: Stop) -> None:
        """Be one of the cluster until `stop`; then leave, so that nobody has to find out.

        Connections should have been closed by then. The wills of those that have not are published.
        """
        ended = Stop()

        async def member(_: Stop) -> None:
            await work_until_stopped({"membership": self._membership.run}, stop, self._failures)
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._membership.leave()
            except (TimeoutError, UnavailableError) as error:
                _log.warning("others will find that this node is gone", life=self.node, reason=str(error))
            finally:
                ended.set()

        await work_until_stopped(
            {
                "publisher": self.publisher.run,
                "follower": self._follower.run,
                "reaper": self._reaper.run,
                "member": member,
            },
            ended,
            self._failures,
        )
