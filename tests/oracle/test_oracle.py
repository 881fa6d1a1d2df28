"""The system gives what the plain program gives: for any traffic, whatever dies on the way."""

import asyncio
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.messages import RawMessage
from decoder.batch import BatchDecoder
from decoder.settings import DecoderSettings
from runtime.epochs import Rotation
from state.device_keys import DeviceKeys
from tests.oracle.clock import RunningClock
from tests.oracle.comparison import PRESENCE_TTL, compare
from tests.oracle.in_process import TaskDecoder
from tests.oracle.processes import ProcessDecoder
from tests.oracle.system import KEY, Decoder, Run, connected
from tests.oracle.traffic import PRESENT, SMALL_TRAFFIC, Traffic

# Examples of traffic are many processes' work: minutes, where others work here too.
# Who is killed closes nothing; where a task stands for a process, Python finds its connections afterwards.
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LOOK_MS = 5000
"""How often decoders look for what others left."""
NEVER = 600.0
MIDNIGHT_AT_ELEVEN = "Pacific/Auckland"
"""On the day of the traffic, in UTC: an hour before its present."""

kills = st.builds(
    lambda count, returns, seed: {"kills": count, "returns": returns, "seed": seed},
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)


def settings_of(run: Run, url: str, data_dir: Path, *, claim_after: float) -> DecoderSettings:
    """Small batches, so that there are many to die in."""
    return DecoderSettings(
        redis_url=url,
        data_dir=data_dir,
        partitions=run.partitions,
        device_key=KEY.hex(),
        presence_ttl=PRESENCE_TTL,
        dead_letters_max=100_000,
        observe_batch=17,
        archive_batch=3,
        rollup_batch=50,
        claim_after=claim_after,
        log_level="error",
    )


async def compare_tasks(run: Run, messages: Sequence[RawMessage], url: str, data_dir: Path) -> list[str]:
    """What the system has other than the plain program, with decoders that are tasks."""
    settings = settings_of(run, url, data_dir, claim_after=NEVER if run.returns else 0.5)
    clock = RunningClock.beginning_at(PRESENT)
    latest = clock.ahead + PRESENCE_TTL * 100

    async def start(name: str) -> Decoder:
        return TaskDecoder(settings.model_copy(update={"decoder_name": name}))

    async def wait() -> None:
        # Those who were killed and never come back are noticed after LOOK_MS.
        if not run.returns and clock.ahead < latest:
            clock.ahead += LOOK_MS // 5
        await asyncio.sleep(0)

    async with connected(url) as client:
        return await compare(
            run, messages, start, client=client, settings=settings, clock=clock, exact_totals=run.returns, wait=wait
        )


@pytest.mark.parametrize(("decoders", "partitions"), [(1, 1), (2, 1), (4, 1), (1, 3), (2, 3), (4, 3), (2, 16)])
@settings(max_examples=6, phases=[Phase.generate])  # an example takes too long to be made smaller
@given(traffic=SMALL_TRAFFIC, killed=kills)
def test_documents_windows_presence_and_counts_are_those_of_a_run_in_which_nothing_went_wrong(
    redis_server: str, decoders: int, partitions: int, traffic: Traffic, killed: dict[str, Any]
) -> None:
    run = Run(decoders, partitions, **killed)
    with tempfile.TemporaryDirectory() as folder:
        assert not asyncio.run(compare_tasks(run, traffic.messages(), redis_server, Path(folder)))


async def compare_with_keys(run: Run, messages: Sequence[RawMessage], url: str, data_dir: Path) -> list[str]:
    """With keys that change each day, an hour before the present: many devices are there before and after."""
    settings = settings_of(run, url, data_dir, claim_after=NEVER).model_copy(
        update={
            "keys_redis_url": url,
            "device_key_rotation": "day",
            "device_source": True,
            "campus_timezone": MIDNIGHT_AT_ELEVEN,
        }
    )

    async def start(name: str) -> Decoder:
        return TaskDecoder(settings.model_copy(update={"decoder_name": name}))

    async with connected(url) as client:
        made = await DeviceKeys(client).prepare(Rotation.DAY, ZoneInfo(MIDNIGHT_AT_ELEVEN), now=PRESENT)
        keys = {key.start: key.secret for key in made}
        clock = RunningClock.beginning_at(PRESENT)
        return await compare(
            run, messages, start, client=client, settings=settings, clock=clock, exact_totals=True, keys=keys
        )


@pytest.mark.parametrize(("decoders", "partitions"), [(1, 1), (2, 3)])
async def test_it_is_the_same_where_keys_of_devices_change_at_midnight_and_older_ones_are_gone(
    redis_server: str, tmp_path: Path, decoders: int, partitions: int
) -> None:
    run = Run(decoders, partitions, kills=2, seed=decoders)
    # So many fixes that those who send once a minute were there before midnight.
    messages = Traffic(seed=70 + decoders, devices=20, fixes=90).messages()
    assert not await compare_with_keys(run, messages, redis_server, tmp_path)


@settings(max_examples=6, phases=[Phase.generate])
@given(traffic=SMALL_TRAFFIC, killed=kills)
def test_it_is_the_same_where_each_batch_takes_several_scripts_and_decoders_die_between_them(
    redis_server: str, traffic: Traffic, killed: dict[str, Any]
) -> None:
    run = Run(2, 1, **killed)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("state.effect_parts.MAX_WORK", 60),
        patch("decoder.stages.BatchDecoder", partial(BatchDecoder, features_at_once=5)),
    ):
        assert not asyncio.run(compare_tasks(run, traffic.messages(), redis_server, Path(folder)))


@pytest.mark.parametrize(("decoders", "partitions", "returns"), [(1, 1, True), (2, 3, False), (4, 1, True)])
async def test_processes_that_are_killed_with_sigkill_change_no_document_window_or_presence(
    redis_server: str, tmp_path: Path, decoders: int, partitions: int, *, returns: bool
) -> None:
    run = Run(decoders, partitions, kills=3, returns=returns, seed=7)
    messages = Traffic(seed=304, devices=30, fixes=60).messages()
    settings = settings_of(run, redis_server, tmp_path, claim_after=1)
    clock = RunningClock.beginning_at(PRESENT)

    async def start(name: str) -> Decoder:
        return ProcessDecoder(settings.model_copy(update={"decoder_name": name}), clock)

    async with connected(redis_server) as client:
        assert not await compare(run, messages, start, client=client, settings=settings, clock=clock, exact_totals=True)
