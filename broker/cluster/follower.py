"""Follows what other nodes have for this one, and how the routes change."""

import structlog

from broker.cluster.identity import Identity
from broker.cluster.local import Local
from broker.cluster.routes import Routes
from core.errors import UnavailableError
from runtime.service import Stop, pause
from state.nodes import Entry, Nodes

BLOCK_MS = 500
"""How long a read waits for something to arrive; also how long a stop may go unnoticed."""
ENTRIES_AT_ONCE = 32
RETRY_SECONDS = 0.2

_log = structlog.stdlib.get_logger("cluster")


class Follower:
    """Reads the inbox of a node, and cuts off what is done."""

    def __init__(self, *, nodes: Nodes, identity: Identity, routes: Routes, local: Local) -> None:
        self._nodes = nodes
        self._identity = identity
        self._routes = routes
        self._local = local
        self._node = ""
        self._taken = 0
        self.problem: str | None = None
        """Why nothing can be read at present; None when all is well."""

    async def run(self, stop: Stop) -> None:
        """Read until `stop`."""
        away = False
        while not stop.is_set():
            try:
                if away:
                    await self._look_back()
                    away = False
                await self._read()
                self.problem = None
            except UnavailableError as error:
                away = True
                if not self.problem:
                    _log.warning("nothing is heard of other nodes", reason=str(error))
                self.problem = str(error)
                await pause(RETRY_SECONDS, stop)

    async def _read(self) -> None:
        if self._node != self._identity.node:
            self._node, self._taken = self._identity.node, 0
        if not self._routes.version:
            await self._routes.update()
        inbox, changes = await self._nodes.wait(
            self._node, self._taken, self._routes.version, count=ENTRIES_AT_ONCE, block_ms=BLOCK_MS
        )
        if not inbox and not changes:
            # The counters of the inbox may have been lost, and what comes then has lower numbers.
            await self._look_back()
        if not all(self._routes.apply(*entry) for entry in changes) or len(changes) == ENTRIES_AT_ONCE:
            await self._routes.update()
        if inbox:
            await self._hand_over(inbox)

    async def _look_back(self) -> None:
        """Find out whether Redis has come back without its last changes: then numbers begin where it was before."""
        sent, taken = await self._nodes.counts(self._node)
        if sent < self._taken:
            self._taken = taken

    async def _hand_over(self, entries: list[Entry]) -> None:
        """Give this node what others have for it."""
        news = await self._nodes.read(entries)
        if self._node != self._identity.node:
            return
        if news.messages:
            self._local.deliver(news.messages)
        for client_id in news.woken:
            self._local.wake(client_id)
        if news.changed:
            self._local.changed(news.changed)
        for client_id, connection in news.taken_over:
            self._local.disconnect(client_id, connection)
        # Before the answer: what was handed over is not to be handed over again.
        self._taken = news.taken
        await self._nodes.take(self._node, news.taken)
