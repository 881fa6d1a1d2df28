"""Entries of the stream `positions`, as each of its readers takes them."""

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, Position, decode_positions
from core.unreadable import UNREADABLE
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from state.group import Group


class PositionEntries:
    """Reads entries; one that cannot be read becomes a dead letter."""

    def __init__(
        self, *, group: Group, retry: StageRetry, clock: Clock, metrics: DecoderMetrics, dead_letters_max: int
    ) -> None:
        self._group = group
        self._retry = retry
        self._clock = clock
        self._metrics = metrics
        self._dead_letters_max = dead_letters_max

    async def read(self, entry_id: bytes, fields: dict[bytes, bytes]) -> list[Position] | None:
        """The positions of an entry; None of one that became a dead letter, since no decoder wrote it."""
        try:
            # Without fields: it was pending when somebody cut it off the stream by hand.
            return decode_positions(fields) if fields else []
        except (LookupError, *UNREADABLE):
            letter = DeadLetter(
                Reason.MALFORMED_ENTRY,
                "an entry of the stream positions that no decoder wrote",
                "",
                self._clock(),
                payload=None,
            )
        if await self._retry.until_available(lambda: self._group.dead_letter(entry_id, letter, self._dead_letters_max)):
            self._metrics.dead.labels(letter.reason.value).inc()
        return None
