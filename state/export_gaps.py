"""Hours of which the lake lacks positions, since they waited for longer than EXPORT_PATIENCE.

    gaps:{campus}  set  hours of event time, as milliseconds since the epoch; whoever has the lake at hand moves them
                        there (`decoder.export_patience`), for who fills them knows no Redis

Each is noted before anything of it is passed over.
"""

from collections.abc import Iterable
from typing import cast

from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {Right.WRITE: [access("gaps:{campus}", "SADD SMEMBERS SREM")]}
GAPS = f"gaps:{CAMPUS}"


async def note_gaps(client: Redis, hours: Iterable[int]) -> None:
    """Note hours of which something is passed over. Raises UnavailableError."""
    if noted := sorted(hours):
        await client.sadd(GAPS, *map(str, noted))


async def noted_gaps(client: Redis) -> list[int]:
    """All hours that are noted, in their order. Raises UnavailableError."""
    return sorted(int(hour) for hour in cast("set[bytes]", await client.smembers(GAPS)))


async def forget_gap(client: Redis, hour: int) -> None:
    """Forget one that is noted elsewhere. Raises UnavailableError."""
    await client.srem(GAPS, str(hour))
