"""One recipe, played: faults while traffic arrives, and what the oracle says of it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

from decoder.settings import DecoderSettings
from runtime.settings import CommonSettings
from state import dirty_windows
from state.client import open_redis
from tests.conftest import eventually, running_influxd
from tests.couchdb.double import CouchDouble
from tests.oracle.backlog import is_observed, remains
from tests.oracle.clock import RunningClock
from tests.oracle.comparison import PRESENCE_TTL, compare
from tests.oracle.processes import ProcessDecoder
from tests.oracle.system import CHUNK, KEY, Decoder, Run
from tests.oracle.traffic import PRESENT, Traffic
from tests.ports import free_port
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.single import single_redis
from tests.resilience.keeper import LIMIT_SECONDS, Keeper, running_keeper
from tests.resilience.outcome import Outcome
from tests.resilience.recipes import DECODERS, Recipe
from tests.resilience.with_brokers import play_with_brokers

TRAFFIC = Traffic(seed=7, devices=30, fixes=60, twice=0.1, late=0.1, offline=0.1, corrupt=0.1, disorder=0.2)
PARTITIONS = 2
_STORES = {"decoder>redis": "redis_url", "decoder>couchdb": "cloudant_url", "decoder>influxdb": "influxdb_v2_url"}


async def play(recipe: Recipe, folder: Path) -> Outcome:
    """Play it, with all files in `folder`, whose path must be short."""
    return await (play_with_brokers if recipe.is_of_a_broker else _play_with_decoders)(recipe, folder)


async def _play_with_decoders(recipe: Recipe, folder: Path) -> Outcome:
    messages = TRAFFIC.messages()
    outcome, clock = Outcome(messages=len(messages)), RunningClock.beginning_at(PRESENT)
    run = Run(decoders=DECODERS, partitions=PARTITIONS, outages=1 if recipe.faults else 0, seed=TRAFFIC.seed)
    ended = time.monotonic()
    async with AsyncExitStack() as resources:
        settings = await _stores(folder, resources)
        through, keeper = await resources.enter_async_context(_between(settings))
        client = await resources.enter_async_context(open_redis(CommonSettings(redis_url=settings.redis_url)))
        making: list[asyncio.Task[None]] = []

        async def start(name: str) -> Decoder:
            number = int(name.rpartition("-")[2]) % DECODERS
            its = RunningClock(clock.ahead + int(recipe.ahead[number] * 1000))
            return ProcessDecoder(through.model_copy(update={"decoder_name": name}), its)

        async def last() -> None:
            nonlocal ended
            await keeper.make(recipe.faults, recipe.seconds)
            await eventually(keeper.is_over, limit=recipe.seconds + LIMIT_SECONDS)
            ended = time.monotonic()

        async def outage() -> None:
            # Beside the traffic, which goes on.
            making.append(asyncio.create_task(last()))
            await asyncio.sleep(0)

        async def worked_off() -> bool:
            return await is_observed(client, PARTITIONS) and not await dirty_windows.waiting(client, PARTITIONS)

        waited = 0

        async def wait() -> None:
            nonlocal waited
            waited += 1
            if waited == -(-len(messages) // CHUNK):  # all have arrived
                await asyncio.gather(*making)
                await eventually(worked_off, limit=max(1.0, recipe.recovered_within - (time.monotonic() - ended)))
                outcome.recovered = time.monotonic() - ended

        try:
            outcome.wrong = await compare(
                *(run, messages, start),
                client=client,
                settings=settings,
                clock=clock,
                exact_totals=False,
                wait=wait,
                outage=outage,
            )
        except TimeoutError:
            outcome.wrong = [
                f"it had not recovered within {recipe.recovered_within:.0f} s",
                *await remains(client, PARTITIONS),
            ]
        except AssertionError as error:  # of a decoder that ended by itself
            outcome.wrong = [str(error)]
        for task in making:
            task.cancel()
    return outcome


async def _stores(folder: Path, resources: AsyncExitStack) -> DecoderSettings:
    """Redis, CouchDB's double and InfluxDB, and the settings that lead to them."""
    redis = free_port()
    resources.enter_context(single_redis(redis_executable(), "--port", str(redis)))
    couchdb = resources.enter_context(CouchDouble())
    # How to log in IBM's SDK reads by itself, in this process and in the decoders.
    resources.enter_context(patch.dict(os.environ, couchdb.environment))
    influxdb = resources.enter_context(running_influxd(folder / "influxd"))
    stores = {**couchdb.environment, **influxdb.environment, "DOCUMENT_STORE": "cloudant"}
    return DecoderSettings(
        redis_url=f"redis://127.0.0.1:{redis}",
        data_dir=folder,
        partitions=PARTITIONS,
        device_key=KEY.hex(),
        presence_ttl=PRESENCE_TTL,
        dead_letters_max=100_000,
        observe_batch=17,
        archive_batch=20,
        claim_after=1,
        poison_after=1000,
        log_level="warning",
        **{name.lower(): value for name, value in stores.items()},  # type: ignore[arg-type]
    )


@asynccontextmanager
async def _between(settings: DecoderSettings) -> AsyncIterator[tuple[DecoderSettings, Keeper]]:
    """A keeper before all stores, and the settings that lead through it."""
    ends, through = {}, {}
    for between, name in _STORES.items():
        address, listen = urlsplit(getattr(settings, name)), f"127.0.0.1:{free_port()}"
        ends[between] = listen, address.netloc
        through[name] = f"{address.scheme}://{listen}"
    async with running_keeper(ends) as keeper:
        yield settings.model_copy(update=through), keeper
