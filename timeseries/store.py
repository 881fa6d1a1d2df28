"""What every store of occupancy can do, wherever it keeps it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeVar

from core.errors import UnansweredError, UnavailableError
from core.kinds import KindId
from core.windows import ZONE_ID, Width, Window
from timeseries.coverage import Coverage, CoverageStore
from timeseries.results import ResultStore

MAX_POINTS = 100_000
"""The most points that one `history` gives: ten weeks of 1m windows."""
MAX_SERIES = 10_000
"""The most series that `series` gives: five thousand zones."""
CACHED_ZONES = 8192
_ZONE = re.compile(ZONE_ID, re.ASCII)


@dataclass(frozen=True, slots=True)
class OccupancyPoint:
    """How many distinct devices were observed in a window."""

    window: Window
    devices: int


@dataclass(frozen=True, slots=True)
class Record:
    """What an answer about a range of windows of one zone, kind and width rests on; times are ms since the epoch."""

    devices: dict[int, int]
    """Of windows, by their start; one that was never written is left out."""
    extent: tuple[int, int] | None
    """As `OccupancyStore.extent` says."""
    minutes: dict[int, int]
    """Of hours, by their start, which minutes were recorded, as `Coverage` has them."""


@dataclass(frozen=True, slots=True)
class Undone:
    """Windows whose points were not written, and why not."""

    windows: list[Window]
    error: UnavailableError
    """UnansweredError where they may be written yet, in the place of newer ones: wait before they are written again."""


@dataclass(slots=True)
class Written:
    """What became of the points of a write: those that nothing here tells of are in the store."""

    expired: int = 0
    """Points of windows that are older than the store keeps any: to write them again is useless."""
    refused: dict[Window, str] = field(default_factory=dict)
    """Windows whose points the store will never take, and its words."""
    undone: list[Undone] = field(default_factory=list)

    def check(self) -> None:
        """Raise UnavailableError where points are undone: UnansweredError if some of them may be written yet."""
        for each in sorted(self.undone, key=lambda undone: not isinstance(undone.error, UnansweredError)):
            raise each.error


class OccupancyStore(Protocol):
    """Occupancy over time. Every method but `write` raises `core.errors.UnavailableError` where it does not answer."""

    async def setup(self) -> None:
        """Make what is missing, tables or buckets, and have it keep what OCCUPANCY_KEEP says.

        It may be called again, and by several processes at once.

        Raises BadSettingsError where the store is there and refuses who we say we are.
        """

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        """Write points, each in the place of what its window held before; of one window's points the last counts.

        What is undone is to be written again. Raises ValueError, and writes nothing, where a zone's id is none.
        """

    async def kept_since(self, width: Width) -> int | None:
        """Windows of this width that began before it are not kept, milliseconds since the epoch; None: all are."""

    async def drop_expired(self) -> int:
        """Remove the points of windows that are not kept any more; how many. A server does that by itself: 0."""

    async def history(self, *, zone: str, kind: KindId, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        """The points of the windows that begin in [start, end), milliseconds since the epoch, in order of time.

        A window that was never written is left out; `extent` tells whether it is zero or unknown. Raises ValueError
        for more than `MAX_POINTS` points, and for a zone's id that is none.
        """

    async def extent(self, zone: str, kind: KindId, width: Width) -> tuple[int, int] | None:
        """The starts of the first and of the last window that were ever written; None where there is none.

        Raises ValueError for a zone's id that is none.
        """

    async def series(self, width: Width) -> list[tuple[str, KindId]]:
        """The zones and kinds of which there is a point of this width, in alphabetical order.

        Raises ValueError for more than `MAX_SERIES`.
        """


class TimeseriesStore(OccupancyStore, CoverageStore, ResultStore, Protocol):
    """What `open_store` opens: the windows, which minutes were counted at all, and what jobs made of both."""

    async def record(self, *, zone: str, kind: KindId, width: Width, start: int, end: int, until: int) -> Record:
        """What `history` has of [start, end), `extent`, and `coverage` of the hours of [start, until): all at once.

        Raises ValueError as `history` does.
        """

    async def next_time(self, after: int) -> int | None:
        """When the first window of any width, or recorded hour, of all zones and kinds begins that is not before it.

        Both are milliseconds since the epoch; None where there is none.
        """

    async def windows(self, width: Width, *, start: int, end: int) -> list[OccupancyPoint]:
        """The points of all zones and kinds whose windows begin in [start, end), ms since the epoch, in no order.

        Raises ValueError for more than `MAX_POINTS`.
        """

    async def recorded(self, *, start: int, end: int) -> list[Coverage]:
        """The recorded hours of all zones and kinds that begin in [start, end), ms since the epoch, in no order."""

    async def drop(self, zone: str, kind: KindId, *, start: int, end: int) -> None:
        """Remove the windows of all widths, and the recorded hours, that begin in [start, end), ms since the epoch.

        Raises ValueError for a zone's id that is none.
        """


@lru_cache(maxsize=CACHED_ZONES)
def checked_zone(zone: str) -> str:
    """The id of a zone, unchanged. Raises ValueError for what cannot be one: it ends up in keys, tags and queries."""
    if not _ZONE.fullmatch(zone):
        raise ValueError(
            f"{zone[:80]!r} is no id of a zone: 1 to 64 letters, digits, -, _ and ., the first a letter or digit"
        )
    return zone


Points = TypeVar("Points", list[OccupancyPoint], dict[int, int])


def checked_length(points: Points) -> Points:
    """The points, unchanged. Raises ValueError for more than `MAX_POINTS`."""
    if len(points) > MAX_POINTS:
        raise ValueError(f"more than {MAX_POINTS:,} windows: ask for a shorter time or for wider windows")
    return points


def checked_series(series: list[tuple[str, KindId]]) -> list[tuple[str, KindId]]:
    """The series in alphabetical order. Raises ValueError for more than `MAX_SERIES`."""
    if len(series) > MAX_SERIES:
        raise ValueError(f"more than {MAX_SERIES:,} zones and kinds have points")
    return sorted(series)
