"""From layout 2 to 3: what was packed into one number becomes an array, and a sorted set with a hash.

    subscriptions:{mqtt}:{c}, routes:{mqtt}    the number was QoS, or 1 for any and 2 for QoS 0 alone, and 4 if for
                                               positions, too: now `state.routes.SubscriptionOptions`
    states:{mqtt}                              the score was 4 times the version, and the QoS: now `states:qos:{mqtt}`
                                               has that

Layout 1 had them as layout 2. All of it may be done again.
"""

import asyncio
from typing import Any, cast

from core.errors import BadSettingsError
from state.client import Redis
from state.nodes import NODES
from state.retained import STATES, STATES_QOS
from state.routes import ROUTES, SubscriptionOptions
from state.sessions import SESSIONS, subscriptions
from state.slots import MQTT, guard

BEATS_APART_SECONDS = 2.5
"""Broker nodes say once a second that they live."""
_AT_ONCE = 1000
_POSITIONS, _QOS, _ANY_QOS = 4, 3, 1

# KEYS: guard, states, states:qos. In one step: of a part nobody could say which it is.
_STATES = """
if redis.call('EXISTS', KEYS[3]) == 1 then
    return
end
local found = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for index = 1, #found, 2 do
    local score = tonumber(found[index + 1])
    redis.call('ZADD', KEYS[2], string.format('%.0f', math.floor(score / 4)), found[index])
    redis.call('HSET', KEYS[3], found[index], string.format('%.0f', score % 4))
end
"""


async def check_stopped(client: Redis) -> None:
    """Raises BadSettingsError where a broker node runs, UnavailableError; takes some seconds."""
    before = await cast("Any", client.hgetall(NODES))
    if before:
        await asyncio.sleep(BEATS_APART_SECONDS)
        if await cast("Any", client.hgetall(NODES)) != before:
            raise BadSettingsError("broker nodes are running: stop all services first")


async def unpack_options(client: Redis) -> None:
    """Do it. Raises UnavailableError: then it is to be run again."""
    await _fields(client, ROUTES)
    clients = cast("set[bytes]", await cast("Any", client.smembers(SESSIONS)))
    for each in sorted(clients):
        await _fields(client, subscriptions("").encode() + each)
    await client.register_script(_STATES)(keys=[guard(MQTT), STATES, STATES_QOS])


async def _fields(client: Redis, name: str | bytes) -> None:
    """Those of a hash that are numbers; what has been done, and what is none of ours, stays."""
    cursor = 0
    while True:
        cursor, found = cast("Any", await client.hscan(cast("str", name), cursor, count=_AT_ONCE))
        new = {field: _options(field, int(number)) for field, number in found.items() if number.isdigit()}
        if new:
            await cast("Any", client).hset(name, mapping=new)
        if not cursor:
            return


def _options(field: bytes, flags: int) -> bytes:
    """`field` is one of `routes`, which says whose a route is, or a filter."""
    of_node = field.startswith(b"n:") and b"\0" in field
    qos = (2 if flags & _ANY_QOS else 0) if of_node else min(flags & _QOS, 2)
    return SubscriptionOptions(qos, bool(flags & _POSITIONS)).encode()
