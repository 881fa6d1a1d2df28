"""Writes what devices were seen in, and the counters: of the sets of the version before, and of other partitions.

An old device may come back in any partition, for its plain id is not known. So what it was seen in is written to each
of them; its counters are written to the first. Then a window counts it once, wherever it comes back.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from core.windows import Width, Window
from state.client import Redis
from state.seen import KEEP_MS, life_key, lives_key, seen_key
from state.slots import tag
from state.upgrade.sets import DayOfSets
from state.windows import DAY_MS, counter

AT_ONCE = 500
_SETS_AT_ONCE = 50


class Counted(NamedTuple):
    """All that is known of one day."""

    day: int
    seen: Iterable[tuple[bytes, Mapping[Any, Any]]]
    """By device: fields of `seen`."""
    counters: Mapping[str, Mapping[str, int]]
    """By key, of the first partition: fields and counts."""


async def day_of_sets(source: Redis, day: int, windows: Sequence[Window], *, first_tag: str, shift_ms: int) -> Counted:
    """What the sets of one day come to; they stay as they are. Raises UnavailableError."""
    gathered = DayOfSets(shift_ms)
    counters: dict[str, dict[str, int]] = {}
    by_width = sorted(windows, key=lambda window: list(Width).index(window.width))
    async for window, devices in _sets(source, by_width):
        gathered.add(window, devices)
        where = counter(window, first_tag, shift_ms)
        counters.setdefault(where.key, {})[where.field] = len(devices)
    return Counted(day, gathered.seen(), counters)


async def _sets(source: Redis, windows: Sequence[Window]) -> AsyncIterator[tuple[Window, set[bytes]]]:
    for first in range(0, len(windows), _SETS_AT_ONCE):
        some = windows[first : first + _SETS_AT_ONCE]
        async with source.pipeline(transaction=False) as pipeline:
            for window in some:
                pipeline.smembers(f"window:{window.member}")
            found = cast("list[set[bytes]]", await pipeline.execute())
        for window, devices in zip(some, found, strict=True):
            if devices:  # else it has lapsed in between
                yield window, devices


async def write_day(client: Redis, counted: Counted, *, partitions: int, shift_ms: int, now: int) -> None:
    """Write it; doing that again changes nothing. `now` is in ms since the epoch. Raises UnavailableError."""
    tags = [tag(partition, partitions) for partition in range(partitions)]
    end = (counted.day + 1) * DAY_MS - shift_ms
    lives = max(end, now) + KEEP_MS
    writer = _Writer(client)
    for hash_tag in tags:
        key = life_key(hash_tag, counted.day)
        await writer.add("SET", key, lives, "PXAT", lives)
        await writer.add("ZADD", lives_key(hash_tag), lives, counted.day)
    for key, fields in counted.counters.items():
        await writer.add("HSET", key, *(text for pair in fields.items() for text in pair))
        await writer.add("PEXPIREAT", key, lives)
    for device, seen in counted.seen:
        flat = [text for pair in seen.items() for text in pair]
        for hash_tag in tags:
            key = seen_key(hash_tag, counted.day, device.decode())
            await writer.add("HSET", key, *flat)
            await writer.add("PEXPIREAT", key, lives)
    await writer.flush()


class _Writer:
    """Sends commands, many at a time."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._commands: list[tuple[Any, ...]] = []

    async def add(self, *command: Any) -> None:
        """One more command."""
        self._commands.append(command)
        if len(self._commands) >= AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Send what is left."""
        commands, self._commands = self._commands, []
        if commands:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                await pipeline.execute()
