"""Who wants what: which node, or the queue of which persistent session, gets what is published to which topics.

{n} is one life of a node, {c} a client id. Keys (`state.mqtt`):

    routes:{mqtt}          hash    target, null character, filter -> `SubscriptionOptions`. Of the target `n:{n}` the
                                   QoS is 2 for messages of any QoS, and 0 for those of QoS 0 alone. The target `s:{c}`
                                   gets them by its queue, with QoS 1 or 2
    routes:log:{mqtt}      stream  changes of `routes`, the newest 10,000 or so; ids are `<version>-<microseconds>`
    routes:version:{mqtt}  string  the newest of these ids

Only the scripts of `state.mqtt` change them. All methods raise UnavailableError where Redis does not answer.
"""

import re
from typing import Annotated, Any, cast

import msgspec

from core.unreadable import UNREADABLE
from state.access import Right, access
from state.client import Redis
from state.mqtt import key
from state.unreadable import remove_unreadable, unreadable

ACCESS = {
    Right.WRITE: [
        access("routes:{mqtt}", "HSCAN"),
        access("routes:version:{mqtt}", "GET"),
        access("routes:log:{mqtt}", "XRANGE XREVRANGE"),
        *unreadable("routes:{mqtt}", "HDEL"),
    ]
}
ROUTES = key("routes")
LOG = key("routes:log")
VERSION = key("routes:version")
NOTHING_YET = "0-0"
_AT_ONCE = 1000
_VERSION = re.compile(r"\d+-\d+", re.ASCII)


class SubscriptionOptions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """With what a topic filter is wanted; MessagePack of an array, to whose end options may be added.

    One that is shorter has their defaults, so that what was stored before stays readable.
    """

    qos: Annotated[int, msgspec.Meta(ge=0, le=2)]
    """The highest."""
    positions: bool = False
    """Whether also what is published to the ingest topics, which is for services alone."""

    def encode(self) -> bytes:
        """As it is stored."""
        return _encoder.encode(self)

    @classmethod
    def decode(cls, stored: bytes) -> "SubscriptionOptions":
        """What was stored. Raises ValueError where it is something else."""
        try:
            return _options.decode(stored)
        except UNREADABLE as error:
            raise ValueError("no options of a subscription") from error


_encoder = msgspec.msgpack.Encoder()
_options = msgspec.msgpack.Decoder(SubscriptionOptions)


def number_of(version: str) -> int:
    """How many changes there had been at a version; 0 before the first."""
    return int(version.partition("-")[0] or 0)


class RouteStore:
    """Reads the routes, and how they change."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def newest_version(self) -> str:
        """The version of the newest change; `NOTHING_YET` before the first."""
        # `routes:version` may have been lost, or be none. What changes between the two is in both or in the log.
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(VERSION)
            pipeline.xrevrange(LOG, count=1)
            version, newest = await pipeline.execute()
        found = [version.decode(errors="replace")] if version else []
        found += [entry_id.decode() for entry_id, _ in newest]
        return max((each for each in found if _VERSION.fullmatch(each)), key=number_of, default=NOTHING_YET)

    async def changes(self, since: str) -> tuple[list[tuple[bytes, dict[bytes, bytes]]], bool]:
        """Entries of the log from the version `since` on, that one included; and whether those are all."""
        found = cast("Any", await self._client.xrange(LOG, since, "+", count=_AT_ONCE))
        return found, len(found) < _AT_ONCE

    async def page(self, cursor: int) -> tuple[int, dict[bytes, bytes]]:
        """Some of the routes, and the cursor for the next ones; 0 to begin with, and again when these were the last."""
        return cast("tuple[int, dict[bytes, bytes]]", await self._client.hscan(ROUTES, cursor, count=_AT_ONCE))

    async def forget(self, field: bytes) -> None:
        """Forget a route that cannot be read."""
        await remove_unreadable(self._client, "routes", "HDEL", ROUTES, field)
