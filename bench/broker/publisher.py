"""One publishing connection that keeps a window of messages unacknowledged."""

import selectors
import socket
from collections import Counter
from collections.abc import Iterable
from time import perf_counter

from bench.broker.connection import LIMIT_SECONDS, BrokenError
from bench.broker.packets import PUBACK_BYTES, Ring

BATCHES = 8
"""Parts of a window. It takes one, of packets or of acknowledgements, to be worth a system call: so the generator is
idle most of the time."""
_RECEIVE_BYTES = 262_144


class Publisher:
    """Sends pieces of a ring, and keeps every byte that comes back, to be checked when the clock has stopped."""

    def __init__(self, opened: socket.socket, ring: Ring, window: int) -> None:
        if not 0 < window <= ring.cycle // 2:
            raise ValueError("the window must be at most half of the ring")
        opened.settimeout(0)
        self.socket = opened
        self.sent = 0
        self._ring = ring
        self._window = window
        self._batch = batch_of(window)
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self.wake_at(self._batch)

    @property
    def acknowledged(self) -> int:
        """Messages, by the bytes that came back."""
        return len(self._received) // PUBACK_BYTES

    @property
    def blocked(self) -> bool:
        """Whether a part of a packet still has to go out."""
        return bool(self._unsent)

    def wake_at(self, acknowledgements: int) -> None:
        """Let the operating system say "readable" once so many are there."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, acknowledgements * PUBACK_BYTES)

    def receive(self) -> None:
        """Take what is there. Raises Broken at the end of the connection."""
        try:
            count = self.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise BrokenError(f"broke off a publisher's connection: {error}") from error
        if not count:
            raise BrokenError("closed a publisher's connection")
        self.take(self._buffer[:count])

    def take(self, received: memoryview) -> None:
        """Keep what came back."""
        self._received += received

    def send(self, most: int | None = None) -> int:
        """Send what the window allows, but `most`, and nothing while that is no batch; how many were begun."""
        begun = 0
        if not self._unsent:
            free = self._window - (self.sent - self.acknowledged)
            free = free if most is None else min(free, most)
            if free < self._batch:
                return 0
            self._unsent = self._ring.cut(self.sent, free)
            self.sent += free
            begun = free
        try:
            written = self.socket.send(self._unsent)
        except BlockingIOError:
            written = 0
        except ConnectionError as error:
            raise BrokenError(f"broke off a publisher's connection: {error}") from error
        self._unsent = self._unsent[written:]
        return begun

    def in_order(self) -> bool:
        """Whether the acknowledgements came in the order of the messages; after `drain`.

        Raises Broken where a message was not acknowledged exactly once.
        """
        due = self._ring.acknowledgements(self.sent)
        if self._received == due:
            return True
        if _by_id(self._received) != _by_id(due):
            raise BrokenError(f"{self.sent:,} messages, but not each was acknowledged exactly once")
        return False


def batch_of(window: int) -> int:
    """Messages that are worth a system call."""
    return max(1, window // BATCHES)


def _by_id(acknowledgements: bytes | bytearray) -> Counter[bytes]:
    return Counter(
        bytes(acknowledgements[start : start + PUBACK_BYTES]) for start in range(0, len(acknowledgements), PUBACK_BYTES)
    )


def turn(selector: selectors.BaseSelector, timeout: float) -> Iterable[Publisher]:
    """Wait for any of the publishers in `selector`, and receive and finish sending there; those that were heard of."""
    heard = []
    for key, events in selector.select(timeout):
        publisher = key.data
        if not isinstance(publisher, Publisher):
            continue
        if events & selectors.EVENT_READ:
            publisher.receive()
        if events & selectors.EVENT_WRITE:
            publisher.send(0)
        heard.append(publisher)
    return heard


def watch(selector: selectors.BaseSelector, publisher: Publisher) -> None:
    """Have `selector` wait for what the publisher waits for."""
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if publisher.blocked else 0)
    key = selector.get_map().get(publisher.socket)
    if key is None:
        selector.register(publisher.socket, events, publisher)
    elif key.events != events:
        selector.modify(publisher.socket, events, publisher)


def drain(selector: selectors.BaseSelector, publishers: Iterable[Publisher]) -> None:
    """Wait for the acknowledgements of all that was sent. Raises Broken where they do not come."""
    waiting = [publisher for publisher in publishers if publisher.acknowledged < publisher.sent]
    for publisher in waiting:
        publisher.wake_at(1)
    until = perf_counter() + LIMIT_SECONDS
    while waiting := [publisher for publisher in waiting if publisher.acknowledged < publisher.sent]:
        if perf_counter() > until:
            missing = sum(publisher.sent - publisher.acknowledged for publisher in waiting)
            raise BrokenError(f"{missing:,} messages were never acknowledged")
        for publisher in turn(selector, 0.5):
            watch(selector, publisher)
