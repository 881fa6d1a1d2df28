"""The loop of a stage that reads a stream: own leftovers first, then what arrives, and what others left in between.

Leftovers are finished one at a time, and one at a time in the whole process. So when a decoder dies of an entry, it is
that entry alone whose deliveries went up by one. One of several messages is taken apart after two of them, and its
messages are read anew, an entry each. After `poison_after` deliveries an entry becomes a dead letter.

Where many entries make one thing, such as a file, leftovers are taken `together`, until they have been delivered so
often that one of them may be what decoders die of.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Protocol

import structlog

from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import Kinds
from decoder.metrics import DecoderMetrics
from decoder.poison import poison_letter
from decoder.stage_retry import StageRetry
from runtime.service import Stop, pause
from state.group import Entry, Group, Leftover

SPLIT_AFTER = 2
"""Deliveries after which an entry of several messages is taken apart: then it is found which of them it is."""
CLAIM_EVERY_MS = 5000
"""How often a consumer looks for what others left unfinished."""
PATIENCE_SECONDS = 2.0
"""Work that takes longer is waiting for something, and is not what decoders die of: from then on Redis is told, again
and again, that the entries are in hand."""
GIVE_BACK_SECONDS = 1.0

_log = structlog.stdlib.get_logger("decoder")


class Work(Protocol):
    """What a stage does with a batch of entries: its effects, then their acknowledgement."""

    async def __call__(self, entries: list[Entry]) -> None:
        """Return once the entries are acknowledged; wait for what is away."""


class Consumer:
    """Reads one stream for one stage, and hands on its entries in batches."""

    def __init__(
        self,
        *,
        stage: str,
        group: Group,
        work: Work,
        clock: Clock,
        metrics: DecoderMetrics,
        batch_size: int,
        alone: asyncio.Lock,
        poison_after: int,
        dead_letters_max: int,
        kinds: Kinds,
        partition: int | None = None,
        together: bool = False,
    ) -> None:
        """`alone` is one lock for all consumers of a process: whoever has a leftover in hand holds it.

        `partition` is named where the stage waits.
        """
        self._stage = stage
        self._group = group
        self._work = work
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry(stage, metrics, partition=partition)
        self._batch_size = batch_size
        self._alone = alone
        self._poison_after = poison_after
        self._dead_letters_max = dead_letters_max
        self._kinds = kinds
        self._partition = partition
        self._together = together

    async def run(self, stop: Stop) -> None:
        """Work until `stop`; a batch in hand is finished first."""
        await self._retry.until_available(self._group.create)
        await self._finish_leftovers(self._group.own, stop)
        claimed_at = self._clock()
        while not stop.is_set():
            entries = await self._retry.until_available(lambda: self._group.read(self._batch_size))
            if entries:
                await self._finish(entries, AsyncExitStack())
            if self._clock() - claimed_at >= CLAIM_EVERY_MS:
                await self._finish_leftovers(self._group.abandoned, stop)
                await self._retry.until_available(self._group.trim)
                for name in await self._retry.until_available(self._group.dismiss):
                    _log.info("a decoder is gone for good", stage=self._stage, name=name)
                claimed_at = self._clock()

    async def _finish_leftovers(self, find: Callable[[int], Awaitable[list[Leftover]]], stop: Stop) -> None:
        while leftovers := await self._retry.until_available(lambda: find(self._batch_size)):
            if stop.is_set():
                return
            if together := [each for each in leftovers if self._may_be_together(each)]:
                async with AsyncExitStack() as turn:
                    await turn.enter_async_context(self._alone)
                    await self._finish_together(together, turn)
            for leftover in (each for each in leftovers if not self._may_be_together(each)):
                if stop.is_set():
                    return
                async with AsyncExitStack() as turn:
                    await turn.enter_async_context(self._alone)
                    await self._finish_leftover(leftover, turn)

    def _may_be_together(self, leftover: Leftover) -> bool:
        return self._together and leftover.deliveries < min(SPLIT_AFTER, self._poison_after)

    async def _finish_together(self, leftovers: list[Leftover], turn: AsyncExitStack) -> None:
        entries = await self._retry.until_available(lambda: self._group.claim_together(leftovers))
        if entries:
            self._metrics.claimed.labels(self._stage).inc(len(entries))
            await self._finish(entries, turn)

    async def _finish_leftover(self, leftover: Leftover, turn: AsyncExitStack) -> None:
        if leftover.deliveries >= min(SPLIT_AFTER, self._poison_after) and await self._split(leftover):
            return
        if leftover.deliveries >= self._poison_after:
            await self._dead_letter(leftover)
            return
        entry = await self._retry.until_available(lambda: self._group.claim(leftover))
        if entry is not None:
            self._metrics.claimed.labels(self._stage).inc()
            await self._finish([entry], turn)

    async def _finish(self, entries: list[Entry], turn: AsyncExitStack) -> None:
        """Do the work. Once it is clear that it waits, end `turn`, and keep the entries from being taken over."""
        entry_ids = [entry_id for entry_id, _ in entries]
        self._metrics.batch_entries.labels(self._stage).observe(self._group.size(entries))
        finished = asyncio.Event()
        keeping = asyncio.ensure_future(self._keep(entry_ids, turn, finished))
        try:
            await self._work(entries)
        except asyncio.CancelledError:
            # The process ends in good order: that is not the fault of what is in hand.
            with suppress(UnavailableError, TimeoutError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._group.give_back(entry_ids)
            raise
        finally:
            finished.set()
            del keeping  # held until here, for the event loop holds tasks only weakly

    async def _keep(self, entry_ids: list[bytes], turn: AsyncExitStack, finished: asyncio.Event) -> None:
        await pause(PATIENCE_SECONDS, finished)
        while not finished.is_set():
            await turn.aclose()
            with suppress(UnavailableError):
                await self._group.keep(entry_ids)
            await pause(PATIENCE_SECONDS, finished)

    async def _split(self, leftover: Leftover) -> bool:
        if not await self._retry.until_available(lambda: self._group.split(leftover)):
            return False
        _log.warning("an entry is taken apart", stage=self._stage, entry=leftover.entry_id.decode())
        return True

    async def _dead_letter(self, leftover: Leftover) -> None:
        entry = await self._retry.until_available(lambda: self._group.look(leftover))
        letter = poison_letter(entry, self._kinds, stage=self._stage, deliveries=leftover.deliveries)
        if await self._retry.until_available(
            lambda: self._group.dead_letter(leftover.entry_id, letter, self._dead_letters_max)
        ):
            self._metrics.dead.labels(letter.reason.value).inc()
