"""Positions and windows go to the lake, whatever dies or is away: the stages together, on a real Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import timeseries
from core.errors import BadSettingsError, Reason, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from decoder.__main__ import serve
from decoder.export_kafka import KafkaTarget
from decoder.export_parquet import LakeTarget
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from geofence import load_campus
from lake.store import Lake
from runtime.service import Stop
from state import group as group_module
from state.backlog import read_backlogs
from state.group import Group
from tests.conftest import NOON, POSITIONS, entries, eventually, holds
from tests.decoder.conftest import HASHER, LIBRARY, HandClock, dead_letters
from tests.decoder.exported import appended, ids, ids_in_lake, in_lake, lake_of, some, windows_in_lake
from tests.decoder.test_stages import Running, accepted, payload
from tests.kinds_of_tests import CAR
from tests.oracle.clock import RunningClock
from tests.oracle.processes import ProcessDecoder
from tests.ports import free_port

WINDOWS = "windows:{campus}"
HOUR_MS = 3_600_000
SLOW_SECONDS = 240.0
"""Until a process of a machine that is ten times as busy as it should be has done something."""


@pytest.fixture(autouse=True)
def _blocks_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "BLOCK_MS", 1)


def settings_of(data_dir: Path, **given: object) -> DecoderSettings:
    chosen = {"export": "parquet", "lake_every": 1, "claim_after": 0.001, "rollup_every": 0} | given
    return DecoderSettings(data_dir=data_dir, **chosen)  # type: ignore[arg-type]


@pytest.fixture
def settings(data_dir: Path) -> DecoderSettings:
    return settings_of(data_dir)


@pytest.fixture
async def series(settings: DecoderSettings) -> AsyncIterator[timeseries.OccupancyStore]:
    async with timeseries.open_store(settings) as series:
        yield series


def assembled(client: Redis, settings: DecoderSettings, metrics: DecoderMetrics | None = None) -> Assembly:
    return Assembly(
        kinds=DEFAULT_KINDS, settings=settings, client=client, clock=HandClock(), metrics=metrics or DecoderMetrics()
    )


def exporting(client: Redis, settings: DecoderSettings, metrics: DecoderMetrics) -> Running:
    target = LakeTarget(lake_of(settings.data_dir), metrics)
    return Running(assembled(client, settings, metrics).export([target]))


async def nothing_waits(client: Redis) -> bool:
    return not await client.xlen(POSITIONS) and not await client.xlen(WINDOWS)


async def test_what_devices_send_is_in_the_lake_with_the_windows_that_it_counts_in(
    redis_client: Redis, settings: DecoderSettings, series: timeseries.OccupancyStore, metrics: DecoderMetrics
) -> None:
    assembly = assembled(redis_client, settings, metrics)
    running = Running(
        assembly.observe(load_campus(None), HASHER)
        | assembly.rollup(series)
        | assembly.export([LakeTarget(lake_of(settings.data_dir), metrics)])
    )
    await accepted(redis_client, payload("a", NOON), payload("b", NOON), payload("a", NOON - HOUR_MS))

    async def arrived() -> bool:
        return len(ids_in_lake(settings.data_dir)) == 3 and len(windows_in_lake(settings.data_dir)) >= 8

    await eventually(arrived)
    await eventually(lambda: nothing_waits(redis_client))
    await running.stop()
    rows = in_lake(settings.data_dir)
    assert {(row["kind"], row["longitude"], row["latitude"]) for row in rows} == {("car", *LIBRARY)}
    assert {row["device"] for row in rows} == {HASHER.hash(CAR, "a"), HASHER.hash(CAR, "b")}
    windows = windows_in_lake(settings.data_dir)
    library = {key[2:]: devices for key, devices in windows.items() if key[:2] == ("glucksman-library", "car")}
    day = NOON - 12 * HOUR_MS
    assert library == {
        ("1m", NOON): 2,
        ("5m", NOON): 2,
        ("1h", NOON): 2,
        ("1m", NOON - HOUR_MS): 1,
        ("5m", NOON - HOUR_MS): 1,
        ("1h", NOON - HOUR_MS): 1,
        ("1d", day): 2,
    }
    value = metrics.registry.get_sample_value
    assert value("decoder_exported_records_total", {"target": "parquet", "topic": "positions"}) == 3
    assert (value("decoder_lake_files_total") or 0) >= 3
    assert (value("decoder_lake_bytes_total") or 0) > 1000


async def test_an_entry_that_no_decoder_wrote_is_a_dead_letter_and_stops_nothing(
    redis_client: Redis, settings: DecoderSettings, metrics: DecoderMetrics
) -> None:
    for stream in (POSITIONS, WINDOWS):
        await redis_client.xadd(stream, {"hello": "world"})
    await appended(redis_client, *some(1))
    running = exporting(redis_client, settings, metrics)
    await eventually(lambda: nothing_waits(redis_client))
    await running.stop()
    assert ids_in_lake(settings.data_dir) == ids(some(1))
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.MALFORMED_ENTRY] * 2


async def test_what_was_gathered_is_written_before_a_stop(
    redis_client: Redis, data_dir: Path, metrics: DecoderMetrics
) -> None:
    running = exporting(redis_client, settings_of(data_dir, lake_every=3600), metrics)
    await appended(redis_client, *some(3))

    async def is_in_hand() -> bool:
        groups = await redis_client.xinfo_groups(POSITIONS)
        return bool(groups and groups[0]["pending"])

    await eventually(is_in_hand)
    await running.stop()
    assert ids_in_lake(data_dir) == ids(some(3))
    assert await redis_client.xlen(POSITIONS) == 0


async def test_leftovers_become_one_file_and_not_one_each(redis_client: Redis, data_dir: Path) -> None:
    running = exporting(redis_client, settings_of(data_dir, lake_every=3600), DecoderMetrics())
    for number in range(20):
        await appended(redis_client, *some(1, first=number))

    async def all_in_hand() -> bool:
        groups = await redis_client.xinfo_groups(POSITIONS)
        return bool(groups) and groups[0]["pending"] == 20

    await eventually(all_in_hand)
    await running.kill()
    metrics = DecoderMetrics()
    running = exporting(redis_client, settings_of(data_dir), metrics)
    await eventually(lambda: nothing_waits(redis_client))
    await running.stop()
    assert ids_in_lake(data_dir) == ids(some(20))
    assert metrics.registry.get_sample_value("decoder_lake_files_total") == 1


def away(self: Lake, path: str, data: bytes) -> None:
    """A lake that takes nothing."""
    raise UnavailableError(f"the lake is away: {len(data)} bytes of {path} in {self.name}")


async def test_a_store_that_is_away_is_waited_for(
    redis_client: Redis,
    settings: DecoderSettings,
    metrics: DecoderMetrics,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del impatient
    put = Lake.put
    monkeypatch.setattr(Lake, "put", away)
    await appended(redis_client, *some(2))
    running = exporting(redis_client, settings, metrics)
    await eventually(holds(lambda: metrics.waiting))
    assert metrics.waiting is not None
    assert metrics.waiting.startswith("export-parquet (partition 0) waits: the lake is away")
    monkeypatch.setattr(Lake, "put", put)
    await eventually(lambda: nothing_waits(redis_client))
    await running.stop()
    assert ids_in_lake(settings.data_dir) == ids(some(2))


async def test_what_was_passed_over_while_the_lake_was_away_is_not_written_once_it_is_back(
    redis_client: Redis,
    settings: DecoderSettings,
    metrics: DecoderMetrics,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A device that is erased before the lake is back would come back with it."""
    del impatient
    put = Lake.put
    monkeypatch.setattr(Lake, "put", away)
    await appended(redis_client, *some(2))
    running = exporting(redis_client, settings, metrics)
    await eventually(holds(lambda: metrics.waiting))
    by_patience = Group(client=redis_client, stream=POSITIONS, group="export-parquet", consumer="b", claim_after_ms=0)
    assert await by_patience.skip_before(f"{2**63}-0") == 1
    await appended(redis_client, *some(1, first=2))
    monkeypatch.setattr(Lake, "put", put)
    await eventually(lambda: nothing_waits(redis_client))
    await running.stop()
    assert ids_in_lake(settings.data_dir) == ids(some(1, first=2))


async def test_what_somebody_else_has_finished_meanwhile_is_not_written_once_more(
    redis_client: Redis, data_dir: Path, metrics: DecoderMetrics
) -> None:
    """As when Redis was away for one exporter alone: what it has gathered may be of a device that was erased since."""
    running = exporting(redis_client, settings_of(data_dir, lake_every=1800, claim_after=600), metrics)
    for number in range(3):
        await appended(redis_client, *some(1, first=number))

    async def all_in_hand() -> bool:
        groups = await redis_client.xinfo_groups(POSITIONS)
        return bool(groups) and groups[0]["pending"] == 3

    await eventually(all_in_hand)
    other = Group(client=redis_client, stream=POSITIONS, group="export-parquet", consumer="b", claim_after_ms=0)
    first, second, _ = await other.abandoned(10)
    assert await other.claim(first)
    await other.acknowledge([second.entry_id])
    await running.stop()
    assert ids_in_lake(data_dir) == ids(some(1, first=2))
    assert [each.entry_id for each in await other.own(10)] == [first.entry_id]


@pytest.mark.timeout(900)
async def test_a_killed_exporter_loses_nothing(redis_client: Redis, redis_server: str, data_dir: Path) -> None:
    settings = settings_of(
        data_dir, redis_url=redis_server, stages="export", decoder_name="exporter", lake_positions=1000
    )
    everything: list[Position] = []

    async def some_are_in_the_lake(least: int) -> bool:
        return len(ids_in_lake(data_dir)) >= least

    for death in range(4):
        running = ProcessDecoder(settings, RunningClock(0))
        for _ in range(20):
            batch = some(50, first=len(everything))
            everything += batch
            await appended(redis_client, *batch)
        if death % 2:
            # In the middle of what it writes; else while it gathers, or starts.
            least = len(ids_in_lake(data_dir)) + 1
            await eventually(lambda least=least: some_are_in_the_lake(least), limit=SLOW_SECONDS)  # type: ignore[misc]
        await running.kill()
    running = ProcessDecoder(settings, RunningClock(0))
    await eventually(lambda: nothing_waits(redis_client), limit=SLOW_SECONDS)
    await running.stop()
    assert ids_in_lake(data_dir) == ids(everything)
    assert await dead_letters(redis_client) == []


async def test_a_target_that_is_away_delays_no_other(
    redis_client: Redis, data_dir: Path, metrics: DecoderMetrics, impatient: None
) -> None:
    del impatient
    away = f"127.0.0.1:{free_port()}"
    settings = settings_of(data_dir, export="parquet,kafka", kafka_servers=away)

    def both(metrics: DecoderMetrics) -> tuple[Running, KafkaTarget]:
        kafka = KafkaTarget(settings, 4, delivery_ms=1000)
        lake = LakeTarget(lake_of(data_dir), metrics)
        return Running(assembled(redis_client, settings, metrics).export([kafka, lake])), kafka

    await redis_client.xgroup_create(POSITIONS, "archive", id="0", mkstream=True)
    archive = Group(client=redis_client, stream=POSITIONS, group="archive", consumer="a", claim_after_ms=0)
    for first in (0, 10):
        # The second time what was read for Kafka is there as a leftover.
        metrics = DecoderMetrics()
        running, kafka = both(metrics)
        await appended(redis_client, *some(10, first=first))

        async def has_all(count: int = first + 10) -> bool:
            return ids_in_lake(data_dir) == ids(some(count))

        await eventually(has_all)

        async def waits(metrics: DecoderMetrics = metrics) -> bool:
            return "export-kafka (partition 0) waits: Kafka" in (metrics.waiting or "")

        await eventually(waits)
        await archive.acknowledge([entry_id for entry_id, _ in await archive.read(10)])
        await running.kill()
        await kafka.close()
    found = {backlog.group: backlog.waiting for backlog in await read_backlogs(redis_client, 1)}
    assert found == {"observe": 0, "archive": 0, "export-parquet": 0, "export-kafka": 2}


async def test_without_a_target_the_groups_go_and_the_stream_is_cut_off(
    redis_client: Redis, data_dir: Path, metrics: DecoderMetrics
) -> None:
    for group in ("archive", "export-parquet", "export-kafka"):
        await redis_client.xgroup_create(POSITIONS, group, id="0", mkstream=True)
    await redis_client.xgroup_create(WINDOWS, "export-parquet", id="0", mkstream=True)
    await redis_client.xadd(WINDOWS, {"d": b"\x90"})
    await appended(redis_client, *some(1))
    archive = Group(client=redis_client, stream=POSITIONS, group="archive", consumer="a", claim_after_ms=0)
    await archive.acknowledge([entry_id for entry_id, _ in await archive.read(1)])
    assert len(await entries(redis_client, POSITIONS)) == 1
    running = Running(assembled(redis_client, settings_of(data_dir, export="off"), metrics).export_upkeep())

    async def cut_off() -> bool:
        return not await entries(redis_client, POSITIONS)

    await eventually(cut_off)
    await running.stop()
    assert [each["name"] for each in await redis_client.xinfo_groups(POSITIONS)] == [b"archive"]
    assert await redis_client.xinfo_groups(WINDOWS) == []
    assert await redis_client.xlen(WINDOWS) == 0


async def test_of_the_targets_that_are_chosen_the_groups_stay(
    redis_client: Redis, settings: DecoderSettings, metrics: DecoderMetrics
) -> None:
    for group in ("export-parquet", "export-kafka"):
        await redis_client.xgroup_create(POSITIONS, group, id="0", mkstream=True)
    stages = assembled(redis_client, settings, metrics).export_upkeep()
    running = Running({"export-off": stages["export-off"]})

    async def one_is_left() -> bool:
        return [each["name"] for each in await redis_client.xinfo_groups(POSITIONS)] == [b"export-parquet"]

    await eventually(one_is_left)
    await running.stop()


async def test_without_an_export_nobody_collects_windows(
    redis_client: Redis, data_dir: Path, series: timeseries.OccupancyStore
) -> None:
    settings = settings_of(data_dir, export="off")
    assembly = assembled(redis_client, settings)
    running = Running(assembly.observe(load_campus(None), HASHER) | assembly.rollup(series))
    await accepted(redis_client, payload("a", NOON))

    async def rolled_up() -> bool:
        window = {"zone": "glucksman-library", "kind": CAR, "width": timeseries.Width.HOUR}
        return bool(await series.history(**window, start=NOON - HOUR_MS, end=NOON + 1))  # type: ignore[arg-type]

    await eventually(rolled_up)
    await running.stop()
    assert not await redis_client.exists(WINDOWS)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"export": "off"}, "EXPORT: STAGES has export, and there is nothing to do"),
        ({"export": "kafka"}, "KAFKA_SERVERS: missing"),
    ],
)
async def test_a_stage_that_cannot_work_says_why(
    redis_server: str, data_dir: Path, given: dict[str, str], why: str
) -> None:
    settings = settings_of(data_dir, redis_url=redis_server, stages="export", **given)
    with pytest.raises(BadSettingsError, match=why):
        await serve(settings, Stop())
