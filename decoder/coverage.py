"""Coverage: which minutes were counted at all, written beside the windows.

A minute of a kind is recorded if the system was counting in it, or if a window of that minute holds a device: so what
is replayed from the past, or comes late from devices that were offline, is recorded as well. Redis has a bit for each
minute (`state.coverage`); the hours that changed become points of all zones that the campus has.
"""

from collections.abc import Sequence

import structlog

from core.clock import Clock
from core.errors import Reason
from core.kinds import KindId, Kinds
from core.messages import DeadLetter
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from geofence import Campus, parse_campus
from runtime.service import Stop, pause
from state.campus import StoredCampus
from state.campus_follower import CampusFollower, UnusableCampusError
from state.client import Redis
from state.coverage import LIFE_MS, RecordedMinutes, parse_mark
from state.dead_letters import DeadLetters
from state.newest_input import Silence, signs_of_input
from timeseries import Coverage, TimeseriesStore, Width
from timeseries.coverage import HOUR_MS, WHOLE_HOUR

EVERY_SECONDS = 15.0
"""Several times a minute, so that a look that comes late loses none."""
HOURS_AT_ONCE = 200
"""Hours that one step reads and writes, however many wait: with 5,000 zones some million points, in batches."""

_log = structlog.stdlib.get_logger("coverage")


class CoverageRecorder:
    """Runs beside the roll-up; as many may run as there are decoders."""

    def __init__(
        self,
        *,
        client: Redis,
        store: TimeseriesStore,
        kinds: Kinds,
        file: Campus,
        clock: Clock,
        metrics: DecoderMetrics,
        dead_letters_max: int,
    ) -> None:
        """`file` is the campus as long as there is none in Redis."""
        self._client = client
        self._kinds = kinds
        self._dead_letters = DeadLetters(client, partitions=1)  # only those of no partition
        self._store = store
        self._file = file
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("coverage", metrics)
        self._dead_letters_max = dead_letters_max
        self._silence = Silence(clock)
        self._zone_ids: CampusFollower[Sequence[str]] = CampusFollower(
            client, file=[zone.id for zone in file.everything], version=file.version, make=_zone_ids_of
        )
        self._minutes = RecordedMinutes(client)

    async def run(self, stop: Stop) -> None:
        """Record until `stop`."""
        await self._retry.until_available(self.adopt)
        while not stop.is_set():
            written = await self._retry.until_available(self.step)
            if written < HOURS_AT_ONCE:
                await pause(EVERY_SECONDS, stop)

    async def adopt(self) -> None:
        """Where windows were written before coverage was: take the hours in which any device was seen as recorded."""
        campus = self._file.boundary.id
        if any([await self._store.coverage_extent(campus, kind) for kind in self._kinds.ids]):
            return
        seen: set[int] = set()
        for kind in self._kinds.ids:
            known = await self._store.extent(campus, kind, Width.HOUR)
            if known is None:
                continue
            # A step that no store refuses for being too long, and that skips what is empty.
            for start in range(known[0], known[1] + 1, 50_000 * HOUR_MS):
                end = min(start + 50_000 * HOUR_MS, known[1] + 1)
                points = await self._store.history(zone=campus, kind=kind, width=Width.HOUR, start=start, end=end)
                seen |= {point.window.start for point in points if point.devices}
        zones = [zone.id for zone in self._file.everything]
        for hour in sorted(seen):
            await self._store.write_coverage(
                [Coverage(zone, kind, hour, WHOLE_HOUR) for zone in zones for kind in self._kinds.ids]
            )
        if seen:
            _log.info("hours in which devices were seen count as recorded", hours=len(seen))

    async def step(self) -> int:
        """Mark the present minute, if anything can come in, and write hours that changed; how many there were.

        Raises UnavailableError.
        """
        now = self._clock()
        signs = await signs_of_input(self._client, self._kinds)
        if self._silence.since(signs.beats) is None and signs.beats:
            await self._minutes.mark([(kind, now) for kind in self._kinds.ids])
        marks = await self._minutes.marks(HOURS_AT_ONCE)
        if marks:
            zones = await self._zones()
            for mark in marks:
                try:
                    hour, kind = parse_mark(mark, self._kinds)
                except ValueError:
                    await self._discard(mark)
                else:
                    await self._write(hour, kind, zones, now)
        return len(marks)

    async def _discard(self, mark: bytes) -> None:
        # Of several decoders that meet it, the one who removes it says so.
        if not await self._minutes.discard(mark):
            return
        letter = DeadLetter(
            Reason.MALFORMED_ENTRY, "a mark in coverage:dirty that no decoder made", "", self._clock(), None
        )
        await self._dead_letters.add([letter], self._dead_letters_max)
        self._metrics.dead.labels(letter.reason.value).inc()

    async def _write(self, hour: int, kind: KindId, zones: Sequence[str], now: int) -> None:
        bits = await self._minutes.read(hour, kind)
        stored: dict[str, int] = {}
        if hour + LIFE_MS <= now + HOUR_MS:
            # The bits may have begun anew since: none that was stored is taken away.
            with self._metrics.asking("timeseries", "read"):
                found = await self._store.coverage(kind, start=hour, end=hour + HOUR_MS)
            stored = {each.zone: each.minutes for each in found}
        with self._metrics.asking("timeseries", "write"):
            await self._store.write_coverage(
                [Coverage(zone, kind, hour, bits.minutes | stored.get(zone, 0)) for zone in zones]
            )
        await self._minutes.settle(hour, kind, bits)

    async def _zones(self) -> Sequence[str]:
        try:
            return await self._zone_ids.look()
        except UnusableCampusError as error:
            # The stage observe waits for it, and says so; coverage goes on with the zones that it knows.
            _log.warning("the campus in Redis cannot be used", reason=str(error))
            return self._zone_ids.view


def _zone_ids_of(stored: StoredCampus) -> Sequence[str]:
    return [zone.id for zone in parse_campus(stored.geojson, "the campus in Redis").everything]
