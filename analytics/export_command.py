"""Fills the lake from the stores: what was before the export began, and what it has passed over.

Positions come from the documents, windows and coverage from the time-series store. Nothing is taken away: what is
there already is there twice then, until it is compacted, and no reader counts it twice. The coverage of a date is
written after its windows, so that an hour which was recorded, and of which the lake has no window, had no devices.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa

from analytics.running import DAY_MS, days_between
from core.clock import Clock, parse_rfc3339, system_clock
from core.windows import Width, window_end
from documents.document import Document, document_id, from_document
from documents.store import DocumentStore
from lake.layout import COVERAGE, GAPS, HOUR_MS, date_of, date_prefix, one_part
from lake.lock import held
from lake.reading import read_table
from lake.rows import Row, WindowRow
from lake.schema import COVERAGE as COVERAGE_SCHEMA
from lake.store import Lake
from lake.writing import write_positions, write_table, write_windows
from timeseries.coverage import Coverage
from timeseries.store import OccupancyPoint, TimeseriesStore

BATCH = 50_000
"""Positions that are in memory at once: some 50 MB."""
LOCK_SECONDS = 300.0
"""How long whoever rewrites the lake is waited for."""
NARROWEST_MS = 60_000


@dataclass(slots=True)
class Filled:
    """What was put into the lake."""

    positions: int = 0
    unreadable: int = 0
    """Documents that are none of positions."""
    windows: int = 0
    hours: int = 0
    """Recorded hours, of a zone and a kind each."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which the lake may lack positions."""

    path: str
    start: int
    end: int


class WindowsFiller:
    """Fills the windows and the coverage of one lake."""

    def __init__(
        self,
        *,
        lake: Lake,
        series: TimeseriesStore,
        zone: ZoneInfo,
        clock: Clock = system_clock,
        filled: Filled | None = None,
        widths: Sequence[Width] = tuple(Width),
    ) -> None:
        """`zone` is the campus's: its days are windows. What was put into the lake is added to `filled`."""
        self._lake = lake
        self._series = series
        self._zone = zone
        self._clock = clock
        self._filled = filled or Filled()
        self._widths = widths

    async def fill_missing(self, start: int, end: int, *, again: int) -> None:
        """Fill the dates (UTC) of [start, end), ms since the epoch, that have no coverage, and those from `again` on.

        Raises UnavailableError.
        """
        for begin, until in days_between(start, end):
            prefix = date_prefix(COVERAGE, date_of(begin))
            if begin >= again or not await asyncio.to_thread(self._lake.list, prefix):
                await self.fill(begin, until)

    async def fill(self, start: int, end: int) -> None:
        """Fill the windows that begin in whole hours of [start, end), and then the coverage of its dates."""
        for begin, until in days_between(start, end):
            for width in self._widths:
                await self._windows(width, begin, until)
            await self._coverage(begin)

    async def _windows(self, width: Width, start: int, end: int) -> None:
        try:
            points = await self._series.windows(width, start=start, end=end)
        except ValueError:
            if end - start <= NARROWEST_MS:
                raise
            middle = start + (end - start) // 2 // NARROWEST_MS * NARROWEST_MS
            await self._windows(width, start, middle)
            await self._windows(width, middle, end)
            return
        if points:
            rows = [_window_row(point, self._zone, self._clock()) for point in points]
            await asyncio.to_thread(write_windows, self._lake, rows, clock=self._clock)
            self._filled.windows += len(rows)

    async def _coverage(self, at: int) -> None:
        """That of the whole date that holds a time, for its file is replaced.

        Hours that the store does not keep any more stay as the lake has them.
        """
        day = at - at % DAY_MS
        kept = await self._series.kept_since(Width.HOUR)
        hours = await self._series.recorded(start=day, end=day + DAY_MS)
        path = one_part(date_prefix(COVERAGE, date_of(day)))
        table = _coverage_table(hours if kept is None else [each for each in hours if each.hour >= kept])
        if kept is not None and day < kept:
            table = pa.concat_tables([await asyncio.to_thread(self._coverage_before, path, kept), table])
        if not len(table):
            await asyncio.to_thread(self._lake.delete, [path])
            return
        await asyncio.to_thread(write_table, self._lake, path, table)
        self._filled.hours += len(hours)

    def _coverage_before(self, path: str, kept: int) -> pa.Table:
        """What the lake has of a file of coverage, of hours before a time, ms since the epoch."""
        try:
            there = read_table(self._lake, path).select(COVERAGE_SCHEMA.names).cast(COVERAGE_SCHEMA)
        except FileNotFoundError:
            return COVERAGE_SCHEMA.empty_table()
        return there.filter(pa.array(there["hour"].cast(pa.int64()).to_numpy() < kept))


class Filler:
    """Fills one lake."""

    def __init__(
        self,
        *,
        lake: Lake,
        documents: DocumentStore,
        series: TimeseriesStore,
        zone: ZoneInfo,
        clock: Clock = system_clock,
    ) -> None:
        """`zone` is the campus's: its days are windows."""
        self._lake = lake
        self._documents = documents
        self._clock = clock
        self.filled = Filled()
        self._windows = WindowsFiller(lake=lake, series=series, zone=zone, clock=clock, filled=self.filled)

    async def fill(self, start: int, end: int, *, done: Callable[[int], None] = lambda _: None) -> None:
        """Fill [start, end), ms since the epoch; `done` is told how far it is, after each day.

        Raises UnavailableError where a store or the lake is; to begin again where it was is enough.
        """
        for begin, until in days_between(start, end):
            await self.fill_positions(begin, until)
            await self._windows.fill(begin, until)
            done(until)

    async def fill_positions(self, start: int, end: int) -> None:
        """Fill positions. An hour at a time with the lock of the lake: so what an erasure takes does not come back."""
        for begin in range(start, end, HOUR_MS):
            with held(self._lake, "analytics export", wait_seconds=LOCK_SECONDS) as hold:
                batch: list[Row] = []
                async for row in self._rows(begin, min(begin + HOUR_MS, end)):
                    batch.append(row)
                    if len(batch) >= BATCH:
                        hold.renew()
                        await self._put(batch)
                        batch = []
                hold.renew()
                await self._put(batch)

    async def _rows(self, start: int, end: int) -> AsyncIterator[Row]:
        async for document in self._documents.scan(start=start, end=end):
            row = _row(document)
            if row is None:
                self.filled.unreadable += 1
            else:
                yield row

    async def _put(self, batch: list[Row]) -> None:
        if batch:
            await asyncio.to_thread(write_positions, self._lake, batch, clock=self._clock)
            self.filled.positions += len(batch)


def gaps_of(lake: Lake) -> Iterator[Gap]:
    """What the decoder has noted that was passed over, in order. Raises UnavailableError."""
    for each in lake.list(GAPS):
        try:
            said = json.loads(lake.get(each.path))
            yield Gap(each.path, parse_rfc3339(said["from"]), parse_rfc3339(said["until"]))
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            # Nobody of ours has written that, or somebody else has filled it.
            continue


def _coverage_table(hours: Sequence[Coverage]) -> pa.Table:
    columns = [[each.zone for each in hours], [each.kind for each in hours], [each.hour for each in hours]]
    columns.append([each.minutes for each in hours])
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, COVERAGE_SCHEMA, strict=True)],
        schema=COVERAGE_SCHEMA,
    )


def _row(document: Document) -> Row | None:
    try:
        position = from_document(document)
    except ValueError:
        return None
    return document_id(position), position


def _window_row(point: OccupancyPoint, zone: ZoneInfo, now: int) -> WindowRow:
    window = point.window
    end = window_end(window.width, window.start, zone)
    return WindowRow(window.zone, window.kind, window.width.value, window.start, end, point.devices, now)
