"""What the API finds: devices that are present and move, and a history."""

import asyncio
import random
from collections import defaultdict
from pathlib import Path

from redis.asyncio import Redis

from bench.kinds import CAR
from bench.presence import leave, see
from core.clock import system_clock
from core.kinds import DEFAULT_KINDS, KindId
from geofence import load_campus
from timeseries import OccupancyPoint, OccupancyStore, TimeseriesSettings, Width, Window, nominal_ms, open_store

DEVICES = 20_000
HISTORY_DAYS = 7
DAY_MS = 86_400_000
_STEP = nominal_ms[Width.FIVE_MINUTES]


def zone_ids() -> list[str]:
    """The zones of the University of Limerick."""
    return [zone.id for zone in load_campus(None).zones]


async def arrive(client: Redis) -> None:
    """Let `DEVICES` devices be present, each on the campus and in one zone."""
    chance = random.Random(20_000)  # noqa: S311 - where people are, not a secret
    zones, now = zone_ids(), system_clock()
    campus = load_campus(None).boundary.id
    found: dict[tuple[str, KindId], dict[str, int]] = defaultdict(dict)
    for number in range(DEVICES):
        kind, at = chance.choice(DEFAULT_KINDS.ids), now - chance.randrange(60_000)
        found[campus, kind][f"{number:032x}"] = found[chance.choice(zones), kind][f"{number:032x}"] = at
    for (zone, kind), devices in found.items():
        await see(client, zone, kind, devices)


async def come_and_go(client: Redis) -> None:
    """Change every zone once a second, until cancelled."""
    zones = zone_ids()
    here = False
    while True:
        here = not here
        for zone in zones:
            if here:
                await see(client, zone, CAR, {"a guest": system_clock()})
            else:
                await leave(client, zone, CAR, "a guest")
        await asyncio.sleep(1)


async def record(folder: Path, start: int) -> None:
    """Keep `HISTORY_DAYS` days from `start` on, at 5m, of all zones and kinds: somebody was there in each window."""
    chance = random.Random(5)  # noqa: S311 - a history, not a secret
    async with open_store(TimeseriesSettings(data_dir=folder)) as store:
        await store.setup()
        for zone in zone_ids():
            for kind in DEFAULT_KINDS.ids:
                await store.write(
                    [
                        OccupancyPoint(
                            Window(Width.FIVE_MINUTES, start + number * _STEP, zone, kind), chance.randrange(1, 500)
                        )
                        for number in range(HISTORY_DAYS * DAY_MS // _STEP)
                    ]
                )


async def day(store: OccupancyStore, zone: str, start: int) -> None:
    """What the store itself is asked for one day of one zone."""
    points = await store.history(zone=zone, kind=CAR, width=Width.FIVE_MINUTES, start=start, end=start + DAY_MS)
    if len(points) != DAY_MS // _STEP:
        raise AssertionError(f"{len(points)} windows in a day")
