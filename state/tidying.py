"""What is over in a partition, and would stay: who was present, or outside, too long ago to count."""

from collections.abc import Iterable, Iterator, Sequence

from core.kinds import KindId, Kinds
from state.access import Right, access
from state.client import Redis
from state.devices import away_keys
from state.lua import lua
from state.presence import Pair, presence_key, touched_at_key, touched_key
from state.seen import lives_key
from state.slots import guard

ACCESS = {
    Right.WRITE: [
        access("lives:{p} touched:{p} touched:{p}:at presence:{p}: away:{p}:", "EVAL"),
        access("presence:{p}: away:{p}:", "ZCOUNT ZREMRANGEBYRANK"),
        access("lives:{p}", "ZREMRANGEBYSCORE"),
        access("touched:{p}", "ZADD ZSCAN"),
        access("touched:{p}:at", "INCR SET"),
        access("", "TIME"),
    ]
}
TIDIED_AT_ONCE = 5000
"""Members that one script removes: it takes 2 ms."""
SETS_AT_ONCE = 500
# What has lapsed has the lowest ranks, and within a script nothing comes between. KEYS: guard, lives, touched,
# touched:at, then sorted sets. ARGV: what has lapsed (ms), how many members at the most, and the names of those sets
# that are presence, empty for others. Answers 1 where there is more.
_TIDY = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', (time[1] - 1) * 1000))
local left, touched, more = tonumber(ARGV[2]), {}, 0
for index = 5, #KEYS do
    local lapsed = redis.call('ZCOUNT', KEYS[index], '-inf', ARGV[1])
    if lapsed > left then
        more = 1
        lapsed = left
    end
    if lapsed > 0 then
        local name = ARGV[index - 2]
        if name ~= '' then
            touched[#touched + 1] = name
        end
        redis.call('ZREMRANGEBYRANK', KEYS[index], 0, lapsed - 1)
        left = left - lapsed
    end
end
if #touched > 0 then
    touch(KEYS[3], KEYS[4], touched)
end
return more
"""


async def tidy(client: Redis, hash_tag: str, zones: Iterable[str], kinds: Kinds, lapsed: int) -> None:
    """Remove from a partition the presence and the times outside that are not above `lapsed` (ms since the epoch).

    Where there are zones, presence of kinds that are not in the table any more as well, in whatever zone. In scripts of
    bounded work. Raises UnavailableError.
    """
    pairs = [(zone, kind) for zone in zones for kind in kinds.ids]
    if pairs:
        pairs += await _of_gone_kinds(client, hash_tag, kinds)
    script = client.register_script(lua("touch") + _TIDY)
    fixed = [guard(hash_tag), lives_key(hash_tag), touched_key(hash_tag), touched_at_key(hash_tag)]
    for keys, names in _pieces(hash_tag, pairs):
        while await script(keys=[*fixed, *keys], args=[lapsed, TIDIED_AT_ONCE, *names]):
            pass  # there is more than one script does


async def _of_gone_kinds(client: Redis, hash_tag: str, kinds: Kinds) -> list[Pair]:
    found: set[Pair] = set()
    async for name, _ in client.zscan_iter(touched_key(hash_tag), count=SETS_AT_ONCE):
        zone, _, kind = name.decode(errors="replace").rpartition(":")
        if zone and kind not in kinds.by_id:
            found.add((zone, KindId(kind)))
    return sorted(found)


def _pieces(hash_tag: str, pairs: Sequence[Pair]) -> Iterator[tuple[list[str], list[str]]]:
    """Sorted sets, and what they are called as presence."""
    away = away_keys(hash_tag)
    yield away, [""] * len(away)
    for first in range(0, len(pairs), SETS_AT_ONCE):
        some = pairs[first : first + SETS_AT_ONCE]
        yield [presence_key(hash_tag, *each) for each in some], [f"{zone}:{kind}" for zone, kind in some]
