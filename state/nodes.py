"""The broker nodes that there are, and what each has of its own.

{n} is one life of a node, `<BROKER_NODE>:<8 hex digits>`, {c} a client id; connections are numbers that a node
gives. Keys (`state.mqtt`):

    nodes:{mqtt}         hash     n -> heartbeats, one a second; `-` once others clear up after it
    node:{mqtt}:{n}      hash     bytes that went into its inbox (`sent`) and out of it (`taken`); the number of the
                                  newest `batch` that it has published, and the `answer` to that
    inbox:{mqtt}:{n}     stream   what others have for n; ids are `<sent>-0`. One field an entry: `m` messages, `w`
                                  clients with something new in their queues, `s` states that have changed, `k` client
                                  and connection that another has taken over
    interest:{mqtt}:{n}  set      the filters that n has in `routes`
    clients:{mqtt}:{n}   hash     connection -> client, of n's connections
    will:{mqtt}:{n}      hash     connection -> client and message. Whoever removes it publishes it, in one script: so
                                  once

All methods raise UnavailableError where Redis does not answer: what they do may be done then, and may be done again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from core.unreadable import UNREADABLE
from state.access import Right, access
from state.client import Redis
from state.mqtt import Scripts, key
from state.queued import Message
from state.routes import LOG
from state.sessions import EXPIRY
from state.slots import MQTT
from state.unreadable import dead_letter_for_unreadable, remove_unreadable, unreadable

ACCESS = {
    Right.READ: [access("nodes:{mqtt}", "HGETALL"), access("node:{mqtt}:", "HMGET")],
    Right.WRITE: [
        access("nodes:{mqtt}", "HSET"),
        access("will:{mqtt}:", "HGET"),
        access("inbox:{mqtt}: routes:log:{mqtt}", "XREAD"),
        *unreadable("nodes:{mqtt} will:{mqtt}:", "HDEL"),
    ],
}
NODES = key("nodes")
Entry = tuple[bytes, dict[bytes, bytes]]

_messages = msgspec.msgpack.Decoder(list[Message])
_names = msgspec.msgpack.Decoder(list[str])
_taken_over = msgspec.msgpack.Decoder(tuple[str, int])
_will = msgspec.msgpack.Decoder(tuple[str, Message])


def node_key(node: str) -> str:
    """Numbers of a node."""
    return key("node", node)


def inbox(node: str) -> str:
    """What other nodes have for a node."""
    return key("inbox", node)


def interest(node: str) -> str:
    """The filters that a node has among the routes."""
    return key("interest", node)


def clients(node: str) -> str:
    """The connections of a node."""
    return key("clients", node)


def wills(node: str) -> str:
    """The wills of a node's connections."""
    return key("will", node)


class Heartbeat(NamedTuple):
    """What a node sees when it says that it is there."""

    beats: Sequence[bytes]
    """Node, its heartbeats, and so on."""
    routes_version: str
    users_version: bytes
    usage: Sequence[bytes | int]
    """Retained messages, their bytes, those of anonymous clients, their bytes, persistent sessions, their bytes."""


class News(NamedTuple):
    """What others have for a node, in their order."""

    messages: list[Message]
    woken: list[str]
    changed: list[str]
    taken_over: list[tuple[str, int]]
    taken: int
    """How far the inbox is read by now, in bytes."""


class Nodes:
    """The nodes, as one of them sees them."""

    def __init__(self, client: Redis, scripts: Scripts) -> None:
        self._client = client
        self._scripts = scripts

    async def join(self, node: str) -> None:
        """Be there from now on."""
        await self._client.hset(NODES, node, "0")

    async def beat(self, node: str) -> Heartbeat | None:
        """Say that a node is there, and look who else is; None where it is gone."""
        answer = await self._scripts.run("heartbeat", [NODES], node)
        if answer is None:
            return None
        beats, routes_version, users_version, usage = answer
        return Heartbeat(beats, routes_version.decode(), users_version, usage)

    async def forget(self, name: bytes) -> None:
        """Forget a node whose name is none."""
        await remove_unreadable(self._client, "nodes", "HDEL", NODES, name)

    async def mark_dead(self, node: str) -> list[int]:
        """From now on a node is gone; the connections whose wills are to be published."""
        # What is no number goes with all that the node had.
        found = await self._scripts.run("mark_dead", [NODES, wills(node)], node)
        return [int(each) for each in found if each.isdigit()]

    async def reap(self, node: str, *, expires: int, count: int) -> bool:
        """Clear up a part of what a condemned node has left; whether there is more. `expires` is in ms."""
        keys = [NODES, clients(node), interest(node), EXPIRY, inbox(node), node_key(node)]
        return bool(await self._scripts.run("reap", keys, node, expires, count))

    async def will(self, node: str, connection: int) -> Message | None:
        """The will of a connection; None where there is none, or none that can be read."""
        found = cast("bytes | None", await self._client.hget(wills(node), str(connection)))
        if found is None:
            return None
        try:
            return _will.decode(found)[1]
        except UNREADABLE:
            await remove_unreadable(self._client, "will", "HDEL", wills(node), str(connection))
            return None

    async def wait(
        self, node: str, taken: int, routes_version: str, *, count: int, block_ms: int
    ) -> tuple[list[Entry], list[Entry]]:
        """What is new in a node's inbox beyond `taken`, and in the log of routes; waits for it up to `block_ms`."""
        wanted: Any = {inbox(node): f"{taken}-0", LOG: routes_version}
        answer = await self._client.xread(wanted, count=count, block=block_ms)
        found = {name.decode(): entries for name, entries in dict(cast("Any", answer)).items()}
        return found.get(inbox(node), []), found.get(LOG, [])

    async def take(self, node: str, taken: int) -> None:
        """A node has dealt with its inbox up to here."""
        await self._scripts.run("take", [NODES, node_key(node), inbox(node)], node, taken)

    async def counts(self, node: str) -> tuple[int, int]:
        """Bytes that went into a node's inbox, and out of it."""
        counts = cast("Any", await self._client.hmget(node_key(node), ["sent", "taken"]))
        sent, taken = (int(count) if (count or b"").isdigit() else 0 for count in counts)
        return sent, taken

    async def read(self, entries: Sequence[Entry]) -> News:
        """What is in entries of an inbox. A dead letter says that something cannot be read; it goes with the rest."""
        news = News([], [], [], [], taken=int(entries[-1][0].partition(b"-")[0]))
        unreadable = 0
        for _, fields in entries:
            for field, value in fields.items():
                try:
                    _read(field, value, news)
                except UNREADABLE:
                    unreadable += 1
        for _ in range(unreadable):
            await dead_letter_for_unreadable(self._client, "inbox", MQTT)
        return news


async def beats_of(client: Redis) -> Mapping[bytes, bytes]:
    """How often each node has said that it lives. Raises UnavailableError."""
    return cast("Mapping[bytes, bytes]", await cast("Any", client.hgetall(NODES)))


def _read(field: bytes, value: bytes, news: News) -> None:
    if field == b"m":
        news.messages.extend(_messages.decode(value))
    elif field == b"w":
        news.woken.extend(_names.decode(value))
    elif field == b"s":
        news.changed.extend(_names.decode(value))
    elif field == b"k":
        news.taken_over.append(_taken_over.decode(value))
