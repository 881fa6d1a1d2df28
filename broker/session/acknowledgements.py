"""The answers of one connection, in the order of their requests: law 1, kept."""

from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter

from broker.protocol.reasons import Refusal
from broker.session.ports import Keeper, Sender
from runtime.retry import until_available

READ_AHEAD_BYTES = 256 * 1024
"""What of a connection may wait for Redis; beyond that it is not read. One read may go over it."""
PENDING_BYTES = 128
"""What an answer costs while it waits, whatever it is for."""


class Promise:
    """An answer that goes out once Redis has what it acknowledges."""

    __slots__ = ("answer", "loose", "parts", "size", "started")

    def __init__(self, answer: bytes, parts: int, size: int, loose: int) -> None:
        self.answer = answer
        self.parts = parts
        """How many things have yet to be kept for it."""
        self.size = size
        self.loose = loose
        self.started = perf_counter()


class PendingAnswers:
    """Each goes out when all that it acknowledges is kept, and all answers before it are out."""

    __slots__ = ("_keeper", "_loose", "_queue", "_sender", "_size")

    def __init__(self, sender: Sender, keeper: Keeper) -> None:
        self._sender = sender
        self._keeper = keeper
        self._queue: deque[Promise] | None = None
        self._size = 0
        self._loose = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for Redis, and may keep the connection from being read."""
        # While Redis is away, messages of QoS 0 stop nobody: the node has a buffer for them, and then drops them.
        return self._size + (self._loose if self._loose and not self._keeper.problem else 0)

    def promise(self, answer: bytes, *, parts: int = 0, size: int = 0, loose: int = 0) -> Promise:
        """Send an answer, if it is one, after those before it, and once `keep` was called `parts` times for it.

        `size` are the bytes that wait with it, and `loose` those of QoS 0, which nobody is told of.
        """
        promise = Promise(answer, parts, size + PENDING_BYTES if answer else size, loose)
        if not parts and not self._queue:
            if answer:
                self._sender.write(answer)
            return promise
        if self._queue is None:
            self._queue = deque()
        self._queue.append(promise)
        self._size += promise.size
        self._loose += loose
        self._keeper.metrics.qos_0_waiting += loose
        if self.waiting_bytes > READ_AHEAD_BYTES:
            self._sender.read_no_more()
        return promise

    def keep(self, promise: Promise) -> None:
        """Redis has a part of what an answer waits for."""
        promise.parts -= 1
        if not promise.parts:
            metrics = self._keeper.metrics
            metrics.qos_0_waiting -= promise.loose
            metrics.acknowledged.observe(perf_counter() - promise.started)
            self._send_due()

    def after(self, answer: bytes, work: Callable[[], Awaitable[None]]) -> None:
        """Send an answer, if it is one, after those before it and after `work`, which waits for Redis.

        A defect in `work` ends the connection.
        """
        promise = self.promise(answer, parts=1)

        async def until_kept() -> None:
            await until_available(work)
            self.keep(promise)

        self._keeper.tasks.detach(until_kept(), self._fail)

    def _fail(self) -> None:
        self._sender.end(Refusal.DEFECT)

    def _send_due(self) -> None:
        queue = self._queue
        out = b""
        while queue and not queue[0].parts:
            promise = queue.popleft()
            self._size -= promise.size
            self._loose -= promise.loose
            out += promise.answer
        if not queue:
            self._queue = None
        if out:
            self._sender.write(out)
        self._sender.read_on()
