"""Stage 2: positions become documents."""

from collections.abc import Iterable, Sequence
from time import perf_counter

import msgspec
import structlog

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, Position, decode_positions
from core.redis import Redis, redis_errors
from decoder.dead_letters import bury
from decoder.group import Entry, Group
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from decoder.settings import Archive
from documents import DocumentStore, RejectedDocument, sample_id

PART_POSITIONS = 5000
"""Positions of one `put` at the most: what is written again where the store went away in its middle."""
KNOWN_SAMPLES = 200_000
"""Samples that one partition remembers, about 150 bytes each: devices times zones of some minutes."""

_log = structlog.stdlib.get_logger("archive")


class Archiver:
    """Writes the positions of one partition to the document store."""

    def __init__(
        self,
        *,
        client: Redis,
        group: Group,
        store: DocumentStore,
        clock: Clock,
        metrics: DecoderMetrics,
        dead_letters_max: int,
        archive: Archive = Archive.EVERY,
    ) -> None:
        self._client = client
        self._clock = clock
        self._dead_letters_max = dead_letters_max
        self._group = group
        self._store = store
        self._metrics = metrics
        self._archive = archive
        self._known: dict[str, None] = {}

    async def __call__(self, entries: list[Entry]) -> None:
        """Write a batch in parts, and acknowledge each after it is written; what is stored already stays as it is."""
        positions: list[Position] = []
        entry_ids: list[bytes] = []
        for entry_id, fields in entries:
            if self._archive is not Archive.OFF:
                positions += self._positions(fields)
            entry_ids.append(entry_id)
            if len(positions) >= PART_POSITIONS:
                await self._finish(positions, entry_ids)
                positions, entry_ids = [], []
        if entry_ids:
            await self._finish(positions, entry_ids)

    async def _finish(self, positions: list[Position], entry_ids: list[bytes]) -> None:
        if self._archive is Archive.SAMPLED:
            positions = self._unknown(positions)
        for start in range(0, len(positions), PART_POSITIONS):
            await self._write(positions[start : start + PART_POSITIONS])
        await until_available("archive", self._metrics, lambda: self._group.acknowledge(entry_ids))

    async def _write(self, positions: Sequence[Position]) -> None:
        started = perf_counter()
        try:
            await until_available("archive", self._metrics, lambda: self._put(positions))
        except RejectedDocument as error:
            # The rest is stored; these would be refused for ever.
            reasons = error.reasons
            await until_available("archive", self._metrics, lambda: self._bury(reasons))
        self._metrics.archive_seconds.observe(perf_counter() - started)
        self._metrics.archived.inc(len(positions))

    async def _put(self, positions: Sequence[Position]) -> None:
        if self._archive is not Archive.SAMPLED:
            await self._store.put(positions)
            return
        await self._store.put(positions, key=sample_id)
        for position in positions:
            self._known[sample_id(position)] = None
        while len(self._known) > KNOWN_SAMPLES:
            del self._known[next(iter(self._known))]

    def _unknown(self, positions: Iterable[Position]) -> list[Position]:
        """The first position of each sample that is not stored by us: a conflict, too, counts as a write in a plan.

        What is forgotten, or stored by another decoder, is a conflict in the store.
        """
        first: dict[str, Position] = {}
        for position in positions:
            name = sample_id(position)
            if name not in self._known:
                first.setdefault(name, position)
        return list(first.values())

    async def _bury(self, reasons: dict[str, str]) -> None:
        letters = []
        for document_id, reason in reasons.items():
            _log.error("a document was refused", document=document_id, reason=reason)
            detail = f"the document store refused {document_id}: {reason}"
            letters.append(DeadLetter(Reason.REJECTED_DOCUMENT, detail, "", self._clock(), payload=None))
        async with self._client.pipeline(transaction=True) as pipeline:
            bury(pipeline, letters, self._dead_letters_max)
            with redis_errors():
                await pipeline.execute()
        self._metrics.dead.labels(Reason.REJECTED_DOCUMENT.value).inc(len(letters))

    def _positions(self, fields: dict[bytes, bytes]) -> list[Position]:
        try:
            return decode_positions(fields) if fields else []
        except (LookupError, ValueError, msgspec.DecodeError) as error:
            # Only somebody who writes to Redis by hand can cause this; there is nothing to keep.
            _log.error("an entry of the stream positions that no decoder wrote", error=type(error).__name__)
            return []
