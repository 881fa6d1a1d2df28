"""Who sends positions of devices beside the devices themselves, where that is a part of who a device is.

    sources:{campus}  sorted set  source -> when something of it was last decoded (ms, to the day). Gone a year later

A device that a gateway speaks for is another one than that which has the same id and sends for itself (DEVICE_SOURCE):
so nobody makes positions of somebody else's device by saying its id. Whoever is to find all positions of an id, to
erase or to export them, asks for each source.
"""

from collections.abc import Iterable
from typing import Any, cast

from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {
    Right.READ: [access("sources:{campus}", "ZRANGE")],
    Right.TELL: [access("sources:{campus}", "ZADD ZREMRANGEBYSCORE")],
}
SOURCES = f"sources:{CAMPUS}"
DAY_MS = 86_400_000
KEEP_MS = 366 * DAY_MS


class Sources:
    """As one decoder tells of them: of each once a day."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._told: dict[str, int] = {}

    async def note(self, sources: Iterable[str], *, now: int) -> None:
        """Note that positions of these are about to be counted (ms since the epoch). Raises UnavailableError."""
        day = now - now % DAY_MS
        new = {source: day for source in sources if self._told.get(source) != day}
        if not new:
            return
        await self._client.zadd(SOURCES, dict[Any, Any](new), gt=True)
        await self._client.zremrangebyscore(SOURCES, "-inf", now - KEEP_MS)
        self._told |= new


async def read_sources(client: Redis) -> list[str]:
    """All that there were for a year. Raises UnavailableError."""
    found = await cast("Any", client.zrange(SOURCES, 0, -1))
    return [source.decode(errors="replace") for source in found]
