"""Where the counters of windows lie: how many distinct devices of a kind were in a zone during a window.

Each partition counts its own devices, so what they count adds up. A counter is a field of one of two hashes, which
Redis packs tightly, for they have few fields (see `hash-max-listpack-entries`):

    count:{p}:m{block}:{zone}:{kind}  hash  of 1m windows, six hours to a hash: `0` to `359`, the minute within them
    count:{p}:d{day}:{zone}:{kind}    hash  of the others, a day to a hash: `f0` to `f287` (5m), `h0` to `h23` (1h),
                                            `d` (1d)

A day here begins at a whole hour of UTC, near midnight by the campus's own clock (`day_shift_ms`), so that no window
but those of 1d has a part in two of them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from core.windows import Width, Window
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import guard, tag

ACCESS = {Right.READ: [access("count:{p}:", "EVAL HMGET")]}
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
BLOCK_MS = 6 * HOUR_MS
CACHED_MOMENTS = 8192


class Counter(NamedTuple):
    """Where the count of a window lies in a partition: a field of a hash."""

    key: str
    field: str


@lru_cache(maxsize=16)
def day_shift_ms(zone: ZoneInfo) -> int:
    """What is added to a time so that whole days of UTC are about those of `zone`: whole hours, in milliseconds."""
    offset = datetime(2024, 1, 1, tzinfo=zone).utcoffset() or timedelta()
    return offset // timedelta(hours=1) * HOUR_MS


def day_of(at_ms: int, shift_ms: int) -> int:
    """The number of the day that holds a time (milliseconds since the epoch); `shift_ms` is that of `day_shift_ms`."""
    return (at_ms + shift_ms) // DAY_MS


def day_of_window(window: Window, shift_ms: int) -> int:
    """The number of the day whose counters have a window; of a 1d window, the day that has its noon."""
    return day_of(window.start + DAY_MS // 2 if window.width is Width.DAY else window.start, shift_ms)


def counter(window: Window, hash_tag: str, shift_ms: int) -> Counter:
    """Where a partition, by its tag (`state.slots`), counts a window."""
    end, field = _place(window, shift_ms)
    return Counter(f"count:{hash_tag}:{end}", field)


def _place(window: Window, shift_ms: int) -> tuple[str, str]:
    """How the name of the hash ends, which is the same in every partition, and the field."""
    begin, field = _moment(window.width, window.start, shift_ms)
    return f"{begin}:{window.zone}:{window.kind}", field


@lru_cache(maxsize=CACHED_MOMENTS)
def _moment(width: Width, start: int, shift_ms: int) -> tuple[str, str]:
    """The part of that which windows of all zones share."""
    at = start + shift_ms
    if width is Width.MINUTE:
        return f"m{at // BLOCK_MS}", str(at % BLOCK_MS // MINUTE_MS)
    if width is Width.DAY:
        return f"d{day_of(start + DAY_MS // 2, shift_ms)}", "d"
    within, day = at % DAY_MS, f"d{at // DAY_MS}"
    return (day, f"h{within // HOUR_MS}") if width is Width.HOUR else (day, f"f{within // (5 * MINUTE_MS)}")


class WindowCounts:
    """Reads what all partitions have counted."""

    def __init__(self, *, client: Redis, partitions: int, timezone: ZoneInfo) -> None:
        """`timezone` is whose days the 1d windows are."""
        self._client = client
        self._tags = [tag(partition, partitions) for partition in range(partitions)]
        self._shift_ms = day_shift_ms(timezone)
        self._script = client.register_script(lua("counts"))

    async def read(self, windows: Sequence[Window]) -> list[int]:
        """How many devices were counted in each of the windows. Raises UnavailableError.

        0 where nothing is known of it any more; -1 where what is in its place was written by no decoder.
        """
        hashes: dict[str, list[tuple[str, int]]] = {}
        for index, window in enumerate(windows):
            end, field = _place(window, self._shift_ms)
            hashes.setdefault(end, []).append((field, index))
        fields = msgspec.msgpack.encode([[field for field, _ in found] for found in hashes.values()])
        order = [index for found in hashes.values() for _, index in found]
        counts = [0] * len(windows)
        for answer in await asyncio.gather(*(self._ask(hash_tag, list(hashes), fields) for hash_tag in self._tags)):
            for index, count in zip(order, answer, strict=True):
                counts[index] = counts[index] + count if count >= 0 <= counts[index] else -1
        return counts

    async def _ask(self, hash_tag: str, ends: list[str], fields: bytes) -> list[int]:
        keys = [guard(hash_tag), *(f"count:{hash_tag}:{end}" for end in ends)]
        return cast("list[int]", await self._script(keys=keys, args=[fields]))
