"""Real processes that really die."""

import asyncio
import base64
import json
import sys
from pathlib import Path

from redis.asyncio import Redis

from core.errors import Reason
from state import streams
from tests.conftest import NOON, eventually
from tests.decoder.conftest import LIBRARY, dead_letters, raw

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


async def test_a_payload_that_kills_decoders_is_buried_and_everything_else_counts_once(
    redis_client: Redis, redis_server: str, data_dir: Path
) -> None:
    deadly = payload("deadly")
    devices = [f"device-{number}" for number in range(40)]
    for number, sent in enumerate([*map(payload, devices[:20]), deadly, *map(payload, devices[20:])]):
        # Beside the deadly one, in the other partition, innocent ones are in hand whenever the process dies.
        await redis_client.xadd(streams.raw(number % PARTITIONS), raw(sent, topic="car-iotp/deadly").encode())  # type: ignore[arg-type]

    async def done() -> bool:
        lengths = [await redis_client.xlen(streams.raw(partition)) for partition in range(PARTITIONS)]
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
    assert codes == [9, 9, 9, 0]
    (letter,) = await dead_letters(redis_client)
    assert (letter.reason, letter.topic, letter.payload) == (Reason.POISON, "car-iotp", None)
    totals = await redis_client.hgetall(streams.TOTALS)
    assert totals == {b"messages": b"40", b"positions": b"40", b"dead:poison": b"1"}
    assert await redis_client.scard(streams.window(f"1m:{NOON}:campus:car")) == 40
