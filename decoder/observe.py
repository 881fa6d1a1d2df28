"""Stage 1: raw messages become presence, windows and positions."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import TypeVar

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, RawMessage
from decoder.batch import Batch, BatchDecoder
from decoder.campus import CampusFollower
from decoder.effects import Applied, Effects, StaleFence
from decoder.group import Entry
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from state.raw import Raw

Answer = TypeVar("Answer")


class Observer:
    """Decodes the messages of one partition."""

    def __init__(
        self,
        *,
        partition: int,
        decoder: BatchDecoder,
        campus: CampusFollower,
        effects: Effects,
        raw: Raw,
        clock: Clock,
        metrics: DecoderMetrics,
    ) -> None:
        self._partition = partition
        self._decoder = decoder
        self._campus = campus
        self._effects = effects
        self._raw = raw
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, entries: list[Entry]) -> None:
        """Decode a batch, make its effects and acknowledge it: as one, unless it is too much for that."""
        messages, malformed, entry_ids = self._messages(entries)
        while True:
            started = perf_counter()
            taken = await self._observe(messages, malformed, entry_ids)
            self._metrics.observe_seconds.observe(perf_counter() - started)
            if taken == len(messages):
                return
            messages, malformed, entry_ids = messages[taken:], [], entry_ids[len(entry_ids) - len(messages) + taken :]

    async def _observe(self, messages: list[RawMessage], malformed: list[DeadLetter], entry_ids: list[bytes]) -> int:
        """Finish the first of `messages`, of which `entry_ids` are, after those of what is no message; how many."""
        while True:
            batch = self._decoder.decode(messages, malformed)
            done = entry_ids[: len(entry_ids) - len(messages) + batch.taken]
            try:
                applied = await self._until_available(partial(self._apply, batch))
            except StaleFence:
                await self._until_available(self._campus.refresh)
            else:
                break
        await self._until_available(partial(self._finish, batch, done, applied))
        self._metrics.count(batch)
        self._metrics.implausible.inc(len(applied.implausible))
        if applied.unreadable:
            self._metrics.dead.labels(Reason.MALFORMED_ENTRY.value).inc(applied.unreadable)
        return batch.taken

    async def _until_available(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await until_available("observe", self._metrics, ask, partition=self._partition)

    async def _apply(self, batch: Batch) -> Applied:
        return await self._effects.apply(batch, now=self._clock())

    async def _finish(self, batch: Batch, entry_ids: list[bytes], applied: Applied) -> int:
        return await self._raw.finish(
            self._partition,
            entry_ids,
            positions=batch.positions,
            implausible=applied.implausible,
            letters=batch.dead,
            totals=batch.totals,
        )

    def _messages(self, entries: list[Entry]) -> tuple[list[RawMessage], list[DeadLetter], list[bytes]]:
        """Messages, letters for what is none, and the ids of the entries: first of those without a message."""
        messages, malformed = [], []
        first, ids = [], []
        for entry_id, fields in entries:
            if not fields:  # cut off after it was delivered: another decoder has acknowledged it
                first.append(entry_id)
                continue
            try:
                messages.append(RawMessage.decode(fields))
                ids.append(entry_id)
            except (KeyError, ValueError):
                detail = "an entry of the stream raw that no broker wrote"
                malformed.append(DeadLetter(Reason.MALFORMED_ENTRY, detail, "", self._clock(), payload=None))
                first.append(entry_id)
        return messages, malformed, first + ids
