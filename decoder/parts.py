"""What a batch does to presence and windows, in parts: none of them is more work for Redis than `MAX_WORK`.

All of it is maxima and unions: so it does not matter how it is cut, nor whether a part is done once more.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from core.messages import Kind, Position
from decoder.spans import Span, spans

MAX_WORK = 4000
"""Commands of one script, where four devices in a list count as one: 5 to 15 ms of Redis (decision 21)."""
_LISTED = 4
_PRESENCE = 3
"""Commands to a device that moves: its newest position, and to leave the campus and a zone, which most share."""
_OUTSIDE = 3
"""Commands to a device that is outside now: its newest position goes, and it leaves as much."""
_WINDOW = 4
_ZONE = 2
Name = TypeVar("Name", str, tuple[str, ...])


class Outside(msgspec.Struct, frozen=True):
    """A device that was outside the campus: not where."""

    kind: Kind
    device: str
    """Its hash."""
    observed_at: int
    """Newest event time, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the positions of a batch, and some of its devices outside."""

    positions: int
    fields: dict[str, Any]
    """What the script `effects` takes of them."""
    work: int


def parts(
    positions: Sequence[Position],
    outside: Sequence[Outside],
    *,
    away: Callable[[str], str],
    zone: ZoneInfo,
) -> list[Part]:
    """Positions and devices outside, in the order in which they come; one part at least.

    `away` makes the second hash of a device (`core.devices`), `zone` is whose days the 1d windows are. A single
    position is never cut: it is as much work as the zones that hold it are many.
    """
    return _parts(positions, outside, away, zone)


def _parts(
    positions: Sequence[Position], outside: Sequence[Outside], away: Callable[[str], str], zone: ZoneInfo
) -> list[Part]:
    whole = _part(positions, outside, away, zone)
    if whole.work <= MAX_WORK or len(positions) + len(outside) <= 1:
        return [whole]
    if positions and outside:
        return _parts(positions, (), away, zone) + _parts((), outside, away, zone)
    count = len(positions) + len(outside)
    pieces = min(math.ceil(whole.work / MAX_WORK), count)
    cuts = [(count * number // pieces, count * (number + 1) // pieces) for number in range(pieces)]
    return [part for first, end in cuts for part in _parts(positions[first:end], outside[first:end], away, zone)]


def _part(
    positions: Sequence[Position], outside: Sequence[Outside], away: Callable[[str], str], zone: ZoneInfo
) -> Part:
    kinds = {position.device: position.kind for position in positions}
    present = len(kinds)
    kinds |= {each.device: each.kind for each in outside}
    numbers = _numbers(kinds)
    places = _numbers(position.zones for position in positions)
    windows = spans(positions, numbers, zone)
    fields = {
        "devices": list(numbers),
        "present": present,
        "away": [away(device) for device in numbers],
        "kinds": list(kinds.values()),
        "places": [",".join(zones) for zones in places],
        "device": [numbers[position.device] for position in positions],
        "place": [places[position.zones] for position in positions],
        "at": [position.observed_at for position in positions],
        "longitude": [position.longitude for position in positions],
        "latitude": [position.latitude for position in positions],
        "outside": [(numbers[each.device], each.observed_at) for each in outside],
        "spans": windows,
    }
    commands = _PRESENCE * present + _OUTSIDE * len(outside) + sum(_commands(span) for span in windows)
    commands += _ZONE * len(Kind) * sum(map(len, places))
    listed = len(positions) + sum(len(span.windows) * sum(len(devices) for _, devices in span.sets) for span in windows)
    return Part(len(positions), fields, commands + listed // _LISTED)


def _commands(span: Span) -> int:
    return _WINDOW * len(span.windows) * len(span.sets)


def _numbers(names: Iterable[Name]) -> dict[Name, int]:
    """Each name, with a number from 1, in the order in which they first come."""
    numbers: dict[Name, int] = {}
    for name in names:
        numbers.setdefault(name, len(numbers) + 1)
    return numbers
