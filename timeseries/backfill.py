"""Windows recomputed from the position documents: what a continuous query does when it is created.

This is the one module of the package that knows the documents. A window gets the figure that the live path gives it,
the distinct devices of all positions in it. They can differ in one thing only: of two positions of one device for the
same millisecond the first is the document, and both were counted.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from core.messages import Position
from documents import DocumentSettings, DocumentStore, from_document
from documents import open_store as open_documents
from timeseries.distinct import DistinctDevices, Series
from timeseries.store import OccupancyPoint, OccupancyStore
from timeseries.windows import Width, Window, nominal_ms, window_end, window_start

__all__ = ["Backfill", "DocumentSettings", "Outcome", "Progress", "Tally", "open_documents"]

LIVE_MS = 48 * 3600 * 1000
"""How long after its end Redis has the set of a window at the least: until then the live path is right about it."""
CHUNK_WINDOWS = 10_000
"""Windows of a series in memory at a time, and points in one write."""


_Month = tuple[int, int]


class Progress(Protocol):
    """Hears how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A part of the work begins, of so many steps at the most; the part before it is done."""

    def advance(self) -> None:
        """A step of it is done."""


@dataclass(slots=True)
class Tally:
    """What became of the windows of one width."""

    windows: int = 0
    """Windows in the range that have a device or a point."""
    changed: int = 0
    """Windows whose point was not the figure that was counted: these are written."""
    zeroed: int = 0
    """Those of them that now have no device any more."""
    kept: int = 0
    """Windows that keep a greater figure, since the documents may not be all there were."""


@dataclass(slots=True)
class Outcome:
    """What a backfill did, or would do."""

    documents: int = 0
    """Documents in the range."""
    unreadable: int = 0
    """Documents that are not positions: left out."""
    refused: int = 0
    """Points that the store will never take: as a rule, they are older than it keeps any."""
    tallies: dict[Width, Tally] = field(default_factory=lambda: {width: Tally() for width in Width})


class Backfill:
    """Recomputes the windows that have a part in a range of time."""

    def __init__(
        self,
        *,
        documents: DocumentStore,
        store: OccupancyStore,
        zone: ZoneInfo,
        start: int,
        end: int,
        now: int,
        complete_from: int = 0,
        lower: bool | None = None,
        dry_run: bool = False,
    ) -> None:
        """`zone` is whose days the 1d windows are; times are milliseconds since the epoch, `end` is excluded.

        `lower`: False never lowers a figure, True lowers any. None lowers those that the documents are sure to know
        better: of windows that begin at `complete_from` or later, and after the oldest document of their month (UTC),
        and that ended 48 hours ago or earlier. Of others, documents may have been dropped, which happens by the month,
        or may still be on their way. Raises ValueError for an empty range, and for one that reaches outside the years 1
        to 9999.
        """
        if start >= end:
            raise ValueError("a range ends after its start")
        self._documents = documents
        self._store = store
        self._zone = zone
        self._now = now
        self._complete_from = complete_from
        self._lower = lower
        self._dry_run = dry_run
        self._ranges = _whole_windows(start, end, zone)
        self._oldest: dict[_Month, int] = {}
        self._refused = 0

    async def run(self, progress: Progress) -> Outcome:
        """Count, compare with what is stored, and write what differs. Raises Unavailable; it can be run again."""
        outcome = Outcome()
        with DistinctDevices() as distinct:
            progress.begin("reading documents", await self._documents.count())
            async for position in self._positions(outcome, progress):
                self._count(position, distinct)
            everything = set(distinct.series())
            for width in Width:
                everything |= {(width, zone, kind) for zone, kind in await self._store.series(width)}
            progress.begin("comparing and writing", len(everything))
            for series in sorted(everything):
                await self._settle(series, distinct, outcome.tallies[series[0]])
                progress.advance()
        outcome.refused = self._refused
        return outcome

    async def _positions(self, outcome: Outcome, progress: Progress) -> AsyncIterator[Position]:
        """The positions of the range, in any order; `_oldest` is known at the end."""
        first = min(start for start, _ in self._ranges.values())
        last = max(end for _, end in self._ranges.values())
        if await anext(self._documents.scan(page=1, start=_month_start(first), end=first), None):
            self._oldest[_month(first)] = first
        async for document in self._documents.scan(start=first, end=last):
            progress.advance()
            try:
                position = from_document(document)
            except ValueError:
                outcome.unreadable += 1
                continue
            outcome.documents += 1
            month = _month(position.observed_at)
            self._oldest[month] = min(self._oldest.get(month, position.observed_at), position.observed_at)
            yield position

    def _count(self, position: Position, distinct: DistinctDevices) -> None:
        for width, (first, last) in self._ranges.items():
            if not first <= position.observed_at < last:
                continue
            start = window_start(width, position.observed_at, self._zone)
            for zone in position.zones:
                distinct.add(Window(width, start, zone, position.kind), position.device)

    async def _settle(self, series: Series, distinct: DistinctDevices, tally: Tally) -> None:
        """Write what differs of one zone, kind and width."""
        width, zone, kind = series
        first, last = self._ranges[width]
        known = [extent for extent in (distinct.extent(series), await self._store.extent(zone, kind, width)) if extent]
        if not known:
            return
        # Years in which there is nothing are not walked through.
        start = max(first, min(begin for begin, _ in known))
        end = min(last, max(final for _, final in known) + 1)
        step = CHUNK_WINDOWS * nominal_ms[width]
        for begin in range(start, end, step):
            until = min(begin + step, end)
            stored = {
                point.window.start: point.devices
                for point in await self._store.history(zone=zone, kind=kind, width=width, start=begin, end=until)
            }
            counted = distinct.counts(series, begin, until)
            points = [
                OccupancyPoint(Window(width, at, zone, kind), counted.get(at, 0))
                for at in sorted(stored.keys() | counted.keys())
            ]
            await self._write(points, stored, tally)

    async def _write(self, points: list[OccupancyPoint], stored: Mapping[int, int], tally: Tally) -> None:
        tally.windows += len(points)
        changed = []
        for point in points:
            before = stored.get(point.window.start, -1)
            if point.devices < before and not self._may_lower(point.window):
                tally.kept += 1
            elif point.devices != before:
                changed.append(point)
        tally.changed += len(changed)
        tally.zeroed += sum(1 for point in changed if point.devices == 0)
        if changed and not self._dry_run:
            written = await self._store.write(changed)
            written.check()
            self._refused += written.expired + len(written.refused)

    def _may_lower(self, window: Window) -> bool:
        if self._lower is not None:
            return self._lower
        if window.start < self._complete_from:
            return False
        if window_end(window.width, window.start, self._zone) + LIVE_MS > self._now:
            return False
        oldest = self._oldest.get(_month(window.start))
        return oldest is not None and window.start >= oldest


def _whole_windows(start: int, end: int, zone: ZoneInfo) -> dict[Width, tuple[int, int]]:
    """For each width, the range from the start of the first window to the end of the last that have a part in it."""
    return {
        width: (window_start(width, start, zone), window_end(width, window_start(width, end - 1, zone), zone))
        for width in Width
    }


def _month(at_ms: int) -> _Month:
    """Year and month in UTC."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return moment.year, moment.month


def _month_start(at_ms: int) -> int:
    """The first millisecond of the month, in UTC, that holds `at_ms`."""
    year, month = _month(at_ms)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
