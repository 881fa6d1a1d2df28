"""What one node publishes to others, to persistent sessions, and to be retained: one script a batch (publish.lua).

Its keys are told in `state.nodes`, `state.routes`, `state.sessions` and `state.retained`, but for

    carried:{mqtt}  integer  goes up with each batch that has positions for other nodes or for queues: Redis's file
                             holds them until it is rewritten
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec

from state.access import Right, access
from state.client import Redis
from state.mqtt import Scripts, key
from state.nodes import NODES, node_key
from state.sessions import Losses

ACCESS = {Right.READ: [access("carried:{mqtt}", "GET")]}
CARRIED = key("carried")


async def positions_carried(client: Redis) -> bytes | None:
    """Another one once positions have gone through inboxes or queues since the last time. Raises UnavailableError."""
    return cast("bytes | None", await client.get(CARRIED))


class Published(NamedTuple):
    """What has become of a batch."""

    version: str
    """Of the routes that Redis had."""
    new: str
    """Of each guard `1` where the message is new, `0` where it was there already."""
    inbox_dropped: int
    """Messages for which there was no room in inboxes."""
    lost: Losses
    retained_refused: list[int]
    """The numbers, from 1, of what was to be retained, and for which there was no room."""


class Batch(NamedTuple):
    """What is published together. Numbers of guards and blobs are from 1, and 0 is none."""

    node: str
    number: int
    """Each batch of a node has another: one whose answer was lost is not published twice."""
    version: str
    """Of the routes by which it was routed."""
    now: int
    """Milliseconds since the epoch."""
    inbox_max: int
    """Bytes that may wait in one inbox."""
    queue_limits: Sequence[int]
    """See queue.lua."""
    retained_limits: Sequence[int]
    """See retain.lua."""
    guards: Sequence[tuple[str, int, str, int]]
    """Of a QoS 2 message its client and packet id; of a will its node and connection."""
    inboxes: Sequence[tuple[str, Sequence[tuple[int, int, int]]]]
    """Of each node the entries: guard, blob, how many messages."""
    queues: Sequence[tuple[int, int, Sequence[str], Sequence[str], bool]]
    """Guard, blob, filters, the clients that want it by these filters, whether it is a position."""
    retained: Sequence[tuple[int, str, int, bool, int]]
    """Guard, topic, blob, whether it is an anonymous client's, its QoS if it is a state, else 0."""
    states: Sequence[tuple[str, Sequence[tuple[int, str]]]]
    """Of each node the states that it is told of: guard and topic."""
    positions: bool = False
    """Whether there are positions of devices among what goes into inboxes and queues."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Published)


async def publish(scripts: Scripts, batch: Batch, blobs: Sequence[bytes]) -> Published | None:
    """Publish a batch; None if the node is gone.

    Raises UnavailableError: it may be done or not, and is to be repeated.
    """
    about = [NODES, node_key(batch.node)]
    answer = await scripts.run("publish", about, _encoder.encode(batch._asdict()), *blobs)
    return None if answer is None else _decoder.decode(answer)
