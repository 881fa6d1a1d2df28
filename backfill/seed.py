"""A history that is given as fenced positions, written straight into the stores.

Points, coverage and documents become what the live path would have made of the same positions. It is for a past that
devices could not send any more: POSITION_MAX_AGE lets them reach back a week, and a million positions take a while.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

import pygeohash

from backfill.coverage import add_recorded
from backfill.ordered_windows import OrderedWindows
from backfill.seed_lines import FencedPosition, Lines
from backfill.store_retry import StoreRetry
from core.clock import format_rfc3339
from core.kinds import KindId, Kinds
from core.messages import Position
from core.windows import Width, window_end, window_start
from documents import DocumentStore
from runtime.devices import DeviceHasher
from timeseries.coverage import HOUR_MS, MINUTE_MS, hour_of, minute_bit
from timeseries.store import OccupancyPoint, TimeseriesStore

POINTS_AT_ONCE = 5000
DOCUMENTS_AT_ONCE = 1000
CELL_CHARACTERS = 8
HASHES_KEPT = 50_000


class AlreadyThereError(Exception):
    """The range has points; the message says which, and what to do."""


@dataclass(slots=True)
class Seeded:
    """What a seed has written."""

    positions: int = 0
    """Positions that were counted."""
    later: int = 0
    """Positions that were left out, since they are not older than the last midnight."""
    points: int = 0
    documents: int = 0
    """Documents that were new."""
    refused: int = 0
    """Points that the store will never take: as a rule, they are older than it keeps any."""
    zones: set[str] = field(default_factory=set)
    kinds: set[KindId] = field(default_factory=set)


class Seed:
    """Writes the history of the days before the campus's present one."""

    def __init__(
        self,
        *,
        store: TimeseriesStore,
        documents: DocumentStore,
        zone: ZoneInfo,
        kinds: Kinds,
        hasher: DeviceHasher,
        now: int,
        documents_ms: int,
        over: bool = False,
        begun_at: int | None = None,
        begins: Callable[[], None] = lambda: None,
    ) -> None:
        """`zone` is whose days the 1d windows are; `now` is in milliseconds since the epoch.

        Nothing of the present day is written: the live path would replace a day's or an hour's figure with its own.
        Positions of the last `documents_ms` milliseconds before it become documents. `over` goes on where the range has
        points, and replaces those of the same windows; so does `begun_at`, when this was begun and not ended, for the
        days before that one. `begins` is called when it is settled that something is written by the range of `now`.
        """
        self._store = store
        self._documents = documents
        self._zone = zone
        self._hasher = hasher
        self._end = window_start(Width.DAY, now, zone)
        self._documents_from = self._end - documents_ms
        self._documents_ms = documents_ms
        self._over = over
        self._own_until = None if begun_at is None else window_start(Width.DAY, begun_at, zone)
        self._settled = False
        self._begins = begins
        self._windows = OrderedWindows(zone=zone, kinds=kinds)
        self._points: list[OccupancyPoint] = []
        self._positions: list[Position] = []
        self._range: tuple[int, int] | None = None
        self._seeded = Seeded()
        self._hash = lru_cache(HASHES_KEPT)(hasher.hash)

    async def run(
        self, lines: AsyncIterator[Lines], *, done: Callable[[int], None], waits: Callable[[str | None], None]
    ) -> Seeded:
        """Count, and write. `done` hears of each day whose windows are written, milliseconds since the epoch.

        `waits` hears which store is waited for, and None once it is there again. It can be run again, with `over`: the
        same lines give the same points and documents. Raises BadLineError, AlreadyThereError before anything is
        written, and UnavailableError where a store was never there, or stays away.
        """
        self._series, self._archive = StoreRetry(waits), StoreRetry(waits)
        async for before, positions in lines:
            day = window_start(Width.DAY, self._range[1], self._zone) if self._range else None
            await self._take(positions, before)
            if day is not None and self._range and self._range[1] >= (until := window_end(Width.DAY, day, self._zone)):
                await self._write_points()
                done(until)
        self._points += self._windows.finish()
        await self._write_points()
        await self._write_documents()
        if self._range:
            await self._record(*self._range)
            done(min(window_end(Width.DAY, window_start(Width.DAY, self._range[1], self._zone), self._zone), self._end))
        return self._seeded

    async def _take(self, positions: list[FencedPosition], before: int) -> None:
        earlier = self._earlier(positions)
        if earlier and not self._settled:
            await self._settle(window_start(Width.DAY, earlier[0].at, self._zone))
            self._settled = True
            earlier = self._earlier(positions)
        self._seeded.later += len(positions) - len(earlier)
        if not earlier:
            return
        self._points += self._windows.add(earlier, before)
        self._range = (self._range or (earlier[0].at, 0))[0], earlier[-1].at
        self._seeded.positions += len(earlier)
        if earlier[-1].at >= self._documents_from:
            self._positions += [self._position(each) for each in earlier if each.at >= self._documents_from]
        if len(self._points) >= POINTS_AT_ONCE:
            await self._write_points()
        if len(self._positions) >= DOCUMENTS_AT_ONCE:
            await self._write_documents()

    def _earlier(self, positions: list[FencedPosition]) -> list[FencedPosition]:
        if not positions or positions[-1].at < self._end:
            return positions
        return [position for position in positions if position.at < self._end]

    async def _settle(self, start: int) -> None:
        """Settle what is written of the range. Raises AlreadyThereError if days of it have points that are not ours."""
        there = None if self._over else await self._first_there(max(start, self._own_until or start))
        if there is None:
            self._begins()
        elif self._own_until is None:
            raise AlreadyThereError(f"{there}: nothing is written")
        else:
            # Devices have lived these days since it was begun: they would be replaced by a past that never was.
            self._end = self._own_until
            self._documents_from = self._end - self._documents_ms

    async def _first_there(self, start: int) -> str | None:
        """Which points the days from a time on have; None for none: where a window has one, its day has, too."""
        if start >= self._end:
            return None
        for zone, kind in await self._series.until_available(partial(self._store.series, Width.DAY)):
            ask = partial(self._store.history, zone=zone, kind=kind, width=Width.DAY, start=start, end=self._end)
            if points := await self._series.until_available(ask):
                return f"{zone} has points of {kind} from {format_rfc3339(points[0].window.start)} on"
        return None

    async def _write_points(self) -> None:
        # An hour that ends after midnight, where midnight is not on the hour, is the live path's.
        points = [
            point
            for point in self._points
            if point.window.start < self._end
            and window_end(point.window.width, point.window.start, self._zone) <= self._end
        ]
        self._points.clear()
        for point in points:
            self._seeded.zones.add(point.window.zone)
            self._seeded.kinds.add(point.window.kind)
        for first in range(0, len(points), POINTS_AT_ONCE):
            some = points[first : first + POINTS_AT_ONCE]
            refused = await self._series.until_available(partial(self._written, some))
            self._seeded.points += len(some) - refused
            self._seeded.refused += refused

    async def _written(self, points: list[OccupancyPoint]) -> int:
        """Write points; how many of them the store will never take."""
        written = await self._store.write(points)
        written.check()
        return written.expired + len(written.refused)

    async def _write_documents(self) -> None:
        for first in range(0, len(self._positions), DOCUMENTS_AT_ONCE):
            some = self._positions[first : first + DOCUMENTS_AT_ONCE]
            self._seeded.documents += await self._archive.until_available(partial(self._documents.put, some))
        self._positions.clear()

    async def _record(self, first: int, last: int) -> None:
        """Note that all minutes of the days of the history were recorded, for all its zones and kinds."""
        start = window_start(Width.DAY, first, self._zone)
        end = min(window_end(Width.DAY, window_start(Width.DAY, last, self._zone), self._zone), self._end)
        for hour in range(hour_of(start), end, HOUR_MS):
            minutes = sum(minute_bit(at) for at in range(hour, hour + HOUR_MS, MINUTE_MS) if start <= at < end)
            for kind in sorted(self._seeded.kinds):
                add = partial(add_recorded, self._store, kind, hour, minutes, self._seeded.zones)
                await self._series.until_available(add)

    def _position(self, line: FencedPosition) -> Position:
        kind = KindId(line.kind)
        return Position(
            kind=kind,
            device=self._hash(kind, line.device),
            observed_at=line.at,
            received_at=line.at,
            longitude=line.longitude,
            latitude=line.latitude,
            zones=tuple(line.zones),
            # As geofence.cell does, which a backfill does not know.
            cell=pygeohash.encode(line.latitude, line.longitude, precision=CELL_CHARACTERS),
        )


async def setup(store: TimeseriesStore, documents: DocumentStore, waits: Callable[[str | None], None]) -> None:
    """Make what the stores need, where it is not there yet. Raises UnavailableError and BadSettingsError."""
    for make in (store.setup, documents.setup):
        await StoreRetry(waits).until_available(make)
