"""How many messages a second the stage observe decodes, beside base64 and JSON decoding of the same bytes alone.

python -m bench.observe                         ten rounds of 30,000 messages: a table, and bench/results/observe.json
python -m bench.observe --profile observe.prof  one round under cProfile

Each turn appends the same messages to a Redis of its own, and lets one decoder, on one core, work them off: as the
settings are, and with PRESENCE_MARGIN=0, where each position is sure. CPU time stands beside the rates, for it says
more where a machine is busy.
"""

import base64
import cProfile
import json
import os
import resource
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, cast
from zoneinfo import ZoneInfo

import typer
import uvloop
from rich.console import Console

from bench.cpu import MILLION
from bench.quick import Quick, ResultsFile, place
from bench.results_file import ALL_CPU, Aim, Compared, results_of, write
from bench.rounds import Entry, Figures, compare
from bench.section import section
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
from decoder.traces import StageTraces
from geofence import Geofence, load_campus
from runtime.settings import CommonSettings
from runtime.tracing import Tracing
from state.client import Redis, open_redis
from state.entries import encode_entries, group_of
from state.raw import Finisher, Raw, keys_of
from state.raw_group import RawGroup

TARGET = 40_000
TARGET_RATIO = 0.3
UNIT, STAGE, NO_MARGIN, ALONE = (
    "messages/s",
    "observe, Redis beside it",
    "the same with PRESENCE_MARGIN=0",
    "base64 + json alone",
)


def main(
    *,
    messages: Annotated[int, typer.Option(min=1000, max=2_000_000, help="Messages in a turn.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = 10,
    batch: Annotated[int | None, typer.Option(min=1, help="Messages to a batch; unset: the default.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of one turn here.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of turns.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the stage observe. Needs redis-server."""
    if quick:
        messages, rounds = 2000, 1
    settings = DecoderSettings()
    if batch:
        settings = settings.model_copy(update={"observe_batch": batch})
    no_margin = settings.model_copy(update={"presence_margin": 0})
    traffic = raw_messages(messages, system_clock())
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    with tempfile.TemporaryDirectory(prefix="bench-observe-") as folder, redis_server(Path(folder)) as address:
        if len(cores) > 1:
            # One core for the decoder; Redis was started before, and has the others.
            os.sched_setaffinity(0, cores[:1])
        if profile:
            profiler = cProfile.Profile()
            uvloop.run(observed(address, traffic, settings, profiler=profiler))
            profiler.dump_stats(profile)
            return
        entries = [
            Entry(name=STAGE, run=lambda: uvloop.run(observed(address, traffic, settings))),
            Entry(name=NO_MARGIN, run=lambda: uvloop.run(observed(address, traffic, no_margin))),
            Entry(name=ALONE, run=lambda: _alone(traffic)),
        ]
        found = compare(entries, rounds=rounds, seed=seed)
    written = results_of(
        found,
        entries,
        name="observe",
        title=f"{messages:,} messages of one feature each, {settings.observe_batch:,} to a batch",
        repeat="python -m bench.observe",
        compared=[Compared(UNIT), Compared(ALL_CPU, "less")],
        seed=seed,
        aims=[
            Aim(text=f"{TARGET:,} {UNIT}", figure=UNIT, least=TARGET),
            Aim(text=f"{TARGET_RATIO} of {ALONE}", figure=UNIT, over=ALONE, least=TARGET_RATIO),
        ],
        notes=[f"Peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB."],
    )
    Console(highlight=False, soft_wrap=True, markup=False).print(section(written))
    if file := place("observe", quick=quick, results=results):
        write(written, file)


async def observed(
    address: str,
    traffic: list[RawMessage],
    settings: DecoderSettings,
    *,
    profiler: cProfile.Profile | None = None,
    tracing: Tracing | None = None,
    of_an_entry: int = 100,
) -> Figures:
    """From the first read to the last acknowledgement. `of_an_entry` messages lie in each, as of busy brokers."""
    async with open_redis(CommonSettings(redis_url=address)) as client:
        await _append(client, traffic, of_an_entry)
        metrics = DecoderMetrics()
        campus = load_campus(None)
        hasher = DeviceHasher(b"k" * KEY_BYTES)
        rules = settings.rules(DEFAULT_KINDS)
        decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(campus), hasher=hasher, partitions=1, rules=rules)
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
                settling=settings.settling,
            ),
            finisher=Finisher(client=client, partitions=1, dead_letters_max=settings.dead_letters_max),
            clock=system_clock,
            metrics=metrics,
            traces=StageTraces(
                tracing,
                client=client,
                clock=system_clock,
                partitions=1,
                timezone=ZoneInfo(settings.campus_timezone),
            ).observe(decoder, 0),
        )
        await group.create()
        left = len(traffic)
        redis = await _seconds_of_redis(client)
        if profiler:
            profiler.enable()
        started, busy_before = perf_counter(), process_time()
        while left:
            entries = await group.read(settings.observe_batch)
            await observer(entries)
            left -= group.size(entries)
        seconds, busy = perf_counter() - started, process_time() - busy_before
        if profiler:
            profiler.disable()
        redis = await _seconds_of_redis(client) - redis
        if await client.xlen(keys_of(0, 1).raw):
            raise AssertionError("messages are left")
        millions = len(traffic) / MILLION
        return Figures(
            values={UNIT: len(traffic) / seconds}, cpu={"Python": busy / millions, "Redis": redis / millions}
        )


async def _seconds_of_redis(client: Redis) -> float:
    """What Redis has had of the processors so far."""
    found = cast("dict[str, float]", await client.info("cpu"))
    return found["used_cpu_user"] + found["used_cpu_sys"]


async def _append(client: Redis, traffic: list[RawMessage], of_an_entry: int) -> None:
    await client.flushall()
    raw = Raw(client=client, partitions=1)
    for first in range(0, len(traffic), of_an_entry):
        await raw.append(0, encode_entries(map(group_of, traffic[first : first + of_an_entry])), most=len(traffic))


def _alone(traffic: list[RawMessage]) -> Figures:
    payloads = [message.payload for message in traffic]
    started, busy = perf_counter(), process_time()
    for payload in payloads:
        json.loads(base64.b64decode(payload))
    seconds, busy = perf_counter() - started, process_time() - busy
    return Figures(values={UNIT: len(payloads) / seconds}, cpu={"Python": busy / len(payloads) * MILLION})


if __name__ == "__main__":
    typer.run(main)
