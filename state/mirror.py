"""Who mirrors the resources of the API on MQTT, and what it has published.

Keys:

    mirror:{campus}         string  the API process that mirrors; lives for seconds, and is renewed
    mirror:client:{campus}  string  the MQTT client id of whoever mirrors. It is the same for all, so that the broker
                                    ends the connection of one that comes back late, and random, so that nobody else
                                    ends it
    mirror:topics:{campus}  set     topics that may be retained because the mirror has published them

All functions raise UnavailableError where Redis does not answer.
"""

from collections.abc import Iterable
from typing import Any, cast

from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS, guard
from state.unreadable import remove_unreadable, unreadable

ACCESS = {
    Right.WRITE: [
        access("mirror:{campus} mirror:client:{campus}", "EVAL GET PTTL SET DEL"),
        access("mirror:topics:{campus}", "SMEMBERS SADD SREM"),
        *unreadable("mirror:topics:{campus}", "SREM"),
    ]
}
HOLDER = f"mirror:{CAMPUS}"
CLIENT = f"mirror:client:{CAMPUS}"
TOPICS = f"mirror:topics:{CAMPUS}"

# KEYS: the guard, the lease, the client id. ARGV: who wants it, for how many ms, a client id for the case that there is
# none yet.
_TAKE = """
local holder = redis.call('GET', KEYS[2])
-- Every lease has an end: what has none is nobody's.
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[2]) > 0 then
    return false
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local client = redis.call('GET', KEYS[3])
if not client or not string.match(client, '^mirror%-%x+$') then
    client = ARGV[3]
    redis.call('SET', KEYS[3], client)
end
return client
"""

# KEYS: the guard, the lease. ARGV: whose it may be.
_RELEASE = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2])
end
"""


async def take_lease(client: Redis, holder: str, *, for_ms: int, client_id: str) -> str | None:
    """Take or renew the lease: the MQTT client id of whoever holds it; None where another does.

    `client_id` is the one for the case that there is none yet: `mirror-` and hexadecimal digits.
    """
    take = client.register_script(_TAKE)
    found = await take(keys=[guard(CAMPUS), HOLDER, CLIENT], args=[holder, for_ms, client_id])
    return None if found is None else str(found.decode())


async def release_lease(client: Redis, holder: str) -> None:
    """Leave the lease to others at once, where it is this holder's."""
    await client.register_script(_RELEASE)(keys=[guard(CAMPUS), HOLDER], args=[holder])


async def known_topics(client: Redis) -> set[str]:
    """The topics that may be retained."""
    known = set()
    for topic in cast("set[bytes]", await cast("Any", client.smembers(TOPICS))):
        try:
            known.add(topic.decode())
        except UnicodeDecodeError:
            await remove_unreadable(client, "mirror:topics", "SREM", TOPICS, topic)
    return known


async def note_topics(client: Redis, topics: Iterable[str]) -> None:
    """Topics are about to be published."""
    await cast("Any", client.sadd(TOPICS, *topics))


async def forget_topics(client: Redis, topics: Iterable[str]) -> None:
    """Topics are cleared."""
    await cast("Any", client.srem(TOPICS, *topics))
