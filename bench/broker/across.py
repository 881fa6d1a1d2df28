"""The load generator for delivery: publishers on one node, one subscriber on another.

What is sent and not yet delivered is bounded, so no broker has a reason to drop anything, and the rate is what goes
through from end to end.
"""

import select
import selectors
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, process_time

from bench.broker.connection import LIMIT_SECONDS, BrokenError, connected, expect
from bench.broker.load import RING_WINDOWS
from bench.broker.packets import Ring, publish, suback, subscribe
from bench.broker.publisher import Publisher, batch_of, drain, turn, watch
from bench.cpu import cpu_seconds

TOPIC = "bench/across"
"""Nothing that our node takes for a position: those nobody may read."""
PROBE = "bench/probe"
_PROBE_SECONDS = 0.05
_RECEIVE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """What to do."""

    publish_port: int
    subscribe_port: int
    connections: int
    """Of publishers; they send at QoS 1, and the subscriber asks for QoS 0."""
    window: int
    """Messages of each publisher that are not acknowledged or not delivered."""
    warm_up: float
    """Seconds, before the clock runs."""
    seconds: float
    nodes: Sequence[int] = ()
    """Process ids of the nodes, whose use of the CPU is to be told."""
    redis: int | None = None
    """Process id of their Redis, for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What came of it."""

    per_second: float
    lost: int
    """Messages that were acknowledged and never delivered, which QoS 0 allows."""
    in_order: bool
    """Those of each publisher."""
    generator_busy: float
    """Share of one core that this generator used."""
    node_microseconds: float
    """CPU time of all nodes for each message."""
    redis_microseconds: float


class _Subscriber:
    def __init__(self, opened: socket.socket, record_bytes: int, batch: int) -> None:
        opened.settimeout(0)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, batch * record_bytes)
        self.socket = opened
        self.received = bytearray()
        self.given_up = 0
        """Messages that nobody waits for any longer."""
        self._record_bytes = record_bytes
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))

    @property
    def delivered(self) -> int:
        return len(self.received) // self._record_bytes

    def receive(self) -> None:
        try:
            count = self.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise BrokenError(f"broke off the subscriber's connection: {error}") from error
        if not count:
            raise BrokenError("closed the subscriber's connection")
        self.received += self._buffer[:count]

    def records(self) -> list[bytes]:
        size = self._record_bytes
        return [bytes(self.received[start : start + size]) for start in range(0, len(self.received), size)]


def across(job: Across) -> Delivered:
    """Publish, and count deliveries. Raises Broken where nothing crosses, or something that was never sent."""
    rings = [Ring(TOPIC, RING_WINDOWS * job.window, sender=number) for number in range(job.connections)]
    deliveries = [ring.deliveries() for ring in rings]
    with ExitStack() as resources:
        selector = resources.enter_context(selectors.DefaultSelector())
        opened = resources.enter_context(connected(job.subscribe_port, "subscriber"))
        _subscribe(opened, job.publish_port)
        subscriber = _Subscriber(opened, len(deliveries[0][0]), batch_of(job.window))
        selector.register(opened, selectors.EVENT_READ, subscriber)
        publishers = [
            Publisher(resources.enter_context(connected(job.publish_port, f"load-{number}")), ring, job.window)
            for number, ring in enumerate(rings)
        ]
        for publisher in publishers:
            watch(selector, publisher)
        _run(selector, subscriber, publishers, job, job.warm_up)
        before, own = subscriber.delivered, process_time()
        cpu = _cpu(job)
        started = perf_counter()
        _run(selector, subscriber, publishers, job, job.seconds)
        seconds = perf_counter() - started
        delivered, busy = subscriber.delivered - before, process_time() - own
        node_cpu, redis_cpu = (now - then for now, then in zip(_cpu(job), cpu, strict=True))
        drain(selector, publishers)
        _await_the_rest(subscriber, publishers)
        for publisher in publishers:
            publisher.in_order()
    if not delivered:
        raise BrokenError(f"delivered nothing in {job.seconds:g} s")
    return Delivered(
        per_second=delivered / seconds,
        lost=sum(publisher.sent for publisher in publishers) - subscriber.delivered,
        in_order=_in_order(subscriber.records(), deliveries),
        generator_busy=busy / seconds,
        node_microseconds=node_cpu / delivered * 1e6,
        redis_microseconds=redis_cpu / delivered * 1e6,
    )


def _cpu(job: Across) -> tuple[float, float]:
    """Seconds so far of the nodes, and of Redis."""
    return sum(cpu_seconds(pid) for pid in job.nodes), cpu_seconds(job.redis) if job.redis else 0.0


def _subscribe(opened: socket.socket, publish_port: int) -> None:
    """Return once what is published at `publish_port` arrives, and all of what was sent to find out is through."""
    opened.sendall(subscribe(TOPIC))
    expect(opened, suback())
    opened.sendall(subscribe(PROBE))
    expect(opened, suback())
    until = perf_counter() + LIMIT_SECONDS
    with connected(publish_port, "probe") as other:
        while not select.select([opened], [], [], _PROBE_SECONDS)[0]:
            if perf_counter() > until:
                raise BrokenError(f"nothing arrived at another node within {LIMIT_SECONDS:g} s of SUBACK")
            other.sendall(publish(PROBE, b"?"))
    # Whatever else was under way has arrived when nothing comes for ten times as long.
    while select.select([opened], [], [], 10 * _PROBE_SECONDS)[0]:
        if not opened.recv(_RECEIVE_BYTES):
            raise BrokenError("closed the subscriber's connection")


def _run(
    selector: selectors.BaseSelector,
    subscriber: _Subscriber,
    publishers: Sequence[Publisher],
    job: Across,
    seconds: float,
) -> None:
    until = perf_counter() + seconds
    heard_at = perf_counter()
    _send(subscriber, publishers, job)
    while (now := perf_counter()) < until:
        for publisher in publishers:
            watch(selector, publisher)
        before = subscriber.delivered
        # A publisher's events are seen to in `turn`; what it passes over is the subscriber's.
        turn(selector, min(until - now, 0.1))
        subscriber.receive()
        if subscriber.delivered > before:
            heard_at = now
        elif now - heard_at > 1:
            subscriber.given_up = sum(publisher.sent for publisher in publishers) - subscriber.delivered
            heard_at = now
        _send(subscriber, publishers, job)


def _send(subscriber: _Subscriber, publishers: Sequence[Publisher], job: Across) -> None:
    under_way = sum(publisher.sent for publisher in publishers) - subscriber.delivered - subscriber.given_up
    room = job.connections * job.window - under_way
    # Those who have sent least go first, so that no publisher is left behind.
    for publisher in sorted(publishers, key=lambda each: each.sent):
        if room < batch_of(job.window):
            return
        room -= publisher.send(min(room, job.window // 2))


def _await_the_rest(subscriber: _Subscriber, publishers: Sequence[Publisher]) -> None:
    due = sum(publisher.sent for publisher in publishers)
    subscriber.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    while subscriber.delivered < due and select.select([subscriber.socket], [], [], 1)[0]:
        subscriber.receive()


def _in_order(records: list[bytes], deliveries: list[list[bytes]]) -> bool:
    """Whether each publisher's messages came in their order; raises Broken for one that nobody sent."""
    places = {
        record: (sender, number) for sender, round_ in enumerate(deliveries) for number, record in enumerate(round_)
    }
    last = [-1] * len(deliveries)
    ordered = True
    for record in records:
        place = places.get(record)
        if place is None:
            raise BrokenError(f"delivered what nobody sent: {record[:40]!r}...")
        sender, number = place
        step = (number - last[sender]) % len(deliveries[sender])
        # A gap is a loss; half a ring or more is a step back.
        ordered = ordered and 0 < step < len(deliveries[sender]) // 2
        last[sender] = number
    return ordered
