"""The positions of one hour, by device, in little memory however many there are."""

import heapq
import zlib
from array import array

import numpy as np

from decoder.plausibility.track import UNITS, Track

HOUR_MS = 3_600_000
MOST_LONGITUDE, MOST_LATITUDE = 180, 90
MOST_FIXES = 1000
"""Of a device in an hour, the oldest: one in 3.6 s, and devices of ours send one in five at the most."""
MOST_IN_ALL = 500_000
"""Fixes of all devices in an hour: judging takes some 200 bytes each."""


class _Columns:
    """The fixes of one device as they come: 40 bytes each."""

    __slots__ = ("accuracy", "at", "latitude", "longitude", "speed")

    def __init__(self) -> None:
        self.at, self.longitude, self.latitude = array("q"), array("q"), array("q")
        self.accuracy, self.speed = array("d"), array("d")


class Hour:
    """Takes the positions of one hour. Of more than `most_devices` devices it keeps those that a hash chooses.

    Which these are is another choice each hour, and does not depend on the order in which positions are added. Of one
    device the first `MOST_FIXES` are kept, and where all have more than `MOST_IN_ALL` there are fewer devices: so they
    are to be added in the order of event time.
    """

    def __init__(self, start: int, most_devices: int) -> None:
        """`start` is the beginning of the hour, milliseconds since the epoch."""
        self.start = start
        self.unjudged = 0
        """Positions that there was no room for, and those in no place on earth."""
        self._most = most_devices
        self._fixes = 0
        self._given_way: tuple[int, str] | None = None
        """The best rank of those that gave way to more fixes of others: nobody at or below it is taken."""
        self._columns: dict[str, _Columns] = {}
        self._last: list[tuple[int, str]] = []
        """A heap of the devices that are kept, by their rank below 0: the first is the one to give way."""

    def __len__(self) -> int:
        """How many devices are kept."""
        return len(self._columns)

    def add(
        self, device: str, at: int, longitude: float, latitude: float, *, accuracy: float | None, speed: float | None
    ) -> None:
        """Add a position: milliseconds since the epoch, degrees, metres, metres a second.

        One that is in no place on earth counts as unjudged.
        """
        if not (abs(longitude) <= MOST_LONGITUDE and abs(latitude) <= MOST_LATITUDE):
            self.unjudged += 1
            return
        columns = self._columns.get(device) or self._room_for(device)
        if columns is None or len(columns.at) >= MOST_FIXES:
            self.unjudged += 1
            return
        columns.at.append(at)
        columns.longitude.append(round(longitude * UNITS))
        columns.latitude.append(round(latitude * UNITS))
        columns.accuracy.append(np.nan if accuracy is None else accuracy)
        columns.speed.append(np.nan if speed is None else speed)
        self._fixes += 1
        if self._fixes > MOST_IN_ALL and len(self._last) > 1:
            self._given_way = heapq.heappop(self._last)
            self._give_way(self._given_way[1])

    def tracks(self) -> dict[str, Track]:
        """What each device sent, by device in alphabetical order."""
        return {
            device: Track.of(columns.at, columns.longitude, columns.latitude, columns.accuracy, columns.speed)
            for device, columns in sorted(self._columns.items())
        }

    def _room_for(self, device: str) -> _Columns | None:
        rank = -zlib.crc32(f"{self.start}:{device}".encode()), device
        if self._given_way is not None and rank <= self._given_way:
            return None
        if len(self._columns) < self._most:
            heapq.heappush(self._last, rank)
        elif rank < self._last[0]:
            return None
        else:
            _, gone = heapq.heapreplace(self._last, rank)
            self._give_way(gone)
        self._columns[device] = _Columns()
        return self._columns[device]

    def _give_way(self, device: str) -> None:
        fixes = len(self._columns.pop(device).at)
        self._fixes -= fixes
        self.unjudged += fixes
