"""Positions for tests of jobs, and what jobs should make of them, worked out a tick at a time."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import pyarrow as pa

from core.clock import parse_rfc3339
from core.kinds import KindId
from core.messages import Position
from documents.document import document_id
from lake.rows import Row

TICK = 600_000
"""Ten minutes, in ms: all positions of these tests are at whole ticks."""
TTL = 6 * TICK
MONDAY = parse_rfc3339("2026-11-23T00:00:00Z")
HOUR = 3_600_000
DAY = 24 * HOUR
CROWD_DAYS = 3
PLACES = [(), ("hall",), ("library",), ("library", "room"), ("car-park",), ("hall", "yard"), ("yard",)]


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a device was at a tick after `MONDAY`."""

    device: str
    tick: int
    zones: tuple[str, ...]


def row(device: str, at: int, *zones: str, received: int | None = None, kind: str = "car") -> Row:
    """A position as the lake takes it; `at` is ms since the epoch. The campus comes by itself where there is a zone."""
    position = Position(
        kind=KindId(kind),
        device=device,
        observed_at=at,
        received_at=at if received is None else received,
        longitude=-8.57,
        latitude=52.67,
        zones=zones,
        cell="gc3v1x2y",
    )
    return document_id(position), position


def rows_of(fixes: Iterable[Fix]) -> list[Row]:
    """What the lake gets of fixes."""
    return [row(fix.device, MONDAY + fix.tick * TICK, *fix.zones) for fix in fixes]


def presence(fixes: Iterable[Fix], ticks: int) -> dict[tuple[str, str], list[bool]]:
    """Of each device and zone, at which ticks it is present: the newest position has it, and is not older than TTL."""
    newest: dict[str, dict[int, tuple[str, ...]]] = defaultdict(dict)
    for fix in fixes:
        if fix.zones:
            known = newest[fix.device].get(fix.tick, ())
            newest[fix.device][fix.tick] = max(known, fix.zones, key=",".join)
    found: dict[tuple[str, str], list[bool]] = defaultdict(lambda: [False] * ticks)
    for device, at in newest.items():
        last: int | None = None
        for tick in range(ticks):
            last = tick if tick in at else last
            if last is not None and tick - last < TTL // TICK:
                for zone in at[last]:
                    found[device, zone][tick] = True
    return found


def plain_stays(fixes: Iterable[Fix], ticks: int) -> Iterator[tuple[str, str, int, int]]:
    """Device, zone, the tick of the entry and that of the exit; `ticks` is further than any of them."""
    for (device, zone), present in presence(fixes, ticks).items():
        entered = 0
        for tick in range(1, ticks):
            if present[tick] and not present[tick - 1]:
                entered = tick
            elif present[tick - 1] and not present[tick]:
                yield device, zone, entered, tick


def plain_visits(fixes: Sequence[Fix], start: int, end: int, ticks: int) -> list[dict[str, Any]]:
    """What the job `visits` should give of the ticks from `start` to before `end`."""
    hours: defaultdict[tuple[str, int], list[tuple[str, int, int, str]]] = defaultdict(list)
    for device, zone, entered, gone in plain_stays(fixes, ticks):
        for tick, what in ((entered, "entry"), (gone, "exit")):
            if start <= tick < end:
                hours[zone, tick // 6].append((device, entered, gone, what))
    found = []
    for (zone, hour), moments in sorted(hours.items()):
        exits = [(device, gone - entered) for device, entered, gone, what in moments if what == "exit"]
        lengths = [length * TICK / 1000 for _, length in exits if length * TICK <= DAY]
        quartiles = quantiles([*lengths], n=4, method="inclusive") if len(lengths) > 1 else lengths * 3
        found.append(
            {
                "zone": zone,
                "kind": "car",
                "other": "",
                "at": MONDAY + hour * HOUR,
                "entries": sum(what == "entry" for *_, what in moments),
                "exits": len(exits),
                "devices": len({device for device, *_ in moments}),
                "visits": len({(device, entered) for device, entered, *_ in moments}),
                "dwell_devices": len({device for device, length in exits if length * TICK <= DAY}),
                "cut": sum(length * TICK > DAY for _, length in exits),
            }
            | dict(zip(("dwell_q1", "dwell_median", "dwell_q3"), quartiles or (None, None, None), strict=True))
        )
    return found


def comparable(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as values that can be compared: seconds and counts of a quartile to a millionth."""
    return [{name: rounded(value) for name, value in each.items()} for each in rows.to_pylist()]


def rounded(value: object) -> object:
    """A number to a millionth, anything else as it is."""
    return round(value, 6) if isinstance(value, float) else value


def all_rounded(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same of rows that are values already."""
    return [{name: rounded(value) for name, value in each.items()} for each in rows]


def crowd_positions(chance: random.Random) -> Iterator[Row]:
    """Forty devices that walk about for some days, with pauses and with clocks that are ahead."""
    for number in range(40):
        device, at, place = f"{number:032x}", MONDAY + chance.randrange(DAY), chance.choice(PLACES)
        while at < MONDAY + CROWD_DAYS * DAY:
            kind = "car" if number % 2 else "mobile"
            yield row(device, at, "campus", *place, kind=kind, received=at - chance.choice([0, 0, 0, 299_000, 301_000]))
            if chance.random() < 0.2:
                place = chance.choice(PLACES)
            at += chance.choice([600_000, 1_200_000, 3_600_000, 5_400_000, 40_000_000])
