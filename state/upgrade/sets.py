"""The sets of windows of the version before, as this version counts: what devices were seen in, and how many.

Nothing is lost, and nothing is counted twice: each device of a set becomes its minutes in `seen`, and the size of the
set becomes the counter. Where a set of a minute has lapsed and that of its hour has not, the hour's first minute stands
for it: that minute is too old to be lowered by what comes yet (`decoder/rollup.py`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from core.windows import Width, Window
from state.seen import BLOCK_MS, GROUP_MS
from state.windows import DAY_MS, HOUR_MS, MINUTE_MS

_GROUP = GROUP_MS // MINUTE_MS
_HOUR = HOUR_MS // MINUTE_MS
Seen = dict[str, bytes]
"""Fields and values of what one device was seen in on one day."""


class DayOfSets:
    """What the sets of one day come to. Sets are added by width, the shortest first."""

    def __init__(self, shift_ms: int) -> None:
        """`shift_ms` is that of `state.windows.day_shift_ms`."""
        self._shift_ms = shift_ms
        self._minutes: dict[bytes, dict[tuple[str, int], int]] = defaultdict(dict)
        """By device, zone and sixth of the day: a bit for each minute."""
        self._dates: dict[bytes, set[str]] = defaultdict(set)

    def add(self, window: Window, devices: Iterable[bytes]) -> None:
        """The devices of one window of this day."""
        if window.width is Width.DAY:
            for device in devices:
                self._dates[device].add(window.zone)
            return
        within = (window.start + self._shift_ms) % DAY_MS
        place, first = (window.zone, within // BLOCK_MS), within % BLOCK_MS // MINUTE_MS
        length = {Width.MINUTE: 1, Width.FIVE_MINUTES: _GROUP, Width.HOUR: _HOUR}[window.width]
        covered = ((1 << length) - 1) << first
        for device in devices:
            minutes = self._minutes[device]
            known = minutes.get(place, 0)
            if not known & covered:
                minutes[place] = known | 1 << first

    def seen(self) -> Iterator[tuple[bytes, Seen]]:
        """What each device was seen in."""
        for device in self._minutes.keys() | self._dates.keys():
            found = {
                f"{zone}:{block}": packed_minutes(minutes)
                for (zone, block), minutes in self._minutes.get(device, {}).items()
            }
            yield device, found | dict.fromkeys(self._dates.get(device, ()), b"1")


def packed_minutes(minutes: int) -> bytes:
    """The minutes of a sixth of a day, a bit for each from the lowest on, as `state.seen` writes them."""
    groups = [minutes >> shift & (1 << _GROUP) - 1 for shift in range(0, BLOCK_MS // MINUTE_MS, _GROUP)]
    there = [index for index, group in enumerate(groups) if group]
    return bytes([there[0], *groups[there[0] : there[-1] + 1]])


def minutes_of(packed: bytes) -> int:
    """The minutes that `packed_minutes` wrote."""
    first = packed[0] if packed else 0
    return sum(group << _GROUP * (first + index) for index, group in enumerate(packed[1:]))
