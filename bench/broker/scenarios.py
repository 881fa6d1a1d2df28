"""What is measured: each scenario starts a peer afresh, loads it from a process of its own, and gives its figures."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from bench.broker.across import Across, across
from bench.broker.idle import Idle, idle
from bench.broker.latency import Latency, latency
from bench.broker.load import Throughput, keep, throughput
from bench.broker.peers import Peer
from bench.broker.running import Running, haproxy, running

ACKNOWLEDGED = "acknowledged/s"
DELIVERED = "delivered/s"
CONNECTS = "CONNECTs/s"
BYTES_EACH = "bytes/connection"
P50, P99, MOST = "p50 ms", "p99 ms", "most ms"
NODE_CPU = "node CPU us each"
REDIS_CPU = "Redis CPU us each"
ORDERED = "in order"
LOST = "lost"
GENERATOR = "generator busy"
"""Share of one core."""
LATE = "generator late, p99 ms"
TOGETHER = 100
"""Connections on their way to a CONNACK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    seconds: float
    warm_up: float
    connections: int = 10
    window: int = 500
    idle_connections: int = 10_000
    latency_rate: float = 1000


Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One table of the report."""

    name: str
    title: Callable[[Sizes], str]
    nodes: int
    figures: Sequence[str]
    """What is shown, in this order; the rest goes into the file of results alone."""
    load: Callable[[Running, Sizes, Executor], Figures]
    is_for_kept: bool = False
    """Whether it says something about a peer that keeps messages for a session."""

    needs_websocket: bool = False

    def cannot(self, peer: Peer) -> str | None:
        """Why this peer has no figures here."""
        if peer.missing:
            return peer.missing
        if self.nodes > 1 and peer.redis is None:
            return "its nodes share nothing"
        if self.needs_websocket and not peer.websocket:
            return "it is measured without WebSocket"
        if peer.keeps and not self.is_for_kept:
            return "only measured with one node"
        return None

    def measure(self, peer: Peer, sizes: Sizes, generator: Executor) -> Figures:
        """One round. Raises Broken where the peer does not do what is asked."""
        with running(peer, self.nodes) as up:
            if peer.keeps:
                keep(up.ports[0])
            return self.load(up, sizes, generator)


def _one_node(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    return _publish(up, up.ports, sizes, generator)


def _websocket(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    return _publish(up, up.websocket_ports, sizes, generator, over_websocket=True)


def _two_nodes(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    with haproxy(up.ports) as port:
        return _publish(up, [port], sizes, generator)


def _publish(
    up: Running, ports: Sequence[int], sizes: Sizes, generator: Executor, *, over_websocket: bool = False
) -> Figures:
    job = Throughput(
        over_websocket=over_websocket,
        ports=ports,
        connections=sizes.connections,
        window=sizes.window,
        warm_up=sizes.warm_up,
        seconds=sizes.seconds,
        nodes=up.pids,
        redis=up.redis_pid,
    )
    found = generator.submit(throughput, job).result()
    return {
        ACKNOWLEDGED: found.per_second,
        NODE_CPU: found.node_microseconds,
        REDIS_CPU: found.redis_microseconds,
        ORDERED: float(found.in_order),
        GENERATOR: found.generator_busy,
    }


def _across(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    publish_port, subscribe_port = up.ports
    job = Across(
        publish_port=publish_port,
        subscribe_port=subscribe_port,
        connections=sizes.connections,
        window=sizes.window // 5,
        warm_up=sizes.warm_up,
        seconds=sizes.seconds,
    )
    found = generator.submit(across, job).result()
    return {
        DELIVERED: found.per_second,
        LOST: found.lost,
        ORDERED: float(found.in_order),
        GENERATOR: found.generator_busy,
    }


def _idle(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    (port,) = up.ports
    job = Idle(port=port, connections=sizes.idle_connections, together=TOGETHER, nodes=up.pids)
    found = generator.submit(idle, job).result()
    return {BYTES_EACH: found.bytes_each, CONNECTS: found.connects_per_second, GENERATOR: found.generator_busy}


def _latency(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    (port,) = up.ports
    job = Latency(
        port=port,
        connections=sizes.connections,
        per_second=sizes.latency_rate,
        warm_up=sizes.warm_up,
        seconds=2 * sizes.seconds,
    )
    found = generator.submit(latency, job).result()
    return {P50: found.p50, P99: found.p99, MOST: found.most, LATE: found.late_p99}


ONE_NODE = Scenario(
    name="one-node",
    title=lambda sizes: f"One node: QoS 1, {sizes.connections} connections, {sizes.window} unacknowledged on each",
    nodes=1,
    figures=(ACKNOWLEDGED, NODE_CPU, REDIS_CPU),
    load=_one_node,
    is_for_kept=True,
)
WEBSOCKET = Scenario(
    name="websocket",
    title=lambda sizes: f"One node over WebSocket, a frame a message: QoS 1, {sizes.connections} connections",
    nodes=1,
    figures=(ACKNOWLEDGED, NODE_CPU, REDIS_CPU),
    load=_websocket,
    needs_websocket=True,
)
TWO_NODES = Scenario(
    name="two-nodes",
    title=lambda sizes: f"Two nodes behind HAProxy (TCP): QoS 1, {sizes.connections} connections",
    nodes=2,
    figures=(ACKNOWLEDGED, NODE_CPU, REDIS_CPU),
    load=_two_nodes,
)
ACROSS = Scenario(
    name="across",
    title=lambda sizes: f"{sizes.connections} publishers (QoS 1) on one node, one subscriber (QoS 0) on another",
    nodes=2,
    figures=(DELIVERED,),
    load=_across,
)
IDLE = Scenario(
    name="idle",
    title=lambda sizes: f"{sizes.idle_connections:,} idle connections to one node, {TOGETHER} on their way at a time",
    nodes=1,
    figures=(BYTES_EACH, CONNECTS),
    load=_idle,
)
LATENCY = Scenario(
    name="latency",
    title=lambda sizes: (
        f"Acknowledgement at {sizes.latency_rate:,.0f} messages/s: QoS 1, {sizes.connections} connections"
    ),
    nodes=1,
    figures=(P50, P99, MOST),
    load=_latency,
)
SCENARIOS = (ONE_NODE, WEBSOCKET, TWO_NODES, ACROSS, IDLE, LATENCY)
