"""Occupancy in one SQLite file, for where there is no server."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from core.kinds import KindId
from core.windows import Width, Window
from runtime.sqlite import SqliteFile
from timeseries.coverage import Coverage, hour_of
from timeseries.keep import ALL, Keep
from timeseries.results import MAX_RESULTS, Result
from timeseries.sqlite_results import RESULTS_SCHEMA, SqliteResults
from timeseries.store import (
    MAX_POINTS,
    MAX_SERIES,
    OccupancyPoint,
    Record,
    Undone,
    Written,
    checked_length,
    checked_series,
    checked_zone,
)

FILE_NAME = "timeseries.sqlite3"
RELEASED_FILE_NAME = "released.sqlite3"
"""Windows that are made of released counts (`disclosure`): all that anybody may see, unless PRIVACY is open."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS occupancy (
    width   TEXT    NOT NULL,
    zone    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    start   INTEGER NOT NULL, -- milliseconds since the epoch, UTC
    devices INTEGER NOT NULL,
    PRIMARY KEY (width, zone, kind, start)
) WITHOUT ROWID
"""
_COVERAGE_SCHEMA = """
CREATE TABLE IF NOT EXISTS coverage (
    zone    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    hour    INTEGER NOT NULL, -- milliseconds since the epoch, UTC
    minutes INTEGER NOT NULL, -- a bit for each minute, the first one the highest of 60
    PRIMARY KEY (kind, zone, hour)
) WITHOUT ROWID
"""
_COVERAGE_UPSERT = """
INSERT INTO coverage (zone, kind, hour, minutes) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, zone, hour) DO UPDATE SET minutes = excluded.minutes
"""
_COVERAGE_OF_ZONE = """
SELECT zone, hour, minutes FROM coverage WHERE kind = ? AND hour >= ? AND hour < ? AND zone = ? ORDER BY hour
"""
_COVERAGE_OF_ALL = """
SELECT zone, hour, minutes FROM coverage WHERE kind = ? AND hour >= ? AND hour < ? ORDER BY zone, hour
"""
_COVERAGE_EXTENT = """
SELECT (SELECT min(hour) FROM coverage WHERE kind = :kind AND zone = :zone),
       (SELECT max(hour) FROM coverage WHERE kind = :kind AND zone = :zone)
"""
_UPSERT = """
INSERT INTO occupancy (width, zone, kind, start, devices) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (width, zone, kind, start) DO UPDATE SET devices = excluded.devices
"""
_HISTORY = """
SELECT start, devices FROM occupancy
WHERE width = ? AND zone = ? AND kind = ? AND start >= ? AND start < ?
ORDER BY start LIMIT ?
"""
# Two subqueries, since SQLite answers one min() or one max() from the index, but not both at once.
_EXTENT = """
SELECT (SELECT min(start) FROM occupancy WHERE width = :width AND zone = :zone AND kind = :kind),
       (SELECT max(start) FROM occupancy WHERE width = :width AND zone = :zone AND kind = :kind)
"""
# The next series after one: a step in the index for each, where DISTINCT would read every window.
_NEXT_SERIES = """
SELECT zone, kind FROM occupancy WHERE width = ? AND (zone, kind) > (?, ?) ORDER BY zone, kind LIMIT 1
"""
_NEXT_RECORDED = "SELECT kind, zone FROM coverage WHERE (kind, zone) > (?, ?) ORDER BY kind, zone LIMIT 1"
_FIRST = "SELECT min(start) FROM occupancy WHERE width = ? AND zone = ? AND kind = ? AND start >= ?"
_FIRST_HOUR = "SELECT min(hour) FROM coverage WHERE kind = ? AND zone = ? AND hour >= ?"
_EXPIRED = "DELETE FROM occupancy WHERE width = ? AND zone = ? AND kind = ? AND start < ?"
_INT64 = 2**63 - 1
_WIDTHS = tuple(width.value for width in Width)


class SqliteOccupancyStore:
    """The store in a file, which several processes may use at once. Use it as a context manager."""

    def __init__(self, *, file: Path, keep: Keep = ALL, clock: Clock = system_clock) -> None:
        """`file` is made by `setup`, with its folder, readable by its owner alone; `keep` is how long it has what."""
        self._file = SqliteFile(file, schema=f"{_SCHEMA};{_COVERAGE_SCHEMA};{RESULTS_SCHEMA}")
        self._results = SqliteResults(self._file)
        self._keep = keep
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._file.close()

    async def setup(self) -> None:
        """Make the file and its table where they are missing. Raises UnavailableError."""
        await self._file.make()

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        """Write points in one transaction, all or none. Raises ValueError for a zone's id that is none."""
        oldest = {width: self._oldest(width) for width in self._keep}
        rows = [
            (
                point.window.width.value,
                checked_zone(point.window.zone),
                point.window.kind,
                point.window.start,
                point.devices,
            )
            for point in points
            if not oldest or point.window.start >= oldest.get(point.window.width, point.window.start)
        ]

        def upsert(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT, rows)

        try:
            if rows:
                await self._file.write(upsert)
        except UnavailableError as error:
            return Written(undone=[Undone([point.window for point in points], error)])
        return Written(expired=len(points) - len(rows))

    async def kept_since(self, width: Width) -> int | None:
        """As `OccupancyStore.kept_since` says."""
        return self._oldest(width) if width in self._keep else None

    async def drop_expired(self) -> int:
        """Remove what is older than it is kept, series by series. Raises UnavailableError."""
        dropped = 0
        for width in self._keep:
            for zone, kind in await self.series(width):
                dropped += await self._drop(width, zone, kind)
        return dropped

    async def _drop(self, width: Width, zone: str, kind: KindId) -> int:
        def drop(connection: sqlite3.Connection) -> int:
            return connection.execute(_EXPIRED, (width.value, zone, kind, self._oldest(width))).rowcount

        return await self._file.write(drop)

    def _oldest(self, width: Width) -> int:
        return self._clock() - self._keep[width]

    async def record(self, *, zone: str, kind: KindId, width: Width, start: int, end: int, until: int) -> Record:
        """As `TimeseriesStore.record` says, in one turn of the thread of the file."""
        series = (width.value, checked_zone(zone), kind)
        windows = (*series, _representable(start), _representable(end), MAX_POINTS + 1)
        hours = (kind, _representable(hour_of(start)), _representable(until), zone)

        def read(connection: sqlite3.Connection) -> Record:
            return Record(
                dict(connection.execute(_HISTORY, windows).fetchall()),
                _extent(connection, *series),
                {hour: minutes for _, hour, minutes in connection.execute(_COVERAGE_OF_ZONE, hours)},
            )

        found = await self._file.read(read)
        checked_length(found.devices)
        return found

    async def history(self, *, zone: str, kind: KindId, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        """The points of the windows that begin in [start, end), as `OccupancyStore.history` says."""
        limits = map(_representable, (start, end))
        parameters = (width.value, checked_zone(zone), kind, *limits, MAX_POINTS + 1)

        def points(connection: sqlite3.Connection) -> list[OccupancyPoint]:
            return [
                OccupancyPoint(window=Window(width=width, start=begin, zone=zone, kind=kind), devices=devices)
                for begin, devices in connection.execute(_HISTORY, parameters)
            ]

        return checked_length(await self._file.read(points))

    async def extent(self, zone: str, kind: KindId, width: Width) -> tuple[int, int] | None:
        """The starts of the first and the last window, as `OccupancyStore.extent` says."""
        series = (width.value, checked_zone(zone), kind)
        return await self._file.read(lambda connection: _extent(connection, *series))

    async def series(self, width: Width) -> list[tuple[str, KindId]]:
        """The zones and kinds, as `OccupancyStore.series` says."""

        def names(connection: sqlite3.Connection) -> list[tuple[str, KindId]]:
            found: list[tuple[str, KindId]] = []
            last = ("", "")
            while len(found) <= MAX_SERIES and (
                row := connection.execute(_NEXT_SERIES, (width.value, *last)).fetchone()
            ):
                last = row
                found.append((last[0], KindId(last[1])))
            return found

        return checked_series(await self._file.read(names))

    async def write_coverage(self, hours: Sequence[Coverage]) -> None:
        """Write which minutes of hours were recorded, in one transaction, as `OccupancyStore.write_coverage` says."""
        rows = [(checked_zone(each.zone), each.kind, each.hour, each.minutes) for each in hours]

        def upsert(connection: sqlite3.Connection) -> None:
            connection.executemany(_COVERAGE_UPSERT, rows)

        if rows:
            await self._file.write(upsert)

    async def coverage(self, kind: KindId, *, start: int, end: int, zone: str | None = None) -> list[Coverage]:
        """The recorded hours that begin in [start, end), as `OccupancyStore.coverage` says."""
        limits = tuple(map(_representable, (start, end)))

        def hours(connection: sqlite3.Connection) -> list[Coverage]:
            found = (
                connection.execute(_COVERAGE_OF_ALL, (kind, *limits))
                if zone is None
                else connection.execute(_COVERAGE_OF_ZONE, (kind, *limits, checked_zone(zone)))
            )
            return [Coverage(name, kind, hour, minutes) for name, hour, minutes in found]

        return await self._file.read(hours)

    async def coverage_extent(self, zone: str, kind: KindId) -> tuple[int, int] | None:
        """The first and the last recorded hour, as `OccupancyStore.coverage_extent` says."""
        parameters = {"zone": checked_zone(zone), "kind": kind}

        def ends(connection: sqlite3.Connection) -> tuple[int, int] | None:
            first, last = connection.execute(_COVERAGE_EXTENT, parameters).fetchone()
            return None if first is None else (first, last)

        return await self._file.read(ends)

    async def write_results(self, results: Sequence[Result]) -> None:
        """As `ResultStore.write_results` says, in one transaction."""
        await self._results.write(results)

    async def results(
        self,
        job: str,
        *,
        start: int,
        end: int,
        zone: str | None = None,
        kind: KindId | None = None,
        most: int = MAX_RESULTS,
    ) -> list[Result]:
        """As `ResultStore.results` says."""
        return await self._results.read(job, start=start, end=end, zone=zone, kind=kind, most=most)

    async def replace_results(self, job: str, start: int, end: int, results: Sequence[Result]) -> None:
        """As `ResultStore.replace_results` says, in one transaction."""
        await self._results.replace(job, start, end, results)

    async def next_time(self, after: int) -> int | None:
        """As `TimeseriesStore.next_time` says: a step in the index for each series."""
        from_ms = _representable(after)

        def first(connection: sqlite3.Connection) -> int | None:
            starts = [
                connection.execute(_FIRST, (width, zone, kind, from_ms)).fetchone()[0]
                for width, zone, kind in _series(connection)
            ]
            hours = [
                connection.execute(_FIRST_HOUR, (kind, zone, from_ms)).fetchone()[0]
                for kind, zone in _recorded_series(connection)
            ]
            return min((at for at in starts + hours if at is not None), default=None)

        return await self._file.read(first)

    async def windows(self, width: Width, *, start: int, end: int) -> list[OccupancyPoint]:
        """As `TimeseriesStore.windows` says: a step in the index for each series."""
        limits = tuple(map(_representable, (start, end)))

        def points(connection: sqlite3.Connection) -> list[OccupancyPoint]:
            found: list[OccupancyPoint] = []
            for _, zone, kind in _series(connection, (width.value,)):
                rows = connection.execute(_HISTORY, (width.value, zone, kind, *limits, MAX_POINTS + 1 - len(found)))
                found += [OccupancyPoint(Window(width, begin, zone, KindId(kind)), devices) for begin, devices in rows]
                if len(found) > MAX_POINTS:
                    break
            return found

        return checked_length(await self._file.read(points))

    async def recorded(self, *, start: int, end: int) -> list[Coverage]:
        """As `TimeseriesStore.recorded` says."""
        limits = tuple(map(_representable, (start, end)))

        def hours(connection: sqlite3.Connection) -> list[Coverage]:
            return [
                Coverage(zone, KindId(kind), hour, minutes)
                for kind, zone in _recorded_series(connection)
                for _, hour, minutes in connection.execute(_COVERAGE_OF_ZONE, (kind, *limits, zone))
            ]

        return await self._file.read(hours)

    async def drop(self, zone: str, kind: KindId, *, start: int, end: int) -> None:
        """Remove windows and recorded hours, in one transaction, as `TimeseriesStore.drop` says."""
        parameters = (checked_zone(zone), kind, *map(_representable, (start, end)))

        def remove(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM occupancy WHERE zone = ? AND kind = ? AND start >= ? AND start < ?", parameters
            )
            connection.execute(
                "DELETE FROM coverage WHERE zone = ? AND kind = ? AND hour >= ? AND hour < ?", parameters
            )

        await self._file.write(remove)


def _extent(connection: sqlite3.Connection, width: str, zone: str, kind: KindId) -> tuple[int, int] | None:
    first, last = connection.execute(_EXTENT, {"width": width, "zone": zone, "kind": kind}).fetchone()
    return None if first is None else (first, last)


def _series(connection: sqlite3.Connection, widths: Sequence[str] = _WIDTHS) -> Iterator[tuple[str, str, str]]:
    """Width, zone and kind of each series, by steps in the index."""
    for width in widths:
        last = ("", "")
        while row := connection.execute(_NEXT_SERIES, (width, *last)).fetchone():
            last = row
            yield width, row[0], row[1]


def _recorded_series(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Kind and zone of which hours were recorded."""
    last = ("", "")
    while row := connection.execute(_NEXT_RECORDED, last).fetchone():
        last = row
        yield row


def _representable(limit: int) -> int:
    """A time (ms since the epoch) as SQLite can compare it: what is further away is as good as never."""
    return min(max(limit, -_INT64), _INT64)
