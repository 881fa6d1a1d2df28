"""How believable presence is: what the script of the stage observe says of devices of which the truth is known.

python -m bench.believable              20 hours of standing at each place, 20 walks of each kind
python -m bench.believable --hours 5    fewer

Each device stands for an hour beside the wall of a building, with a fix each 10 s that is 68 % of the time within 15 m;
or walks through three buildings. Presence is read after each fix: with the settings' defaults, and where each position
is sure, as with PRESENCE_MARGIN=0. Needs redis-server.
"""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from bench.quick import Quick, ResultsFile, keep, place
from bench.servers import redis_server
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.devices import KEY_BYTES, DeviceHasher
from decoder.effects import Effects
from decoder.settings import DecoderSettings
from geofence import Geofence, parse_campus
from runtime.settings import CommonSettings
from simulator.message import payload
from simulator.truth import Place, TrueFix, moved, standing, true_zones, walking
from state.client import Redis, open_redis
from state.presence import presence_key

CORNER: Place = (-8.58, 52.66)
SIDE = 60.0
"""Metres: a building is so wide and so deep."""
GAP = 20.0
"""Metres from one building to the next."""
BUILDINGS = ("first", "second", "third")
"""From the west to the east, in a row."""
START_MS = 1_772_366_400_000
EVERY = 10.0
DISTANCES = (-15.0, -8.0, 0.0, 8.0, 15.0)
"""Metres inside the western wall of the first building."""
Zones = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What was said of one device, beside what is true."""

    transitions: int
    """How often it came into a zone or left one, the campus aside; being there at first is none."""
    entered: dict[str, int]
    """How often it came into each zone that it ever was in."""
    wrong_fixes: int
    """Fixes after which it was said to be in other zones than it was in."""


def campus() -> Geofence:
    """Three buildings in a row on a large campus."""
    features = [_feature("campus", "boundary", -1000, -1000, 2000)]
    features += [_feature(name, "zone", number * (SIDE + GAP), 0, SIDE) for number, name in enumerate(BUILDINGS)]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    return Geofence(parse_campus(text.encode(), "three buildings"))


def at_the_wall(inside: float) -> Place:
    """A place so many metres inside the western wall of the first building, in its middle."""
    return moved(CORNER, inside, SIDE / 2)


def through_all() -> list[Place]:
    """A walk from 40 m before the first building to 40 m behind the third, through their middles."""
    end = len(BUILDINGS) * (SIDE + GAP) - GAP + 40
    return [moved(CORNER, -40, SIDE / 2), moved(CORNER, end, SIDE / 2)]


async def said_of(
    client: Redis, fence: Geofence, fixes: Sequence[TrueFix], settings: DecoderSettings, device: str
) -> list[Zones]:
    """In which zones the script has the device after each of its fixes, in alphabetical order, the campus aside."""
    hasher = DeviceHasher(b"k" * KEY_BYTES)
    rules = settings.rules(DEFAULT_KINDS)
    decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=hasher, partitions=1, rules=rules)
    effects = Effects(
        client=client,
        partitions=1,
        kinds=DEFAULT_KINDS,
        zone=ZoneInfo(settings.campus_timezone),
        away=hasher.away,
        presence_ttl=settings.presence_ttl,
        rollup_every=settings.rollup_every,
        dead_letters_max=settings.dead_letters_max,
        implausible_speed=settings.implausible_speed,
        settling=settings.settling,
    )
    kind = DEFAULT_KINDS.ids[0]
    topic, hashed, found = f"{kind}-iotp", hasher.hash(kind, device), []
    for each in fixes:
        now = each.fix.at_ms
        message = RawMessage(topic, "gateway", "gateway", now, payload(each.fix, device))
        await effects.apply(decoder.decode([message]), now=now)
        async with client.pipeline(transaction=False) as pipeline:
            for name in BUILDINGS:
                pipeline.zscore(presence_key("{0}", name, kind), hashed)
            scores = await pipeline.execute()
        found.append(tuple(name for name, score in zip(BUILDINGS, scores, strict=True) if score is not None))
    return found


def score(fence: Geofence, fixes: Sequence[TrueFix], said: Sequence[Zones]) -> Score:
    """Beside the truth."""
    true = [tuple(sorted((zones or ())[1:])) for zones in true_zones(fence, fixes)]
    changes = [set(before) ^ set(after) for before, after in itertools.pairwise(said)]
    entries = [set(after) - set(before) for before, after in itertools.pairwise([(), *said])]
    return Score(
        transitions=sum(map(len, changes)),
        entered={name: count for name in BUILDINGS if (count := sum(name in each for each in entries))},
        wrong_fixes=sum(one != other for one, other in zip(said, true, strict=True)),
    )


def main(
    *,
    hours: Annotated[int, typer.Option(min=1, max=1000, help="Devices that stand, and walk, for each line.")] = 20,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Tell how often devices change zones that do not, and whether those that walk are seen."""
    hours = 1 if quick else hours
    with tempfile.TemporaryDirectory(prefix="bench-believable-") as folder, redis_server(Path(folder)) as address:
        found = asyncio.run(_measure(address, hours))
    keep({"hours": hours, **found}, place("believable", quick=quick, results=results))


async def _measure(address: str, hours: int) -> dict[str, object]:
    written: dict[str, object] = {}
    fence = campus()
    ways = {"default": DecoderSettings(), "margin 0": DecoderSettings(presence_margin=0)}
    async with open_redis(CommonSettings(redis_url=address)) as client:

        async def scores(fixes: list[list[TrueFix]], settings: DecoderSettings) -> list[Score]:
            await client.flushall()
            said = [await said_of(client, fence, each, settings, str(seed)) for seed, each in enumerate(fixes)]
            return [score(fence, *pair) for pair in zip(fixes, said, strict=True)]

        typer.echo("standing an hour: transitions, hours with at most one, minutes wrong")
        for correlation, inside in [*((0.0, each) for each in DISTANCES), (0.9, 0.0)]:
            place = at_the_wall(inside)
            standers = [
                standing(place, start_ms=START_MS, seconds=3600, noise=15, seed=seed, correlation=correlation)
                for seed in range(hours)
            ]
            for name, settings in ways.items():
                found = await scores(standers, settings)
                mean = sum(each.transitions for each in found) / hours
                calm = sum(each.transitions <= 1 for each in found) / hours
                wrong = sum(each.wrong_fixes for each in found) / hours * EVERY / 60
                what = f"{inside:+3.0f} m inside" + (", correlated" if correlation else "")
                typer.echo(f"{what:24} {name:9} {mean:6.1f} {calm:6.0%} {wrong:6.1f}")
                written[f"{what}, {name}"] = {"transitions": mean, "calm": calm, "minutes wrong": wrong}
        typer.echo("walking through three buildings: walks in which each was entered once, minutes wrong")
        for noise in (0.0, 5.0, 10.0, 15.0):
            walkers = [
                walking(through_all(), start_ms=START_MS + seed * 700, speed=1.4, every=EVERY, noise=noise, seed=seed)
                for seed in range(hours)
            ]
            for name, settings in ways.items():
                found = await scores(walkers, settings)
                once = sum(each.entered == dict.fromkeys(BUILDINGS, 1) for each in found) / hours
                wrong = sum(each.wrong_fixes for each in found) / hours * EVERY / 60
                what = f"{noise:.0f} m of noise"
                typer.echo(f"{what:24} {name:9} {once:6.0%} {wrong:6.1f}")
                written[f"walking, {what}, {name}"] = {"entered once": once, "minutes wrong": wrong}
    return written


def _feature(name: str, role: str, east: float, north: float, side: float) -> dict[str, object]:
    corners = [(0, 0), (side, 0), (side, side), (0, side), (0, 0)]
    ring = [moved(CORNER, east + x, north + y) for x, y in corners]
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": name, "role": role},
    }


if __name__ == "__main__":
    typer.run(main)
