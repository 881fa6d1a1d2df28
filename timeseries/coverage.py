"""When the system was counting: without that, an hour without devices is not told from one that nobody recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.kinds import KindId

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
MINUTES = 60
WHOLE_HOUR = (1 << MINUTES) - 1
"""The mask of an hour in which every minute was recorded."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The minutes of one hour in which devices of a kind would have been counted in a zone."""

    zone: str
    kind: KindId
    hour: int
    """When the hour begins, milliseconds since the epoch: a whole hour of UTC."""
    minutes: int
    """A bit for each minute that was recorded; the first minute is the highest of 60 bits."""


def hour_of(at_ms: int) -> int:
    """The start of the hour (UTC) that holds a moment; both in milliseconds since the epoch."""
    return at_ms - at_ms % HOUR_MS


def minute_of(at_ms: int) -> int:
    """Which minute of its hour a moment lies in, 0 to 59."""
    return at_ms % HOUR_MS // MINUTE_MS


def minute_bit(at_ms: int) -> int:
    """The bit of `Coverage.minutes` for the minute that holds a moment."""
    return 1 << (MINUTES - 1 - minute_of(at_ms))


def recorded_minutes(mask: int) -> int:
    """How many minutes of an hour were recorded."""
    return mask.bit_count()


class CoverageStore(Protocol):
    """Keeps coverage beside the windows.

    Every method raises `core.errors.UnavailableError` as the store of those does.
    """

    async def write_coverage(self, hours: Sequence[Coverage]) -> None:
        """Write which minutes of hours were recorded, each in the place of what its hour held before.

        Raises ValueError, and writes nothing, where a zone's id is none.
        """

    async def coverage(self, kind: KindId, *, start: int, end: int, zone: str | None = None) -> list[Coverage]:
        """The hours that begin in [start, end), ms since the epoch, of one zone or of all, in order of zone and time.

        An hour that is left out was not recorded.
        """

    async def coverage_extent(self, zone: str, kind: KindId) -> tuple[int, int] | None:
        """The starts of the first and the last hour that were recorded at all; None where there is none."""
