"""Who keeps the lake: erases who is to be erased, compacts, drops old dates; over a real Redis and a folder."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from core.clock import parse_rfc3339
from decoder.__main__ import serve
from decoder.lake_keeper import COMPACT_MS, LakeKeeper
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from lake.erasing import Gone, erase
from lake.lock import held
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import write_positions
from runtime.service import Stop
from state.lake import LakeOrders, Outcome
from tests.conftest import eventually
from tests.decoder.conftest import HandClock
from tests.lake.samples import ANN, BOB, row

DAY_MS = 86_400_000
NOW = parse_rfc3339("2026-11-24T12:00:00Z")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(LakeSettings(), tmp_path)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def keeper(redis_client: Redis, lake: Lake, clock: HandClock, metrics: DecoderMetrics) -> LakeKeeper:
    return LakeKeeper(client=redis_client, lake=lake, keep_ms=2 * DAY_MS, clock=clock, metrics=metrics)


@pytest.fixture
def orders(redis_client: Redis) -> LakeOrders:
    return LakeOrders(redis_client)


async def test_who_is_ready_to_be_erased_is_and_the_rows_are_told(
    keeper: LakeKeeper, orders: LakeOrders, lake: Lake
) -> None:
    write_positions(lake, [row(), row(at="2026-11-23T15:00:00Z"), row(device=BOB)])
    await orders.ask([ANN], now=NOW)
    assert not keeper.hurry()
    await keeper.orders_step()
    assert keeper.hurry()
    assert len(lake.list("positions")) == 2
    await orders.ready([ANN], now=NOW)
    await keeper.orders_step()
    assert not keeper.hurry()
    assert await orders.outcome([ANN], now=NOW) == Outcome(2)
    assert len(lake.list("positions")) == 1


async def test_asked_again_only_what_was_written_since_is_looked_at(
    keeper: LakeKeeper, orders: LakeOrders, lake: Lake, clock: HandClock
) -> None:
    # Nobody can read it: whoever looks at it says so.
    lake.put(f"positions/date=2026-11-23/hour=14/part-{NOW - DAY_MS}-00000000.parquet", b"text")
    await orders.ready([ANN], now=NOW)
    order = (await orders.keep(now=NOW))[ANN]
    await orders.done(ANN, 1, since=NOW, now=NOW, order=order)
    write_positions(lake, [row()], clock=clock)
    await orders.ready([ANN], now=NOW)
    await keeper.orders_step()
    assert await orders.outcome([ANN], now=NOW) == Outcome(2)


async def test_a_damaged_file_holds_up_no_erasure_and_no_upkeep(
    keeper: LakeKeeper, orders: LakeOrders, lake: Lake
) -> None:
    damaged = f"positions/date=2026-11-23/hour=14/part-{NOW - DAY_MS}-00000000.parquet"
    lake.put(damaged, b"text")
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T15:0{minute}:00Z"), row(device=BOB)])
    await orders.ready([ANN], now=NOW)
    await keeper.orders_step()
    assert await orders.outcome([ANN], now=NOW) == Outcome(2, 1, damaged)
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions")) == 2


async def test_while_a_large_lake_is_looked_through_a_keeper_is_there_and_others_are_hurried_for(
    keeper: LakeKeeper, orders: LakeOrders, lake: Lake, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoder.lake_keeper.LOOK_SECONDS", 0.01)
    go_on = threading.Event()

    def slowly(*given: Any, **options: Any) -> Gone:
        assert go_on.wait(60)
        return erase(*given, **options)

    monkeypatch.setattr("decoder.lake_keeper.erase", slowly)
    write_positions(lake, [row(), row(device=BOB)])
    await orders.ready([ANN], now=NOW)
    step = asyncio.create_task(keeper.orders_step())

    async def is_there() -> bool:
        return await orders.keeper_seen() == clock.now

    await eventually(is_there)
    clock.now += 120_000
    await eventually(is_there)
    assert not keeper.hurry()
    await orders.ask([BOB], now=clock.now)

    async def is_hurried_for() -> bool:
        return keeper.hurry()

    await eventually(is_hurried_for)
    assert not step.done()
    go_on.set()
    await step
    assert await orders.outcome([ANN], now=clock.now) == Outcome(1)


async def test_an_order_waits_for_who_has_the_lock_and_is_carried_out_then(
    keeper: LakeKeeper, orders: LakeOrders, lake: Lake
) -> None:
    write_positions(lake, [row()])
    await orders.ready([ANN], now=NOW)
    with held(lake, "a command"):
        await keeper.orders_step()
        assert await orders.outcome([ANN], now=NOW) is None
        assert not await keeper.upkeep_step(Stop())
    await keeper.orders_step()
    assert await orders.outcome([ANN], now=NOW) == Outcome(1)


async def test_hours_are_compacted_once_an_hour_and_dates_dropped_once_a_day(
    keeper: LakeKeeper, lake: Lake, clock: HandClock
) -> None:
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T14:0{minute}:00Z"), row(at=f"2026-11-21T14:0{minute}:00Z")])
    assert await keeper.upkeep_step(Stop())
    # Two days before noon of the 24th is on the 22nd, so the 21st was over.
    assert [stored.path[:33] for stored in lake.list("positions")] == ["positions/date=2026-11-23/hour=14"]
    write_positions(lake, [row(at="2026-11-23T14:03:00Z"), row(at="2026-11-21T14:03:00Z")])
    clock.now += COMPACT_MS - 1
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions/date=2026-11-23")) == 2
    clock.now += 1
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions/date=2026-11-23")) == 1
    assert len(lake.list("positions/date=2026-11-21")) == 1
    clock.now += DAY_MS
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions/date=2026-11-21")) == 0


async def test_who_keeps_all_drops_nothing(
    redis_client: Redis, lake: Lake, clock: HandClock, metrics: DecoderMetrics
) -> None:
    write_positions(lake, [row(at="1970-01-01T00:00:00Z")])
    keeper = LakeKeeper(client=redis_client, lake=lake, keep_ms=None, clock=clock, metrics=metrics)
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions")) == 1


async def test_upkeep_stops_between_files_where_it_is_to_end_and_goes_on_the_next_time(
    keeper: LakeKeeper, lake: Lake
) -> None:
    for at in ("2026-11-23T13:01:00Z", "2026-11-23T13:02:00Z", "2026-11-23T14:01:00Z", "2026-11-23T14:02:00Z"):
        write_positions(lake, [row(at=at)])
    stop = Stop()
    stop.set()
    assert not await keeper.upkeep_step(stop)
    assert len(lake.list("positions")) == 4
    assert await keeper.upkeep_step(Stop())
    assert len(lake.list("positions")) == 2


async def test_both_stages_run_until_they_are_stopped(keeper: LakeKeeper, orders: LakeOrders, lake: Lake) -> None:
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T14:0{minute}:00Z"), row(device=BOB)])
    stop = Stop()
    running = [asyncio.create_task(each(stop)) for each in (keeper.carry_out_orders, keeper.keep_up)]
    await orders.ready([ANN], now=NOW)

    async def is_done() -> bool:
        return await orders.outcome([ANN], now=NOW) == Outcome(2) and len(lake.list("positions")) == 1

    await eventually(is_done, limit=60)
    stop.set()
    await asyncio.gather(*running)


async def test_a_decoder_that_exports_to_the_lake_keeps_it(
    redis_client: Redis, redis_server: str, orders: LakeOrders, lake: Lake, tmp_path: Path
) -> None:
    del redis_client  # it empties Redis
    for minute in (1, 2):
        write_positions(lake, [row(at=f"2026-11-23T14:0{minute}:00Z"), row(device=BOB)])
    await orders.ready([ANN], now=NOW)
    settings = DecoderSettings(data_dir=tmp_path, redis_url=redis_server, stages="export", export="parquet")
    stop = Stop()
    serving = asyncio.create_task(serve(settings, stop))

    async def is_done() -> bool:
        return await orders.outcome([ANN], now=NOW) == Outcome(2) and len(lake.list("positions")) == 1

    await eventually(is_done, limit=60)
    stop.set()
    await serving
    assert await orders.keeper_seen()


def test_a_lake_that_is_gone_is_told_by_a_command(redis_server: str, redis_client: Redis) -> None:
    del redis_client
    done = subprocess.run(
        [sys.executable, "-m", "decoder", "lake-gone"],
        env={**os.environ, "REDIS_URL": redis_server},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
