"""What every store of occupancy must do: SQLite, and InfluxDB, which is that of INFLUXDB_V2_URL where that is set."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.service.buckets_service import BucketsService

from core.clock import system_clock
from core.kinds import DEFAULT_KINDS, KindId
from tests.influxd.server import InfluxServer
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import (
    Coverage,
    OccupancyPoint,
    Result,
    TimeseriesSettings,
    TimeseriesStore,
    Width,
    Window,
    Written,
    nominal_ms,
    open_store,
)

HOUR = 3_600_000
NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""

Opening = Callable[[], AbstractAsyncContextManager[TimeseriesStore]]


@pytest.fixture(params=["sqlite", "influxdb"])
async def opening(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Opening]:
    """Opens the same store, again and again; it is empty at first."""
    if request.param == "influxdb" and not os.environ.get("INFLUXDB_V2_URL"):
        server: InfluxServer = request.getfixturevalue("influxd")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("TIMESERIES_STORE", request.param)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("INFLUXDB_BUCKET_PREFIX", f"contract-{uuid.uuid4().hex[:12]}")
    settings = TimeseriesSettings()
    async with open_store(settings) as store:
        await store.setup()
    yield lambda: open_store(settings)
    if request.param == "influxdb":
        await remove_buckets(settings)


async def remove_buckets(settings: TimeseriesSettings) -> None:
    async with InfluxDBClientAsync(
        url=settings.influxdb_v2_url,
        org=settings.influxdb_v2_org,
        token=settings.influxdb_v2_token.get_secret_value(),
    ) as client:
        service = BucketsService(client.api_client)
        for prefix in settings.influxdb_bucket_prefix, settings.released_bucket_prefix:
            for part in [*Width, "results"]:
                found = await service.get_buckets_async(name=f"{prefix}_{part}")
                for bucket in found.buckets:
                    await service.delete_buckets_id_async(bucket.id)


@pytest.fixture
async def store(opening: Opening) -> AsyncIterator[TimeseriesStore]:
    async with opening() as opened:
        yield opened


def point(
    start: int = NINE, *, devices: int = 1, zone: str = "campus", kind: KindId = CAR, width: Width = Width.HOUR
) -> OccupancyPoint:
    return OccupancyPoint(window=Window(width=width, start=start, zone=zone, kind=kind), devices=devices)


async def history(
    store: TimeseriesStore,
    *,
    zone: str = "campus",
    kind: KindId = CAR,
    width: Width = Width.HOUR,
    start: int = NINE - 100 * HOUR,
    end: int = NINE + 100 * HOUR,
) -> list[OccupancyPoint]:
    return await store.history(zone=zone, kind=kind, width=width, start=start, end=end)


async def test_what_is_written_is_read(store: TimeseriesStore) -> None:
    await store.write([point(devices=3)])
    assert await history(store) == [point(devices=3)]


async def test_a_point_replaces_that_of_the_same_window(store: TimeseriesStore) -> None:
    await store.write([point(devices=3)])
    await store.write([point(devices=5)])
    assert await history(store) == [point(devices=5)]
    # It may also become less.
    await store.write([point(devices=0)])
    assert await history(store) == [point(devices=0)]


@pytest.mark.usefixtures("opening")
async def test_the_stores_of_true_and_of_released_counts_have_nothing_in_common() -> None:
    async with open_store(TimeseriesSettings()) as true, open_store(TimeseriesSettings(), released=True) as released:
        await released.setup()
        await true.write([point(devices=3)])
        await released.write([point(devices=130)])
        await released.write_coverage([Coverage("campus", CAR, NINE, 1)])
        assert await history(true) == [point(devices=3)]
        assert await history(released) == [point(devices=130)]
        assert await true.coverage(CAR, start=NINE, end=NINE + HOUR) == []


async def test_of_one_window_s_points_the_last_counts(store: TimeseriesStore) -> None:
    await store.write([point(devices=1), point(devices=9), point(devices=4)])
    assert await history(store) == [point(devices=4)]


async def test_the_history_is_in_order_of_time(store: TimeseriesStore) -> None:
    starts = [NINE + hour * HOUR for hour in (5, 1, 4, 2, 3)]
    await store.write([point(start) for start in starts[:3]])
    await store.write([point(start) for start in starts[3:]])
    assert [found.window.start for found in await history(store)] == sorted(starts)


async def test_a_range_includes_its_start_and_excludes_its_end(store: TimeseriesStore) -> None:
    await store.write([point(NINE + hour * HOUR) for hour in range(4)])
    found = await history(store, start=NINE + HOUR, end=NINE + 3 * HOUR)
    assert [point.window.start for point in found] == [NINE + HOUR, NINE + 2 * HOUR]
    found = await history(store, start=NINE + HOUR - 1, end=NINE + 3 * HOUR + 1)
    assert [point.window.start for point in found] == [NINE + HOUR, NINE + 2 * HOUR, NINE + 3 * HOUR]


@pytest.mark.parametrize(
    ("start", "end"), [(NINE, NINE), (NINE + HOUR, NINE), (10**17, 10**18), (-(10**18), -(10**17))]
)
async def test_an_empty_range_gives_nothing(store: TimeseriesStore, start: int, end: int) -> None:
    await store.write([point()])
    assert await history(store, start=start, end=end) == []


async def test_a_range_may_be_all_of_time(store: TimeseriesStore) -> None:
    await store.write([point()])
    assert await history(store, start=-(10**18), end=10**18) == [point()]


async def test_a_day_that_began_before_the_epoch_is_kept(store: TimeseriesStore) -> None:
    day = point(-3_600_000, width=Width.DAY)
    await store.write([day])
    assert await history(store, width=Width.DAY, start=-HOUR, end=0) == [day]


async def test_windows_that_were_never_written_are_left_out(store: TimeseriesStore) -> None:
    await store.write([point(NINE), point(NINE + 2 * HOUR, devices=0)])
    assert await history(store) == [point(NINE), point(NINE + 2 * HOUR, devices=0)]


async def test_an_unknown_zone_has_no_history_and_no_extent(store: TimeseriesStore) -> None:
    await store.write([point()])
    assert await history(store, zone="nowhere") == []
    assert await store.extent("nowhere", CAR, Width.HOUR) is None


async def test_an_empty_store_has_no_history_and_no_extent(store: TimeseriesStore) -> None:
    assert await history(store) == []
    assert await store.extent("campus", CAR, Width.HOUR) is None


async def test_zones_and_kinds_and_widths_do_not_mix(store: TimeseriesStore) -> None:
    # The start of a window of each width.
    start = system_clock() // nominal_ms[Width.DAY] * nominal_ms[Width.DAY]
    points = [
        point(start, zone=zone, kind=kind, width=width)
        for zone in ("campus", "campus-2", "2")
        for kind in DEFAULT_KINDS.ids
        for width in Width
    ]
    numbered = [OccupancyPoint(window=point.window, devices=number) for number, point in enumerate(points)]
    await store.write(numbered)
    for one in numbered:
        window = one.window
        asked = {"zone": window.zone, "kind": window.kind, "width": window.width}
        assert await store.history(**asked, start=start, end=start + 1) == [one]  # type: ignore[arg-type] # mixed values
        assert await store.extent(window.zone, window.kind, window.width) == (start, start)


async def test_the_extent_is_from_the_first_to_the_last_window(store: TimeseriesStore) -> None:
    await store.write([point(NINE + hour * HOUR) for hour in (2, 7, 3)])
    assert await store.extent("campus", CAR, Width.HOUR) == (NINE + 2 * HOUR, NINE + 7 * HOUR)
    await store.write([point(NINE - 20_000 * HOUR)])
    assert await store.extent("campus", CAR, Width.HOUR) == (NINE - 20_000 * HOUR, NINE + 7 * HOUR)


async def test_the_series_are_the_zones_and_kinds_of_one_width(store: TimeseriesStore) -> None:
    series = [("A", MOBILE), ("a", CAR), ("b", CAR), ("b", MOBILE), ("b.1", CAR)]
    assert await store.series(Width.HOUR) == []
    await store.write(
        [
            point(NINE + hour * HOUR, zone=zone, kind=kind)
            for hour in range(-2000, 2000, 1000)
            for zone, kind in reversed(series)
        ]
    )
    await store.write([point(width=Width.DAY, zone="only-by-day")])
    assert await store.series(Width.HOUR) == series
    assert await store.series(Width.DAY) == [("only-by-day", CAR)]


async def test_everything_is_taken_and_kept_where_no_setting_says_otherwise(store: TimeseriesStore) -> None:
    points = [point(start, width=width) for start in (0, NINE) for width in Width]
    assert await store.write(points) == Written()
    for width in Width:
        assert await store.kept_since(width) is None
        assert await history(store, width=width, start=0, end=NINE + 1) == [
            point(start, width=width) for start in (0, NINE)
        ]
    assert await store.drop_expired() == 0
    assert len(await history(store, width=Width.MINUTE, start=0, end=NINE + 1)) == 2


@pytest.fixture
async def forgetful(
    opening: Opening,  # noqa: ARG001 - what it sets is what is opened here
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[TimeseriesStore]:
    """The same store, whose 1m windows are kept for a week."""
    monkeypatch.setenv("OCCUPANCY_KEEP", "1m:7d")
    async with open_store(TimeseriesSettings()) as store:
        await store.setup()
        yield store


async def test_what_is_older_than_is_kept_is_not_taken_and_the_others_of_its_batch_are_stored(
    forgetful: TimeseriesStore,
) -> None:
    recent = system_clock() // HOUR * HOUR
    old, new = point(NINE, width=Width.MINUTE), point(recent, width=Width.MINUTE)
    assert await forgetful.write([old, new, point()]) == Written(expired=1)
    assert await history(forgetful) == [point()]
    assert await history(forgetful, width=Width.MINUTE, start=NINE, end=recent + 1) == [new]


async def test_a_store_says_since_when_it_keeps_all(forgetful: TimeseriesStore) -> None:
    before = system_clock()
    since = await forgetful.kept_since(Width.MINUTE)
    assert since is not None
    assert before - 7 * 24 * HOUR <= since <= system_clock() - 7 * 24 * HOUR
    assert await forgetful.kept_since(Width.FIVE_MINUTES) is None


@pytest.mark.usefixtures("opening")
async def test_a_setting_holds_for_what_is_there_and_can_be_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text, kept in (("", False), ("1d:30d,1m:2d", True), ("1m:3d", False)):
        monkeypatch.setenv("OCCUPANCY_KEEP", text)
        async with open_store(TimeseriesSettings()) as store:
            await store.setup()
            assert (await store.kept_since(Width.DAY) is not None) == kept
            assert await store.kept_since(Width.HOUR) is None


async def test_setup_can_be_repeated_and_keeps_what_is_there(store: TimeseriesStore) -> None:
    await store.write([point()])
    await asyncio.gather(store.setup(), store.setup())
    assert await history(store) == [point()]


async def test_what_was_written_is_there_after_reopening(opening: Opening) -> None:
    async with opening() as store:
        await store.write([point(devices=7)])
    async with opening() as store:
        assert await history(store) == [point(devices=7)]


async def test_writers_side_by_side_lose_nothing(opening: Opening) -> None:
    async with opening() as one, opening() as other, opening() as reader:
        await asyncio.gather(
            *(one.write([point(NINE + hour * HOUR, zone="one")]) for hour in range(20)),
            *(other.write([point(NINE + hour * HOUR, zone="other")]) for hour in range(20)),
            *(writer.write([point(NINE + 50 * HOUR, devices=3)]) for writer in (one, other)),
            *(history(reader) for _ in range(20)),
        )
        assert len(await history(reader, zone="one")) == 20
        assert len(await history(reader, zone="other")) == 20
        assert await history(reader) == [point(NINE + 50 * HOUR, devices=3)]


async def test_many_points_are_written_at_once(store: TimeseriesStore) -> None:
    points = [point(NINE + hour * HOUR, devices=hour) for hour in range(12_000)]
    await store.write(points)
    assert await history(store, start=NINE, end=NINE + 12_000 * HOUR) == points


@pytest.mark.parametrize(
    "zone", ["", ".a", "a b", "a,zone=b", "a=b", 'a"', "a\\", "a\n", "a:b", "../a", "é", "-a", "a" * 65, "a\0"]
)
async def test_a_hostile_zone_is_refused_and_writes_nothing(store: TimeseriesStore, zone: str) -> None:
    with pytest.raises(ValueError, match="is no id of a zone"):
        await store.write([point(), point(zone=zone)])
    with pytest.raises(ValueError, match="is no id of a zone"):
        await history(store, zone=zone)
    with pytest.raises(ValueError, match="is no id of a zone"):
        await store.extent(zone, CAR, Width.HOUR)
    with pytest.raises(ValueError, match="is no id of a zone"):
        await store.record(zone=zone, kind=CAR, width=Width.HOUR, start=NINE, end=NINE + HOUR, until=NINE + HOUR)
    assert await history(store) == []


def covered(zone: str, kind: KindId, hour: int, minutes: int) -> Coverage:
    return Coverage(zone=zone, kind=kind, hour=hour * 3_600_000, minutes=minutes)


async def test_hours_that_were_recorded_are_found_by_kind_zone_and_time(store: TimeseriesStore) -> None:
    whole = 2**60 - 1
    hours = [
        covered("a", CAR, 10, whole),
        covered("a", CAR, 11, 1),
        covered("b", CAR, 10, 1 << 59),
        covered("a", MOBILE, 10, 7),
    ]
    await store.write_coverage(hours)

    everything = await store.coverage(CAR, start=10 * 3_600_000, end=11 * 3_600_000 + 1)
    assert everything == [hours[0], hours[1], hours[2]]
    assert await store.coverage(CAR, start=10 * 3_600_000, end=11 * 3_600_000, zone="a") == [hours[0]]
    assert await store.coverage(CAR, start=12 * 3_600_000, end=13 * 3_600_000) == []
    assert await store.coverage_extent("a", CAR) == (36_000_000, 39_600_000)
    assert await store.coverage_extent("b", CAR) == (36_000_000, 36_000_000)
    assert await store.coverage_extent("b", MOBILE) is None


async def test_a_record_is_what_three_questions_would_find(store: TimeseriesStore) -> None:
    await store.write([point(start=NINE + hour * HOUR, devices=hour, zone="a") for hour in (1, 2, 3, 4)])
    await store.write([point(start=NINE + 2 * HOUR, devices=9, zone="b")])
    await store.write_coverage([covered("a", CAR, NINE // HOUR + hour, hour) for hour in (1, 2, 3, 4)])
    await store.write_coverage([covered("b", CAR, NINE // HOUR + 2, 9)])

    found = await store.record(
        zone="a",
        kind=CAR,
        width=Width.HOUR,
        start=NINE + 2 * HOUR,
        end=NINE + 3 * HOUR + 1,
        until=NINE + 4 * HOUR,
    )

    assert found.devices == {NINE + 2 * HOUR: 2, NINE + 3 * HOUR: 3}
    assert list(found.devices) == sorted(found.devices)
    assert found.extent == (NINE + HOUR, NINE + 4 * HOUR)
    assert found.minutes == {NINE + 2 * HOUR: 2, NINE + 3 * HOUR: 3}


async def test_a_record_begins_with_the_hour_that_holds_its_start(store: TimeseriesStore) -> None:
    await store.write_coverage([covered("a", CAR, NINE // HOUR, 7)])

    found = await store.record(
        zone="a", kind=CAR, width=Width.MINUTE, start=NINE + 59 * 60_000, end=NINE + HOUR, until=NINE + HOUR
    )

    assert (found.devices, found.extent, found.minutes) == ({}, None, {NINE: 7})


async def test_a_record_may_be_of_all_time(store: TimeseriesStore) -> None:
    await store.write([point(devices=3, zone="a")])

    found = await store.record(zone="a", kind=CAR, width=Width.HOUR, start=-(2**63), end=2**63, until=2**63)

    assert found.devices == {NINE: 3}


async def test_an_hour_that_is_written_again_has_its_new_minutes(store: TimeseriesStore) -> None:
    await store.write_coverage([covered("a", CAR, 10, 1)])
    await store.write_coverage([covered("a", CAR, 10, 3)])

    assert await store.coverage(CAR, start=0, end=10**12) == [covered("a", CAR, 10, 3)]


async def test_coverage_is_no_series_of_windows(store: TimeseriesStore) -> None:
    await store.write_coverage([covered("a", CAR, 10, 1)])

    assert await store.series(Width.HOUR) == []
    assert await store.extent("a", CAR, Width.HOUR) is None


async def test_drop_removes_windows_of_all_widths_and_recorded_hours_of_one_zone_and_kind(
    store: TimeseriesStore,
) -> None:
    hour = 10 * 3_600_000
    await store.write(
        [
            OccupancyPoint(Window(width, hour, zone, kind), 1)
            for width in Width
            for zone in ("a", "b")
            for kind in DEFAULT_KINDS.ids
        ]
    )
    await store.write([OccupancyPoint(Window(Width.MINUTE, hour + 60_000, "a", CAR), 2)])
    await store.write_coverage([covered("a", CAR, 10, 3), covered("b", CAR, 10, 3)])

    await store.drop("a", CAR, start=hour, end=hour + 60_000)

    for width in Width:
        assert await store.extent("b", CAR, width) == (hour, hour)
        assert await store.extent("a", MOBILE, width) == (hour, hour)
        left = (hour + 60_000, hour + 60_000) if width is Width.MINUTE else None
        assert await store.extent("a", CAR, width) == left
    assert await store.coverage_extent("a", CAR) is None
    assert await store.coverage_extent("b", CAR) == (hour, hour)


async def test_windows_of_all_zones_and_kinds_come_at_once(store: TimeseriesStore) -> None:
    points = [
        point(NINE, devices=3),
        point(NINE, devices=2, kind=MOBILE),
        point(NINE + HOUR, devices=1, zone="kemmy"),
        point(NINE + 2 * HOUR, devices=9),
        point(NINE, devices=7, width=Width.MINUTE),
    ]
    (await store.write(points)).check()
    found = await store.windows(Width.HOUR, start=NINE, end=NINE + 2 * HOUR)
    assert sorted(found, key=str) == sorted(points[:3], key=str)
    assert await store.windows(Width.MINUTE, start=NINE, end=NINE + 1) == points[4:]
    assert await store.windows(Width.DAY, start=NINE, end=NINE + HOUR) == []
    assert await store.windows(Width.HOUR, start=NINE, end=NINE) == []


async def test_recorded_hours_of_all_zones_and_kinds_come_at_once(store: TimeseriesStore) -> None:
    hours = [
        Coverage("campus", CAR, NINE, 1 << 59),
        Coverage("campus", MOBILE, NINE, 3),
        Coverage("kemmy", CAR, NINE + HOUR, (1 << 60) - 1),
        Coverage("kemmy", CAR, NINE + 2 * HOUR, 1),
    ]
    await store.write_coverage(hours)
    found = await store.recorded(start=NINE, end=NINE + 2 * HOUR)
    assert sorted(found, key=str) == sorted(hours[:3], key=str)
    assert await store.recorded(start=NINE, end=NINE) == []


async def test_the_next_time_is_that_of_the_first_window_or_recorded_hour_from_then_on(store: TimeseriesStore) -> None:
    assert await store.next_time(0) is None
    (await store.write([point(NINE + HOUR, width=Width.FIVE_MINUTES), point(NINE + 5 * HOUR, zone="kemmy")])).check()
    await store.write_coverage([Coverage("campus", CAR, NINE, 1), Coverage("kemmy", MOBILE, NINE + 9 * HOUR, 1)])
    assert await store.next_time(0) == NINE
    assert await store.next_time(NINE + 1) == NINE + HOUR
    assert await store.next_time(NINE + HOUR) == NINE + HOUR
    assert await store.next_time(NINE + HOUR + 1) == NINE + 5 * HOUR
    assert await store.next_time(NINE + 6 * HOUR) == NINE + 9 * HOUR
    assert await store.next_time(NINE + 10 * HOUR) is None


MONDAY = 4 * 24 * HOUR
"""1970-01-05T00:00:00Z: the week that typical weeks are told in."""


def result(
    at: int = NINE,
    *,
    job: str = "visits",
    zone: str = "campus",
    kind: KindId = CAR,
    other: str = "",
    **values: float,
) -> Result:
    return Result(job, zone, kind, other, at, values or {"entries": 1.0})


async def results(store: TimeseriesStore, job: str = "visits", **asked: Any) -> list[Result]:
    return await store.results(job, **{"start": -(10**18), "end": 10**18, **asked})


async def test_results_are_read_as_they_were_written(store: TimeseriesStore) -> None:
    written = [
        result(entries=3.0, dwell_median=1234.5),
        result(NINE + HOUR, entries=0.1 + 0.2, computed_at=1_550_480_400_123.0),
        result(MONDAY, job="profiles", other="term", median=-0.5),
        result(job="flows", zone="a", other="b.1", count=12.0),
        result(job="flows", zone="a", count=1e-7),
    ]
    await store.write_results(written)
    assert await results(store) == written[:2]
    assert await results(store, "profiles") == [written[2]]
    assert await results(store, "flows") == [written[4], written[3]]
    assert await results(store, "paths") == []


async def test_a_result_replaces_that_of_its_place_with_all_of_its_values(store: TimeseriesStore) -> None:
    await store.write_results([result(entries=3.0, exits=2.0), result(entries=4.0, dwell_median=60.0)])
    assert await results(store) == [result(entries=4.0, dwell_median=60.0)]
    await store.write_results([result(exits=5.0)])
    assert await results(store) == [result(exits=5.0)]


async def test_results_are_found_by_job_zone_kind_and_time(store: TimeseriesStore) -> None:
    written = [
        result(NINE + hour * HOUR, zone=zone, kind=kind)
        for hour in range(3)
        for zone in ("a", "b")
        for kind in (CAR, MOBILE)
    ]
    await store.write_results([*written[::-1], result(NINE, job="flows", zone="a")])
    assert await results(store) == written
    assert await results(store, start=NINE + 1, end=NINE + 2 * HOUR) == written[4:8]
    assert await results(store, zone="b") == [each for each in written if each.zone == "b"]
    assert await results(store, kind=MOBILE) == [each for each in written if each.kind == MOBILE]
    assert await results(store, zone="a", kind=CAR, start=NINE, end=NINE + 1) == [written[0]]
    assert await results(store, start=NINE, end=NINE) == []
    assert await results(store, zone="nowhere") == []


async def test_results_that_are_replaced_go_with_all_that_the_job_had_in_that_time(store: TimeseriesStore) -> None:
    await store.write_results([result(NINE + hour * HOUR, zone=zone) for hour in range(3) for zone in ("a", "b")])
    await store.write_results([result(NINE + HOUR, job="flows", zone="a", other="b")])
    new = result(NINE + HOUR, zone="c", entries=9.0)
    await store.replace_results("visits", NINE + HOUR, NINE + 2 * HOUR, [new])
    left = [result(NINE, zone="a"), result(NINE, zone="b"), new]
    left += [result(NINE + 2 * HOUR, zone="a"), result(NINE + 2 * HOUR, zone="b")]
    assert await results(store) == left
    assert len(await results(store, "flows")) == 1
    await store.replace_results("visits", NINE - 50 * HOUR, NINE + 50 * HOUR, [])
    assert await results(store) == []
    assert len(await results(store, "flows")) == 1


async def test_a_result_of_another_job_or_time_replaces_nothing(store: TimeseriesStore) -> None:
    await store.write_results([result()])
    for wrong in (result(job="flows"), result(NINE - 1), result(NINE + HOUR)):
        with pytest.raises(ValueError, match="is not one of visits from 1550480400000 until 1550484000000"):
            await store.replace_results("visits", NINE, NINE + HOUR, [wrong])
    assert await results(store) == [result()]


async def test_more_results_than_are_asked_for_are_refused(store: TimeseriesStore) -> None:
    written = [result(NINE + hour * HOUR) for hour in range(4)]
    await store.write_results(written)
    assert await results(store, most=4) == written
    with pytest.raises(ValueError, match="more than 3 results: ask for a shorter time or for one zone"):
        await results(store, most=3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (result(zone="a,b=c"), "is no zone or other of a result"),
        (result(other="-"), "is no zone or other of a result"),
        (result(kind=KindId("Car")), "is no id of a kind"),
        (result(job='flows" or true'), "is no name of a job"),
        (Result("visits", "campus", CAR, "", NINE, {"a b": 1.0}), "is no name of a value"),
        (result(entries=float("nan")), "entries of a result of visits is nan"),
        (result(entries=float("inf")), "entries of a result of visits is inf"),
        (Result("visits", "campus", CAR, "", NINE, {}), "a result has 1 to 16 values"),
    ],
)
async def test_a_result_that_cannot_be_one_is_refused_and_writes_nothing(
    store: TimeseriesStore, wrong: Result, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        await store.write_results([result(), wrong])
    with pytest.raises(ValueError, match=message):
        await store.replace_results(wrong.job, NINE, NINE + 1, [wrong])
    assert await results(store) == []


async def test_results_are_neither_windows_nor_recorded_hours(store: TimeseriesStore) -> None:
    await store.write_results([result(), result(MONDAY, job="profiles")])
    assert await store.series(Width.HOUR) == []
    assert await store.next_time(0) is None
    assert await store.recorded(start=0, end=NINE + HOUR) == []
    await store.drop("campus", CAR, start=0, end=NINE + HOUR)
    assert await results(store) == [result()]


async def test_results_stay_where_windows_of_their_time_are_not_kept(
    opening: Opening,  # noqa: ARG001 - what it sets is what is opened here
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OCCUPANCY_KEEP", "1m:2d,5m:2d,1h:2d,1d:2d")
    async with open_store(TimeseriesSettings()) as store:
        await store.setup()
        await store.write_results([result(MONDAY, job="profiles", median=3.0)])
        await store.drop_expired()
        assert await results(store, "profiles") == [result(MONDAY, job="profiles", median=3.0)]


async def test_many_results_are_written_and_read_at_once(store: TimeseriesStore) -> None:
    written = [result(NINE + hour * HOUR, entries=float(hour), exits=1.0) for hour in range(6000)]
    await store.write_results(written)
    assert await results(store) == written
