"""The load, and what carries it: as the Engine, HAProxy, the nodes and Redis tell it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.containers import Container
from autoscaler.engine import Engine
from autoscaler.haproxy import Proxy, Server
from autoscaler.nodes import NodeFigures, Nodes
from autoscaler.policy import Load
from core.clock import Clock
from core.errors import UnavailableError
from state.backlog import read_backlogs
from state.client import Redis
from state.raw import OBSERVE_GROUP


async def decoder_lag(client: Redis, partitions: int) -> int:
    """How many messages no decoder has finished, over all partitions.

    Raises UnavailableError if Redis does not answer.
    """
    found = await read_backlogs(client, partitions)
    return sum(backlog.waiting for backlog in found if backlog.group == OBSERVE_GROUP)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything at one moment."""

    containers: Sequence[Container]
    servers: Sequence[Server] | None
    """HAProxy's slots; None while HAProxy is away."""
    nodes: Mapping[str, NodeFigures]
    """By container id."""
    load: Load
    problems: tuple[str, ...] = ()
    """What did not answer, a sentence each."""

    def of(self, service: str) -> list[Container]:
        """The containers of one service."""
        return [container for container in self.containers if container.service == service]


class Reader:
    """Reads the load again and again; `lag` answers that of the decoders."""

    def __init__(
        self, *, engine: Engine, proxy: Proxy, nodes: Nodes, lag: Callable[[], Awaitable[int]], clock: Clock
    ) -> None:
        self._engine = engine
        self._proxy = proxy
        self._nodes = nodes
        self._lag = lag
        self._clock = clock
        self._before: tuple[int, Mapping[str, NodeFigures]] | None = None

    async def read(self) -> Reading:
        """The present.

        Raises UnavailableError where the Engine does not answer: without it there is nothing to be done.
        """
        containers = await self._engine.containers()
        problems = []
        servers: list[Server] | None = None
        try:
            servers = await self._proxy.servers()
        except UnavailableError as error:
            problems.append(str(error))
        lag: int | None = None
        try:
            lag = await self._lag()
        except UnavailableError as error:
            problems.append(str(error))
        running = [container for container in containers if container.service == "broker" and container.runs]
        nodes = await self._nodes.read(running)
        load = Load(
            connections=None if servers is None else sum(server.sessions for server in servers),
            messages=self._rate(running, nodes),
            lag=lag,
        )
        return Reading(containers, servers, nodes, load, tuple(problems))

    def _rate(self, running: Sequence[Container], nodes: Mapping[str, NodeFigures]) -> float | None:
        """Messages a second of all nodes since the reading before; None where one that is healthy did not answer."""
        now, before = self._clock(), self._before
        self._before = now, nodes
        if any(container.id not in nodes for container in running if container.is_healthy):
            return None
        if before is None or now <= before[0]:
            return None
        then, earlier = before
        received = 0.0
        for container in running:
            if container.id in nodes:
                figure = nodes[container.id].received
                known = earlier.get(container.id)
                if known is None and container.created < then:
                    # It did not answer then: what it has counted meanwhile is not known.
                    return None
                # A node that was started again counts from 0, as a new one does.
                received += figure - known.received if known and figure >= known.received else figure
        return received * 1000 / (now - then)
