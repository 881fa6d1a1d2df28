"""The load generator for latency: single messages at a steady rate, whatever comes back."""

import gc
import select
import socket
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter

from bench.broker.connection import LIMIT_SECONDS, BrokenError, connected
from bench.broker.load import TOPIC
from bench.broker.packets import PUBACK_BYTES, Ring

_RING = 10_000
_RECEIVE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What to do."""

    port: int
    connections: int
    per_second: float
    """Messages of all connections together, evenly spaced."""
    warm_up: float
    """Seconds whose messages do not count."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Milliseconds from a PUBLISH to its PUBACK."""

    p50: float
    p99: float
    most: float
    late_p99: float
    """Milliseconds by which the generator itself was late."""


def latency(job: Latency) -> Waits:
    """Publish at a steady rate, and time each acknowledgement. Raises Broken where one never comes."""
    ring = Ring(TOPIC, _RING)
    uncounted = int(job.warm_up * job.per_second)
    total = uncounted + int(job.seconds * job.per_second)
    waits: list[float] = []
    late: list[float] = []
    under_way: dict[tuple[int, bytes], tuple[int, float]] = {}
    with ExitStack() as resources:
        sockets = [resources.enter_context(connected(job.port, f"load-{each}")) for each in range(job.connections)]
        # Its pauses would count as the broker's.
        gc.collect()
        gc.disable()
        resources.callback(gc.enable)
        started = perf_counter()
        sent = 0
        while sent < total or under_way:
            due = started + sent / job.per_second
            now = perf_counter()
            if sent < total and now >= due:
                number = sent % job.connections
                place = sent // job.connections
                under_way[number, (place % _RING + 1).to_bytes(2, "big")] = sent, perf_counter()
                sockets[number].sendall(ring.cut(place, 1))
                late.append(now - due)
                sent += 1
                continue
            wait = due - now if sent < total else LIMIT_SECONDS
            readable, _, _ = select.select(sockets, [], [], wait)
            if not readable and sent == total:
                raise BrokenError(f"{len(under_way):,} messages were never acknowledged")
            for one in readable:
                number = sockets.index(one)
                acknowledged = _acknowledged(one)
                arrived = perf_counter()
                for packet_id in acknowledged:
                    which, begun = under_way.pop((number, packet_id), (-1, arrived))
                    if which < 0:
                        raise BrokenError(f"acknowledged {packet_id.hex()}, which was not under way")
                    if which >= uncounted:
                        waits.append((arrived - begun) * 1000)
    cuts = statistics.quantiles(waits, n=100)
    late_cuts = statistics.quantiles(late[uncounted:], n=100)
    return Waits(p50=statistics.median(waits), p99=cuts[98], most=max(waits), late_p99=late_cuts[98] * 1000)


def _acknowledged(one: socket.socket) -> list[bytes]:
    """The packet ids of the acknowledgements that are there; where the last is cut in two, waits for its end."""
    answer = one.recv(_RECEIVE_BYTES)
    if not answer:
        raise BrokenError("closed a publisher's connection")
    while len(answer) % PUBACK_BYTES:
        answer += one.recv(PUBACK_BYTES - len(answer) % PUBACK_BYTES)
    return [answer[start + 2 : start + PUBACK_BYTES] for start in range(0, len(answer), PUBACK_BYTES)]
