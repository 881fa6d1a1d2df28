"""What batches do to a partition: presence, newest positions, and in which windows devices were counted.

It is a script on keys of one partition (`state/lua/effects.lua`), which are told where they belong: `state.devices`,
`state.presence`, `state.seen`, `state.windows`, `state.dirty_windows`, and `fence:{p}` in `state.campus`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import msgspec

from core.clock import AHEAD_MS
from core.errors import Reason
from core.kinds import Kinds
from core.messages import DeadLetter
from state.access import Right, access
from state.campus import advance_partition, fence_key
from state.client import Redis
from state.devices import Settling, away_keys, fence_number
from state.dirty_windows import keys_of
from state.durability import Writes
from state.effect_parts import MAX_PASSED, Part, Room
from state.lua import lua
from state.presence import presence_key, touched_at_key, touched_key
from state.seen import lives_key
from state.slots import guard
from state.totals import DEAD_TOTAL, dead_key, totals_key

ACCESS = {
    Right.WRITE: [
        access(
            "newest:{p}: seen:{p}: count:{p}: presence:{p}: away:{p}: life:{p}: lives:{p} fence:{p} dirty:{p} "
            "touched:{p} touched:{p}:at dead:{p} totals:{p}",
            "EVAL",
        ),
        # The most used first: Redis looks through them in this order.
        access("newest:{p}:", "MGET SET DEL"),
        access("seen:{p}:", "HMGET HSET PEXPIREAT"),
        access("count:{p}:", "HINCRBY HSET PEXPIREAT"),
        access("presence:{p}:", "ZADD ZREM PEXPIRE"),
        access("away:{p}:", "ZADD ZMSCORE ZREM ZREMRANGEBYSCORE PEXPIRE"),
        access("life:{p}:", "GET SET"),
        access("dirty:{p} touched:{p} lives:{p}", "ZADD ZCARD"),
        access("touched:{p}:at", "GET INCR SET"),
        access("fence:{p}", "HGET"),
        access("totals:{p}", "HDEL HINCRBY HSET"),
        access("dead:{p}", "XADD XLEN"),
        access("", "TIME"),
    ]
}
PRESENCE_KEEP_MS = 3600 * 1000
"""How long a zone's presence is kept without a new position, beyond PRESENCE_TTL: decoders tidy it long before."""
SETS_REMEMBERED = 1000
"""Presence sets that each script of a partition names besides its own, for devices may leave them."""
_UNREADABLE = "the newest position of a device, as no decoder of this version writes it"


class StaleFenceError(Exception):
    """The campus has changed since the batch was fenced: it must be decoded again."""

    def __init__(self, number: int) -> None:
        """`number` is that of the campus which the partition knows."""
        super().__init__(f"the campus has the number {number} by now")
        self.number = number


class TooMuchError(Exception):
    """A part is more work than was known when it was made: nothing of it was done, and it must be cut."""

    def __init__(self, pieces: int) -> None:
        """`pieces` is into how many; into two at least."""
        super().__init__(f"as much work as {pieces} scripts")
        self.pieces = pieces


class Applied(NamedTuple):
    """What the scripts answer."""

    unreadable: int
    """Values of Redis that could not be read: each has become a dead letter."""
    implausible: list[int]
    """Indices of the positions that are to be marked."""
    passed: int = 0
    """How many fixes of devices' lists the scripts went through."""


class PartitionEffects:
    """Applies parts of batches to one partition."""

    def __init__(
        self,
        *,
        client: Redis,
        room: Room,
        kinds: Kinds,
        presence_ttl_ms: int,
        dead_letters_max: int,
        implausible_speed: float,
        settling: Settling | None = None,
        writes: Writes | None = None,
    ) -> None:
        """`implausible_speed` is in m/s. Without `settling` each position is sure: presence is where the newest one is.

        `writes` says when effects count, before the end of a batch is written where its messages lie: with
        DURABILITY=replicated a failover of this partition's master alone must not take them back.
        """
        self._writes = writes or Writes(client)
        self.room = room
        self._kinds = kinds
        self._client = client
        self._script = client.register_script(lua("totals", "touch", "settle", "effects"))
        tag = room.tag
        self._keys = [
            guard(tag),
            fence_key(tag),
            keys_of(room.partition, room.partitions).dirty,
            touched_key(tag),
            touched_at_key(tag),
            lives_key(tag),
            dead_key(tag),
            totals_key(tag),
            *away_keys(tag),
        ]
        self._fields = {
            "ttl": presence_ttl_ms,
            "keep": presence_ttl_ms + PRESENCE_KEEP_MS,
            "ahead": AHEAD_MS,
            "speed": implausible_speed,
            "most": MAX_PASSED,
            "letters_max": dead_letters_max,
        }
        self._settling = settling
        self._sets: dict[str, None] = {}

    async def apply(self, part: Part, *, number: int, now: int, version: str = "") -> Applied:
        """What the batch `part` is of was fenced with the campus of that number and version.

        `now` is in milliseconds since the epoch.

        Raises StaleFenceError where the partition knows a newer one, TooMuchError only where `part` has several
        devices. Raises UnavailableError if Redis does not answer:
        it may be done or not, and is to be tried again.
        """
        letter = DeadLetter(Reason.MALFORMED_ENTRY, _UNREADABLE, "", now, payload=None)
        fields = self._fields | part.fields
        if self._settling is not None:
            fields["settling"] = (*self._settling, fence_number(version))
        fields |= {
            "number": number,
            "now": now,
            "unreadable": (
                [str(text) for pair in letter.encode().items() for text in pair],
                f"{DEAD_TOTAL}{letter.reason}",
            ),
        }
        own, more = set(part.names), dict.fromkeys(self._sets)
        while True:
            names = [*part.names, *(name for name in more if name not in own)]
            sets = [presence_key(self.room.tag, *name.rsplit(":", 1)) for name in names]
            packed = msgspec.msgpack.encode(fields | {"names": names})
            keys = [*self._keys, *part.keys[0], *sets, *part.keys[1]]
            answer = await self._writes.run(self._script, keys=keys, args=[packed])
            match cast("list[Any]", answer):
                case [0, unreadable, implausible, passed]:
                    self._remember(part.names)
                    return Applied(unreadable, implausible, passed)
                case [1, newer]:
                    raise StaleFenceError(newer)
                case [2, _]:
                    known = await self._advance()
                    if known < number:
                        raise StaleFenceError(known)
                case [4, number_of_devices]:
                    raise TooMuchError(len(part.fields["devices"]) // number_of_devices + 1)
                case [_, needed]:
                    more |= dict.fromkeys(name.decode() for name in needed)
                    self._remember(more)

    async def _advance(self) -> int:
        return await advance_partition(self._client, self.room.partition, self.room.partitions, self._kinds)

    def _remember(self, names: Iterable[str]) -> None:
        for name in names:
            self._sets.pop(name, None)
            self._sets[name] = None
        while len(self._sets) > SETS_REMEMBERED:
            del self._sets[next(iter(self._sets))]
