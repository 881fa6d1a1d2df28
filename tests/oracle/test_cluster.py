"""The same on a Redis Cluster whose masters are killed, and whose slots move, while messages arrive."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from state.commands import slot_of
from state.durability import Durability
from state.slots import tag
from tests.oracle.clock import RunningClock
from tests.oracle.comparison import compare
from tests.oracle.disturbed import DisturbedCluster
from tests.oracle.in_process import TaskDecoder
from tests.oracle.system import Decoder, Run, connected
from tests.oracle.test_oracle import settings_of
from tests.oracle.traffic import PRESENT, Traffic
from tests.redis_servers.cluster import RedisCluster

PARTITIONS = 16


@pytest.mark.timeout(300)
@pytest.mark.parametrize("happens", ["a slot moves", "a master is killed"])
async def test_documents_windows_and_presence_are_those_of_a_run_in_which_nothing_happened(
    cluster: RedisCluster, tmp_path: Path, happens: str
) -> None:
    moves = happens == "a slot moves"
    run = Run(decoders=2, partitions=PARTITIONS, outages=4 if moves else 2, seed=5)
    settings = settings_of(run, cluster.url, tmp_path, claim_after=5).model_copy(
        update={"durability": Durability.REPLICATED}
    )
    clock = RunningClock.beginning_at(PRESENT)
    random = Random(5)  # noqa: S311 - repeatable, not secret

    async def start(name: str) -> Decoder:
        return TaskDecoder(settings.model_copy(update={"decoder_name": name}))

    def move() -> None:
        key = f"raw:{tag(random.randrange(PARTITIONS), PARTITIONS)}"
        cluster.move_slot(slot_of(key), cluster.other_master(key))

    async def outage() -> None:
        if moves:
            await asyncio.to_thread(move)
        else:
            await DisturbedCluster(cluster).outage(random)

    async with connected(cluster.url) as client:
        assert not await compare(
            run,
            Traffic(seed=11, devices=20, fixes=40).messages(),
            start,
            client=client,
            settings=settings,
            clock=clock,
            # What was added without an answer was added again: a slot that moves may answer a part alone.
            exact_totals=False,
            outage=outage,
        )
