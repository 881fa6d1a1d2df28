"""Stage 2: positions become documents."""

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
from documents import DocumentStore, RejectedDocument

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
    ) -> None:
        self._client = client
        self._clock = clock
        self._dead_letters_max = dead_letters_max
        self._group = group
        self._store = store
        self._metrics = metrics

    async def __call__(self, entries: list[Entry]) -> None:
        """Write a batch, then acknowledge it; what is stored already stays as it is."""
        positions = [position for _, fields in entries for position in self._positions(fields)]
        if positions:
            started = perf_counter()
            try:
                await until_available("archive", self._metrics, lambda: self._store.put(positions))
            except RejectedDocument as error:
                # The rest of the batch is stored; these would be refused for ever.
                reasons = error.reasons
                await until_available("archive", self._metrics, lambda: self._bury(reasons))
            self._metrics.archive_seconds.observe(perf_counter() - started)
            self._metrics.archived.inc(len(positions))
        entry_ids = [entry_id for entry_id, _ in entries]
        await until_available("archive", self._metrics, lambda: self._group.acknowledge(entry_ids))

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
            return decode_positions(fields[b"d"]) if fields else []
        except (KeyError, msgspec.DecodeError) as error:
            # Only somebody who writes to Redis by hand can cause this; there is nothing to keep.
            _log.error("an entry of the stream positions that no decoder wrote", error=type(error).__name__)
            return []
