"""Which hours are to be judged, and who does so now.

    judge:{campus}    sorted set  hours (their starts in ms, UTC) with documents that came since they were judged last,
                                  by when they are due. At most those of MARKS_KEEP: nothing older is noted
    judging:{campus}  sorted set  hours that somebody judges, by when the claim lapses

A claim, and what it wrote, end in one step: so nobody whose claim has lapsed replaces what was judged later.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from core.marks import Mark
from state.access import Right, access
from state.client import Redis
from state.marks import HOURS, encoded, marks_key
from state.slots import CAMPUS, guard

ACCESS = {
    Right.TELL: [
        access("judge:{campus}", "EVAL ZADD ZREMRANGEBYSCORE"),
        access("never:{campus}", "DEL"),
    ],
    Right.WRITE: [
        access("judge:{campus} judging:{campus} marks:{campus} marks:{campus}:", "EVAL"),
        access("never:{campus}", "DEL"),
        access(
            "judge:{campus} judging:{campus} marks:{campus}",
            "ZADD ZCARD ZCOUNT ZRANGEBYSCORE ZREM ZREMRANGEBYSCORE ZSCORE",
        ),
        access("marks:{campus}:", "DEL HSET PEXPIRE"),
    ],
    Right.ERASE: [
        access("judge:{campus} judging:{campus}", "EVAL"),
        access("never:{campus}", "DEL"),
        access("judging:{campus}", "ZRANGE DEL"),
        access("judge:{campus}", "ZADD"),
        access("marks:{campus}", "ZRANGE"),
        access("marks:{campus}:", "HDEL"),
    ],
}
DUE = f"judge:{CAMPUS}"
CLAIMS = f"judging:{CAMPUS}"

# KEYS: guard, due. ARGV: what is due before that is too old (ms), and for each hour when it is due, and its start.
_NOTE = """
redis.call('DEL', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1])
for index = 2, #ARGV, 2 do
    redis.call('ZADD', KEYS[2], 'NX', ARGV[index], ARGV[index + 1])
end
"""
# KEYS: guard, due, claims. ARGV: now, when the claim lapses (ms). Answers an hour, or false.
_CLAIM = """
redis.call('DEL', KEYS[1])
for _, hour in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])) do
    redis.call('ZADD', KEYS[2], 'NX', ARGV[1], hour)
    redis.call('ZREM', KEYS[3], hour)
end
for _, hour in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])) do
    if not redis.call('ZSCORE', KEYS[3], hour) then
        redis.call('ZREM', KEYS[2], hour)
        redis.call('ZADD', KEYS[3], ARGV[2], hour)
        return hour
    end
end
return false
"""
# KEYS: guard, claims, due, hours with marks, marks of the hour. ARGV: the hour, when the claim lapses, what becomes of
# it: `renew` and until when; `drop`; `release` and when the hour is due again; `settle`, in how long its marks lapse,
# which hours with marks are too old, and devices with their marks. Answers whether the claim was still there.
_END = """
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000
redis.call('DEL', KEYS[1])
local claim = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not claim or tonumber(claim) ~= tonumber(ARGV[2]) then
    return 0
end
if ARGV[3] == 'renew' then
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
    return 1
end
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[3] == 'release' then
    redis.call('ZADD', KEYS[3], 'NX', ARGV[4], ARGV[1])
end
if ARGV[3] ~= 'settle' then
    return 1
end
redis.call('DEL', KEYS[5])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. ARGV[5])
if #ARGV > 5 and tonumber(ARGV[4]) > 0 then
    for first = 6, #ARGV, AT_ONCE do
        redis.call('HSET', KEYS[5], unpack(ARGV, first, math.min(first + AT_ONCE - 1, #ARGV)))
    end
    redis.call('PEXPIRE', KEYS[5], ARGV[4])
    redis.call('ZADD', KEYS[4], ARGV[1], ARGV[1])
end
return 1
"""
# KEYS: guard, due, claims. ARGV: now (ms).
_END_ALL = """
redis.call('DEL', KEYS[1])
for _, hour in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    redis.call('ZADD', KEYS[2], 'NX', ARGV[1], hour)
end
redis.call('DEL', KEYS[3])
"""


class Claim(NamedTuple):
    """An hour that nobody else judges for now."""

    hour: bytes
    """Its start, as Redis has it: it need be no number, where something else wrote it."""
    until: int
    """When the claim lapses, milliseconds since the epoch."""


class HoursToJudge:
    """Every method raises UnavailableError; times are in milliseconds since the epoch."""

    def __init__(self, client: Redis, *, keep_ms: int) -> None:
        """`keep_ms` is how long marks are kept after their hour (MARKS_KEEP)."""
        self._client = client
        self._keep_ms = keep_ms
        self._note = client.register_script(_NOTE)
        self._claim = client.register_script(_CLAIM)
        self._end = client.register_script(_END)

    async def note(self, due: Mapping[int, int], *, now: int) -> None:
        """Note that hours have new documents, and when each is due: at its first time, if it waits already."""
        oldest = now - self._keep_ms
        wanted = [text for hour, at in due.items() if hour >= oldest for text in (at, hour)]
        if wanted:
            await self._note(keys=[guard(CAMPUS), DUE], args=[oldest, *wanted])

    async def claim(self, *, now: int, until: int) -> Claim | None:
        """Claim an hour that is due; None where there is none."""
        hour = await self._claim(keys=[guard(CAMPUS), DUE, CLAIMS], args=[now, until])
        return None if hour is None else Claim(hour, until)

    async def renew(self, claim: Claim, until: int) -> Claim | None:
        """Claim the hour for longer; None where the claim has lapsed, and what was read is to be forgotten."""
        return Claim(claim.hour, until) if await self._ends(claim, "renew", until) else None

    async def release(self, claim: Claim, due: int) -> None:
        """End a claim on an hour that was not judged, and is to be due at a time."""
        await self._ends(claim, "release", due)

    async def drop(self, claim: Claim) -> bool:
        """End a claim on what is no hour, and forget it; False if somebody else did."""
        return await self._ends(claim, "drop")

    async def settle(self, claim: Claim, marks: Mapping[str, frozenset[Mark]], *, now: int) -> bool:
        """Write the marks of an hour, by device, in place of those before, and end the claim.

        False if that had lapsed: nothing is written then.
        """
        pairs = [text for device, each in marks.items() for text in (device, encoded(each))]
        oldest = now - self._keep_ms
        return await self._ends(claim, "settle", int(claim.hour) - oldest, oldest, *pairs)

    async def waiting(self, now: int) -> int:
        """How many hours are due, or are being judged."""
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.zcount(DUE, "-inf", now)
            pipeline.zcard(CLAIMS)
            return sum(await pipeline.execute())

    async def _ends(self, claim: Claim, how: str, *args: str | int) -> bool:
        keys = [guard(CAMPUS), CLAIMS, DUE, HOURS, marks_key(claim.hour.decode(errors="replace"))]
        return bool(await self._end(keys=keys, args=[claim.hour, claim.until, how, *args]))


async def forget_marks(client: Redis, devices: Iterable[str], *, now: int) -> int:
    """Forget all marks of devices, by their hashes; in how many hours they had any. Raises UnavailableError.

    Their documents are to be gone before: who judges an hour with them at this moment has to begin it again.
    """
    await client.register_script(_END_ALL)(keys=[guard(CAMPUS), DUE, CLAIMS], args=[now])
    hours = cast("list[bytes]", await client.zrange(HOURS, 0, -1))
    names = list(devices)
    if not hours or not names:
        return 0
    async with client.pipeline(transaction=False) as pipeline:
        for hour in hours:
            pipeline.hdel(marks_key(hour.decode(errors="replace")), *names)
        return sum(await pipeline.execute())
