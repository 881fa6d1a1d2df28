"""Where the counters of windows lie: how many distinct devices of a kind were in a zone during a window.

Each partition counts its own devices, so what they count adds up. A counter is a field of one of two hashes, which
Redis packs tightly, for they have few fields (see `hash-max-listpack-entries`):

    count:{p}:m{block}:{zone}:{kind}   of 1m windows, six hours to a hash: `0` to `359`, the minute within them
    count:{p}:d{day}:{zone}:{kind}     of the others, a day to a hash: `f0` to `f287` (5m), `h0` to `h23` (1h), `d` (1d)

A day here begins at a whole hour of UTC, near midnight by the campus's own clock (`day_shift_ms`), so that no window
but those of 1d has a part in two of them.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.windows import Width, Window

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
BLOCK_MS = 6 * HOUR_MS


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
    at = window.start + shift_ms
    end = f"{window.zone}:{window.kind}"
    if window.width is Width.MINUTE:
        return Counter(f"count:{hash_tag}:m{at // BLOCK_MS}:{end}", str(at % BLOCK_MS // MINUTE_MS))
    within = at % DAY_MS
    field = {
        Width.FIVE_MINUTES: f"f{within // (5 * MINUTE_MS)}",
        Width.HOUR: f"h{within // HOUR_MS}",
        Width.DAY: "d",
    }[window.width]
    return Counter(f"count:{hash_tag}:d{day_of_window(window, shift_ms)}:{end}", field)
