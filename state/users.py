"""The users of MQTT.

Keys (`state.mqtt`), beside the sessions of these users:

    users:{mqtt}          hash     user -> JSON: name, role, password (an argon2id hash). Written by
                                   `python -m broker users`
    users:version:{mqtt}  integer  goes up with each change of users: nodes look at it, and end connections of users
                                   that are gone or have changed
    users:removed:{mqtt}  set      users who were removed, and whose sessions somebody has yet to delete
"""

from collections.abc import Iterable

from state.client import Redis
from state.credentials import Credentials, Item
from state.mqtt import key

USERS = key("users")
VERSION = key("users:version")
REMOVED = key("users:removed")


class UserStore(Credentials[Item]):
    """The users. `users:version` goes up with each change, so that every node notices.

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
            pipeline.incr(VERSION)
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
            pipeline.incr(VERSION)
            removed, *_ = await pipeline.execute()
        return int(removed)


async def users_version(client: Redis) -> int:
    """How often users have changed; 0 where there never was one. Raises UnavailableError."""
    return int(await client.get(VERSION) or 0)
