"""Erasing a device reaches what brokers hold of it for subscribers of positions.

What waits for a client that is there is in an inbox for a moment, and is waited for. What waits for the client of a
persistent session is in a queue of positions alone (`state.sessions.brief`), for minutes at the most.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from core.unreadable import UNREADABLE
from state.access import Right, access
from state.client import Redis
from state.mqtt import Scripts
from state.nodes import Nodes, beats_of
from state.queued import Message
from state.sessions import BRIEF, brief, queue, session

ACCESS = {
    Right.ERASE: [
        access("session:{mqtt}: queue:{mqtt}: brief:{mqtt}:", "EVAL"),
        access("brief:{mqtt}", "ZRANGE"),
        access("queue:{mqtt}: brief:{mqtt}:", "XRANGE XDEL"),
        access("session:{mqtt}:", "HGET HINCRBY HSET"),
        access("sessions:bytes:{mqtt}", "HINCRBY HSET HDEL"),
    ]
}
LOOK_SECONDS = 0.05
MESSAGES = 50
"""To a round trip: with payloads of the largest size they are 3 MB."""

_decoder = msgspec.msgpack.Decoder(Message)


async def until_delivered(client: Redis, until: float) -> bool:
    """Whether nodes have taken all that is in their inboxes now, by `until` of the loop's clock.

    Raises UnavailableError.
    """
    nodes = Nodes(client, Scripts(client))
    names = [name.decode(errors="replace") for name in await beats_of(client)]
    sent = {name: (await nodes.counts(name))[0] for name in names}
    while sent:
        there = {name.decode(errors="replace") for name in await beats_of(client)}
        sent = {
            name: count
            for name, count in sent.items()
            # Whoever clears up after a node that is gone deletes its inbox.
            if name in there and (await nodes.counts(name))[1] < count
        }
        if sent and asyncio.get_running_loop().time() >= until:
            return False
        if sent:
            await asyncio.sleep(LOOK_SECONDS)
    return True


async def drop_queued(client: Redis, is_of: Callable[[Message], bool]) -> int:
    """Remove those of the queued positions that `is_of` says it of; how many. Raises UnavailableError.

    Those that cannot be read, of another version, go as well.
    """
    scripts = Scripts(client)
    dropped = 0
    for name in cast("list[bytes]", await client.zrange(BRIEF, 0, -1)):
        client_id, first = name.decode(), "-"
        while page := cast("list[Any]", await client.xrange(brief(client_id), first, "+", count=MESSAGES)):
            first = f"({page[-1][0].decode()}"
            gone = [entry_id.partition(b"-")[0] for entry_id, fields in page if _is_of(fields, is_of)]
            if gone:
                about = [session(client_id), queue(client_id), brief(client_id)]
                dropped += int(await scripts.run("drop", about, client_id, *gone))
    return dropped


def _is_of(fields: dict[bytes, bytes], is_of: Callable[[Message], bool]) -> bool:
    try:
        return is_of(_decoder.decode(fields[b"b"]))
    except (KeyError, *UNREADABLE):
        return True
