"""The minutes in which devices were counted, until they are in the time-series store.

    coverage:{campus}:{hour}:{kind}  string  a bit for each minute of an hour (its start in ms) in which devices of the
                                             kind were counted, or would have been. Lives for 48 hours after its last
                                             change
    coverage:dirty:{campus}          set     `{hour}:{kind}` whose bits have changed since they were written

Bits are a union: any number of decoders set them, in any order.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from core.kinds import KindId, Kinds
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import CAMPUS, guard
from state.windows import HOUR_MS, MINUTE_MS

ACCESS = {
    Right.WRITE: [
        access("coverage:{campus}: coverage:dirty:{campus}", "EVAL"),
        access("never:{campus}", "DEL"),
        access("coverage:{campus}:", "SETBIT PEXPIRE GET"),
        access("coverage:dirty:{campus}", "SADD SREM SRANDMEMBER"),
    ]
}
LIFE_MS = 48 * HOUR_MS
"""How long the bits of an hour are kept after its last change."""
DIRTY = f"coverage:dirty:{CAMPUS}"
_BYTES = 8
_SPARE_BITS = 4


class Bits(NamedTuple):
    """The minutes of an hour, as they were read."""

    minutes: int
    """A bit for each, the first one the highest of 60."""
    text: bytes
    """What Redis has."""


def key_of(hour: int, kind: KindId) -> str:
    """The key of an hour, which is given by its start."""
    return f"coverage:{CAMPUS}:{hour}:{kind}"


class RecordedMinutes:
    """Every method raises UnavailableError; times are in milliseconds since the epoch."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._mark = client.register_script(lua("mark_minutes"))
        self._settle = client.register_script(lua("settle_minutes"))

    async def mark(self, minutes: Iterable[tuple[KindId, int]]) -> None:
        """Note that minutes were counted, by kind and any moment in them."""
        hours: dict[tuple[int, KindId], set[int]] = defaultdict(set)
        for kind, at in minutes:
            hours[at - at % HOUR_MS, kind].add(at % HOUR_MS // MINUTE_MS)
        if not hours:
            return
        args: list[str | int] = [LIFE_MS]
        for (hour, kind), found in hours.items():
            args += [_mark(hour, kind), len(found), *sorted(found)]
        await self._mark(keys=[guard(CAMPUS), DIRTY, *(key_of(*each) for each in hours)], args=args)

    async def marks(self, most: int) -> list[bytes]:
        """Some of what has changed, whichever, so that no answer is long."""
        found = cast("list[bytes]", await self._client.srandmember(DIRTY, most))
        return sorted(found)

    async def read(self, hour: int, kind: KindId) -> Bits:
        """The bits of an hour; none of them is set where they have lapsed."""
        text = cast("bytes | None", await self._client.get(key_of(hour, kind))) or b""
        return Bits(int.from_bytes(text.ljust(_BYTES, b"\0")[:_BYTES], "big") >> _SPARE_BITS, text)

    async def settle(self, hour: int, kind: KindId, bits: Bits) -> None:
        """Note that bits are written; if they have changed since they were read, the hour stays as it was."""
        await self._settle(keys=[guard(CAMPUS), DIRTY, key_of(hour, kind)], args=[_mark(hour, kind), bits.text])

    async def discard(self, mark: bytes) -> bool:
        """Remove a mark that nobody can read; whether it was still there."""
        return bool(await cast("Any", self._client.srem(DIRTY, mark)))


def parse_mark(mark: bytes, kinds: Kinds) -> tuple[int, KindId]:
    """The hour (its start) and the kind of a mark. Raises ValueError for what is none."""
    hour, _, kind = mark.decode().partition(":")
    at = int(hour)
    return at - at % HOUR_MS, kinds.parse(kind)


def _mark(hour: int, kind: KindId) -> str:
    return f"{hour}:{kind}"
