"""Following the campus: zones may change while decoders run."""

import structlog

from core.errors import Unavailable
from core.runtime import Stop, pause
from decoder.batch import BatchDecoder
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from geofence import Campus, Geofence, InvalidCampus, parse_campus
from state.campus import stored_campus, stored_version
from state.client import Redis

EVERY_SECONDS = 1.0
"""How often a decoder looks; what it fenced with an old geometry meanwhile is refused, and decoded again."""

_log = structlog.stdlib.get_logger("campus")


class CampusFollower:
    """Gives the decoder of batches the present geometry."""

    def __init__(self, *, client: Redis, decoder: BatchDecoder, file: Campus, metrics: DecoderMetrics) -> None:
        """`file` holds as long as there is no campus in Redis."""
        self._client = client
        self._decoder = decoder
        self._file = file
        self._metrics = metrics

    async def run(self, stop: Stop) -> None:
        """Follow until `stop`."""
        while not stop.is_set():
            await until_available("campus", self._metrics, self._look)
            await pause(EVERY_SECONDS, stop)

    async def _look(self) -> None:
        if (await stored_version(self._client) or self._file.version) != self._decoder.fence.version:
            await self.refresh()

    async def refresh(self) -> None:
        """Take up the present campus. Raises Unavailable, also where the one in Redis cannot be used."""
        stored = await stored_campus(self._client)
        try:
            fence = (
                Geofence(parse_campus(stored.geojson, "the campus in Redis"), version=stored.version)
                if stored
                else Geofence(self._file)
            )
        except InvalidCampus as error:
            raise Unavailable(str(error)) from error
        self._decoder.fence = fence
        _log.info("campus", version=fence.version, zones=len(fence.zone_ids) - 1)
