"""Following the campus: zones may change while decoders run."""

import structlog

from core.errors import Unavailable
from core.runtime import Stop, pause
from decoder.batch import BatchDecoder
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from geofence import Campus, Geofence, InvalidCampus, parse_campus
from state.campus import advance_partitions, present_campus, present_version, raise_number
from state.client import Redis

EVERY_SECONDS = 1.0
"""How often a decoder looks; what it fenced with an old geometry meanwhile is refused, and decoded again."""

_log = structlog.stdlib.get_logger("campus")


class CampusFollower:
    """Gives the decoder of batches the present geometry."""

    def __init__(
        self, *, client: Redis, decoder: BatchDecoder, file: Campus, metrics: DecoderMetrics, partitions: int
    ) -> None:
        """`file` holds as long as there is no campus in Redis."""
        self._client = client
        self._partitions = partitions
        self._decoder = decoder
        self._file = file
        self._metrics = metrics

    async def run(self, stop: Stop) -> None:
        """Follow until `stop`."""
        while not stop.is_set():
            await until_available("campus", self._metrics, self._look)
            await pause(EVERY_SECONDS, stop)

    async def _look(self) -> None:
        number, version = await present_version(self._client)
        if (number, version or self._file.version) != (self._decoder.number, self._decoder.fence.version):
            await self.refresh()

    async def refresh(self, at_least: int = 0) -> None:
        """Take up the present campus, and have all partitions hear of it.

        `at_least` is the number of a campus that a partition knows: where Redis has lost that one, the present one
        takes its place. Raises Unavailable, also where the one in Redis cannot be used.
        """
        present = await present_campus(self._client)
        if present.number < at_least:
            await raise_number(self._client, at_least)
            present = await present_campus(self._client)
        stored = present.stored
        try:
            fence = (
                Geofence(parse_campus(stored.geojson, "the campus in Redis"), version=stored.version)
                if stored
                else Geofence(self._file)
            )
        except InvalidCampus as error:
            raise Unavailable(str(error)) from error
        # Together: a batch is fenced with both.
        self._decoder.fence, self._decoder.number = fence, present.number
        await advance_partitions(self._client, self._partitions)
        _log.info("campus", version=fence.version, zones=len(fence.zone_ids) - 1)
