"""Clears up what is over: nodes that are gone, sessions whose time has come, and those of users who were removed."""

import structlog

from broker.cluster.limits import Dropped, Limits
from broker.cluster.local import Local
from broker.cluster.publisher import Publisher
from core.clock import Clock
from core.errors import UnavailableError
from runtime.retry import until_available
from runtime.service import Stop, pause
from state.nodes import Nodes
from state.sessions import SessionStore

EVERY_SECONDS = 1.0
AT_ONCE = 200
"""Clients, or filters, that one script deals with: it keeps Redis from everything else meanwhile."""
SESSIONS_AT_ONCE = 300
POSITIONS_AT_ONCE = 500

_log = structlog.stdlib.get_logger("cluster")


class Reaper:
    """Any number of nodes may do it at the same time."""

    def __init__(
        self,
        *,
        nodes: Nodes,
        sessions: SessionStore,
        publisher: Publisher,
        local: Local,
        limits: Limits,
        dropped: Dropped,
        clock: Clock,
    ) -> None:
        self._nodes = nodes
        self._sessions = sessions
        self._publisher = publisher
        self._local = local
        self._limits = limits
        self._dropped = dropped
        self._clock = clock
        self._to_reap: set[str] = set()

    def take(self, node: str) -> None:
        """Have a node cleared up after, soon."""
        self._to_reap.add(node)

    async def run(self, stop: Stop) -> None:
        """Clear up until `stop`."""
        while not stop.is_set():
            for node in sorted(self._to_reap):
                _log.warning("a node is gone: its sessions are free, its wills are published", other=node)
                await until_available(lambda node=node: self.reap(node))  # type: ignore[misc]
                self._to_reap.discard(node)
            try:
                while await self.expire() and not stop.is_set():
                    pass
                while await self.erase() and not stop.is_set():
                    pass
                while await self.sweep() and not stop.is_set():
                    pass
            except UnavailableError:
                # Others say so, and the next round comes.
                pass
            await pause(EVERY_SECONDS, stop)

    async def reap(self, node: str) -> None:
        """Publish a node's wills, end its connections, and forget all of it.

        Raises UnavailableError; do it again then.
        """
        for connection in await self._nodes.mark_dead(node):
            will = await self._publisher.publish_will(node, connection)
            if will is not None:
                self._local.deliver([will])
        while await self._nodes.reap(node, expires=self._clock() + self._limits.session_expiry_ms, count=AT_ONCE):
            pass

    async def expire(self) -> int:
        """Delete some of the sessions whose time is over; how many. Raises UnavailableError."""
        return await self._sessions.expire(self._clock(), SESSIONS_AT_ONCE)

    async def erase(self) -> bool:
        """Delete some of the sessions of users who were removed; whether there may be more. Raises UnavailableError."""
        return await self._sessions.erase(SESSIONS_AT_ONCE)

    async def sweep(self) -> bool:
        """Drop some of the positions that wait for too long; whether there may be more. Raises UnavailableError."""
        before = self._clock() - self._limits.queue_positions_max_age_ms
        dropped, more = await self._sessions.sweep(before, POSITIONS_AT_ONCE)
        self._dropped.queue_age += dropped
        return more
