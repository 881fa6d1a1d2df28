"""What is over in a partition, and would stay: who was present, or outside, too long ago to count."""

from collections.abc import Iterable, Iterator

from core.kinds import Kinds
from state.client import Redis, redis_errors
from state.devices import away_keys
from state.lua import lua
from state.presence import presence_key, touched_at_key, touched_key
from state.seen import lives_key
from state.slots import guard

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

    In scripts of bounded work. Raises UnavailableError.
    """
    script = client.register_script(lua("touch") + _TIDY)
    fixed = [guard(hash_tag), lives_key(hash_tag), touched_key(hash_tag), touched_at_key(hash_tag)]
    for keys, names in _pieces(hash_tag, zones, kinds):
        with redis_errors():
            while await script(keys=[*fixed, *keys], args=[lapsed, TIDIED_AT_ONCE, *names]):
                pass  # there is more than one script does


def _pieces(hash_tag: str, zones: Iterable[str], kinds: Kinds) -> Iterator[tuple[list[str], list[str]]]:
    """Sorted sets, and what they are called as presence."""
    away = away_keys(hash_tag)
    yield away, [""] * len(away)
    wanted = [(zone, kind) for zone in zones for kind in kinds.ids]
    for first in range(0, len(wanted), SETS_AT_ONCE):
        some = wanted[first : first + SETS_AT_ONCE]
        yield [presence_key(hash_tag, *each) for each in some], [f"{zone}:{kind}" for zone, kind in some]
