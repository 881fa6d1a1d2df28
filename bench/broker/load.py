"""The load generator for throughput: some connections that publish as fast as they are acknowledged.

Run in a process of its own (`bench.broker.scenarios`). It copies prepared bytes and counts what comes back; what came
back is compared when the clock has stopped.
"""

import selectors
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, process_time

from bench.broker import websocket
from bench.broker.connection import LIMIT_SECONDS, BrokenError, connected, expect
from bench.broker.packets import DISCONNECT, Ring, suback, subscribe
from bench.broker.publisher import Publisher, drain, turn, watch
from bench.broker.websocket import FramedPublisher, FramedRing
from bench.cpu import cpu_seconds

TOPIC = "car-iotp"
RING_WINDOWS = 8
"""Windows in a ring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What to do."""

    ports: Sequence[int]
    """Of the nodes, or of what is in front of them; connections take turns."""
    connections: int
    window: int
    """Unacknowledged messages of each connection."""
    over_websocket: bool = False
    warm_up: float
    """Seconds, before the clock runs."""
    seconds: float
    nodes: Sequence[int] = ()
    """Process ids of the nodes, whose use of the CPU is to be told."""
    redis: int | None = None
    """Process id of their Redis, for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What came of it."""

    per_second: float
    in_order: bool
    generator_busy: float
    """Share of one core that this generator used: near 1 it is the bottleneck."""
    node_microseconds: float
    """CPU time of all nodes for each message."""
    redis_microseconds: float


def throughput(job: Throughput) -> Acknowledged:
    """Publish, and count acknowledgements. Raises Broken where the broker breaks MQTT."""
    # All connections send the same bytes, so that they stay in the processor's cache.
    ring = (FramedRing if job.over_websocket else Ring)(TOPIC, RING_WINDOWS * job.window)
    publisher_of = FramedPublisher if job.over_websocket else Publisher
    connect = websocket.connected if job.over_websocket else connected
    with ExitStack() as resources:
        selector = resources.enter_context(selectors.DefaultSelector())
        publishers = [
            publisher_of(
                resources.enter_context(connect(job.ports[number % len(job.ports)], f"load-{number}")),
                ring,
                job.window,
            )
            for number in range(job.connections)
        ]
        for publisher in publishers:
            publisher.send()
            watch(selector, publisher)
        _publish(selector, job.warm_up)
        before = _Reading.of(publishers, job)
        _publish(selector, job.seconds)
        after = _Reading.of(publishers, job)
        drain(selector, publishers)
        ordered = [publisher.in_order() for publisher in publishers]
    messages = after.messages - before.messages
    if not messages:
        raise BrokenError(f"acknowledged nothing in {job.seconds:g} s")
    seconds = after.clock - before.clock
    return Acknowledged(
        per_second=messages / seconds,
        in_order=all(ordered),
        generator_busy=(after.own_cpu - before.own_cpu) / seconds,
        node_microseconds=(after.node_cpu - before.node_cpu) / messages * 1e6,
        redis_microseconds=(after.redis_cpu - before.redis_cpu) / messages * 1e6,
    )


def keep(port: int) -> None:
    """Leave a persistent session behind, whose subscriber is away: what is published has to be kept for it."""
    with connected(port, "keeper", clean_session=False) as opened:
        opened.sendall(subscribe(TOPIC, qos=1))
        expect(opened, suback(qos=1))
        opened.sendall(DISCONNECT)


def _publish(selector: selectors.BaseSelector, seconds: float) -> None:
    until = perf_counter() + seconds
    silent_from = perf_counter()
    while (now := perf_counter()) < until:
        heard = turn(selector, min(until - now, 0.5))
        for publisher in heard:
            publisher.send()
            watch(selector, publisher)
            silent_from = now
        if now - silent_from > LIMIT_SECONDS:
            raise BrokenError(f"acknowledged nothing for {LIMIT_SECONDS:g} s")


@dataclass(frozen=True, slots=True)
class _Reading:
    clock: float
    messages: int
    own_cpu: float
    node_cpu: float
    redis_cpu: float

    @classmethod
    def of(cls, publishers: Sequence[Publisher], job: Throughput) -> "_Reading":
        return cls(
            perf_counter(),
            sum(publisher.acknowledged for publisher in publishers),
            process_time(),
            sum(cpu_seconds(pid) for pid in job.nodes),
            cpu_seconds(job.redis) if job.redis else 0.0,
        )
