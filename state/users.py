"""The users of MQTT.

Keys (`state.mqtt`), beside the sessions of these users:

    users:{mqtt}          hash     user -> JSON: name, role, password (an argon2id hash). Written by
                                   `python -m broker users`
    users:version:{mqtt}  integer  another one, by chance, with each change of users: nodes look at it, and end
                                   connections of users that are gone or have changed
    users:removed:{mqtt}  set      users who were removed, and whose sessions somebody has yet to delete
"""

import secrets
from collections.abc import Iterable
from typing import Final, cast

from state.access import Right, access
from state.client import Redis
from state.credentials import Credentials, Item
from state.mqtt import key
from state.raised import number_of

ACCESS = {
    Right.READ: [access("users:{mqtt}", "HMGET HGETALL EXISTS"), access("users:version:{mqtt}", "GET")],
    Right.WRITE: [
        access("users:{mqtt}", "HSET HDEL"),
        access("users:removed:{mqtt}", "SADD"),
        access("users:version:{mqtt}", "SET"),
    ],
}
USERS = key("users")
VERSION = key("users:version")
REMOVED = key("users:removed")
_VERSION_BITS: Final = 52


class UserStore(Credentials[Item]):
    """The users. `users:version` is another one with each change, so that every node notices.

    All methods raise UnavailableError where Redis does not answer.
    """

    async def version(self) -> int:
        """A number that is another one after a change; 0 where there never was a user."""
        return await users_version(self._client)

    async def put(self, users: Iterable[Item]) -> int:
        """Create these users, or replace those of the same names, all at once; how many of them are new."""
        encoded = self._encoded(users)
        if not encoded:
            return 0
        async with self._client.pipeline(transaction=True) as pipeline:
            for some in encoded:
                pipeline.hset(USERS, mapping=some)
            pipeline.set(VERSION, _another())
            *created, _ = await pipeline.execute()
        return sum(created)

    async def remove(self, names: Iterable[str]) -> int:
        """Remove users; how many of them there were.

        Their connections and their persistent sessions end within seconds, on every node.
        """
        encoded = [name.encode() for name in names]
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(USERS, *encoded)
            pipeline.sadd(REMOVED, *encoded)
            pipeline.set(VERSION, _another())
            removed, *_ = await pipeline.execute()
        return int(removed)


async def users_version(client: Redis) -> int:
    """Another number after each change of users; 0 where there never was one. Raises UnavailableError."""
    found = cast("bytes | None", await client.get(VERSION))
    return 0 if found is None else number_of(found) or 1


def _another() -> int:
    """By chance, and not one more: where somebody has put something else there, nothing could be added to it."""
    return 1 + secrets.randbits(_VERSION_BITS)
