"""Whether positions come in at all: without that, a count of 0 does not say that nobody is there."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.clock import Clock, format_rfc3339
from core.messages import Kind
from core.newest_input import signs_of_input
from core.redis import Redis

SILENT_SECONDS = 10.0
"""Nodes say once a second that they live. Without that for so long nothing comes in."""
CACHE_SECONDS = 0.4
"""How long what was read stays good: many answers share one look."""


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of what comes in."""

    newest: Mapping[Kind, int]
    """When the newest message of each kind came, ms since the epoch; without the kinds of which none ever has."""
    stale: str | None
    """Why the counts cannot be those of now, for people; None where nothing is known against them."""


class InputWatch:
    """Watches the heartbeats of the broker nodes, as one API process sees them.

    Only that they change counts, by this process's own clock, so clocks of other machines do not matter.
    """

    def __init__(self, client: Redis, *, clock: Clock, elapsed: Callable[[], float]) -> None:
        """`elapsed` answers seconds that never go back."""
        self._client = client
        self._clock = clock
        self._elapsed = elapsed
        self._reading = asyncio.Lock()
        self._read: tuple[float, Input] | None = None
        self._beats: dict[bytes, bytes] = {}
        self._alive: tuple[float, int] | None = None
        """When a node was last seen to live, by both clocks; at first, when this process began to look."""

    async def status(self) -> Input:
        """What is known now, at most a moment old. Raises Unavailable if Redis does not answer."""
        async with self._reading:
            now = self._elapsed()
            if self._read is not None and now - self._read[0] < CACHE_SECONDS:
                return self._read[1]
            newest, beats = await signs_of_input(self._client)
            found = Input(newest, self._silence(beats, now))
            self._read = (now, found)
            return found

    def _silence(self, beats: dict[bytes, bytes], now: float) -> str | None:
        if self._alive is None or any(self._beats.get(node) != count for node, count in beats.items()):
            self._alive = (now, self._clock())
        self._beats = beats
        elapsed, since = self._alive
        if now - elapsed < SILENT_SECONDS:
            return None
        return (
            f"No broker has given a sign of life since {format_rfc3339(since // 1000 * 1000)}: positions that devices "
            "send do not arrive, so these counts are too low, and 0 does not say that nobody is there."
        )
