"""A group whose entries are gathered for a while, since each batch of them becomes a file."""

import time
from collections.abc import Callable, Sequence

from runtime.service import Stop
from state.client import Redis
from state.group import Entry, Group

KEEP_SECONDS = 10.0
"""How often Redis is told that what is gathered is in hand: well before another decoder takes it over (CLAIM_AFTER)."""
MOST_ENTRIES = 10_000
"""However little is in them."""

FEW, FEW_MASK = 0x90, 0xF0
"""How MessagePack begins an array of up to 15 members: their number is in the other four bits."""
LENGTH_BYTES = {0xDC: 2, 0xDD: 4}
"""How it begins others, and how many bytes the number has."""


class GatheringGroup(Group):
    """Entries of positions, or of windows: `read` returns once there are enough of them, or time is up.

    What was gathered when Redis went away is handed on later. Nothing is acknowledged here, so what a process that
    dies has gathered is read anew.
    """

    def __init__(
        self,
        *,
        client: Redis,
        stream: str,
        group: str,
        consumer: str,
        claim_after_ms: int,
        every: float,
        most: int,
        hurry: Callable[[], bool] = lambda: False,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every` is for how many seconds to gather, `most` how many positions or windows.

        Where `hurry` says so, what there is is handed on at once.
        """
        super().__init__(client=client, stream=stream, group=group, consumer=consumer, claim_after_ms=claim_after_ms)
        self._keep_seconds = min(KEEP_SECONDS, claim_after_ms / 3000)
        self._every = every
        self._most = most
        self._hurry = hurry
        self._seconds = seconds
        self._gathered: list[Entry] = []
        self._holds = 0
        self._began = self._kept = 0.0
        self._stop = Stop()

    def end_with(self, stop: Stop) -> None:
        """Hand on what is gathered as soon as `stop` is set."""
        self._stop = stop

    async def read(self, count: int) -> list[Entry]:
        """What is gathered, `count` entries to a question; none if nothing arrived within `BLOCK_MS`."""
        while True:
            found = await super().read(count)
            if found and not self._gathered:
                self._began = self._kept = self._seconds()
            self._gathered += found
            self._holds += self.size(found)
            if not self._gathered:
                return []
            if self._is_due():
                gathered, self._gathered, self._holds = self._gathered, [], 0
                return gathered
            if self._seconds() - self._kept >= self._keep_seconds:
                await self._keep_gathered()

    def size(self, entries: Sequence[Entry]) -> int:
        """How many positions or windows entries hold."""
        return sum(array_length(fields.get(b"d", b"")) for _, fields in entries)

    async def _keep_gathered(self) -> None:
        """Keep what is still ours, and forget the rest: it is not taken back from whoever took it over."""
        held = await self.held([entry_id for entry_id, _ in self._gathered])
        self._gathered = [entry for entry in self._gathered if entry[0] in held]
        self._holds = self.size(self._gathered)
        await self.keep([entry_id for entry_id, _ in self._gathered])
        self._kept = self._seconds()

    def _is_due(self) -> bool:
        return (
            self._holds >= self._most
            or len(self._gathered) >= MOST_ENTRIES
            or self._seconds() - self._began >= self._every
            or self._stop.is_set()
            or self._hurry()
        )


def array_length(packed: bytes) -> int:
    """How many members a MessagePack array has, without a look at them; 0 of what is none."""
    first = packed[0] if packed else 0
    if first & FEW_MASK == FEW:
        return first & ~FEW_MASK
    width = LENGTH_BYTES.get(first, 0)
    return int.from_bytes(packed[1 : 1 + width], "big")
