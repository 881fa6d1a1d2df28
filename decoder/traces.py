"""Spans of what is sampled, stage by stage (docs/decisions/0050-traces-follow-from-the-entry.md).

None of them has a device, its hash, a place or a zone: names of stages, times and counts (law 4, no trace).
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.clock import Clock
from core.errors import UnavailableError
from core.messages import Position, RawMessage
from core.windows import Width, Window, window_start
from decoder.batch import BatchDecoder
from decoder.rounds import InHand
from runtime.tracing import Tracing
from state.client import Redis
from state.group import Entry
from state.raw import TRACED, Part
from state.traces import KEPT, Note, Notes, origin_of

MOST_WINDOWS = 100
"""Of one entry; what is replayed may raise thousands, of which the latest are noted."""


@dataclass(frozen=True, slots=True)
class Traced:
    """An entry that is sampled, and what a round did of it."""

    entry_id: bytes
    origin: str
    received_at: int
    """When the first of its messages came, milliseconds since the epoch."""
    messages: int
    is_first: bool
    """Whether nothing of the entry was done before."""
    windows: frozenset[str]
    """Those that it counts in; empty where all of it was outside, or unusable."""


class ObserveTraces:
    """What is sampled of one partition: `publish` and `raw`, from the times of the entry, and `observe`."""

    def __init__(
        self,
        *,
        tracing: Tracing,
        notes: Notes,
        decoder: BatchDecoder,
        partition: int,
        partitions: int,
        timezone: ZoneInfo,
    ) -> None:
        """`timezone` is whose days the 1d windows are."""
        self._tracing = tracing
        self._notes = notes
        self._decoder = decoder
        self._partition = partition
        self._named = origin_of(partition, partitions, b"").encode()
        self._timezone = timezone

    def of(self, work: Iterable[InHand], parts: Iterable[Part]) -> list[Traced]:
        """What is sampled of a round; `work` is what was in hand before it."""
        sampled = [part for part in parts if self._tracing.sampled(self._named + part.entry_id)]
        if not sampled:
            return []
        messages, found = {each.entry_id: each.messages for each in work}, []
        for part in sampled:
            origin = (self._named + part.entry_id).decode()
            if own := messages[part.entry_id][part.first : part.end]:
                received_at = min(message.received_at for message in own)
                found.append(Traced(part.entry_id, origin, received_at, len(own), part.first == 0, self._windows(own)))
        return found

    def _windows(self, messages: Sequence[RawMessage]) -> frozenset[str]:
        # Decoded once more: a batch does not know which entry a position is of, and the others need not.
        positions = self._decoder.decode(messages).positions
        return frozenset(_windows(positions, self._timezone))

    async def observed(self, traced: Sequence[Traced], *, began: int, counted: int, ended: int) -> None:
        """Make spans of a round, and note what it counted; its times are in ms since the epoch.

        `counted` is when the effects were there. Where Redis does not take the note, later stages have no spans.
        """
        for each in traced:
            if each.is_first:
                appended = int(each.entry_id.partition(b"-")[0])
                origins, messages = [each.origin], each.messages
                self._tracing.span(
                    "publish", origins, began=each.received_at, ended=appended, root=True, messages=messages
                )
                self._tracing.span("raw", origins, began=appended, ended=began, partition=self._partition)
        self._tracing.span(
            "observe", [each.origin for each in traced], began=began, ended=ended, partition=self._partition
        )
        with suppress(UnavailableError):
            await self._notes.add([Note(each.origin, each.windows, counted) for each in traced if each.windows])


def _windows(positions: Sequence[Position], timezone: ZoneInfo) -> list[str]:
    """The names of the windows in which positions count, the latest first."""
    found: dict[str, None] = {}
    for position in sorted(positions, key=lambda each: -each.observed_at):
        for zone in position.zones:
            for width in Width:
                start = window_start(width, position.observed_at, timezone)
                found[Window(width, start, zone, position.kind).member] = None
        if len(found) >= MOST_WINDOWS:
            break
    return list(found)[:MOST_WINDOWS]


class ArchiveTraces:
    """What is sampled of one partition, by what `observe` wrote into the entries of `positions`."""

    def __init__(self, tracing: Tracing, *, partition: int, partitions: int, clock: Clock) -> None:
        self._tracing = tracing
        self._partition = partition
        self._partitions = partitions
        self._clock = clock

    def archived(self, entries: Iterable[Entry], *, began: int) -> None:
        """Make a span of what is stored now; `began` is in ms since the epoch."""
        # An entry that was more than one round has several entries of positions.
        ids = dict.fromkeys(each for _, fields in entries if TRACED in fields for each in fields[TRACED].split(b","))
        origins = [origin_of(self._partition, self._partitions, each) for each in ids]
        self._tracing.span("archive", origins, began=began, ended=self._clock(), partition=self._partition)


class RollupTraces:
    """What is sampled, by what observers have noted: a span where windows are stored that it was counted in."""

    def __init__(self, tracing: Tracing, *, notes: Notes, clock: Clock) -> None:
        self._tracing = tracing
        self._notes = notes
        self._clock = clock
        self._waiting: dict[str, Note] = {}
        """With the windows that are not stored yet."""
        self._turn = asyncio.Lock()

    async def stored(self, windows: Collection[str], *, began: int) -> None:
        """Make a span of windows that are stored now, as they were counted after `began`, in ms since the epoch."""
        with suppress(UnavailableError):
            async with self._turn:
                await self._take()
                done = [
                    note for note in self._waiting.values() if note.at <= began and not note.windows.isdisjoint(windows)
                ]
                now = self._clock()
                self._tracing.span(
                    "rollup", [note.origin for note in done], began=began, ended=now, windows=len(windows)
                )
                notes = [Note(note.origin, note.windows.intersection(windows), now, stored=True) for note in done]
                for note in notes:
                    self._stored(note)
                if notes:
                    await self._notes.add(notes)

    async def _take(self) -> None:
        for note in await self._notes.new():
            if note.stored:
                self._stored(note)
                continue
            known = self._waiting.pop(note.origin, None)
            # An entry that was more than one round.
            self._waiting[note.origin] = note if known is None else note._replace(windows=note.windows | known.windows)
        while len(self._waiting) > KEPT:
            del self._waiting[next(iter(self._waiting))]

    def _stored(self, note: Note) -> None:
        known = self._waiting.pop(note.origin, None)
        if known and (left := known.windows - note.windows):
            self._waiting[note.origin] = known._replace(windows=left)


class StageTraces:
    """What the stages of one process make spans with; nothing, where nothing is traced."""

    def __init__(
        self, tracing: Tracing | None, *, client: Redis, clock: Clock, partitions: int, timezone: ZoneInfo
    ) -> None:
        """`timezone` is whose days the 1d windows are."""
        self._tracing = tracing
        self._client = client
        self._clock = clock
        self._partitions = partitions
        self._timezone = timezone

    def observe(self, decoder: BatchDecoder, partition: int) -> ObserveTraces | None:
        """Of the stage observe in one partition."""
        if self._tracing is None:
            return None
        return ObserveTraces(
            tracing=self._tracing,
            notes=Notes(self._client),
            decoder=decoder,
            partition=partition,
            partitions=self._partitions,
            timezone=self._timezone,
        )

    def archive(self, partition: int) -> ArchiveTraces | None:
        """Of the stage archive in one partition."""
        if self._tracing is None:
            return None
        return ArchiveTraces(self._tracing, partition=partition, partitions=self._partitions, clock=self._clock)

    def rollup(self) -> RollupTraces | None:
        """Of the stage rollup."""
        if self._tracing is None:
            return None
        return RollupTraces(self._tracing, notes=Notes(self._client), clock=self._clock)
