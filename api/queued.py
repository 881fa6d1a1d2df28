"""Erasing a device reaches what brokers hold of it for subscribers of positions.

What waits for a client that is there is in an inbox for a moment, and is waited for. What waits for the client of a
persistent session is in a queue of positions alone (`brief:{c}`), for minutes at the most.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from state import streams
from state.client import Redis, redis_errors
from state.lua import lua
from state.queued import Message

LOOK_SECONDS = 0.05
MESSAGES = 50
"""To a round trip: with payloads of the largest size they are 3 MB."""

# Keys: state/streams.py. ARGV: client, sequence numbers. Answers how many there were.
_DROP = """
local client, freed, gone = ARGV[1], 0, 0
for index = 2, #ARGV do
    local bytes = take_out(client, ARGV[index])
    freed, gone = freed + bytes, gone + (bytes > 0 and 1 or 0)
end
charge(client, -freed)
return gone
"""
_decoder = msgspec.msgpack.Decoder(Message)


async def until_delivered(client: Redis, until: float) -> bool:
    """Whether nodes have taken all that is in their inboxes now, by `until` of the loop's clock. Raises Unavailable."""
    with redis_errors():
        nodes = cast("list[bytes]", await cast("Any", client.hkeys(streams.NODES)))
        sent = {node: (await _counts(client, node))[0] for node in nodes}
    while sent:
        with redis_errors():
            there = set(cast("list[bytes]", await cast("Any", client.hkeys(streams.NODES))))
            sent = {
                node: count
                for node, count in sent.items()
                # Whoever clears up after a node that is gone deletes its inbox.
                if node in there and (await _counts(client, node))[1] < count
            }
        if sent and asyncio.get_running_loop().time() >= until:
            return False
        if sent:
            await asyncio.sleep(LOOK_SECONDS)
    return True


async def _counts(client: Redis, node: bytes) -> tuple[int, int]:
    """Bytes that went into a node's inbox, and out of it."""
    sent, taken = await cast("Any", client.hmget(streams.node(node.decode()), "sent", "taken"))
    return int(sent or 0), int(taken or 0)


async def drop_queued(client: Redis, is_of: Callable[[Message], bool]) -> int:
    """Remove those of the queued positions that `is_of` says it of; how many. Raises Unavailable.

    Those that cannot be read, of another version, go as well.
    """
    drop = client.register_script(lua("session_costs") + _DROP)
    dropped = 0
    with redis_errors():
        clients = cast("list[bytes]", await client.zrange(streams.BRIEF, 0, -1))
    for name in clients:
        client_id, first = name.decode(), "-"
        while True:
            with redis_errors():
                page = cast("list[Any]", await client.xrange(streams.brief(client_id), first, "+", count=MESSAGES))
            if not page:
                break
            first = f"({page[-1][0].decode()}"
            gone = [entry_id.partition(b"-")[0] for entry_id, fields in page if _is_of(fields, is_of)]
            if gone:
                with redis_errors():
                    dropped += int(await drop(args=[client_id, *gone]))
    return dropped


def _is_of(fields: dict[bytes, bytes], is_of: Callable[[Message], bool]) -> bool:
    try:
        return is_of(_decoder.decode(fields[b"b"]))
    except (KeyError, msgspec.DecodeError):
        return True
