"""Real processes that really die."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import Reason
from state.dead_letters import DeadLetters, Which
from state.status import read_status
from tests.conftest import NOON, eventually
from tests.decoder.conftest import LIBRARY, raw
from tests.decoder.counters import counted_windows
from tests.raw_streams import append, append_each, raw_key

ROOT = Path(__file__).parents[2]
PARTITIONS = 2


def payload(device: str) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": device, "timestamp": NOON},
    }
    return base64.b64encode(json.dumps(feature).encode())


async def start(redis_server: str, data_dir: Path, deadly: bytes) -> asyncio.subprocess.Process:
    environment = {
        "PATH": "",
        "REDIS_URL": redis_server,
        "DATA_DIR": str(data_dir),
        "DEADLY": deadly.decode(),
        "DECODER_NAME": "decoder-1",
        "PARTITIONS": str(PARTITIONS),
        "POISON_AFTER": "3",
        "STAGES": "observe",
    }
    command = [sys.executable, "-m", "tests.decoder.deadly_decoder"]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("at_once", "count", "deaths"), [(False, 40, 3), (True, 40, 5), (True, 500, 5)], ids=["entries", "batch", "500"]
)
async def test_a_payload_that_kills_decoders_becomes_a_dead_letter_and_everything_else_counts_once(
    redis_client: Redis,
    redis_server: str,
    data_dir: Path,
    at_once: bool,  # noqa: FBT001 - a parameter of the test
    count: int,
    deaths: int,
) -> None:
    """An entry of many is taken apart after two deaths; then it dies of the one three times."""
    deadly = payload("deadly")
    devices = [f"device-{number}" for number in range(count)]
    sent = [raw(each, topic="car-iotp/deadly") for each in (*map(payload, devices[:20]), deadly)]
    # Beside the deadly one, in the other partition, innocent ones are in hand whenever the process dies.
    others = [raw(payload(device)) for device in devices[20:]]
    if at_once:
        await append(redis_client, *sent, partitions=PARTITIONS)
        await append(redis_client, *others, partition=1, partitions=PARTITIONS)
    else:
        await append_each(redis_client, *sent, partitions=PARTITIONS)
        await append_each(redis_client, *others, partition=1, partitions=PARTITIONS)

    async def done() -> bool:
        lengths = [await redis_client.xlen(raw_key(partition, PARTITIONS)) for partition in range(PARTITIONS)]
        return not any(lengths)

    codes = []
    while not await done():
        decoder = await start(redis_server, data_dir, deadly)

        async def done_or_dead(decoder: asyncio.subprocess.Process = decoder) -> bool:
            return decoder.returncode is not None or await done()

        await eventually(done_or_dead, limit=30)
        if decoder.returncode is None:
            decoder.terminate()
        codes.append(await asyncio.wait_for(decoder.wait(), 15))
    assert codes == [9] * deaths + [0]
    ((_, letter),) = [found async for found in DeadLetters(redis_client, partitions=PARTITIONS).newest(Which())]
    assert (letter.reason, letter.topic, letter.payload) == (Reason.POISON, "car-iotp", None)
    status = await read_status(redis_client, PARTITIONS)
    # The innocent one of the other partition may have been in hand twice, too.
    assert status.totals.pop("split", 0) in ({1, 2} if at_once else {0})
    assert status.totals == {
        "accepted": count + 1,
        "finished": count + 1,
        "messages": count,
        "positions": count,
        "dead:poison": 1,
    }
    assert (await counted_windows(redis_client))[f"1m:{NOON}:campus:car"] == count
