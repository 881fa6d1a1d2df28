"""Windows that are made of released counts, and are over, become points of a time-series store of their own.

They are written once, by whichever process: what comes late, and what is computed from documents, changes none of them.
A minute is recorded for all zones and kinds alike if the stage `release` looked in it while a broker lived, so that
nothing of it follows from devices.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from core.clock import Clock
from core.kinds import KindId, Kinds
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from geofence import Campus, parse_campus
from runtime.service import Stop, pause
from state.campus import StoredCampus
from state.campus_follower import CampusFollower, UnusableCampusError
from state.client import Redis
from state.released import ReleasedWindow, ReleasedWriter
from timeseries import Coverage, OccupancyPoint, TimeseriesStore, Width, Window, hour_of
from timeseries.coverage import HOUR_MS, minute_bit

EVERY_SECONDS = 2.0
AT_ONCE = 60
"""Windows that are read and written together."""

_log = structlog.stdlib.get_logger("release")


class ReleasedWindows:
    """Writes them; as many may run as there are decoders."""

    def __init__(
        self,
        *,
        client: Redis,
        store: TimeseriesStore,
        kinds: Kinds,
        file: Campus,
        clock: Clock,
        metrics: DecoderMetrics,
    ) -> None:
        """`store` is that of released counts, `file` the campus as long as there is none in Redis."""
        self._writer = ReleasedWriter(client)
        self._store = store
        self._kinds = kinds
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("release-windows", metrics)
        self._zones: CampusFollower[Sequence[str]] = CampusFollower(
            client, file=[zone.id for zone in file.everything], version=file.version, make=_zones_of
        )

    async def run(self, stop: Stop) -> None:
        """Write until `stop`; what waits then is written by whoever runs next."""
        while not stop.is_set():
            if await self._retry.until_available(self.step) < AT_ONCE:
                await pause(EVERY_SECONDS, stop)

    async def step(self) -> int:
        """Write some of the windows that wait; how many there were. Raises UnavailableError."""
        windows = await self._writer.over(AT_ONCE)
        if windows:
            with self._metrics.asking("timeseries", "write"):
                written = await self._store.write(list(_points(windows, self._kinds)))
                written.check()
            for window, words in written.refused.items():
                _log.warning("the store refuses a window of released counts", window=window.member, words=words)
            self._metrics.refused.inc(written.expired + len(written.refused))
            for hour, minutes in _recorded(windows).items():
                for kind in self._kinds.ids:
                    await self._record(hour, kind, minutes)
            await self._writer.stored(windows)
        return len(windows)

    async def _record(self, hour: int, kind: KindId, minutes: int) -> None:
        with self._metrics.asking("timeseries", "read"):
            found = await self._store.coverage(kind, start=hour, end=hour + HOUR_MS)
        stored = {each.zone: each.minutes for each in found}
        zones = await self._known_zones()
        with self._metrics.asking("timeseries", "write"):
            await self._store.write_coverage(
                [Coverage(zone, kind, hour, minutes | stored.get(zone, 0)) for zone in zones]
            )

    async def _known_zones(self) -> Sequence[str]:
        try:
            return await self._zones.look()
        except UnusableCampusError:
            return self._zones.view  # the stage release has told of it


def _points(windows: Iterable[ReleasedWindow], kinds: Kinds) -> Iterable[OccupancyPoint]:
    for window in windows:
        for name, count in window.counts.items():
            with suppress(ValueError):  # nobody of ours wrote it
                found = Window.parse(f"{window.name}:{name}")
                if found.kind in kinds.ids:
                    yield OccupancyPoint(found, count)


def _recorded(windows: Iterable[ReleasedWindow]) -> dict[int, int]:
    """By hour, which minutes of it were recorded, as `Coverage` has them."""
    found: dict[int, int] = {}
    for window in windows:
        if window.width is Width.MINUTE and window.recorded:
            hour = hour_of(window.start)
            found[hour] = found.get(hour, 0) | minute_bit(window.start)
    return found


def _zones_of(stored: StoredCampus) -> Sequence[str]:
    return [zone.id for zone in parse_campus(stored.geojson, "the campus in Redis").everything]
