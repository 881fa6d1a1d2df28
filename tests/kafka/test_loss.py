"""Kafka and the exporter are killed while positions come: every position that is acknowledged is in the topic."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS
from core.messages import Position
from decoder.export_kafka import KafkaTarget
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from documents import document_id
from state import group as group_module
from tests.conftest import NOON, POSITIONS, eventually, holds
from tests.decoder.conftest import HandClock, position
from tests.decoder.exported import appended
from tests.decoder.test_stages import Running
from tests.kafka.server import KafkaServer
from tests.oracle.clock import RunningClock
from tests.oracle.processes import ProcessDecoder

pytestmark = pytest.mark.timeout(900)
LIMIT_SECONDS = 600.0
TO_AN_ENTRY = 20


def entry(number: int) -> list[Position]:
    """Positions of five devices."""
    first = number * TO_AN_ENTRY
    return [position("abcde"[each % 5] * 32, NOON + each, "library") for each in range(first, first + TO_AN_ENTRY)]


def ids(positions: Sequence[Position]) -> set[str]:
    return {document_id(each) for each in positions}


def ids_in(kafka: KafkaServer, topic: str) -> list[str]:
    headers = [dict(message.headers() or []) for message in kafka.messages(topic)]
    return [(each["id"] or b"").decode() for each in headers]  # type: ignore[union-attr]


async def emptied(client: Redis) -> bool:
    return not await client.xlen(POSITIONS)


async def test_kafka_is_killed_during_traffic_and_every_acknowledged_position_is_in_the_topic(
    redis_client: Redis,
    new_kafka: KafkaServer,
    data_dir: Path,
    metrics: DecoderMetrics,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del impatient
    monkeypatch.setattr(group_module, "BLOCK_MS", 1)
    settings = DecoderSettings(data_dir=data_dir, export="kafka", kafka_servers=new_kafka.address, export_batch=5)
    target = KafkaTarget(settings, 4, delivery_ms=5000)
    assembly = Assembly(kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=HandClock(), metrics=metrics)
    running = Running(assembly.export([target]))
    sent: list[Position] = []
    ends = asyncio.Event()

    async def traffic() -> None:
        number = 0
        while not ends.is_set():
            await appended(redis_client, *entry(number))
            sent.extend(entry(number))
            number += 1
            await asyncio.sleep(0.005)

    publishing = asyncio.ensure_future(traffic())

    def exported() -> float:
        labels = {"target": "kafka", "topic": "positions"}
        return metrics.registry.get_sample_value("decoder_exported_records_total", labels) or 0

    for _ in range(2):
        before = exported()
        await eventually(holds(lambda before=before: exported() > before + 200), limit=LIMIT_SECONDS)  # type: ignore[misc]
        await asyncio.to_thread(new_kafka.kill)
        await eventually(holds(lambda: metrics.waiting), limit=LIMIT_SECONDS)
        await asyncio.to_thread(new_kafka.start)
    ends.set()
    await publishing
    await eventually(lambda: emptied(redis_client), limit=LIMIT_SECONDS)
    await running.stop()
    await target.close()
    assert len(sent) > 500
    found = await asyncio.to_thread(ids_in, new_kafka, "positions")
    assert set(found) == ids(sent)


async def test_a_killed_exporter_loses_nothing(
    redis_client: Redis, redis_server: str, kafka: KafkaServer, data_dir: Path
) -> None:
    settings = DecoderSettings(
        data_dir=data_dir,
        redis_url=redis_server,
        stages="export",
        export="kafka",
        export_batch=5,
        kafka_servers=kafka.address,
        kafka_topic_prefix="killed-",
        claim_after=0.001,
        decoder_name="exporter",
    )
    sent: list[Position] = []

    async def has_begun(length: int) -> bool:
        return bool(await redis_client.xlen(POSITIONS) < length)

    for _ in range(3):
        for number in range(200):
            more = entry(len(sent) // TO_AN_ENTRY)
            await appended(redis_client, *more)
            sent += more
            del number
        running = ProcessDecoder(settings, RunningClock(0))
        length = await redis_client.xlen(POSITIONS)
        await eventually(lambda length=length: has_begun(length), limit=LIMIT_SECONDS)  # type: ignore[misc]
        await running.kill()
    running = ProcessDecoder(settings, RunningClock(0))
    await eventually(lambda: emptied(redis_client), limit=LIMIT_SECONDS)
    await running.stop()
    found = await asyncio.to_thread(ids_in, kafka, "killed-positions")
    assert len(sent) == 12_000
    assert set(found) == ids(sent)
