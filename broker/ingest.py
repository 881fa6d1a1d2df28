"""Durable ingest: messages go into the stream `raw`, and whoever waits for them hears when Redis has them.

One pipeline is under way at a time. What arrives meanwhile goes into the next: so the busier it is, the larger the
batches, and the order of one connection's messages is kept.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import stamina
import structlog

from core import streams
from core.errors import Unavailable
from core.messages import RawMessage
from core.redis import Redis, redis_errors
from core.runtime import Stop, either, pause

MAX_PIPELINE_BYTES = 8 * 1024 * 1024
FULL_CHECK_SECONDS = 0.1

_log = structlog.stdlib.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class _Append:
    partition: int
    messages: list[RawMessage]
    done: asyncio.Future[None]


class Ingest:
    """Appends to the streams of all partitions.

    `max_length` is how many messages of a partition may wait for a decoder: at more, appends wait. What is waiting is
    bounded by the connections, each of which waits for its own last read.
    """

    def __init__(self, *, client: Redis, partitions: int, max_length: int) -> None:
        self._client = client
        self._partitions = partitions
        self._max_length = max_length
        self._waiting: deque[_Append] = deque()
        self._arrived = asyncio.Event()
        self.problem: str | None = "Redis has not answered yet"
        """Why nothing can be appended at present; None when all is well."""

    async def append(self, sender: str, messages: list[RawMessage]) -> None:
        """Return once Redis holds all of `messages`, in their order; `sender` chooses the partition.

        Waits as long as Redis is away or the stream is full. Cancelling it leaves open whether they are stored.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Append(streams.partition_of(sender, self._partitions), messages, done))
        self._arrived.set()
        await done

    async def run(self, stop: Stop) -> None:
        """Send what is waiting to Redis, until `stop`."""
        lengths = await self._send([])
        while not stop.is_set():
            if max(lengths) > self._max_length:
                self._tell(f"{max(lengths)} messages wait for a decoder, more than RAW_MAX_LENGTH={self._max_length}")
                await pause(FULL_CHECK_SECONDS, stop)
                lengths = await self._send([])
            elif self._waiting:
                self._tell(None)
                batch = self._next_batch()
                lengths = await self._send(batch)
                for append in batch:
                    if not append.done.done():
                        append.done.set_result(None)
            else:
                self._tell(None)
                self._arrived.clear()
                await either(self._arrived.wait(), stop.wait())

    def _next_batch(self) -> list[_Append]:
        batch: list[_Append] = []
        size = 0
        while self._waiting and size < MAX_PIPELINE_BYTES:
            append = self._waiting.popleft()
            # A connection that went away meanwhile was not acknowledged: its messages need not be stored.
            if not append.done.cancelled():
                batch.append(append)
                size += sum(len(message.payload) for message in append.messages)
        return batch

    async def _send(self, batch: list[_Append]) -> list[int]:
        async for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=None, wait_max=1.0):
            with attempt:
                try:
                    return await self._pipeline(batch)
                except Unavailable as error:
                    self._tell(str(error))
                    raise
        raise AssertionError("retries without an end have ended")

    async def _pipeline(self, batch: list[_Append]) -> list[int]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for append in batch:
                key = streams.raw(append.partition)
                for message in append.messages:
                    pipeline.xadd(key, message.encode())  # type: ignore[arg-type]  # redis-py's dict is invariant
            for partition in range(self._partitions):
                pipeline.xlen(streams.raw(partition))
            with redis_errors():
                answers = await pipeline.execute()
        return [int(length) for length in answers[-self._partitions :]]

    def _tell(self, problem: str | None) -> None:
        if (problem is None) != (self.problem is None):
            if problem:
                _log.warning("publishers wait: nothing is acknowledged", reason=problem)
            else:
                _log.info("Redis takes messages")
        self.problem = problem
