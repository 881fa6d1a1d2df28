"""What clients have spent of a rate limit, in all processes together.

    spent:{campus}:{limit}:{client}  string  when what a client has spent has come back in full, ms since the epoch by
                                     Redis's own clock; lives until then. `client` is a keyed hash

One number is a token bucket (the generic cell rate algorithm): how far it is ahead is how much is missing.
"""

from collections.abc import Mapping
from itertools import islice
from typing import cast

from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS, guard

ACCESS = {Right.WRITE: [access("spent:{campus}:", "EVAL GET SET"), access("", "TIME")]}
CLIENTS_AT_ONCE = 500
"""Of one script, in some milliseconds of Redis."""

# KEYS: the guard, a key for each client. ARGV: after how many ms the whole limit has come back; then for each client
# how many it takes for what it has spent. Answers for each how many ms it takes for all that it has spent.
_SPEND = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for index = 2, #KEYS do
    local back_at = tonumber(redis.call('GET', KEYS[index]) or '') or now
    -- Who spent in several processes before they heard of one another waits for that, but not for ever; nor does
    -- anybody for a clock that was put back.
    local missing = math.min(math.max(back_at - now, 0) + tonumber(ARGV[index]), 2 * tonumber(ARGV[1]))
    if missing >= 1 then
        redis.call('SET', KEYS[index], string.format('%.3f', now + missing), 'PX', math.ceil(missing))
    end
    answer[index - 1] = math.ceil(missing)
end
return answer
"""


async def spend(client: Redis, limit: str, spent: Mapping[str, float], *, whole: float) -> dict[str, float]:
    """Note what clients have spent, and read what all processes have noted; by client.

    All in the seconds that it takes to come back; `whole` is how many that are of all that a client may spend at once.
    Twice that is the most that is noted of anybody. Raises UnavailableError: it may be noted then or not.
    """
    script = client.register_script(_SPEND)
    found: dict[str, float] = {}
    rest = iter(spent.items())
    while some := dict(islice(rest, CLIENTS_AT_ONCE)):
        keys = [guard(CAMPUS), *(f"spent:{CAMPUS}:{limit}:{each}" for each in some)]
        args = [1000 * seconds for seconds in (whole, *some.values())]
        answer = cast("list[int]", await script(keys=keys, args=args))
        found |= {each: milliseconds / 1000 for each, milliseconds in zip(some, answer, strict=True)}
    return found
