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
        clock: Clock,
        metrics: DecoderMetrics,
    ) -> None:
        self._partition = partition
        self._decoder = decoder
        self._campus = campus
        self._effects = effects
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, entries: list[Entry]) -> None:
        """Decode a batch, make its effects and acknowledge it, all in one."""
        started = perf_counter()
        messages, malformed = self._messages(entries)
        entry_ids = [entry_id for entry_id, _ in entries]
        while True:
            batch = self._decoder.decode(messages, malformed)
            try:
                applied = await self._until_available(partial(self._apply, batch, entry_ids))
            except StaleFence:
                await self._until_available(self._campus.refresh)
            else:
                break
        self._metrics.count(batch)
        self._metrics.implausible.inc(applied.implausible)
        self._metrics.observe_seconds.observe(perf_counter() - started)

    async def _until_available(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await until_available("observe", self._metrics, ask, partition=self._partition)

    async def _apply(self, batch: Batch, entry_ids: list[bytes]) -> Applied:
        return await self._effects.apply(batch, partition=self._partition, entry_ids=entry_ids, now=self._clock())

    def _messages(self, entries: list[Entry]) -> tuple[list[RawMessage], list[DeadLetter]]:
        messages, malformed = [], []
        for _, fields in entries:
            if not fields:  # cut off after it was delivered: another decoder has acknowledged it
                continue
            try:
                messages.append(RawMessage.decode(fields))
            except (KeyError, ValueError):
                detail = "an entry of the stream raw that no broker wrote"
                malformed.append(DeadLetter(Reason.MALFORMED_ENTRY, detail, "", self._clock(), payload=None))
        return messages, malformed
