"""What is counted of windows: all counters of all partitions, as the windows that they are of."""

from collections import Counter
from typing import cast
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from core.kinds import KindId
from core.windows import Width, Window, window_start
from state.windows import day_shift_ms

BLOCK_MS = 21_600_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

DUBLIN = ZoneInfo("Europe/Dublin")


async def counted_windows(client: Redis, zone: ZoneInfo = DUBLIN) -> dict[str, int]:
    """How many devices each window has, by its name."""
    found: Counter[str] = Counter()
    async for key in client.scan_iter("count:*", count=1000):
        _, _, what, *series = key.decode().split(":")
        for field, count in cast("dict[bytes, bytes]", await client.hgetall(key)).items():
            found[_window(what, field.decode(), series, zone).member] += int(count)
    return dict(found)


def _window(what: str, field: str, series: list[str], zone: ZoneInfo) -> Window:
    name, kind = series
    number, shift = int(what[1:]), day_shift_ms(zone)
    if what[0] == "m":
        return Window(Width.MINUTE, number * BLOCK_MS + int(field) * MINUTE_MS - shift, name, KindId(kind))
    day = number * DAY_MS - shift
    if field == "d":
        return Window(Width.DAY, window_start(Width.DAY, day + DAY_MS // 2, zone), name, KindId(kind))
    width, step = {"f": (Width.FIVE_MINUTES, 5 * MINUTE_MS), "h": (Width.HOUR, HOUR_MS)}[field[0]]
    return Window(width, day + int(field[1:]) * step, name, KindId(kind))
