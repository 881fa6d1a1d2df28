"""The load generator for connections: many of them, which then do nothing."""

import resource
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, process_time

from bench.broker.connection import HOST, LIMIT_SECONDS, BrokenError
from bench.broker.packets import CONNACK, connect
from bench.cpu import memory_bytes

WARM_UP = 100
"""Connections before the clock runs, which load what a broker loads late. Their memory is not counted again."""
SETTLE_SECONDS = 1.0
SPARE_FILES = 200
"""Files and sockets that a process opens besides its connections."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What to do."""

    port: int
    connections: int
    together: int
    """Of them that may be on their way to a CONNACK at a time."""
    nodes: Sequence[int]
    """Process ids of the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What came of it."""

    connects_per_second: float
    """From the first connection attempt to the last CONNACK."""
    bytes_each: float
    """By which the node's resident memory grew, for each connection."""
    generator_busy: float
    """Share of one core that this generator used while it connected."""


def affordable_connections() -> int:
    """How many connections one process may hold; raises the limit on open files as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_FILES if hard != resource.RLIM_INFINITY else 1_000_000


def idle(job: Idle) -> Held:
    """Connect, look at the node's memory, and leave. Raises Broken where a connection is refused or closed."""
    affordable_connections()
    with ExitStack() as resources:
        for opened in _connect(job, WARM_UP, "warm-up"):
            opened.close()
        time.sleep(SETTLE_SECONDS)
        before = _memory(job)
        started, own = perf_counter(), process_time()
        connections = [resources.enter_context(opened) for opened in _connect(job, job.connections, "idle")]
        seconds, busy = perf_counter() - started, process_time() - own
        time.sleep(SETTLE_SECONDS)
        grown = _memory(job) - before
        closed = sum(_has_ended(opened) for opened in connections)
        if closed:
            raise BrokenError(f"closed {closed:,} of {job.connections:,} idle connections")
    return Held(
        connects_per_second=job.connections / seconds,
        bytes_each=grown / job.connections,
        generator_busy=busy / seconds,
    )


def _memory(job: Idle) -> int:
    return sum(memory_bytes(pid) for pid in job.nodes)


def _connect(job: Idle, count: int, name: str) -> Iterator[socket.socket]:
    """Sockets whose CONNACK has come, `job.together` on their way at a time."""
    with selectors.DefaultSelector() as selector:
        begun = 0
        while begun < count or selector.get_map():
            while begun < count and len(selector.get_map()) < job.together:
                opened = socket.socket()
                opened.settimeout(0)
                # Thousands of ports that linger would be missing in the next round.
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                opened.connect_ex((HOST, job.port))
                selector.register(opened, selectors.EVENT_WRITE, connect(f"{name}-{begun}"))
                begun += 1
            ready = selector.select(LIMIT_SECONDS)
            if not ready:
                raise BrokenError(f"no CONNACK within {LIMIT_SECONDS:g} s, with {job.together} on their way")
            for key, events in ready:
                opened = key.fileobj  # type: ignore[assignment]  # it is what was registered
                try:
                    if events & selectors.EVENT_WRITE:
                        opened.sendall(key.data)
                        selector.modify(opened, selectors.EVENT_READ)
                        continue
                    answer = opened.recv(len(CONNACK))
                except OSError as error:
                    raise BrokenError(f"refused a connection: {error}") from error
                if answer != CONNACK:
                    raise BrokenError(f"answered CONNECT with {answer.hex(' ') or 'nothing'}")
                selector.unregister(opened)
                yield opened


def _has_ended(opened: socket.socket) -> bool:
    try:
        return not opened.recv(1)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
