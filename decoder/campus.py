"""Following the campus: zones may change while decoders run."""

from core.kinds import Kinds
from decoder.batch import BatchDecoder
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from geofence import Campus, Geofence, parse_campus
from runtime.service import Stop, pause
from state import campus_follower
from state.campus import StoredCampus, advance_partitions, present_version, raise_number
from state.client import Redis

EVERY_SECONDS = 1.0
"""How often a decoder looks; what it fenced with an old geometry meanwhile is refused, and decoded again."""


class CampusFollower:
    """Gives the decoder of batches the present geometry."""

    def __init__(
        self,
        *,
        client: Redis,
        decoder: BatchDecoder,
        kinds: Kinds,
        file: Campus,
        metrics: DecoderMetrics,
        partitions: int,
    ) -> None:
        """`file` holds as long as there is no campus in Redis."""
        self._client = client
        self._partitions = partitions
        self._kinds = kinds
        self._decoder = decoder
        self._retry = StageRetry("campus", metrics)
        self._followed = campus_follower.CampusFollower(
            client, file=Geofence(file), version=file.version, make=_fence_of
        )

    async def run(self, stop: Stop) -> None:
        """Follow until `stop`."""
        while not stop.is_set():
            await self._retry.until_available(self._look)
            await pause(EVERY_SECONDS, stop)

    async def _look(self) -> None:
        followed = self._followed
        await followed.look()
        if (followed.number, followed.version) != (self._decoder.number, self._decoder.fence.version):
            await self._take_up()

    async def refresh(self, at_least: int = 0) -> None:
        """Take up the present campus, and have all partitions hear of it.

        `at_least` is the number of a campus that a partition knows: where Redis has lost that one, the present one
        takes its place. Raises UnavailableError, also where the one in Redis cannot be used.
        """
        number, _ = await present_version(self._client)
        if number < at_least:
            await raise_number(self._client, at_least)
        await self._followed.refresh()
        await self._take_up()

    async def _take_up(self) -> None:
        # First, so that it is tried again where Redis is away.
        await advance_partitions(self._client, self._partitions, self._kinds)
        # Together: a batch is fenced with both.
        self._decoder.fence, self._decoder.number = self._followed.view, self._followed.number


def _fence_of(stored: StoredCampus) -> Geofence:
    return Geofence(parse_campus(stored.geojson, "the campus in Redis"), version=stored.version)
