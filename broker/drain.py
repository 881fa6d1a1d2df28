"""Leaving in order: no longer ready, then no new connections, then the connections that are there, a few at a time.

Those that are ended come back to another node, and a thousand of them at once would be a storm for it. What was read of
a connection is appended and acknowledged before it ends; its will is published, as MQTT 3.1.1 asks where there was no
DISCONNECT [MQTT-3.1.2-8], and its session is there for whoever it comes to next.
"""

import asyncio
from collections.abc import Callable

import structlog

from broker.node import Node
from runtime.service import Stop, pause

TICK_SECONDS = 0.1
FINISH_SECONDS = 3.0
"""How long the last ones may wait for Redis. The node's own end comes after that."""

_log = structlog.stdlib.get_logger("drain")


class Drain:
    """The end of a node that nobody is in a hurry for: what SIGUSR1 begins, and with DRAIN_ON_TERM a first SIGTERM.

    For `notice` seconds connections are still accepted, for a proxy needs a moment to see that the node is not ready,
    and whoever it sends here until then must not be refused. The connections then end over `seconds`.
    """

    def __init__(self, *, node: Node, notice: float, seconds: float) -> None:
        self._node = node
        self._notice = notice
        self._seconds = seconds
        self._begun = asyncio.Event()
        self._can_drain = False
        self._told_to_end = False

    @property
    def problem(self) -> str | None:
        """Why it is not ready; None as long as nobody wants it to leave."""
        return "draining" if self._begun.is_set() else None

    def begin(self) -> None:
        """Begin to leave; once is enough."""
        self._begun.set()

    def told_to_end(self, stop: Stop) -> None:
        """SIGTERM, where that means to drain: the second one sets `stop`; the first, too, where nobody can be there."""
        if self._told_to_end or not self._can_drain:
            stop.set()
        self._told_to_end = True
        self.begin()

    def describe(self) -> None:
        """Name what is asked for when somebody asks for the node's metrics."""
        self._node.metrics.gauges["broker_draining"] = (
            "1 once the node is leaving.",
            lambda: float(self._begun.is_set()),
        )

    async def run(self, stop: Stop, close_listeners: Callable[[], None]) -> None:
        """Wait until it begins; then drain, and set `stop`. Returns when `stop` is set, by whomever."""
        self._can_drain = True
        try:
            asking = [asyncio.ensure_future(event.wait()) for event in (stop, self._begun)]
            try:
                await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in asking:
                    each.cancel()
            if not stop.is_set():
                await self._leave(stop, close_listeners)
        finally:
            self._can_drain = False

    async def _leave(self, stop: Stop, close_listeners: Callable[[], None]) -> None:
        _log.info("draining", connections=len(self._node.connections), notice=self._notice, seconds=self._seconds)
        await pause(self._notice, stop)
        close_listeners()
        await self._shed(stop)
        if not stop.is_set():
            _log.info("drained", connections_left=len(self._node.connections))
            stop.set()

    async def _shed(self, stop: Stop) -> None:
        node = self._node
        leaving = list(node.connections.values())
        total, begun = len(leaving), node.now()
        while leaving and not stop.is_set():
            share = 1 - (node.now() - begun) / self._seconds if self._seconds else 0.0
            while leaving and len(leaving) > total * share:
                leaving.pop().finish()
            if leaving:
                await pause(TICK_SECONDS, stop)
        limit = node.now() + FINISH_SECONDS
        while node.connections and node.now() < limit and not stop.is_set():
            await pause(TICK_SECONDS, stop)
