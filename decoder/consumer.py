"""The loop of a stage that reads a stream: own leftovers first, then what arrives, and what others left in between."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from core.clock import Clock
from core.runtime import Stop
from decoder.group import Entry, Group
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available

CLAIM_EVERY_MS = 5000
"""How often a consumer looks for what others left unfinished."""


class Work(Protocol):
    """What a stage does with a batch of entries: its effects, then their acknowledgement."""

    async def __call__(self, entries: list[Entry]) -> None:
        """Return once the entries are acknowledged; wait for what is away."""


class Consumer:
    """Reads one stream for one stage, and hands on its entries in batches."""

    def __init__(
        self, *, stage: str, group: Group, work: Work, clock: Clock, metrics: DecoderMetrics, batch_size: int
    ) -> None:
        self._stage = stage
        self._group = group
        self._work = work
        self._clock = clock
        self._metrics = metrics
        self._batch_size = batch_size

    async def run(self, stop: Stop) -> None:
        """Work until `stop`; a batch in hand is finished first."""
        await until_available(self._stage, self._metrics, self._group.create)
        while not stop.is_set() and await self._step(self._group.own):
            pass
        claimed_at = self._clock()
        while not stop.is_set():
            await self._step(self._group.read)
            if self._clock() - claimed_at >= CLAIM_EVERY_MS:
                while not stop.is_set() and await self._step(self._group.abandoned):
                    pass
                claimed_at = self._clock()

    async def _step(self, read: Callable[[int], Awaitable[list[Entry]]]) -> bool:
        """One batch; False if there was nothing to read."""
        entries = await until_available(self._stage, self._metrics, lambda: read(self._batch_size))
        if not entries:
            return False
        await self._work(entries)
        await until_available(self._stage, self._metrics, self._group.trim)
        return True
