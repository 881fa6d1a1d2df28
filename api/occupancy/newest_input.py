"""Whether positions come in at all: without that, a count of 0 does not say that nobody is there."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.clock import Clock, format_rfc3339
from core.kinds import KindId, Kinds
from state.client import Redis
from state.newest_input import Silence, signs_of_input

CACHE_SECONDS = 0.4
"""How long what was read stays good: many answers share one look."""


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of what comes in."""

    newest: Mapping[KindId, int]
    """When the newest message of each kind came, ms since the epoch; without the kinds of which none ever has."""
    stale: str | None
    """Why the counts cannot be those of now, for people; None where nothing is known against them."""


class InputWatch:
    """What one API process knows of it."""

    def __init__(self, client: Redis, kinds: Kinds, *, clock: Clock, elapsed: Callable[[], float]) -> None:
        """`elapsed` answers seconds that never go back."""
        self._client = client
        self._kinds = kinds
        self._elapsed = elapsed
        self._silence = Silence(clock, elapsed=elapsed)
        self._reading = asyncio.Lock()
        self._read: tuple[float, Input] | None = None

    @property
    def newest(self) -> Mapping[KindId, int]:
        """When the newest message of each kind came, as far as it was read, ms since the epoch."""
        return {} if self._read is None else self._read[1].newest

    async def status(self) -> Input:
        """What is known now, at most a moment old. Raises UnavailableError if Redis does not answer."""
        async with self._reading:
            now = self._elapsed()
            if self._read is not None and now - self._read[0] < CACHE_SECONDS:
                return self._read[1]
            newest, beats = await signs_of_input(self._client, self._kinds)
            found = Input(newest, _doubt(self._silence.since(beats)))
            self._read = (now, found)
            return found


def _doubt(silent_since: int | None) -> str | None:
    if silent_since is None:
        return None
    since = format_rfc3339(silent_since // 1000 * 1000)
    return (
        f"No broker has given a sign of life since {since}: positions that devices send do not arrive, so these counts "
        "are too low, and 0 does not say that nobody is there."
    )
