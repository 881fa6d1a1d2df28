"""Marks of devices, by hour. They are personal data: they lapse, and go when a device is erased.

    marks:{campus}         sorted set  the hours that have marks, by themselves: their starts in ms, UTC
    marks:{campus}:{hour}  hash        a device's hash to its marks in an hour, as a number with a bit for each, in the
                                       order of `core.marks`. Lapses when the hour is MARKS_KEEP ago

What an hour has is always written as a whole (`state.judging`).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from core.marks import Mark
from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {Right.READ: [access("marks:{campus}:", "HGETALL")]}
HOURS = f"marks:{CAMPUS}"
MAX_DIGITS = 9
_BITS = {mark: 1 << number for number, mark in enumerate(Mark)}


def marks_key(hour: int | str) -> str:
    """The key of the marks of an hour, which is given by its start."""
    return f"{HOURS}:{hour}"


def encoded(marks: Iterable[Mark]) -> int:
    """Marks as a number."""
    return sum(_BITS[mark] for mark in set(marks))


async def marks_of(client: Redis, hour: int) -> Mapping[str, frozenset[Mark]]:
    """The marks of an hour by device, as they were judged last. Raises UnavailableError."""
    found = cast("dict[bytes, bytes]", await cast("Any", client.hgetall(marks_key(hour))))
    return {device.decode(errors="replace"): marks for device, text in found.items() if (marks := _decoded(text))}


@lru_cache(maxsize=1 << len(Mark))
def _decoded(text: bytes) -> frozenset[Mark]:
    """None of what no decoder of ours wrote. Devices with the same marks share one set."""
    bits = int(text) if text.isdigit() and len(text) <= MAX_DIGITS else 0
    return frozenset(mark for mark, bit in _BITS.items() if bits & bit)
