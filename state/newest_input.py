"""When the newest message of each kind came in: what tells "nobody is there" from "nothing comes in".

Key, beside the heartbeats of `state.nodes`:

    newest-input:{campus}  sorted set  kind -> when its newest message came (ms), wherever it came from. Nodes note that
                                       once a second, the API with each message
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from core.clock import Clock
from core.kinds import KindId, Kinds
from state.access import Right, access
from state.client import Redis
from state.nodes import NODES
from state.slots import CAMPUS

ACCESS = {
    Right.READ: [access("newest-input:{campus}", "ZRANGE"), access("nodes:{mqtt}", "HGETALL")],
    Right.TELL: [access("newest-input:{campus}", "ZADD")],
}
NEWEST_INPUT = f"newest-input:{CAMPUS}"
SILENT_SECONDS = 10.0
"""Nodes say once a second that they live. Without that for so long nothing comes in."""


class Silence:
    """Watches the heartbeats of the broker nodes, as one process sees them.

    Only that they change counts, by this process's own clock, so clocks of other machines do not matter.
    """

    def __init__(self, clock: Clock, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`elapsed` answers seconds that never go back."""
        self._clock = clock
        self._elapsed = elapsed
        self._beats: Mapping[bytes, bytes] = {}
        self._alive: tuple[float, int] | None = None
        """When a node was last seen to live, by both clocks; at first, when this process began to look."""

    def since(self, beats: Mapping[bytes, bytes]) -> int | None:
        """Since when no node has lived, ms since the epoch; None while one does. `beats` are those of now."""
        now = self._elapsed()
        if self._alive is None or any(self._beats.get(node) != count for node, count in beats.items()):
            self._alive = (now, self._clock())
        self._beats = beats
        elapsed, since = self._alive
        return None if now - elapsed < SILENT_SECONDS else since


async def note_newest_input(client: Redis, newest: Mapping[KindId, int]) -> None:
    """Note when messages came (ms since the epoch); what is newer stays. Raises UnavailableError."""
    await client.zadd(NEWEST_INPUT, dict[Any, Any](newest), gt=True)


class Signs(NamedTuple):
    """What says that positions come in, or could."""

    newest: dict[KindId, int]
    """When the newest message of each kind came, ms since the epoch; without the kinds of which none ever has."""
    beats: dict[bytes, bytes]
    """How often each broker node has said that it lives."""


async def signs_of_input(client: Redis, kinds: Kinds) -> Signs:
    """In one round trip. Raises UnavailableError."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.zrange(NEWEST_INPUT, 0, -1, withscores=True)
        pipeline.hgetall(NODES)
        came, beats = await pipeline.execute()
    found = dict(came)
    return Signs({kind: int(found[kind.encode()]) for kind in kinds.ids if kind.encode() in found}, beats)
