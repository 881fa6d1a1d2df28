"""What is measured: each scenario starts a peer afresh, loads it from a process of its own, and gives its figures."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from bench.broker.across import Across, across
from bench.broker.idle import Idle, idle
from bench.broker.latency import Latency, latency
from bench.broker.load import Throughput, keep, throughput
from bench.broker.peers import AEDES, MOSCA, MOSQUITTO, OURS, Peer
from bench.broker.running import KEPT_ENTRIES, Running, haproxy, running
from bench.results_file import ALL_CPU, Aim, Compared
from bench.rounds import Entry, Figures
from bench.section import GENERATOR

ACKNOWLEDGED = "acknowledged/s"
DELIVERED = "delivered/s"
CONNECTS = "CONNECTs/s"
BYTES_EACH = "bytes/connection"
P50, P99, MOST = "p50 ms", "p99 ms", "most ms"
NODE, REDIS = "node", "Redis"
"""Processes, or all nodes together."""
ORDERED = "in order"
LOST = "lost"
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
    idle_connections: int = 5_000
    latency_rate: float = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One table of the report."""

    name: str
    title: Callable[[Sizes], str]
    nodes: int
    compared: Sequence[Compared]
    aims: Sequence[Aim] = ()
    load: Callable[[Running, Sizes, Executor], Figures]
    is_for_kept: bool = False
    """Whether it says something about a peer that keeps messages for a session."""

    needs_websocket: bool = False
    beside_one: bool = False
    """Whether ours also takes part with one node."""

    def entries(self, peers: Sequence[Peer], sizes: Sizes, generator: Executor) -> list[Entry]:
        """Each peer with its nodes; ours is the first."""

        def entry(peer: Peer, name: str, nodes: int) -> Entry:
            return Entry(
                name=name,
                run=lambda: self.measure(peer, nodes, sizes, generator),
                version=peer.version,
                configuration=peer.configuration,
                why_not=self.cannot(peer),
            )

        found = [entry(peer, peer.name, self.nodes) for peer in peers if not self.is_beside_the_point(peer)]
        return [*found, entry(peers[0], ONE, 1)] if self.beside_one else found

    def is_beside_the_point(self, peer: Peer) -> bool:
        """Whether a peer differs in nothing that is measured here from one that takes part."""
        return peer.keeps and not self.is_for_kept

    def cannot(self, peer: Peer) -> str | None:
        """Why this peer has no figures here."""
        if peer.missing:
            return peer.missing
        if self.nodes > 1 and not peer.shares:
            return "its nodes share nothing"
        if self.needs_websocket and not peer.websocket:
            return "it is measured without WebSocket"
        return None

    def measure(self, peer: Peer, nodes: int, sizes: Sizes, generator: Executor) -> Figures:
        """One turn. Raises Broken where the peer does not do what is asked."""
        with running(peer, nodes) as up:
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
    return Figures(
        values={ACKNOWLEDGED: found.per_second, ORDERED: float(found.in_order), GENERATOR: found.generator_busy},
        cpu={NODE: found.node_microseconds} | ({REDIS: found.redis_microseconds} if up.redis_pid else {}),
    )


def _across(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    publish_port, subscribe_port = up.ports
    job = Across(
        publish_port=publish_port,
        subscribe_port=subscribe_port,
        connections=sizes.connections,
        window=sizes.window // 5,
        warm_up=sizes.warm_up,
        seconds=sizes.seconds,
        nodes=up.pids,
        redis=up.redis_pid,
    )
    found = generator.submit(across, job).result()
    return Figures(
        values={
            DELIVERED: found.per_second,
            LOST: found.lost,
            ORDERED: float(found.in_order),
            GENERATOR: found.generator_busy,
        },
        cpu={NODE: found.node_microseconds, REDIS: found.redis_microseconds},
    )


def _idle(up: Running, sizes: Sizes, generator: Executor) -> Figures:
    (port,) = up.ports
    job = Idle(port=port, connections=sizes.idle_connections, together=TOGETHER, nodes=up.pids)
    found = generator.submit(idle, job).result()
    return Figures(
        values={
            BYTES_EACH: found.bytes_each,
            CONNECTS: found.connects_per_second,
            GENERATOR: found.generator_busy,
        }
    )


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
    return Figures(values={P50: found.p50, P99: found.p99, MOST: found.most, LATE: found.late_p99})


ONE = f"{OURS}, one node"
_BY_RATE = (Compared(ACKNOWLEDGED), Compared(ALL_CPU, "less"))
ONE_NODE = Scenario(
    name="one-node",
    title=lambda sizes: (
        f"Brokers: QoS 1 to one node, {sizes.connections} connections, {sizes.window} unacknowledged on each"
    ),
    nodes=1,
    compared=_BY_RATE,
    aims=(
        Aim(text=f"at least 2.5 times {AEDES}", figure=ACKNOWLEDGED, over=AEDES, least=2.5),
        Aim(text=f"at least 4 times {MOSCA}", figure=ACKNOWLEDGED, over=MOSCA, least=4),
        Aim(text=f"as much as {MOSQUITTO}, which keeps nothing", figure=ACKNOWLEDGED, over=MOSQUITTO, least=1),
    ),
    load=_one_node,
    is_for_kept=True,
)
WEBSOCKET = Scenario(
    name="websocket",
    title=lambda sizes: f"Brokers: the same over WebSocket, a frame a message, {sizes.connections} connections",
    nodes=1,
    compared=_BY_RATE,
    load=_websocket,
    needs_websocket=True,
)
TWO_NODES = Scenario(
    name="two-nodes",
    title=lambda sizes: f"Brokers: QoS 1 to two nodes behind HAProxy (TCP), {sizes.connections} connections",
    nodes=2,
    compared=_BY_RATE,
    aims=(Aim(text="more than one node, as far as there are cores", figure=ACKNOWLEDGED, over=ONE, least=1),),
    load=_two_nodes,
    beside_one=True,
)
ACROSS = Scenario(
    name="across",
    title=lambda sizes: (
        f"Brokers: {sizes.connections} publishers (QoS 1) on one node, one subscriber (QoS 0) on another"
    ),
    nodes=2,
    compared=(Compared(DELIVERED), Compared(ALL_CPU, "less")),
    aims=(Aim(text=f"at least 2 times {AEDES}", figure=DELIVERED, over=AEDES, least=2),),
    load=_across,
)
IDLE = Scenario(
    name="idle",
    title=lambda sizes: (
        f"Brokers: {sizes.idle_connections:,} idle connections to one node, {TOGETHER} on their way at a time"
    ),
    nodes=1,
    compared=(Compared(BYTES_EACH, "less"), Compared(CONNECTS)),
    aims=(
        Aim(text="at most 8,192 bytes a connection", figure=BYTES_EACH, most=8192),
        Aim(text="at least 2,000 CONNECTs/s", figure=CONNECTS, least=2000),
    ),
    load=_idle,
)
LATENCY = Scenario(
    name="latency",
    title=lambda sizes: (
        f"Brokers: acknowledgement at {sizes.latency_rate:,.0f} messages/s, QoS 1, {sizes.connections} connections"
    ),
    nodes=1,
    compared=(Compared(P99, "less"), Compared(P50, "less")),
    aims=(Aim(text="p99 under 20 ms", figure=P99, most=20),),
    load=_latency,
)
SCENARIOS = (ONE_NODE, WEBSOCKET, TWO_NODES, ACROSS, IDLE, LATENCY)
NOTES = (
    "every turn starts its broker and its Redis afresh; a message has 240 bytes",
    f"the stream raw of ours is cut to {KEPT_ENTRIES:,} entries ten times a second, as by a decoder; nothing reads it",
)
