"""What waits for a target for too long is passed over for it alone, counted, and noted as a gap of the lake."""

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from decoder.export_patience import UNASKED_MS, ExportOff, ExportPatience, GapsMover
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from lake.store import Lake
from runtime.service import Stop
from state.client import Redis as ServiceRedis
from state.group import Group
from tests.conftest import NOON, POSITIONS, entries, eventually, holds
from tests.decoder.conftest import HandClock, position
from tests.decoder.exported import appended, lake_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GAPS = "gaps:{campus}"
PARQUET, KAFKA = "export-parquet", "export-kafka"


@pytest.fixture
def metrics() -> DecoderMetrics:
    return DecoderMetrics(targets=["parquet", "kafka"])


def group(client: ServiceRedis, name: str) -> Group:
    return Group(client=client, stream=POSITIONS, group=name, consumer="a", claim_after_ms=0)


def patience(client: ServiceRedis, clock: HandClock, metrics: DecoderMetrics, **targets: str) -> ExportPatience:
    groups = {target: [group(client, name)] for target, name in targets.items()}
    return ExportPatience(client=client, groups=groups, patience_ms=DAY_MS, clock=clock, metrics=metrics)


async def filled(redis_client: Redis, *groups: Group) -> None:
    """Three entries: of noon, of an hour later, and of two; the first has a position that came late."""
    for each in groups:
        await each.create()
    late = position("d" * 32, NOON - 5 * HOUR_MS - 1, "library")
    for hour in range(3):
        at = NOON + hour * HOUR_MS
        await appended(redis_client, position("d" * 32, at, "library"), *([] if hour else [late]), at=at)


def skipped(metrics: DecoderMetrics, target: str) -> float | None:
    return metrics.registry.get_sample_value("decoder_export_skipped_entries_total", {"target": target})


async def test_only_what_has_waited_for_too_long_is_passed_over_and_only_for_whom_it_waits(
    redis_client: Redis, service_redis: ServiceRedis, metrics: DecoderMetrics
) -> None:
    parquet, kafka = group(service_redis, PARQUET), group(service_redis, KAFKA)
    await filled(redis_client, parquet, kafka)
    taken = [entry_id for entry_id, _ in await kafka.read(1)]
    await kafka.acknowledge(taken)
    clock = HandClock(NOON + DAY_MS + HOUR_MS)
    look = patience(service_redis, clock, metrics, parquet=PARQUET, kafka=KAFKA).look
    await look()
    assert (skipped(metrics, "parquet"), skipped(metrics, "kafka")) == (2, 1)
    assert len(await entries(redis_client, POSITIONS)) == 1
    assert await redis_client.smembers(GAPS) == {str(at).encode() for at in (NOON - 6 * HOUR_MS, NOON, NOON + HOUR_MS)}
    await look()
    assert (skipped(metrics, "parquet"), skipped(metrics, "kafka")) == (2, 1)


async def test_nothing_that_is_young_enough_is_passed_over(
    redis_client: Redis, service_redis: ServiceRedis, metrics: DecoderMetrics
) -> None:
    await filled(redis_client, group(service_redis, PARQUET))
    await patience(service_redis, HandClock(NOON + DAY_MS - 1), metrics, parquet=PARQUET).look()
    assert skipped(metrics, "parquet") == 0
    assert len(await entries(redis_client, POSITIONS)) == 3
    assert not await redis_client.exists(GAPS)


async def test_a_target_that_nobody_has_served_yet_is_passed_over_too(
    redis_client: Redis, service_redis: ServiceRedis, metrics: DecoderMetrics
) -> None:
    await group(service_redis, "archive").create()
    await filled(redis_client)
    stop = Stop()
    run = patience(service_redis, HandClock(NOON + 3 * DAY_MS), metrics, parquet=PARQUET).run(stop)
    running = asyncio.ensure_future(run)
    await eventually(holds(lambda: skipped(metrics, "parquet") == 3))
    stop.set()
    await running
    # The archive still has all of them.
    assert len(await group(service_redis, "archive").read(10)) == 3


async def test_gaps_are_told_in_the_lake_and_then_forgotten_here(
    redis_client: Redis, service_redis: ServiceRedis, data_dir: Path, metrics: DecoderMetrics
) -> None:
    await redis_client.sadd(GAPS, str(NOON), str(NOON + HOUR_MS))
    await GapsMover(service_redis, lake_of(data_dir), StageRetry("export-gaps", metrics)).move()
    found = {path.name: json.loads(path.read_text()) for path in (data_dir / "lake" / "_gaps").iterdir()}
    assert found == {
        "2026-03-01T12-00-00Z.json": {"from": "2026-03-01T12:00:00Z", "until": "2026-03-01T13:00:00Z"},
        "2026-03-01T13-00-00Z.json": {"from": "2026-03-01T13:00:00Z", "until": "2026-03-01T14:00:00Z"},
    }
    assert not await redis_client.exists(GAPS)


async def test_a_gap_that_could_not_be_told_stays_noted(
    redis_client: Redis,
    service_redis: ServiceRedis,
    data_dir: Path,
    metrics: DecoderMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(self: Lake, path: str, data: bytes) -> None:
        raise UnavailableError(f"{self.name} is away: {path} {len(data)}")

    monkeypatch.setattr(Lake, "put", away)
    await redis_client.sadd(GAPS, str(NOON))
    with pytest.raises(UnavailableError):
        await GapsMover(service_redis, lake_of(data_dir), StageRetry("export-gaps", metrics)).move()
    assert await redis_client.smembers(GAPS) == {str(NOON).encode()}


async def test_a_group_that_a_decoder_of_another_export_made_again_goes_once_nobody_has_asked_for_an_hour(
    redis_client: Redis, service_redis: ServiceRedis, metrics: DecoderMetrics
) -> None:
    archive, old = group(service_redis, "archive"), group(service_redis, KAFKA)
    clock = HandClock(NOON)
    off = ExportOff([old, group(service_redis, PARQUET)], StageRetry("export-off", metrics), clock)
    await filled(redis_client, archive, old)
    await archive.acknowledge([entry_id for entry_id, _ in await archive.read(3)])
    await off.look()
    clock.now += UNASKED_MS - 1
    await off.look()
    assert len(await entries(redis_client, POSITIONS)) == 3
    clock.now += 1
    await off.look()
    assert len(await entries(redis_client, POSITIONS)) == 0
    assert [each["name"] for each in await redis_client.xinfo_groups(POSITIONS)] == [b"archive"]


async def test_a_group_that_somebody_still_asks_stays(
    redis_client: Redis, service_redis: ServiceRedis, metrics: DecoderMetrics
) -> None:
    old = group(service_redis, KAFKA)
    clock = HandClock(NOON)
    off = ExportOff([old], StageRetry("export-off", metrics), clock)
    await filled(redis_client, old)
    await off.look()
    await old.read(1)
    for _ in range(2):
        clock.now += UNASKED_MS
        await off.look()
    assert len(await entries(redis_client, POSITIONS)) == 3
