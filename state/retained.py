"""The retained messages.

Keys (`state.mqtt`):

    retained:{mqtt}            hash        topic -> message
    retained:anonymous:{mqtt}  set         those of its topics whose message is of a client without a user
    retained:bytes:{mqtt}      hash        bytes of these messages with their topics, of `all` and of `anonymous` ones
    states:{mqtt}              sorted set  topics below `v1` whose retained message has changed -> the version of that
                                           change. A session gets what is above its version
    states:qos:{mqtt}          hash        of these, the QoS of that change
    states:version:{mqtt}      integer     the newest version
    states:gone:{mqtt}         sorted set  those that were cleared, the newest 1,000

Messages are `state.queued.Message`. Only the scripts of `state.mqtt` change them. All methods raise UnavailableError
where Redis does not answer.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from core.unreadable import UNREADABLE
from state.access import Right, access
from state.client import Redis
from state.mqtt import Scripts, key
from state.queued import Message
from state.unreadable import remove_unreadable, unreadable

ACCESS = {
    Right.WRITE: [access("retained:{mqtt}", "HKEYS HMGET"), *unreadable("retained:{mqtt}", "HDEL")],
}
RETAINED = key("retained")
ANONYMOUS = key("retained:anonymous")
BYTES = key("retained:bytes")
STATES = key("states")
STATES_QOS = key("states:qos")
STATES_VERSION = key("states:version")
STATES_GONE = key("states:gone")
MESSAGES_AT_ONCE = 200

_decoder = msgspec.msgpack.Decoder(Message)


class RetainedStore:
    """Reads them. A dead letter says what cannot be read, and it is removed."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def topics(self) -> list[str]:
        """The topics of all of them."""
        found = []
        for name in cast("list[bytes]", await cast("Any", self._client.hkeys(RETAINED))):
            try:
                found.append(name.decode())
            except UnicodeDecodeError:
                await remove_unreadable(self._client, "retained", "HDEL", RETAINED, name)
        return found

    async def messages(self, topics: Iterable[str]) -> dict[str, Message]:
        """The messages of those of these topics that have one."""
        asked = list(topics)
        messages: dict[str, Message] = {}
        for first in range(0, len(asked), MESSAGES_AT_ONCE):
            some = asked[first : first + MESSAGES_AT_ONCE]
            values = await cast("Any", self._client.hmget(RETAINED, some))
            for topic, value in zip(some, values, strict=True):
                if value is None:
                    continue
                try:
                    messages[topic] = _decoder.decode(value)
                except UNREADABLE:
                    await remove_unreadable(self._client, "retained", "HDEL", RETAINED, topic)
        return messages


async def tidy_retained(scripts: Scripts, closed: Sequence[str]) -> None:
    """Count what is retained anew, and remove what is on or below the topics `closed`. Raises UnavailableError."""
    await scripts.run("tidy", [RETAINED, ANONYMOUS, BYTES], *closed)
