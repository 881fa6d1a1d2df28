"""Stage 3: dirty windows become points of the occupancy series (docs/decisions/0007-rolling-up.md)."""

from typing import Any, cast

import structlog

from core import streams
from core.clock import Clock
from core.errors import Unanswered, Unavailable
from core.redis import Redis, redis_errors
from core.runtime import Stop, pause
from decoder.effects import script
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from decoder.spans import WINDOW_LIFE_MS
from timeseries import OccupancyPoint, OccupancyStore, Window, nominal_ms, stored_devices

EVERY_SECONDS = 0.5
"""How long changes are gathered: a window that changes all the time is written twice a second."""
LEASE_MS = 60_000
"""How long a claimed window is left alone: longer than the store may take, also for a batch that nobody waits for."""
NOBODY = -1
"""No claim lasts until then: settling with it makes the windows due again."""
CLOCKS_APART_MS = 3600 * 1000
"""A device's clock may be five minutes ahead, and ours and that of Redis are not the same: an hour is plenty."""

_log = structlog.stdlib.get_logger("rollup")


class Rollup:
    """Writes the windows that changed; several of them, in several processes, share the work."""

    def __init__(
        self, *, client: Redis, store: OccupancyStore, clock: Clock, metrics: DecoderMetrics, batch_size: int
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._batch_size = batch_size
        self._claim = client.register_script(script("claim"))
        self._settle = client.register_script(script("settle"))

    async def run(self, stop: Stop) -> None:
        """Write until `stop`; what changed before it is written by whoever runs next."""
        while not stop.is_set():
            if not await self.step():
                await pause(EVERY_SECONDS, stop)

    async def step(self) -> int:
        """Roll up one batch of windows; how many there were. Waits while a store is away."""
        return await until_available("rollup", self._metrics, self._attempt)

    async def _attempt(self) -> int:
        now = self._clock()
        until = now + LEASE_MS
        with redis_errors():
            claimed = cast("list[Any]", await self._claim(args=[now, until, self._batch_size]))
        members = claimed[::2]
        if not members:
            return 0
        # A set that has lapsed while its window was waiting says nothing: what is written already stays.
        points = [
            OccupancyPoint(window=Window.parse(member.decode()), devices=devices)
            for member, devices in zip(members, claimed[1::2], strict=True)
            if devices
        ]
        try:
            await self._write(await self._not_lowered(points, now))
        except Unanswered as error:
            # The store may write these counts yet: nobody is to write newer ones before it has.
            await self._leave_alone(members)
            raise Unavailable(str(error), retry_after=LEASE_MS / 1000) from error
        except Unavailable:
            # Counts that are old by the time the store is back must not be written: they are claimed anew.
            await self._end_claim(members, NOBODY)
            raise
        # Near its end the claim may have lapsed by the clock of who marks a change, and then the mark does not show.
        in_time = self._clock() < until - LEASE_MS // 2
        await self._end_claim(members, until if in_time else NOBODY)
        self._metrics.batch_entries.labels("rollup").observe(len(members))
        if len(points) < len(members):
            lapsed = len(members) - len(points)
            self._metrics.lapsed.inc(lapsed)
            _log.warning("windows lapsed before they were written", windows=lapsed)
        return len(members)

    async def _write(self, points: list[OccupancyPoint]) -> None:
        before = self._store.refused
        with self._metrics.asking("timeseries", "write"):
            await self._store.write(points)
        refused = self._store.refused - before
        self._metrics.refused.inc(refused)
        self._metrics.rolled_up.inc(len(points) - refused)

    async def _not_lowered(self, points: list[OccupancyPoint], now: int) -> list[OccupancyPoint]:
        """The points without those that hold fewer devices than the store has, where the set may have begun anew."""
        late = [point.window for point in points if _may_have_lapsed(point.window, now)]
        if not late:
            return points
        with self._metrics.asking("timeseries", "read"):
            stored = await stored_devices(self._store, late)
        return [point for point in points if point.devices > stored.get(point.window, -1)]

    async def _leave_alone(self, members: list[bytes]) -> None:
        until = self._clock() + LEASE_MS
        with redis_errors():
            await self._client.zadd(streams.DIRTY_WINDOWS, dict.fromkeys(members, until), xx=True, gt=True)

    async def _end_claim(self, members: list[bytes], until: int) -> None:
        with redis_errors():
            await self._settle(args=[self._clock(), until, *members])


def _may_have_lapsed(window: Window, now: int) -> bool:
    """Whether the window's set can be a second one: its first may have gone, and its devices with it."""
    return window.start + nominal_ms[window.width] + WINDOW_LIFE_MS - CLOCKS_APART_MS <= now
