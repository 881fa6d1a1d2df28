"""The live path in the test's own process: the stages of a decoder over stores of the test's choice."""

import asyncio
import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

import documents
from core.kinds import DEFAULT_KINDS, KindId
from core.messages import Position, RawMessage
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from geofence import load_campus
from runtime.service import Stop
from state.dirty_windows import waiting
from tests.conftest import POSITIONS, RAW, eventually
from tests.decoder.conftest import HASHER, LIBRARY, TTL, HandClock
from tests.kinds_of_tests import CAR, MOBILE
from tests.raw_streams import append
from timeseries import OccupancyStore, Width, Window, window_start

TOPICS = {CAR: "car-iotp", MOBILE: "mobile-iotp"}
DUBLIN = ZoneInfo("Europe/Dublin")
ALL_TIME = 10**15


def position(device: str, at: int, *zones: str, kind: KindId = CAR) -> Position:
    return Position(
        kind=kind,
        device=device,
        observed_at=at,
        received_at=at,
        longitude=LIBRARY[0],
        latitude=LIBRARY[1],
        zones=("campus", *zones),
        cell="gc3gsuxx",
    )


async def everything(store: OccupancyStore) -> dict[Window, int]:
    """All points of a store."""
    return {
        point.window: point.devices
        for width in Width
        for zone, kind in await store.series(width)
        for point in await store.history(zone=zone, kind=kind, width=width, start=-ALL_TIME, end=ALL_TIME)
    }


def counted(positions: Iterable[Position]) -> dict[Window, int]:
    """The windows of positions, counted the slow, plain way."""
    seen: dict[Window, set[str]] = {}
    for each in positions:
        for width in Width:
            for zone in each.zones:
                window = Window(width, window_start(width, each.observed_at, DUBLIN), zone, each.kind)
                seen.setdefault(window, set()).add(each.device)
    return {window: len(devices) for window, devices in seen.items()}


class Live:
    """Observe, archive and rollup; running within the context, and stopped or cancelled at its end."""

    def __init__(
        self, *, client: Redis, clock: HandClock, folder: Path, store: OccupancyStore, archive: documents.DocumentStore
    ) -> None:
        self._client = client
        self._clock = clock
        self._settings = DecoderSettings(data_dir=folder, presence_ttl=TTL, observe_batch=50, rollup_every=0)
        self.metrics = DecoderMetrics()
        self.store = store
        self.archive = archive

    async def __aenter__(self) -> Self:
        assembly = Assembly(
            kinds=DEFAULT_KINDS, settings=self._settings, client=self._client, clock=self._clock, metrics=self.metrics
        )
        stages = assembly.observe(load_campus(None), HASHER)
        stages |= assembly.archive(self.archive) | assembly.rollup(self.store)
        self._stop = Stop()
        self._tasks = [asyncio.ensure_future(stage(self._stop)) for stage in stages.values()]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        _, unfinished = await asyncio.wait(self._tasks, timeout=10)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*self._tasks)

    async def accept(self, device: str, kind: KindId, place: tuple[float, float], at: int) -> None:
        """A broker accepts a position; longitude and latitude, and the event time in milliseconds."""
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(place)},
            "properties": {"device_id": device, "timestamp": at},
        }
        payload = base64.b64encode(json.dumps(feature).encode())
        message = RawMessage(TOPICS[kind], "", "anonymous", self._clock(), payload)
        await append(self._client, message)

    async def observed(self) -> None:
        """Wait until every position that was accepted is counted in its windows, and archived."""

        async def idle() -> bool:
            return not (await self._client.xlen(RAW) or await self._client.xlen(POSITIONS))

        await eventually(idle)

    async def done(self) -> None:
        """Wait until nothing is left to do."""
        await self.observed()

        async def clean() -> bool:
            # Time goes on, so that claims lapse.
            self._clock.now += 100
            return not await self.dirty()

        await eventually(clean)

    async def dirty(self) -> int:
        """Windows that are yet to be written."""
        return await waiting(self._client, 1)
