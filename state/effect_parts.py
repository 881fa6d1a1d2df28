"""What a batch does to a partition, in parts: none of them is more work for Redis than `MAX_WORK`.

It comes to the same how it is cut, and whether a part is done once more.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from core.kinds import KindId
from core.messages import Position
from core.windows import Width, Window, window_end, window_start
from state.devices import newest_key
from state.dirty_windows import due_ms, owner_of
from state.seen import BLOCK_MS, GROUP_MS, KEEP_MS, life_key, seen_key
from state.slots import tag
from state.windows import DAY_MS, MINUTE_MS, counter, day_of, day_of_window, day_shift_ms

MAX_WORK = 4000
"""Commands of one script, where four devices in a list count as one: 5 to 15 ms of Redis (decision 21)."""
_LISTED = 4
_PRESENT = 1
"""Commands to a device that moves: its newest position."""
_OUTSIDE = 3
"""Commands to a device that is outside now: its newest position goes, and it leaves the campus and a zone."""
_UNSURE = 8
"""What a position that is not sure takes besides, which is no command: its device's list is written anew."""
_PASSED = 4
"""Fixes of lists that a script goes through while it could do one command."""
MAX_PASSED = MAX_WORK * _PASSED
"""Fixes of lists that a script goes through for several devices; with one more it does nothing, and is to be cut."""
_SIGHTING = 3
"""What is known of the device, what is then, and how long that lives."""
_WINDOW = 2
_SET = 3


Said = tuple[tuple[str, int], ...] | None
"""What a position says of zones: of each the margin, from -96, surely outside, to 96, surely inside; and it is surely
outside of those that it does not name. Nothing: it is surely in its zones. None: it is no evidence of any."""
SURE = 96


class Outside(msgspec.Struct, frozen=True):
    """A device that was outside the campus: not where."""

    kind: KindId
    device: str
    """Its hash."""
    observed_at: int
    """Newest event time, milliseconds since the epoch."""
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Where and how a partition counts."""

    partition: int
    partitions: int
    zone: ZoneInfo
    """Whose days the 1d windows are."""
    away: Callable[[str], str]
    """Makes the second hash of a device (`runtime.devices`)."""
    rollup_every_ms: int
    """How often an open window is written at the most."""

    @property
    def tag(self) -> str:
        """The hash tag of the partition."""
        return tag(self.partition, self.partitions)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the positions of a batch, and some of its devices outside."""

    positions: int
    keys: tuple[list[str], list[str]]
    """Those before the presence sets, and those after them."""
    names: list[str]
    """The presence sets: `zone:kind`."""
    fields: dict[str, Any]
    """What the script `effects` takes of them."""
    work: int


def parts(
    positions: Sequence[Position],
    outside: Sequence[Outside],
    room: Room,
    *,
    now: int,
    work_each: float = 0,
    said: Sequence[Said] | None = None,
) -> list[Part]:
    """Positions and devices outside, in the order in which they come; one part at least.

    A single position is never cut: it is as much work as the zones that hold it are many. `now` is in milliseconds
    since the epoch. `work_each` is about how much work each is, such as `work_of_each` of the batch before: how much a
    part really is, is only known once it is made, and what was made too large is made once more. `said` is what each
    position says of zones; None: all of them are sure.
    """
    count = len(positions) + len(outside)
    pieces = min(math.ceil(count * work_each / MAX_WORK), count)
    if pieces <= 1:
        whole = _part(positions, said, outside, room, now)
        if whole.work <= MAX_WORK or count <= 1:
            return [whole]
        pieces = min(math.ceil(whole.work / MAX_WORK), count)
    if positions and outside:
        # What a position takes says nothing of devices outside: they are cut when they are made, if they must be.
        return parts(positions, (), room, now=now, work_each=work_each, said=said) + parts((), outside, room, now=now)
    cuts = [(count * number // pieces, count * (number + 1) // pieces) for number in range(pieces)]
    return [
        part
        for first, end in cuts
        for part in parts(
            positions[first:end], outside[first:end], room, now=now, said=None if said is None else said[first:end]
        )
    ]


def work_of_each(made: Sequence[Part], passed: int = 0) -> float:
    """How much work a position was on average, in the parts that hold any.

    `passed` is how many fixes of lists the scripts went through, which is known only once they have run.
    """
    having = [part for part in made if part.positions]
    work = sum(part.work for part in having) + passed / _PASSED
    return work / max(sum(part.positions for part in having), 1)


class _Moment(NamedTuple):
    """A minute, in terms of what devices are seen in."""

    day: int
    date: int
    """The day that has the noon of its 1d window."""
    block: str
    five: int
    bit: int
    same: int
    """0 where the date is in another day; 2 where all of the block has this date; else 1."""


@lru_cache(maxsize=10_000)
def _moment(minute: int, zone: ZoneInfo) -> _Moment:
    at, shift = minute * MINUTE_MS, day_shift_ms(zone)
    day, date = day_of(at, shift), _date(at, zone)
    within = (at + shift) % DAY_MS
    block = at - within % BLOCK_MS
    pure = _date(block, zone) == day == _date(block + BLOCK_MS - 1, zone)
    return _Moment(
        day,
        date,
        f":{within // BLOCK_MS}",
        within % BLOCK_MS // GROUP_MS,
        1 << within % GROUP_MS // MINUTE_MS,
        0 if day != date else 2 if pure else 1,
    )


def _date(at: int, zone: ZoneInfo) -> int:
    """The day that has the noon of the 1d window of a time."""
    return day_of(window_start(Width.DAY, at, zone) + DAY_MS // 2, day_shift_ms(zone))


class _Counted(NamedTuple):
    """A window, and where its counter is."""

    member: str
    end: int
    day: int
    key: str
    field: str


@lru_cache(maxsize=20_000)
def _windows_of(minute: int, name: str, kind: KindId, hash_tag: str, zone: ZoneInfo) -> list[_Counted]:
    """The windows of a minute in a zone, the shortest first."""
    at, shift = minute * MINUTE_MS, day_shift_ms(zone)
    found = []
    for width in Width:
        window = Window(width, window_start(width, at, zone), name, kind)
        where = counter(window, hash_tag, shift)
        end = window_end(width, window.start, zone)
        found.append(_Counted(window.member, end, day_of_window(window, shift), where.key, where.field))
    return found


class _Numbers(dict[Any, int]):
    """Each name, with a number from 1, in the order in which they first come."""

    def of(self, name: Any) -> int:  # noqa: ANN401 - any name
        """The number of a name, which has one from now on."""
        return self.setdefault(name, len(self) + 1)


class _Windows:
    """Windows that a part may raise, as the script takes them: each once."""

    def __init__(self, room: Room, days: _Numbers, now: int) -> None:
        self._room = room
        self._tag = room.tag
        self._days = days
        self._now = now
        self._numbers: dict[str, int] = {}
        self.counters = _Numbers()
        self.columns: tuple[list[int], list[str], list[str], list[int], list[int]] = ([], [], [], [], [])

    def of_minute(self, minute: int, zones: Iterable[str], kind: KindId) -> list[int]:
        """Their numbers, four to a zone."""
        room, numbers, found = self._room, self._numbers, []
        counters, fields, members, dues, days = self.columns
        for zone in zones:
            owned = room.partitions == 1 or owner_of(f"{zone}:{kind}", room.partitions) == room.partition
            for each in _windows_of(minute, zone, kind, self._tag, room.zone):
                number = numbers.get(each.member)
                if number is None:
                    number = numbers[each.member] = len(numbers) + 1
                    counters.append(self.counters.of(each.key))
                    fields.append(each.field)
                    members.append(each.member)
                    dues.append(due_ms(end=each.end, now=self._now, every=room.rollup_every_ms, owned=owned))
                    days.append(self._days.of(each.day))
                found.append(number)
        return found


def _part(
    positions: Sequence[Position], said: Sequence[Said] | None, outside: Sequence[Outside], room: Room, now: int
) -> Part:
    hash_tag = room.tag
    devices, days, places, names, sights = _Numbers(), _Numbers(), _Numbers(), _Numbers(), _Numbers()
    # One look in a dictionary each, without a call of ours: this is the hot path.
    number_of = [devices.setdefault(position.device, len(devices) + 1) for position in positions]
    place_of = [places.setdefault((position.zones, position.kind), len(places) + 1) for position in positions]
    at = [position.observed_at for position in positions]
    kind_of = {position.device: position.kind for position in positions}
    present = len(devices)
    for each in outside:
        devices.of(each.device)
        kind_of.setdefault(each.device, each.kind)
    windows, listed_places = _Windows(room, days, now), list(places)
    sites: dict[tuple[int, int], tuple[int, int, int]] = {}
    site_fields: list[Any] = []
    columns: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    sightings = dict.fromkeys(zip(number_of, [each // MINUTE_MS for each in at], place_of, strict=True))
    of_no_zone = {number for (zones, _), number in places.items() if not zones}
    for number, minute, place in sightings:
        if place in of_no_zone:
            continue
        known = sites.get((minute, place))
        if known is None:
            moment = _moment(minute, room.zone)
            known = sites[minute, place] = (len(sites) + 1, moment.day, moment.date)
            zones, kind = listed_places[place - 1]
            of_zones = windows.of_minute(minute, zones, kind)
            site_fields.append((place, minute, moment.block, moment.five, moment.bit, moment.same, of_zones))
        site, day, date = known
        seen = sights.setdefault((number, day), len(sights) + 1)
        columns[0].append(number)
        columns[1].append(seen)
        columns[2].append(seen if day == date else sights.of((number, date)))
        columns[3].append(site)
    for zones, kind in places:
        for zone in zones:
            names.of(f"{zone}:{kind}")
    margins, edges = _evidence(positions, said, names)
    hashes, kind_numbers = list(devices), _Numbers()
    seen_keys = [seen_key(hash_tag, day, hashes[number - 1]) for number, day in sights]
    seen_days = [days.of(day) for _, day in sights]
    fields = {
        "devices": hashes,
        "present": present,
        "away": "".join(map(room.away, hashes)),
        "kinds": [kind_numbers.of(kind) for kind in kind_of.values()],
        "kind_names": list(kind_numbers),
        "lives": [max((day + 1) * DAY_MS - day_shift_ms(room.zone) - now, 0) + KEEP_MS for day in days],
        "seen": seen_days,
        "places": [(",".join(zones), zones) for zones, _ in places],
        "device": number_of,
        "place": place_of,
        "at": at,
        "score": list(map(str, at)),
        "longitude": [position.longitude for position in positions],
        "latitude": [position.latitude for position in positions],
        "margins": margins,
        "edges": list(edges),
        "outside": [(devices[each.device], each.observed_at) for each in outside],
        "windows": windows.columns,
        "sites": site_fields,
        "sightings": columns,
    }
    before = [life_key(hash_tag, day) for day in days]
    before += [newest_key(hash_tag, device) for device in hashes]
    before += seen_keys
    work = (
        _PRESENT * present
        + _OUTSIDE * len(outside)
        + _SIGHTING * len(columns[0])
        + _UNSURE * (len(margins) - margins.count(0) if margins else 0)
    )
    work += _WINDOW * len(windows.columns[0]) + _SET * len(names) + len(positions) * 2 // _LISTED
    return Part(len(positions), (before, list(windows.counters)), list(names), fields, work)


def _evidence(
    positions: Sequence[Position], said: Sequence[Said] | None, names: _Numbers
) -> tuple[list[int | list[int]] | None, _Numbers]:
    """What positions say, as the script takes it, and the zones that this has numbers of; nothing where all are sure.

    Devices may be settled in zones that do not hold the position: those are added to the `names` of presence sets.
    """
    edges = _Numbers()
    if said is None or all(says == () for says in said):
        return None, edges
    margins: list[int | list[int]] = []
    for position, says in zip(positions, said, strict=True):
        if not says:
            margins.append(-1 if says is None else 0)
            continue
        of_edges = list[int]()
        for zone, margin in says:
            names.of(f"{zone}:{position.kind}")
            of_edges += (edges.of(zone), margin)
        margins.append(of_edges)
    return margins, edges
