"""Ports for the servers that tests and benchmarks start."""

import os
import socket
from collections import deque
from random import SystemRandom

FREE = range(10_000, 20_000)
"""Below those that Linux gives to who connects (32,768 and up) and those that a laptop run takes (20,000 and up), so
that what was free a moment ago is still free when a server that starts slowly takes it.
"""
WORKERS = 8
"""So many processes of one test run have a part of the ports each: two that draw the same one at the same time, before
either server listens, was one failure in some runs of 10,000 tests.
"""
_chance = SystemRandom()
_given: deque[int] = deque(maxlen=500)


def ports_of(worker: str) -> range:
    """The part of a worker of pytest-xdist, which is named gw0, gw1, ...; all of them where there is no such worker."""
    if not worker.startswith("gw"):
        return FREE
    part = len(FREE) // WORKERS
    return FREE[int(worker[2:]) % WORKERS * part :][:part]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that was not among the last that this process was given."""
    ports = ports_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
    while True:
        port = _chance.choice(ports)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port
