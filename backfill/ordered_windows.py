"""Distinct devices of windows where positions come in the order of time: each window is closed when its time is over.

`timeseries.distinct` takes any order, at ten times the cost.
"""

from collections import defaultdict
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from backfill.seed_lines import BadLineError, FencedPosition
from core.kinds import KindId, Kinds
from core.windows import Width, Window, window_end, window_start
from timeseries import OccupancyPoint

_Devices = defaultdict[str, set[str]]
"""Devices by zone."""
_WIDER = (Width.FIVE_MINUTES, Width.HOUR, Width.DAY)


class OrderedWindows:
    """The windows that are open at one minute. Devices of a minute are added to the wider windows when it is over."""

    def __init__(self, *, zone: ZoneInfo, kinds: Kinds) -> None:
        """`zone` is whose days the 1d windows are."""
        self._zone = zone
        self._minute = self._minute_end = 0
        self._ends: dict[Width, int] = {}
        self._starts: dict[Width, int] = {}
        self._seen: dict[str, _Devices] = {kind: defaultdict(set) for kind in kinds.ids}
        self._wider: dict[Width, dict[str, _Devices]] = {
            width: {kind: defaultdict(set) for kind in kinds.ids} for width in _WIDER
        }

    def add(self, positions: Iterable[FencedPosition], before: int = 0) -> list[OccupancyPoint]:
        """Count positions; the points of windows that are over, of those that have a device.

        `before` is how many lines came before them. Raises BadLineError for a position of an earlier minute than the
        one before it, and for one of a kind that is not in the table.
        """
        points: list[OccupancyPoint] = []
        seen = self._seen
        for number, position in enumerate(positions, before + 1):
            if position.at >= self._minute_end:
                points += self._turn(position.at)
            elif position.at < self._minute:
                raise BadLineError(f"line {number}: older than the one before it; lines come in the order of time")
            try:
                devices = seen[position.kind]
            except KeyError:
                raise BadLineError(f"line {number}: {position.kind[:40]!r} is not one of {', '.join(seen)}") from None
            for zone in position.zones:
                devices[zone].add(position.device)
        return points

    def finish(self) -> list[OccupancyPoint]:
        """The points of the windows that are open still."""
        points = self._close_minute()
        for width in self._ends:
            points += self._close(width)
        return points

    def _turn(self, at: int) -> list[OccupancyPoint]:
        """Close what is over at a time, and open what holds it."""
        points = self._close_minute()
        for width in _WIDER:
            if at >= self._ends.get(width, 0):
                points += self._close(width)
                self._starts[width] = window_start(width, at, self._zone)
                self._ends[width] = window_end(width, self._starts[width], self._zone)
        self._minute = window_start(Width.MINUTE, at, self._zone)
        self._minute_end = window_end(Width.MINUTE, self._minute, self._zone)
        return points

    def _close_minute(self) -> list[OccupancyPoint]:
        points = _points(Width.MINUTE, self._minute, self._seen)
        for kind, devices in self._seen.items():
            for width in _WIDER:
                wider = self._wider[width][kind]
                for zone, some in devices.items():
                    wider[zone] |= some
            devices.clear()
        return points

    def _close(self, width: Width) -> list[OccupancyPoint]:
        points = _points(width, self._starts.get(width, 0), self._wider[width])
        for devices in self._wider[width].values():
            devices.clear()
        return points


def _points(width: Width, start: int, seen: dict[str, _Devices]) -> list[OccupancyPoint]:
    return [
        OccupancyPoint(Window(width, start, zone, KindId(kind)), len(devices))
        for kind, by_zone in seen.items()
        for zone, devices in by_zone.items()
    ]
