"""The work of a backfill.

A window gets the figure that the live path gives it,
the distinct devices of all positions in it. They can differ in one thing only: of two positions of one device for the
same millisecond the first is the document, and both were counted.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from zoneinfo import ZoneInfo

from backfill.coverage import add_recorded, minutes_with_devices
from backfill.parts import Part, day_of, part_of, whole_windows
from backfill.store_retry import StoreRetry
from core.errors import UnavailableError
from core.kinds import KindId
from core.messages import Position
from core.windows import Width, Window, window_end, window_start
from documents import Document, DocumentStore, IndexBeingBuiltError, from_document
from timeseries.distinct import DistinctDevices, Series
from timeseries.store import OccupancyPoint, TimeseriesStore

LIVE_MS = 48 * 3600 * 1000
"""How long after its end Redis has the set of a window at the least: until then the live path is right about it."""
PAGE = 500
"""Documents in one request."""
DECEMBER = 12

_Month = tuple[int, int]


class Progress(Protocol):
    """Hears how far it is."""

    def begin(self, start: int, end: int) -> None:
        """The work begins: days from one time to another, milliseconds since the epoch."""

    def read(self) -> None:
        """A document of the present day was read."""

    def done(self, until: int) -> None:
        """All windows that begin before a time are what they should be."""

    def waits(self, reason: str | None) -> None:
        """A store is waited for, or, None, is there again."""


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
        store: TimeseriesStore,
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
        self._ranges = whole_windows(start, end, zone)
        self._oldest: dict[_Month, int | None] = {}
        self._extents: dict[Series, tuple[int, int]] = {}
        self._refused = 0

    async def run(self, progress: Progress) -> Outcome:
        """Count, compare with what is stored, and write what differs, a day at a time, in the order of time.

        A store that goes away is waited for. Raises UnavailableError where that lasts, and where one was never there.
        It can be run again: what is right already is not written, and days that are `done` may be left out.
        """
        self._archive = StoreRetry(progress.waits, works=(IndexBeingBuiltError,))
        self._series = StoreRetry(progress.waits)
        outcome = Outcome()
        await self._ask_for_extents()
        day, end = self._ranges[Width.DAY]
        progress.begin(day, end)
        while day < end and (following := await self._next_day(day)) is not None and following < end:
            part = part_of(self._ranges, following, self._zone)
            await self._recompute(part, outcome, progress)
            day = part.until
            progress.done(min(day, end))
        progress.done(end)
        outcome.refused = self._refused
        return outcome

    async def _ask_for_extents(self) -> None:
        """Find out which series have points, and from when to when."""
        for width in Width:
            for zone, kind in await self._series.until_available(partial(self._store.series, width)):
                extent = await self._series.until_available(partial(self._store.extent, zone, kind, width))
                if extent is not None:
                    self._extents[width, zone, kind] = extent

    async def _next_day(self, day: int) -> int | None:
        """The first day from `day` on that has a document or a point: years without any are passed over."""
        start = min(first for first, _ in self._ranges.values()) if day == self._ranges[Width.DAY][0] else day
        last = max(end for _, end in self._ranges.values())
        first = await self._first_document(start, last)
        times = [] if first is None else [first]
        times += [max(start, begin) for begin, final in self._extents.values() if final >= start]
        return max(day, min(day_of(at, self._zone) for at in times)) if times else None

    async def _first_document(self, start: int, end: int) -> int | None:
        """When the first document of a range was observed; None where there is none that can be read."""
        async for position in self._scan(start, end, page=1):
            if position is not None:
                return position.observed_at
        return None

    async def _recompute(self, part: Part, outcome: Outcome, progress: Progress) -> None:
        with DistinctDevices() as distinct:
            async for position in self._scan(part.start, part.end):
                progress.read()
                if position is None:
                    outcome.unreadable += 1
                elif self._count(position, part, distinct):
                    outcome.documents += 1
            stored = {
                series
                for series, (begin, final) in self._extents.items()
                if begin < part.windows[series[0]][1] and final >= part.windows[series[0]][0]
            }
            for series in sorted(stored | set(distinct.series())):
                await self._settle(series, part, distinct, outcome.tallies[series[0]])
            if not self._dry_run:
                await self._record(part, distinct)

    async def _record(self, part: Part, distinct: DistinctDevices) -> None:
        """Note that the minutes in which a device was seen were recorded, for all zones that are known."""
        everything = {*self._extents, *distinct.series()}
        first, end = part.windows[Width.MINUTE]
        windows: dict[KindId, set[int]] = defaultdict(set)
        for series in distinct.series():
            width, _, kind = series
            if width is Width.MINUTE:
                windows[kind] |= distinct.counts(series, first, end).keys()
        zones = {zone for _, zone, _ in everything}
        for (kind, hour), minutes in minutes_with_devices(windows).items():
            await self._series.until_available(partial(add_recorded, self._store, kind, hour, minutes, zones))

    async def _scan(self, start: int, end: int, *, page: int = PAGE) -> AsyncIterator[Position | None]:
        """Each document of a range once, in the order of time, also where the store goes away in between.

        None is one that is no position.
        """
        seen: set[str] = set()
        scan = self._documents.scan(page=page, start=start, end=end)

        async def following() -> Document | None:
            nonlocal scan
            try:
                return await anext(scan, None)
            except UnavailableError:
                # It is over after an error: another one goes on at the time of the last document.
                scan = self._documents.scan(page=page, start=start, end=end)
                raise

        while document := await self._archive.until_available(following):
            if document["_id"] in seen:
                continue
            position = _position(document)
            if position is not None and position.observed_at > start:
                start, seen = position.observed_at, set()
            seen.add(document["_id"])
            yield position

    def _count(self, position: Position, part: Part, distinct: DistinctDevices) -> bool:
        """Count a position in its windows; whether its day is that of the part."""
        for width, (first, end) in part.windows.items():
            start = window_start(width, position.observed_at, self._zone)
            if first <= start < end:
                for zone in position.zones:
                    distinct.add(Window(width, start, zone, position.kind), position.device)
        first, end = part.windows[Width.DAY]
        return first <= window_start(Width.DAY, position.observed_at, self._zone) < end

    async def _settle(self, series: Series, part: Part, distinct: DistinctDevices, tally: Tally) -> None:
        """Write what differs of one zone, kind and width in one day."""
        width, zone, kind = series
        first, end = part.windows[width]
        ask = partial(self._store.history, zone=zone, kind=kind, width=width, start=first, end=end)
        stored = {point.window.start: point.devices for point in await self._series.until_available(ask)}
        counted = distinct.counts(series, first, end)
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
            if point.devices < before and not await self._may_lower(point.window):
                tally.kept += 1
            elif point.devices != before:
                changed.append(point)
        tally.changed += len(changed)
        tally.zeroed += sum(1 for point in changed if point.devices == 0)
        if changed and not self._dry_run:
            self._refused += await self._series.until_available(partial(self._written, changed))

    async def _written(self, points: list[OccupancyPoint]) -> int:
        """Write points; how many of them the store will never take."""
        written = await self._store.write(points)
        written.check()
        return written.expired + len(written.refused)

    async def _may_lower(self, window: Window) -> bool:
        if self._lower is not None:
            return self._lower
        if window.start < self._complete_from:
            return False
        if window_end(window.width, window.start, self._zone) + LIVE_MS > self._now:
            return False
        oldest = await self._oldest_of(_month(window.start))
        return oldest is not None and window.start >= oldest

    async def _oldest_of(self, month: _Month) -> int | None:
        """When the oldest document of a month was observed; None where there is none."""
        if month not in self._oldest:
            year, number = month
            following = (year + 1, 1) if number == DECEMBER else (year, number + 1)
            self._oldest[month] = await self._first_document(_month_start(month), _month_start(following))
        return self._oldest[month]


def _position(document: Document) -> Position | None:
    try:
        return from_document(document)
    except ValueError:
        return None


def _month(at_ms: int) -> _Month:
    """Year and month in UTC."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return moment.year, moment.month


def _month_start(month: _Month) -> int:
    """The first millisecond of a month, in UTC."""
    return int(datetime(*month, 1, tzinfo=UTC).timestamp()) * 1000
