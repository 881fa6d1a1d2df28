"""What is told of counts where PRIVACY is not open, and what only whoever releases it may know.

    released:{campus}          hash    `zone:kind` -> the released count (`disclosure.walk`), without those that are 0;
                                       `at`, the slot that they are of (ms), and `version`, that of the campus
    release:{campus}           string  the walks and the windows that are open, as `decoder.release` writes them.
                                       **Secret**: with it, released counts tell true ones. Nobody reads it but decoders
    released:{campus}:windows  hash    `width:start` -> the mean counts of a window that is over and is not yet in the
                                       store, in MessagePack: whether it was recorded, and `zone:kind` -> count, without
                                       those that are 0

Of several processes that look at the same slot, the first tells it; what the others have drawn is told nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from core.kinds import KindId
from core.unreadable import UNREADABLE
from core.windows import Width
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, guard

RELEASED = f"released:{CAMPUS}"
WALKS = f"release:{CAMPUS}"
WINDOWS = f"released:{CAMPUS}:windows"
ACCESS = {
    Right.READ: [access("released:{campus}", "HMGET HGETALL")],
    Right.WRITE: [
        access("released:{campus} release:{campus} released:{campus}:", "EVAL"),
        access("never:{campus}", "DEL"),
        access("released:{campus}", "HGET HGETALL HMGET HSET DEL"),
        access("release:{campus}", "GET SET"),
        access("released:{campus}:", "HDEL HKEYS HLEN HMGET HSET"),
    ],
}
HELD_MOST = 5000
"""Windows that may wait for the store, which are those of nearly three days: what comes after that is lost."""
_AT, _VERSION = "at", "version"


class Released(NamedTuple):
    """All that is told of counts in one slot."""

    at: int
    """When the slot began, ms since the epoch."""
    version: str
    """Of the campus whose zones were counted."""
    counts: Mapping[str, Mapping[KindId, int]]
    """By zone and kind, without those that are 0."""

    def of(self, zone: str, kind: KindId) -> int:
        """The released count of a kind in a zone; 0 where nothing was ever released."""
        return self.counts.get(zone, {}).get(kind, 0)


class ReleasedWindow(NamedTuple):
    """A window that is over."""

    width: Width
    start: int
    """Its first millisecond, since the epoch."""
    recorded: bool
    """Whether anything could have come in."""
    counts: Mapping[str, int]
    """Means of released counts, rounded, by `zone:kind`; without those that are 0."""

    @property
    def name(self) -> str:
        """Its field."""
        return f"{self.width}:{self.start}"


class Held(NamedTuple):
    """What a releaser goes on from."""

    walks: bytes | None
    """As they were last given to `ReleasedWriter.tell`; None where there are none."""
    released: Released | None
    mark: bytes
    """What has to be there still for something to follow it: the slot, whatever is there."""


async def read_released(client: Redis) -> Released | None:
    """What is told now; None where nothing was released yet, or what is there cannot be read.

    Raises UnavailableError.
    """
    return _released(cast("dict[bytes, bytes]", await cast("Any", client.hgetall(RELEASED))))


async def released_at(client: Redis) -> tuple[int, str] | None:
    """Slot and version of the campus of what is told now, as `read_released` has them. Raises UnavailableError."""
    at, version = cast("list[bytes | None]", await cast("Any", client.hmget(RELEASED, _AT, _VERSION)))
    return (int(at), version.decode(errors="replace")) if at and version and at.isdigit() else None


def _released(found: Mapping[bytes, bytes]) -> Released | None:
    at, version = found.get(b"at", b""), found.get(b"version")
    if version is None or not at.isdigit():
        return None
    counts: dict[str, dict[KindId, int]] = {}
    for name, count in found.items():
        zone, _, kind = name.decode(errors="replace").rpartition(":")
        # What is no number, or of no zone, nobody of ours wrote.
        if zone and count.isdigit():
            counts.setdefault(zone, {})[KindId(kind)] = int(count)
    return Released(int(at), version.decode(errors="replace"), counts)


class ReleasedWriter:
    """Whoever releases. Every method raises UnavailableError."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._tell = client.register_script(lua("release"))

    async def held(self) -> Held:
        """What was told last, and the walks that go with it."""
        # The walks are those of this slot or of a later one: then nothing can follow it any more.
        found = cast("dict[bytes, bytes]", await cast("Any", self._client.hgetall(RELEASED)))
        walks = cast("bytes | None", await self._client.get(WALKS))
        return Held(walks, _released(found), found.get(b"at", b""))

    async def tell(self, released: Released, *, after: bytes, walks: bytes, over: Sequence[ReleasedWindow]) -> bool:
        """Tell the counts of a slot, in one step with all that goes with it; False where nothing is changed by it.

        That is where somebody has told a slot since `after`, the mark of what `held` answered.
        """
        windows = [
            part
            for window in sorted(over, key=lambda each: (each.width in _LEAST, -each.start))
            for part in (window.name, msgspec.msgpack.encode((window.recorded, window.counts)))
        ]
        counts = [
            part
            for zone, kinds in released.counts.items()
            for kind, count in kinds.items()
            if count
            for part in (f"{zone}:{kind}", count)
        ]
        told = await self._tell(
            keys=[guard(CAMPUS), RELEASED, WALKS, WINDOWS],
            args=[
                after,
                released.at,
                released.version,
                walks,
                HELD_MOST,
                len(windows),
                *windows,
                *counts,
            ],
        )
        return bool(told)

    async def over(self, most: int) -> list[ReleasedWindow]:
        """The windows that wait for the store, the oldest first."""
        names = cast("list[bytes]", await cast("Any", self._client.hkeys(WINDOWS)))
        chosen = sorted(names, key=_start_of)[:most]
        if not chosen:
            return []
        found = cast("list[bytes | None]", await cast("Any", self._client.hmget(WINDOWS, chosen)))
        windows, bad = [], []
        for name, value in zip(chosen, found, strict=True):
            window = _window(name, value) if value is not None else None
            if window is not None:
                windows.append(window)
            elif value is not None:
                bad.append(name)
        if bad:
            await cast("Any", self._client.hdel(WINDOWS, *bad))
        return windows

    async def stored(self, windows: Iterable[ReleasedWindow]) -> None:
        """These windows are in the store."""
        names = [window.name for window in windows]
        if names:
            await cast("Any", self._client.hdel(WINDOWS, *names))


_LEAST = frozenset({Width.MINUTE, Width.FIVE_MINUTES})


def _start_of(name: bytes) -> int:
    start = name.rpartition(b":")[2]
    return int(start) if start.removeprefix(b"-").isdigit() else 0


def _window(name: bytes, value: bytes) -> ReleasedWindow | None:
    """None for what nobody of ours wrote."""
    try:
        width, _, start = name.decode().partition(":")
        recorded, counts = msgspec.msgpack.decode(value, type=tuple[bool, dict[str, int]])
        return ReleasedWindow(Width(width), int(start), recorded, counts)
    except UNREADABLE:
        return None
