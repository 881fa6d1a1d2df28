"""How many messages a second the stage observe decodes, beside base64 and JSON decoding of the same bytes alone.

python -m bench.observe                         five rounds of 50,000 messages: a table, and bench/results/observe.json
python -m bench.observe --profile observe.prof  one round under cProfile

Each round appends the same messages to a Redis of its own, and lets one decoder, on one core, work them off.
"""

import base64
import cProfile
import json
import os
import resource
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
import uvloop

from bench.report import Report
from bench.servers import redis_server
from bench.traffic import raw_messages
from core.clock import system_clock
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.campus import CampusFollower
from decoder.devices import KEY_BYTES, DeviceHasher
from decoder.effects import Effects
from decoder.metrics import DecoderMetrics
from decoder.observe import Observer
from decoder.settings import DecoderSettings
from geofence import Geofence, load_campus
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.entries import encode_entries, group_of
from state.raw import Finisher, Raw, keys_of
from state.raw_group import RawGroup

TARGET = 40_000
TARGET_RATIO = 0.3


def main(
    *,
    messages: Annotated[int, typer.Option(min=1000, max=2_000_000, help="Messages in a round.")] = 50_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 5,
    batch: Annotated[int | None, typer.Option(min=1, help="Messages to a batch; unset: the default.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of one round here.")] = None,
) -> None:
    """Measure the stage observe. Needs redis-server."""
    settings = DecoderSettings()
    if batch:
        settings = settings.model_copy(update={"observe_batch": batch})
    traffic = raw_messages(messages, system_clock())
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        # One core for the decoder; Redis is started before, and has the others.
        cores = sorted(os.sched_getaffinity(0))
    else:
        cores = []
    with tempfile.TemporaryDirectory(prefix="bench-observe-") as folder, redis_server(Path(folder)) as address:
        if cores:
            os.sched_setaffinity(0, cores[:1])
        if profile:
            profiler = cProfile.Profile()
            uvloop.run(_stage(address, traffic, settings, profiler))
            profiler.dump_stats(profile)
            return
        pairs = [(uvloop.run(_stage(address, traffic, settings)), _alone(traffic)) for _ in range(rounds)]
    Report(
        name="observe",
        title=f"{messages:,} messages of one feature each, {settings.observe_batch:,} to a batch",
        unit="messages/s",
        measured="observe, Redis beside it",
        rates=[pair[0] for pair in pairs],
        peer="base64 + json alone",
        peer_rates=[pair[1] for pair in pairs],
        target=TARGET,
        target_ratio=TARGET_RATIO,
        others={"peak memory of this process, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024},
    ).show()


async def _stage(
    address: str, traffic: list[RawMessage], settings: DecoderSettings, profiler: cProfile.Profile | None = None
) -> float:
    """Messages a second, from the first read to the last acknowledgement."""
    async with open_redis(CommonSettings(redis_url=address)) as client:
        await _append(client, traffic)
        metrics = DecoderMetrics()
        campus = load_campus(None)
        hasher = DeviceHasher(b"k" * KEY_BYTES)
        decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(campus), hasher=hasher, partitions=1)
        group = RawGroup(client=client, partition=0, partitions=1, consumer="bench", claim_after_ms=60_000)
        observer = Observer(
            partition=0,
            decoder=decoder,
            campus=CampusFollower(
                kinds=DEFAULT_KINDS, client=client, decoder=decoder, file=campus, metrics=metrics, partitions=1
            ),
            effects=Effects(
                kinds=DEFAULT_KINDS,
                client=client,
                partitions=1,
                zone=ZoneInfo(settings.campus_timezone),
                away=hasher.away,
                presence_ttl=settings.presence_ttl,
                rollup_every=settings.rollup_every,
                dead_letters_max=settings.dead_letters_max,
                implausible_speed=settings.implausible_speed,
            ),
            finisher=Finisher(client=client, partitions=1, dead_letters_max=settings.dead_letters_max),
            clock=system_clock,
            metrics=metrics,
        )
        await group.create()
        left = len(traffic)
        if profiler:
            profiler.enable()
        started = perf_counter()
        while left:
            entries = await group.read(settings.observe_batch)
            await observer(entries)
            left -= group.size(entries)
        seconds = perf_counter() - started
        if profiler:
            profiler.disable()
        if await client.xlen(keys_of(0, 1).raw):
            raise AssertionError("messages are left")
        return len(traffic) / seconds


async def _append(client: Redis, traffic: list[RawMessage]) -> None:
    """In entries of 100 messages, as busy brokers do."""
    await client.flushall()
    raw = Raw(client=client, partitions=1)
    for first in range(0, len(traffic), 100):
        await raw.append(0, encode_entries(map(group_of, traffic[first : first + 100])), most=len(traffic))


def _alone(traffic: list[RawMessage]) -> float:
    payloads = [message.payload for message in traffic]
    started = perf_counter()
    for payload in payloads:
        json.loads(base64.b64decode(payload))
    return len(payloads) / (perf_counter() - started)


if __name__ == "__main__":
    typer.run(main)
