"""What the version before (commit 9b2a70b) leaves in Redis: its own services wrote it, and it was written down by hand.

A node, a decoder and the API's command ran on one Redis, with one partition and with three. Devices sent positions of
the last day; a session stayed away while messages came for it; of the last messages some were counted and not archived,
and some not even read, but for two of them, which somebody read who then died. A file has each key with its type, value
and time to live; what is no UTF-8 is in base64.
"""

import base64
import json
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

FILES = {1: "one_partition.json", 3: "three_partitions.json"}


def load(partitions: int) -> dict[str, Any]:
    """What was written down: the `clock` (ms), what was `counted`, what is `waiting` in `raw`, all `keys`."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name(FILES[partitions]).read_text(encoding="utf-8"))
    return found


async def restore(client: Redis, found: dict[str, Any]) -> None:
    """Put it into a Redis."""
    for key in found["keys"]:
        name, value = _bytes(key["key"]), key["value"]
        match key["type"]:
            case "string":
                await client.set(name, _bytes(value))
            case "hash":
                await client.hset(name, mapping={_bytes(field): _bytes(text) for field, text in value})
            case "set":
                await client.sadd(name, *map(_bytes, value))
            case "zset":
                await client.zadd(name, {_bytes(member): score for member, score in value})
            case "stream":
                await _stream(client, name, key)
        if key["ttl"] > 0:
            await client.pexpire(name, key["ttl"])


async def _stream(client: Redis, name: bytes, key: dict[str, Any]) -> None:
    if not key["value"]:
        await client.xadd(name, {"gone": "1"}, id="0-1")
        await client.xtrim(name, maxlen=0)
    for entry_id, fields in key["value"]:
        await client.xadd(name, {_bytes(field): _bytes(text) for field, text in fields}, id=entry_id)
    for group, delivered, pending in key["groups"]:
        await client.xgroup_create(name, group, id=delivered)
        for consumer, entry_id in pending:
            await client.xclaim(name, group, consumer, 0, [entry_id], force=True, justid=True)


def _bytes(value: str | dict[str, str]) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()
