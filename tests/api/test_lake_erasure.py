"""DELETE /v1/devices/{device_id}/positions where there is a lake: over a real Redis and files in a folder."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS
from decoder.export_parquet import LakeTarget
from decoder.lake_keeper import LakeKeeper
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from documents import DocumentStore, document_id
from lake.reading import read_table
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions
from runtime.service import Stop
from state.lake import LakeOrders
from state.rewriting import rewritings
from tests.api.conftest import Parts, assert_problem, key_for
from tests.conftest import NOON, POSITIONS, eventually
from tests.decoder.exported import appended
from tests.decoder.test_stages import Running
from tests.documents.positions import position
from tests.kinds_of_tests import CAR

DEVICE = "bus-304"
ADDRESS = f"/v1/devices/{DEVICE}/positions"


@pytest.fixture
async def admin(client: httpx.AsyncClient, redis_client: Redis, documents: DocumentStore) -> httpx.AsyncClient:
    """The client, with the key of an administrator."""
    await documents.setup()
    client.headers.update(await key_for(redis_client, "admin"))
    return client


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(LakeSettings(), tmp_path)


@pytest.fixture
def keeper(redis_client: Redis, lake: Lake, parts: Parts) -> LakeKeeper:
    return LakeKeeper(client=redis_client, lake=lake, keep_ms=None, clock=parts.clock, metrics=DecoderMetrics())


@pytest.fixture
async def keeping(keeper: LakeKeeper) -> AsyncIterator[LakeKeeper]:
    """A keeper that is there for the whole test."""
    await keeper.orders_step()
    stop = Stop()
    running = asyncio.create_task(keeper.carry_out_orders(stop))
    yield keeper
    stop.set()
    await running


def write(lake: Lake, *devices: str) -> None:
    """A position of each, at noon."""
    each = [position(device=device, observed_at=NOON) for device in devices]
    write_positions(lake, [(document_id(one), one) for one in each])


def left(lake: Lake) -> int:
    return len(lake.list("positions"))


@pytest.mark.usefixtures("keeping")
async def test_rows_of_the_lake_go_and_are_counted(
    admin: httpx.AsyncClient, parts: Parts, lake: Lake, redis_client: Redis
) -> None:
    device = parts.hasher.hash(CAR, DEVICE)
    write(lake, device)
    write(lake, device, "f" * 32)
    answer = await admin.delete(ADDRESS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lake"] == 2
    assert left(lake) == 1
    assert await redis_client.exists("lake:{campus}:orders") == 0
    again = await admin.delete(ADDRESS)
    assert again.json()["lake"] == 0


@pytest.mark.usefixtures("keeping")
async def test_a_file_that_cannot_be_read_is_said_to_be_out_of_reach_and_all_else_is_erased(
    admin: httpx.AsyncClient, parts: Parts, lake: Lake
) -> None:
    damaged = "positions/date=2026-03-01/hour=12/part-1795444496789-0a1b2c3d.parquet"
    lake.put(damaged, b"no Parquet")
    write(lake, parts.hasher.hash(CAR, DEVICE))
    answer = await admin.delete(ADDRESS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lake"] == 1
    [left_over] = answer.json()["cannot_reach"]
    assert left_over == (
        f"Nobody knows whether files of the lake that cannot be read (1) have something of it, such as {damaged}:"
        " repair or delete them, and erase once more."
    )
    assert left(lake) == 1


@pytest.mark.usefixtures("keeping")
async def test_of_a_device_that_is_nowhere_the_order_itself_is_to_be_written_away(
    admin: httpx.AsyncClient, redis_client: Redis
) -> None:
    await redis_client.config_set("appendonly", "yes")
    try:
        answer = await admin.delete(ADDRESS)
    finally:
        await redis_client.config_set("appendonly", "no")
    assert answer.status_code == 200, answer.text
    assert (await rewritings(redis_client)).asked == 1


async def test_without_a_lake_nobody_is_asked(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    answer = await admin.delete(ADDRESS)
    assert (answer.status_code, answer.json()["lake"]) == (200, 0)
    assert await redis_client.exists("lake:{campus}:orders") == 0


async def test_a_keeper_who_is_away_is_a_503_and_asking_again_later_has_what_went(
    admin: httpx.AsyncClient, parts: Parts, lake: Lake, keeper: LakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await LakeOrders(parts.redis).keep(now=NOON - 3_600_000)
    monkeypatch.setattr("api.positions.erasure.ERASE_SECONDS", 0.2)
    device = parts.hasher.hash(CAR, DEVICE)
    write(lake, device)
    problem = assert_problem(await admin.delete(ADDRESS), 503)
    assert "nobody has kept the lake since" in str(problem["detail"])
    assert device not in str(problem)
    assert left(lake) == 1

    await keeper.orders_step()
    assert left(lake) == 0
    monkeypatch.setattr("api.positions.erasure.ERASE_SECONDS", 60)
    stop = Stop()
    running = asyncio.create_task(keeper.carry_out_orders(stop))
    answer = await admin.delete(ADDRESS)
    stop.set()
    await running
    assert answer.json()["lake"] == 1


async def test_what_is_gathered_for_the_lake_is_waited_for_and_exporters_are_told_to_hurry(
    admin: httpx.AsyncClient, parts: Parts, lake: Lake, keeping: LakeKeeper, redis_client: Redis
) -> None:
    device = parts.hasher.hash(CAR, DEVICE)
    group = "export-parquet"
    await redis_client.xgroup_create(POSITIONS, group, id="0", mkstream=True)
    await redis_client.xgroup_create(POSITIONS, "archive", id="0")
    entry_id = await redis_client.xadd(POSITIONS, {"d": b"x"})
    for reader in ("archive", group):
        await redis_client.xreadgroup(reader, "one", {POSITIONS: ">"})
    await redis_client.xack(POSITIONS, "archive", entry_id)

    async def export() -> None:
        async def hurries() -> bool:
            return keeping.hurry()

        await eventually(hurries)
        write(lake, device)
        await redis_client.xack(POSITIONS, group, entry_id)

    answer: Any
    answer, _ = await asyncio.gather(admin.delete(ADDRESS), export())
    assert answer.status_code == 200, answer.text
    assert answer.json()["lake"] == 1
    assert left(lake) == 0


async def test_what_an_exporter_has_gathered_for_an_hour_is_written_at_once_and_erased(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore, redis_client: Redis, tmp_path: Path
) -> None:
    settings = DecoderSettings(data_dir=tmp_path, export="parquet", lake_every=3600)
    metrics = DecoderMetrics()
    assembly = Assembly(kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=parts.clock, metrics=metrics)
    lake = open_lake(settings, tmp_path)
    keeper = assembly.lake_keeper(lake)
    await keeper.orders_step()
    stages = assembly.archive(documents) | assembly.export([LakeTarget(lake, metrics)], hurry=keeper.hurry)
    running = Running(stages | {"lake-orders": keeper.carry_out_orders})
    mine = position(device=parts.hasher.hash(CAR, DEVICE), observed_at=NOON)
    await appended(redis_client, mine, position(device="f" * 32, observed_at=NOON))

    async def is_stored() -> bool:
        return await documents.count() == 2

    await eventually(is_stored)
    assert left(lake) == 0
    answer = await admin.delete(ADDRESS)
    await running.stop()
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in ("documents", "lake")} == {"documents": 1, "lake": 1}
    [stored] = lake.list("positions")
    assert read_table(lake, stored.path)["device"].to_pylist() == ["f" * 32]
