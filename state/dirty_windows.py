"""Windows that have changed since they were written, and who writes them.

    dirty:{p}    sorted set  name of a window -> when its roll-up is due (ms). Whoever raises a counter of the partition
                             marks its window, unless it is marked already
    claimed:{p}  sorted set  name of a window that somebody rolls up -> when that claim lapses (ms)

A window is called `{width}:{start}:{zone}:{kind}` (`core.windows.Window.member`). Several partitions count its devices,
and one of them owns it (`owner_of`): there it is claimed and written, so that an older sum never replaces a newer one.
In the others its mark is handed over. Claiming takes the mark away, so that a change after it leaves a new one, which
waits until the claim ends. What is claimed is read after that: so each change is in what is written, or marked.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

from core.messages import DeadLetter
from core.windows import Window, window_end
from state.access import Right, access
from state.client import Redis
from state.lua import lua
from state.slots import guard, tag
from state.totals import DEAD_TOTAL, dead_key, totals_key

ACCESS = {
    Right.READ: [access("dirty:{p} claimed:{p}", "ZCARD")],
    Right.WRITE: [
        access("dirty:{p} claimed:{p} dead:{p} totals:{p}", "EVAL"),
        access("never:{p}", "DEL"),
        access("dirty:{p} claimed:{p}", "ZADD ZCARD ZMSCORE ZRANGEBYSCORE ZREM"),
        access("dead:{p}", "XADD XLEN"),
        access("totals:{p}", "HINCRBY HSET"),
    ],
}
HAND_OVER_MS = 1000
"""How long changes of a window are gathered in a partition that does not own it, and so can only hand it over."""


class Keys(NamedTuple):
    """Those of a partition, in one slot."""

    guard: str
    dirty: str
    claimed: str


def keys_of(partition: int, partitions: int) -> Keys:
    """The keys of a partition."""
    hash_tag = tag(partition, partitions)
    return Keys(guard(hash_tag), f"dirty:{hash_tag}", f"claimed:{hash_tag}")


def owner_of(series: str, partitions: int) -> int:
    """The partition that owns the windows of a zone and kind, which are given as `{zone}:{kind}`."""
    return zlib.crc32(series.encode()) % partitions


def due_ms(*, end: int, now: int, every: int, owned: bool) -> int:
    """When a window that changes now is to be rolled up, or handed over where the partition does not own it.

    One that is open is written once in `every` at the most, one that has ended at once. All in milliseconds; `end` and
    `now` since the epoch.
    """
    return min(now + (every if owned else min(every, HAND_OVER_MS)), max(end, now))


def waiting_keys(partitions: int) -> list[str]:
    """The sorted sets that have all windows which have changed and are not written."""
    return [key for number in range(partitions) for key in keys_of(number, partitions)[1:]]


async def waiting(client: Redis, partitions: int) -> int:
    """How many windows have changed and are not written; one that changes while it is written counts twice.

    Raises UnavailableError.
    """
    async with client.pipeline(transaction=False) as pipeline:
        for key in waiting_keys(partitions):
            pipeline.zcard(key)
        return sum(await pipeline.execute())


@dataclass(slots=True)
class Claim:
    """Windows that nobody else writes for now."""

    at: int
    until: int
    """When the claim lapses; both in milliseconds since the epoch."""
    members: list[bytes] = field(default_factory=list)
    """Those that are to be written."""
    astray: dict[int, list[bytes]] = field(default_factory=dict)
    """Those that are to be handed to their owners, by the partition that has them."""

    def __len__(self) -> int:
        return len(self.members) + sum(map(len, self.astray.values()))


class DirtyWindows:
    """Claims windows, and ends the claims. Every method raises UnavailableError; times are in ms since the epoch."""

    def __init__(self, *, client: Redis, partitions: int, timezone: ZoneInfo, every_ms: int) -> None:
        """`timezone` is whose days the 1d windows are; `every_ms` how often an open window is written at the most."""
        self._client = client
        self._partitions = partitions
        self._timezone = timezone
        self._every_ms = every_ms
        self._keys = [keys_of(partition, partitions) for partition in range(partitions)]
        self._first = 0
        self._claim = client.register_script(lua("claim_windows"))
        self._end = client.register_script(lua("end_claims"))
        self._mark = client.register_script(lua("mark_windows"))
        self._dead_letter = client.register_script(lua("totals", "dead_letter_windows"))

    async def claim(self, *, now: int, until: int, limit: int) -> Claim:
        """Claim windows that are due, at most `limit` of them, in all partitions by turns."""
        claim = Claim(now, until)
        first, self._first = self._first, (self._first + 1) % self._partitions
        for number in range(first, first + self._partitions):
            if (left := limit - len(claim)) > 0:
                partition = number % self._partitions
                found = await self._claim(keys=self._keys[partition], args=[now, until, left])
                self._sort(claim, partition, cast("list[bytes]", found))
        return claim

    def _sort(self, claim: Claim, partition: int, found: list[bytes]) -> None:
        if self._partitions == 1:
            claim.members = found
            return
        for member in found:
            if self._owner(member) == partition:
                claim.members.append(member)
            else:
                claim.astray.setdefault(partition, []).append(member)

    async def hand_over(self, claim: Claim) -> None:
        """Give windows that are astray to the partitions that own them, before those that had them forget them.

        What dies in between is handed over once more when the claim has lapsed.
        """
        for partition, members in claim.astray.items():
            given = [
                self._mark_in(
                    owner, self._keys[owner].dirty, "NX", {each: self._due(each, claim.at) for each in theirs}
                )
                for owner, theirs in self._by_owner(members).items()
            ]
            # All of them to their end, whatever becomes of one.
            for answer in await asyncio.gather(*given, return_exceptions=True):
                if answer is not None:
                    raise answer
            await self._end_claims(partition, claim, members, now=claim.at, due="")

    def _due(self, member: bytes, now: int) -> int:
        try:
            window = Window.parse(member.decode())
            end = window_end(window.width, window.start, self._timezone)
        except ValueError:
            return now
        return due_ms(end=end, now=now, every=self._every_ms, owned=True)

    async def settle(self, claim: Claim, members: Iterable[bytes], *, now: int) -> None:
        """End the claim on windows that are written: they are due again if they have changed since."""
        for owner, theirs in self._by_owner(members).items():
            await self._end_claims(owner, claim, theirs, now=now, due="")

    async def release(self, claim: Claim, members: Iterable[bytes], *, now: int, due: int) -> None:
        """End the claim on windows that are not written, and are to be due at a time."""
        for owner, theirs in self._by_owner(members).items():
            await self._end_claims(owner, claim, theirs, now=now, due=due)

    async def hold(self, members: Iterable[bytes], until: int) -> None:
        """Have nobody claim windows before a time: until then somebody may write what is older than their counts."""
        for owner, theirs in self._by_owner(members).items():
            await self._mark_in(owner, self._keys[owner].claimed, "GT", dict.fromkeys(theirs, until))

    async def _mark_in(self, partition: int, key: str, which: Literal["NX", "GT"], marks: Mapping[bytes, int]) -> None:
        pairs = [text for member, at in marks.items() for text in (at, member)]
        await self._mark(keys=[self._keys[partition].guard, key], args=[which, *pairs])

    async def dead_letter(self, letters: Mapping[bytes, DeadLetter], maximum: int) -> None:
        """Forget windows, and have dead letters in their places, `maximum` of them: both or neither.

        What is counted of them stays as long as it would.
        """
        for owner, members in self._by_owner(letters).items():
            own = tag(owner, self._partitions)
            texts: list[str | int | bytes] = []
            for member in members:
                fields = [text for pair in letters[member].encode().items() for text in pair]
                texts += [member, f"{DEAD_TOTAL}{letters[member].reason}", len(fields), *fields]
            await self._dead_letter(keys=[*self._keys[owner], dead_key(own), totals_key(own)], args=[maximum, *texts])

    async def _end_claims(
        self, partition: int, claim: Claim, members: list[bytes], *, now: int, due: int | str
    ) -> None:
        await self._end(keys=self._keys[partition], args=[now, claim.until, due, *members])

    def _owner(self, member: bytes) -> int:
        # Of what is no name of a window, too, so that somebody finds that out.
        return zlib.crc32(member.split(b":", 2)[-1]) % self._partitions

    def _by_owner(self, members: Iterable[bytes]) -> dict[int, list[bytes]]:
        if self._partitions == 1:
            return {0: listed} if (listed := list(members)) else {}
        found: dict[int, list[bytes]] = defaultdict(list)
        for member in members:
            found[self._owner(member)].append(member)
        return found
