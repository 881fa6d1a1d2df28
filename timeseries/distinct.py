"""Distinct devices of very many windows, in little memory."""

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from core.kinds import KindId
from core.windows import Width, Window

CACHE_KIB = 64 * 1024
"""What is kept in memory; the rest goes to a temporary file of SQLite's, which nobody else sees, and which is gone at
the end."""
BATCH_ROWS = 10_000

_SCHEMA = """
CREATE TABLE seen (
    series INTEGER NOT NULL,
    start  INTEGER NOT NULL, -- milliseconds since the epoch, UTC
    device TEXT    NOT NULL,
    PRIMARY KEY (series, start, device)
) WITHOUT ROWID
"""
_COUNTS = "SELECT start, count(*) FROM seen WHERE series = ? AND start >= ? AND start < ? GROUP BY start"
_EXTENT = "SELECT min(start), max(start) FROM seen WHERE series = ?"

Series = tuple[Width, str, KindId]


class DistinctDevices:
    """Devices by window, in any order and as often as they come. Use it as a context manager, in one thread."""

    def __init__(self) -> None:
        self._series: dict[Series, int] = {}
        self._rows: list[tuple[int, int, str]] = []

    def __enter__(self) -> Self:
        # A database without a name is a private one, on the disk as far as it outgrows the cache.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._connection.execute(_SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, window: Window, device: str) -> None:
        """Note that a device was observed in a window."""
        series = self._series.setdefault((window.width, window.zone, window.kind), len(self._series))
        self._rows.append((series, window.start, device))
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def series(self) -> Iterator[Series]:
        """Width, zone and kind of which there is a window."""
        return iter(self._series)

    def extent(self, series: Series) -> tuple[int, int] | None:
        """The starts of the first and last window of a series; None where there is none."""
        number = self._series.get(series)
        if number is None:
            return None
        self._flush()
        first, last = self._connection.execute(_EXTENT, (number,)).fetchone()
        return first, last

    def counts(self, series: Series, start: int, end: int) -> dict[int, int]:
        """How many devices there were, by the start of the window, for those that begin in [start, end)."""
        number = self._series.get(series)
        if number is None:
            return {}
        self._flush()
        return dict(self._connection.execute(_COUNTS, (number, start, end)))

    def _flush(self) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", self._rows)
        self._rows.clear()
