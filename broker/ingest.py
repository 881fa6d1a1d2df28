"""Durable ingest: positions go into the streams `raw`, and whoever waits for them hears when Redis has them.

For each partition one script is under way at a time. What arrives meanwhile goes into the next: so the busier it is,
the larger the batches, and the order of one connection's messages is kept.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import structlog

from core.errors import UnavailableError
from core.kinds import KindId, Kinds
from runtime.retry import until_available
from runtime.service import Stop, Wakeup, pause
from state.client import Redis
from state.durability import Writes
from state.entries import Entry, Group, encode_entries
from state.raw import Raw

MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_BATCH_MESSAGES = 2000
"""Redis is busy with that many for some 10 ms."""
FULL_CHECK_SECONDS = 0.1

_log = structlog.stdlib.get_logger("ingest")


class _Append(NamedTuple):
    groups: list[Group]
    messages: int
    size: int
    done: Callable[[], None]


class Ingest:
    """Appends to the streams of all partitions.

    `max_length` is how many messages of a partition may wait for a decoder: at more, appends wait. What is waiting is
    bounded by the connections, each of which is read no further while much of it waits.
    """

    def __init__(
        self,
        *,
        client: Redis,
        kinds: Kinds,
        partitions: int,
        max_length: int,
        no_room: Callable[[], str | None] = lambda: None,
        writes: Writes | None = None,
    ) -> None:
        """`no_room` answers why nothing new is to be given to Redis at present, None where there is no reason.

        `writes` says when something that was appended counts.
        """
        self._writes = writes or Writes(client)
        self.newest: dict[KindId, int] = {}
        """When the newest message of each kind came that Redis has, in ms since the epoch."""
        raw = Raw(client=client, partitions=partitions, writes=self._writes)
        self._appenders = [
            PartitionAppender(
                raw=raw, partition=number, max_length=max_length, newest=self.newest, no_room=no_room, kinds=kinds
            )
            for number in range(partitions)
        ]

    def append(self, partition: int, groups: list[Group], done: Callable[[], None]) -> None:
        """Append `groups` in their order; `done` is called once Redis holds them all."""
        self._appenders[partition].append(groups, done)

    @property
    def problem(self) -> str | None:
        """Why nothing can be appended at present; None when all is well."""
        problems = (appender.problem for appender in self._appenders)
        return self._writes.problem or next((problem for problem in problems if problem), None)

    @property
    def waiting(self) -> int:
        """Bytes of payload that wait to be appended."""
        return sum(appender.size for appender in self._appenders)

    @property
    def length(self) -> int:
        """Messages that wait for a decoder, in the partition that has most of them, as of the last answer of Redis."""
        return max(appender.length for appender in self._appenders)

    def stages(self) -> dict[str, Callable[[Stop], Awaitable[None]]]:
        """What sends to Redis what is waiting, by name: each partition on its own."""
        return {f"ingest-{number}": appender.run for number, appender in enumerate(self._appenders)}


class PartitionAppender:
    """The appends of one partition."""

    def __init__(
        self,
        *,
        raw: Raw,
        partition: int,
        max_length: int,
        newest: dict[KindId, int],
        kinds: Kinds,
        no_room: Callable[[], str | None],
    ) -> None:
        self._raw = raw
        self._partition = partition
        self._no_room = no_room
        self._max_length = max_length
        self._newest = newest
        self._kinds = kinds
        self._waiting: deque[_Append] = deque()
        self._in_hand: list[_Append] = []
        """What is being sent, or was when this failed: it is sent again then."""
        self._entries: list[Entry] = []
        """The same, as it is sent."""
        self._held: deque[_Append] = deque()
        """What Redis holds, and whoever waits for it has yet to hear that."""
        self._wakeup = Wakeup()
        self.size = 0
        self.length = 0
        self.problem: str | None = "Redis has not answered yet"

    def append(self, groups: list[Group], done: Callable[[], None]) -> None:
        """Append `groups` in their order; `done` is called once Redis holds them all."""
        messages = size = 0
        for group in groups:
            messages += len(group.payloads)
            size += sum(map(len, group.payloads))
        self.size += size
        self._waiting.append(_Append(groups, messages, size, done))
        self._wakeup.wake()

    async def run(self, stop: Stop) -> None:
        """Send to Redis what is waiting, until `stop`."""
        with self._wakeup.woken_by(stop):
            await self._work(stop)

    async def _work(self, stop: Stop) -> None:
        self._tell_senders()
        await self._send([])
        while not stop.is_set():
            if not (self._in_hand or self._waiting):
                if self._is_full():
                    await pause(FULL_CHECK_SECONDS, stop)
                    await self._send([])
                else:
                    await self._wakeup.wait()
            elif reason := self._no_room():
                self._tell(reason)
                await pause(FULL_CHECK_SECONDS, stop)
            elif not await self._append_next() and self._is_full():
                await pause(FULL_CHECK_SECONDS, stop)

    def _is_full(self) -> bool:
        full = self.length > self._max_length
        self._tell(
            f"{self.length} messages wait for a decoder, more than RAW_MAX_LENGTH={self._max_length}" if full else None
        )
        return full

    async def _append_next(self) -> bool:
        """Append what is in hand, or comes next; False where there is no room for it."""
        if not self._in_hand:
            self._in_hand = self._next_batch()
            self._entries = encode_entries(group for append in self._in_hand for group in append.groups)
        if not await self._send(self._entries):
            return False
        sent, self._in_hand, self._entries = self._in_hand, [], []
        self._held.extend(sent)
        self._tell_senders()
        self._note(sent)
        return True

    def _note(self, batch: list[_Append]) -> None:
        for append in batch:
            # Of one connection, in order: the last one is the newest.
            for group in append.groups[-1:]:
                kind = self._kinds.ingest_kind(group.topic)
                if kind is not None:
                    self._newest[kind] = max(group.received_at, self._newest.get(kind, 0))

    def _tell_senders(self) -> None:
        while self._held:
            append = self._held.popleft()
            self.size -= append.size
            append.done()

    def _next_batch(self) -> list[_Append]:
        batch = [self._waiting.popleft()]
        messages, size = batch[0].messages, batch[0].size
        while self._waiting:
            following = self._waiting[0]
            messages += following.messages
            size += following.size
            if messages > MAX_BATCH_MESSAGES or size > MAX_BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _send(self, entries: list[Entry]) -> bool:
        return await until_available(partial(self._append, entries))

    async def _append(self, entries: list[Entry]) -> bool:
        try:
            self.length, taken = await self._raw.append(self._partition, entries, most=self._max_length)
        except UnavailableError as error:
            self._tell(str(error))
            raise
        if taken:
            self._tell(None)
        return taken

    def _tell(self, problem: str | None) -> None:
        if (problem is None) != (self.problem is None):
            if problem:
                _log.warning("publishers wait: nothing is acknowledged", reason=problem)
            else:
                _log.info("Redis takes messages")
        self.problem = problem
