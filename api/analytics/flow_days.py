"""Flows by days, as they may be shown: read from the store, and kept for a moment, for a day is thousands of pairs."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from api.analytics.worked_out import DAY_MS, WorkedOut, worked_out
from api.privacy import Cell, Pair, shown_cells
from core.clock import Clock
from core.kinds import KindId
from timeseries import Result, TimeseriesStore

JOB = "flows"
KEPT_MS = 30_000
"""How long a day is not read again: so long later what a job has computed is told."""
KEPT_DAYS = 64
"""Days of one kind that are kept, at the most."""
KEPT_PAIRS = 500_000
"""Pairs of zones in an hour that are kept, of all days together: some 100 MB. A large campus has 48,000 in a day."""


@dataclass(slots=True)
class FlowDay:
    """The flows of one kind in a day (UTC), as far as they may be shown."""

    hours: dict[int, dict[Pair, int]] = field(default_factory=dict)
    """By hour: how often devices went from where to where."""
    into: dict[int, dict[str, int]] = field(default_factory=dict)
    """By hour: what of that came to each zone."""
    out: dict[int, dict[str, int]] = field(default_factory=dict)
    """By hour: what of that left each zone."""
    worked_out: WorkedOut = field(default_factory=dict)
    """How far the job has been through this day, whatever it found."""


class FlowDays:
    """Days of flows; one is read at a time."""

    def __init__(self, store: TimeseriesStore, *, clock: Clock, least: int) -> None:
        """`least` is under how many devices a pair of zones is withheld."""
        self._store = store
        self._clock = clock
        self._least = least
        self._kept: OrderedDict[tuple[KindId, int], tuple[int, FlowDay]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def between(self, kind: KindId, start: int, end: int) -> list[FlowDay]:
        """The days that [start, end) has a part of, in order; ms since the epoch. Raises UnavailableError."""
        first = start // DAY_MS * DAY_MS
        return [await self._day(kind, day) for day in range(first, end, DAY_MS)]

    async def _day(self, kind: KindId, start: int) -> FlowDay:
        async with self._turn:
            now, place = self._clock(), (kind, start)
            read_at, day = self._kept.get(place, (None, None))
            if day is None or read_at is None or not 0 <= now - read_at < KEPT_MS:
                known = await worked_out(self._store, JOB, start, start + DAY_MS)
                found = await self._store.results(JOB, start=start, end=start + DAY_MS, kind=kind)
                day = flow_day(found, self._least)
                day.worked_out = known
                self._kept[place] = now, day
            self._kept.move_to_end(place)
            while len(self._kept) > KEPT_DAYS or (len(self._kept) > 1 and self._pairs() > KEPT_PAIRS):
                self._kept.popitem(last=False)
            return day

    def _pairs(self) -> int:
        return sum(len(pairs) for _, day in self._kept.values() for pairs in day.hours.values())


def flow_day(found: Iterable[Result], least: int) -> FlowDay:
    """What may be shown of a day; what the job has summed up, without naming the pair, is left out."""
    day = FlowDay()
    cells: dict[int, dict[Pair, Cell]] = {}
    for each in found:
        if each.other:
            # One text for each zone, however many pairs have it.
            pair = sys.intern(each.zone), sys.intern(each.other)
            cells.setdefault(each.at, {})[pair] = Cell(int(each.values["count"]), int(each.values["devices"]))
    for at, of_hour in cells.items():
        shown = shown_cells(of_hour, least)
        day.hours[at] = {pair: cell.count for pair, cell in shown.items()}
        into, out = day.into.setdefault(at, {}), day.out.setdefault(at, {})
        for (origin, destination), cell in shown.items():
            into[destination] = into.get(destination, 0) + cell.count
            out[origin] = out.get(origin, 0) + cell.count
    return day
