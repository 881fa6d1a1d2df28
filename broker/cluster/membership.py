"""Being one of the cluster, and seeing who else is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from broker.cluster.identity import Identity
from broker.cluster.limits import Usage
from broker.cluster.local import Local
from broker.cluster.reaper import Reaper
from broker.cluster.routes import Routes
from core.errors import UnavailableError
from core.kinds import DEVICES, Kinds
from runtime.service import Stop, pause
from state.mqtt import Scripts
from state.nodes import Nodes
from state.retained import tidy_retained

HEARTBEAT_SECONDS = 1.0
DEAD_AFTER_SECONDS = 5.0
DEAD_AFTER_POLLS = 5
CONDEMNED = b"-"
"""In place of the heartbeats of a node that others clear up after."""

_log = structlog.stdlib.get_logger("cluster")


@dataclass(slots=True)
class _Seen:
    beats: bytes
    since: float
    polls: int = 0


class Membership:
    """Counts heartbeats, up for this node and of the others.

    A node is dead whose heartbeats have stood still for `dead_after` seconds, in which this one has looked
    `DEAD_AFTER_POLLS` times and without a pause: while Redis is away, nobody can count up. `monotonic` answers seconds.
    """

    def __init__(
        self,
        *,
        nodes: Nodes,
        scripts: Scripts,
        identity: Identity,
        kinds: Kinds,
        routes: Routes,
        reaper: Reaper,
        local: Local,
        monotonic: Callable[[], float],
        heartbeat: float,
        dead_after: float,
    ) -> None:
        self._nodes = nodes
        self._kinds = kinds
        self._scripts = scripts
        self._identity = identity
        self._routes = routes
        self._reaper = reaper
        self._local = local
        self._monotonic = monotonic
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._seen: dict[bytes, _Seen] = {}
        self._looked_at = 0.0
        self._joined = False
        self._users_version: bytes | None = None
        self.usage = Usage()
        self.problem: str | None = "this node has not joined the cluster yet"
        """Why this node is not one of the cluster; None when all is well."""

    @property
    def nodes_seen(self) -> int:
        """Nodes that say that they live, this one included; 0 while it cannot say so itself."""
        return 0 if self.problem else sum(seen.beats != CONDEMNED for seen in self._seen.values())

    async def run(self, stop: Stop) -> None:
        """Be a member until `stop`."""
        while not stop.is_set():
            try:
                await self.beat()
            except UnavailableError as error:
                if self._joined and not self.problem:
                    _log.warning("no heartbeat", reason=str(error))
                self.problem = str(error)
            await pause(self._heartbeat, stop)

    async def beat(self) -> None:
        """Say that this node is there, and look at the others. Raises UnavailableError."""
        if not self._joined:
            await self._join()
        seen = await self._nodes.beat(self._identity.node)
        if seen is None:
            self._become_another()
            await self._join()
            seen = await self._nodes.beat(self._identity.node)
            if seen is None:
                raise UnavailableError("this node was given up as soon as it had joined")
        self.usage = Usage(*map(_number, seen.usage))
        for node in self._dead(seen.beats):
            try:
                self._reaper.take(node.decode())
            except UnicodeDecodeError:
                await self._nodes.forget(node)
        if seen.routes_version != self._routes.version:
            await self._routes.update()
        if self._users_version != seen.users_version:
            if self._users_version is not None:
                self._local.users_changed()
            self._users_version = seen.users_version
        self.problem = None

    async def leave(self) -> None:
        """End what this node has in Redis, at once. Raises UnavailableError."""
        await self._reaper.reap(self._identity.node)

    async def _join(self) -> None:
        await self._nodes.join(self._identity.node)
        await tidy_retained(self._scripts, (*self._kinds.ingest_levels, DEVICES))
        await self._routes.update()
        self._joined = True
        _log.info("joined the cluster", life=self._identity.node)

    def _become_another(self) -> None:
        self._joined = False
        old = self._identity.node
        self._identity.renew()
        self._routes.forget_plans()
        _log.warning("others took this node for dead, or Redis was emptied", was=old, life=self._identity.node)
        self._local.fenced()

    def _dead(self, nodes: Sequence[bytes]) -> list[bytes]:
        now = self._monotonic()
        if now - self._looked_at > self._dead_after / 2:
            self._seen.clear()
        self._looked_at = now
        beats_of = dict(zip(nodes[::2], nodes[1::2], strict=True))
        self._seen = {node: seen for node, seen in self._seen.items() if node in beats_of}
        dead = []
        for node, beats in beats_of.items():
            seen = self._seen.get(node)
            if seen is None or seen.beats != beats:
                self._seen[node] = _Seen(beats, now)
                continue
            seen.polls += 1
            if seen.polls >= DEAD_AFTER_POLLS and now - seen.since >= self._dead_after:
                dead.append(node)
        return dead


def _number(told: bytes | int) -> int:
    """A count that Redis keeps; 0 for what is none."""
    return told if isinstance(told, int) else int(told) if told.isdigit() else 0
