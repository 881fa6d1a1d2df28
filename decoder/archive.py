"""Stage 2: positions become documents."""

from collections.abc import Sequence

import structlog

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, Position
from decoder.judge import note_hours
from decoder.metrics import DecoderMetrics
from decoder.position_entries import PositionEntries
from decoder.samples import Samples
from decoder.settings import Archive
from decoder.stage_retry import StageRetry
from decoder.traces import ArchiveTraces
from documents import DocumentStore, RejectedDocumentError, document_id, sample_id
from state.dead_letters import DeadLetters
from state.group import Entry, Group
from state.judging import HoursToJudge

PART_POSITIONS = 5000
"""Positions of one `put` at the most: what is written again where the store went away in its middle."""
PART_SECONDS = 10
"""A part takes no longer than that by the plan: on a slow one, a store that stumbles now and then is still got past."""
REASON_CHARACTERS = 200
"""What is kept of a server's words."""

_log = structlog.stdlib.get_logger("archive")


def part_positions(writes_per_second: int | None) -> int:
    """How many positions to hand to the store at a time, if it may write so many a second (None: as many as it can)."""
    return PART_POSITIONS if writes_per_second is None else min(PART_POSITIONS, PART_SECONDS * writes_per_second)


class Archiver:
    """Writes the positions of one partition to the document store."""

    def __init__(
        self,
        *,
        dead_letters: DeadLetters,
        group: Group,
        store: DocumentStore,
        clock: Clock,
        metrics: DecoderMetrics,
        dead_letters_max: int,
        archive: Archive = Archive.EVERY,
        samples: Samples | None = None,
        hours: HoursToJudge | None = None,
        part: int = PART_POSITIONS,
        partition: int | None = None,
        traces: ArchiveTraces | None = None,
    ) -> None:
        """`samples` is one for all partitions of a process; `partition` is named where the stage waits.

        `hours` is told of all that is written.
        """
        self._dead_letters = dead_letters
        self._partition = partition
        self._clock = clock
        self._dead_letters_max = dead_letters_max
        self._group = group
        self._store = store
        self._metrics = metrics
        self._retry = StageRetry("archive", metrics, partition=partition)
        self._entries = PositionEntries(
            group=group, retry=self._retry, clock=clock, metrics=metrics, dead_letters_max=dead_letters_max
        )
        self._archive = archive
        self._key = sample_id if archive is Archive.SAMPLED else document_id
        self._samples = Samples() if samples is None else samples
        self._hours = hours
        self._part = part
        self._traces = traces

    async def __call__(self, entries: list[Entry]) -> None:
        """Write a batch in parts, and acknowledge each after it is written; what is stored already stays as it is."""
        positions: list[Position] = []
        entry_ids: list[bytes] = []
        began = self._clock()
        for entry_id, fields in entries:
            if self._archive is not Archive.OFF:
                found = await self._entries.read(entry_id, fields)
                if found is None:
                    continue
                positions += found
            entry_ids.append(entry_id)
            if len(positions) >= self._part:
                await self._finish(positions, entry_ids)
                positions, entry_ids = [], []
        if entry_ids:
            await self._finish(positions, entry_ids)
        if self._traces:
            self._traces.archived(entries, began=began)

    async def _finish(self, positions: list[Position], entry_ids: list[bytes]) -> None:
        if self._archive is Archive.SAMPLED:
            positions = self._unknown(positions)
        for start in range(0, len(positions), self._part):
            await self._write(positions[start : start + self._part])
        if self._hours is not None and positions:
            hours = self._hours
            # After they are stored: whoever judges an hour that was noted before may have missed them.
            await self._retry.until_available(lambda: note_hours(hours, positions, now=self._clock()))
        await self._retry.until_available(lambda: self._group.acknowledge(entry_ids))
        newest = max((position.received_at for position in positions), default=None)
        self._metrics.finished("archive", newest, self._clock())

    def _unknown(self, positions: list[Position]) -> list[Position]:
        """The first position of each sample that is not known to be stored: a conflict, too, is a write in a plan."""
        first: dict[str, Position] = {}
        for position in positions:
            key = sample_id(position)
            if key not in self._samples:
                first.setdefault(key, position)
        return list(first.values())

    async def _write(self, positions: Sequence[Position]) -> None:
        refused: dict[str, str] = {}
        try:
            await self._retry.until_available(lambda: self._put(positions))
        except RejectedDocumentError as error:
            # The rest is stored; these would be refused for ever.
            refused = error.reasons
            await self._retry.until_available(lambda: self._dead_letter(refused))
        self._metrics.archived.inc(len(positions) - len(refused))
        if self._archive is Archive.SAMPLED:
            for key in map(sample_id, positions):
                if key not in refused:
                    self._samples.add(key)

    async def _put(self, positions: Sequence[Position]) -> None:
        with self._metrics.asking("documents", "put"):
            await self._store.put(positions, key=self._key)

    async def _dead_letter(self, refused: dict[str, str]) -> None:
        letters = [
            self._letter(Reason.REJECTED_DOCUMENT, f"the document store refused {key}: {reason[:REASON_CHARACTERS]}")
            for key, reason in refused.items()
        ]
        await self._dead_letters.add(letters, self._dead_letters_max, partition=self._partition)
        _log.error("documents were refused", documents=len(letters), first=letters[0].detail)
        self._metrics.dead.labels(Reason.REJECTED_DOCUMENT.value).inc(len(letters))

    def _letter(self, reason: Reason, detail: str) -> DeadLetter:
        return DeadLetter(reason, detail, "", self._clock(), payload=None)
