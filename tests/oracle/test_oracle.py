"""The system, in one process, gives what the plain program gives: for any traffic, whatever dies on the way."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core import streams
from core.messages import RawMessage
from core.presence import presence_now
from decoder.settings import DecoderSettings
from tests.conftest import eventually
from tests.oracle.in_process import LEASES_LAPSE_MS, RunningClock, TaskDecoder
from tests.oracle.naive import Truth, load_shapes
from tests.oracle.processes import ProcessDecoder
from tests.oracle.system import KEY, Decoder, Run, connected, differences, read, work
from tests.oracle.traffic import SMALL_TRAFFIC, Traffic

TTL = 900
LOOK_MS = 5000
"""How often decoders look for what others left."""
NEVER = 600.0

kills = st.builds(
    lambda count, returns, seed: (count, returns, seed),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)


def settings_of(run: Run, url: str, data_dir: Path) -> DecoderSettings:
    """Small batches, so that there are many to die in."""
    return DecoderSettings(
        redis_url=url,
        data_dir=data_dir,
        partitions=run.partitions,
        device_key=KEY.hex(),
        presence_ttl=TTL,
        dead_letters_max=100_000,
        observe_batch=17,
        archive_batch=3,
        rollup_batch=50,
        claim_after=NEVER if run.returns else 0.5,
        log_level="error",
    )


async def compare(run: Run, messages: Sequence[RawMessage], url: str, data_dir: Path) -> list[str]:
    """What the system has other than the plain program, presence included."""
    settings, clock = settings_of(run, url, data_dir), RunningClock.at_present()
    truth = Truth(KEY)
    for message in messages:
        truth.add(message)

    async def start(name: str) -> Decoder:
        return TaskDecoder(settings.model_copy(update={"decoder_name": name}))

    async def wait() -> None:
        # Those who were killed and never come back are noticed after LOOK_MS.
        if not run.returns and clock.ahead < latest:
            clock.ahead += LOOK_MS // 5

    async with connected(url) as client:
        with clock.installed():
            latest = clock.ahead + TTL * 100
            await work(run, client, messages, start, wait=wait)
        await roll_up_the_rest(client, settings, clock)
        now = clock()
        found = await presence_now(client, load_shapes(), now=now, ttl=TTL)
        present = {
            (zone, kind.value): one.devices for zone in found for kind, one in found[zone].items() if one.devices
        }
        wrong = differences(await read(client, settings), truth, exact_totals=run.returns)
        expected = truth.presence(now, TTL)
        return wrong if present == expected else [*wrong, f"present are {present}, not {expected}"]


async def roll_up_the_rest(client: Redis, settings: DecoderSettings, clock: RunningClock) -> None:
    """What those who died had claimed is free after a while: here, at once."""
    with RunningClock(clock.ahead + LEASES_LAPSE_MS).installed():
        last = TaskDecoder(settings.model_copy(update={"stages": "rollup"}))
        await eventually(lambda: _all_rolled_up(client))
        await last.stop()


async def _all_rolled_up(client: Redis) -> bool:
    return not await client.zcard(streams.DIRTY_WINDOWS)


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("decoders", [1, 2, 4])
@settings(max_examples=6, phases=[Phase.generate])  # an example takes too long to be made smaller
@given(traffic=SMALL_TRAFFIC, killed=kills)
def test_documents_windows_presence_and_counts_are_those_of_a_run_in_which_nothing_went_wrong(
    redis_server: str, decoders: int, partitions: int, traffic: Traffic, killed: tuple[int, bool, int]
) -> None:
    run = Run(decoders, partitions, *killed)
    with tempfile.TemporaryDirectory() as folder:
        assert not asyncio.run(compare(run, traffic.messages(), redis_server, Path(folder)))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("decoders", "partitions", "returns"), [(1, 1, True), (2, 3, False), (4, 1, True)])
async def test_processes_that_are_killed_with_sigkill_change_no_document_and_no_window(
    redis_server: str, tmp_path: Path, decoders: int, partitions: int, *, returns: bool
) -> None:
    run = Run(decoders, partitions, kills=3, returns=returns, seed=7)
    messages = Traffic(seed=304, devices=30, fixes=60).messages()
    settings, truth = settings_of(run, redis_server, tmp_path), Truth(KEY)
    for message in messages:
        truth.add(message)
    environment = {
        "REDIS_URL": redis_server,
        "DATA_DIR": str(tmp_path),
        "PARTITIONS": str(partitions),
        "DEVICE_KEY": KEY.hex(),
        "DEAD_LETTERS_MAX": "100000",
        "OBSERVE_BATCH": "17",
        "ARCHIVE_BATCH": "3",
        "CLAIM_AFTER": "1",
        "LOG_LEVEL": "warning",
    }

    async def start(name: str) -> Decoder:
        return ProcessDecoder(name, environment)

    async with connected(redis_server) as client:
        await work(run, client, messages, start)
        await roll_up_the_rest(client, settings, RunningClock(0))
        # Entries may be claimed while their decoder is slow: totals are then at least right (core/streams.py).
        assert not differences(await read(client, settings), truth, exact_totals=False)
