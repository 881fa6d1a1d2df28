"""What jobs found in the lake, in the time-series store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest

from analytics.jobs import RESULTS
from analytics.running import Slice
from analytics.stored import store_slice
from core.kinds import KindId
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Result, TimeseriesStore
from timeseries.sqlite import SqliteOccupancyStore

HOUR = 3_600_000
DAY = 24 * HOUR
NINE = 1_550_480_400_000
MIDNIGHT = NINE - 9 * HOUR
NOW = NINE + DAY


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TimeseriesStore]:
    async with SqliteOccupancyStore(file=tmp_path / "timeseries.sqlite3") as opened:
        await opened.setup()
        yield opened


def found(job: str, *rows: dict[str, object], start: int = MIDNIGHT, end: int = MIDNIGHT + DAY) -> Slice:
    return Slice(start, end, pa.Table.from_pylist(list(rows), schema=RESULTS[job]))


def visits(at: int, *, entries: int, dwell: float | None = None, zone: str = "kemmy") -> dict[str, object]:
    return {
        "zone": zone,
        "kind": "mobile",
        "other": "",
        "at": at,
        "entries": entries,
        "exits": 0,
        "devices": 1,
        "visits": 1,
        "dwell_devices": 0,
        "cut": 0,
        "dwell_q1": dwell,
        "dwell_median": dwell,
        "dwell_q3": dwell,
    }


def flow(origin: str, destination: str, devices: int, *, at: int = NINE, kind: str = "mobile") -> dict[str, object]:
    return {"zone": origin, "kind": kind, "other": destination, "at": at, "count": 2 * devices, "devices": devices}


async def of(store: TimeseriesStore, job: str) -> list[Result]:
    return await store.results(job, start=0, end=10**13)


async def test_a_row_is_a_result_without_what_is_unknown(store: TimeseriesStore) -> None:
    rows = found("visits", visits(NINE, entries=3), visits(NINE + HOUR, entries=4, dwell=60.5))
    assert await store_slice(store, "visits", rows, campus="campus", now=NOW) == 2
    first, second = await of(store, "visits")
    assert (first.zone, first.kind, first.other, first.at) == ("kemmy", MOBILE, "", NINE)
    assert first.values == {
        "entries": 3.0,
        "exits": 0.0,
        "devices": 1.0,
        "visits": 1.0,
        "dwell_devices": 0.0,
        "cut": 0.0,
        "computed_at": float(NOW),
    }
    assert second.values["dwell_median"] == 60.5


async def test_what_a_day_has_no_more_goes(store: TimeseriesStore) -> None:
    rows = found("visits", visits(NINE, entries=3), visits(NINE + HOUR, entries=4))
    await store_slice(store, "visits", rows, campus="campus", now=NOW)
    await store_slice(store, "visits", found("visits", visits(NINE, entries=5)), campus="campus", now=NOW)
    assert [(each.at, each.values["entries"]) for each in await of(store, "visits")] == [(NINE, 5.0)]


async def test_until_when_a_day_was_worked_out_is_kept_also_where_nothing_was_found(store: TimeseriesStore) -> None:
    noon = found("visits", end=MIDNIGHT + 12 * HOUR)
    await store_slice(store, "visits", noon, campus="campus", now=NOW)
    await store_slice(store, "visits", found("visits"), campus="campus", now=NOW + 1)
    await store_slice(store, "flows", found("flows", start=MIDNIGHT + DAY, end=NOW), campus="campus", now=NOW + 2)
    await store_slice(store, "profiles", found("profiles"), campus="campus", now=NOW)
    assert [(each.at, each.other, each.values) for each in await of(store, "days")] == [
        (MIDNIGHT, "visits", {"until": float(MIDNIGHT + DAY), "computed_at": float(NOW + 1)}),
        (MIDNIGHT + DAY, "flows", {"until": float(NOW), "computed_at": float(NOW + 2)}),
    ]


async def test_a_typical_week_takes_the_place_of_the_one_before(store: TimeseriesStore) -> None:
    def week(at: int, median: float) -> dict[str, object]:
        return {
            "zone": "kemmy",
            "kind": "car",
            "other": "term",
            "at": at,
            "hours": 8,
            "q1": 1.0,
            "median": median,
            "q3": 9.0,
        }

    monday = 4 * DAY
    rows = found("profiles", week(monday, 3.0), week(monday + 167 * HOUR, 4.0))
    await store_slice(store, "profiles", rows, campus="campus", now=NOW)
    await store_slice(store, "profiles", found("profiles", week(monday + HOUR, 5.0)), campus="campus", now=NOW)
    assert await of(store, "profiles") == [
        Result(
            "profiles",
            "kemmy",
            CAR,
            "term",
            monday + HOUR,
            {"hours": 8.0, "q1": 1.0, "median": 5.0, "q3": 9.0, "computed_at": float(NOW)},
        )
    ]


async def test_of_an_hour_two_thousand_pairs_are_named_and_the_rest_is_one_result_of_the_campus(
    store: TimeseriesStore,
) -> None:
    many = [flow("a", f"z{number}", 10) for number in range(1999)]
    few = [flow("b", "c", 4), flow("b", "d", 3), flow("b", "e", 2), flow("c", "b", 1, kind="car")]
    other_hour = flow("b", "d", 1, at=NINE + HOUR)
    rows = found("flows", *few, *many, other_hour)
    await store_slice(store, "flows", rows, campus="campus", now=NOW)
    stored = await of(store, "flows")
    assert len(stored) == 2003
    rest = [each for each in stored if each.other == ""]
    assert [(each.zone, each.kind, each.at) for each in rest] == [
        ("campus", KindId("car"), NINE),
        ("campus", MOBILE, NINE),
    ]
    assert [(each.values["count"], each.values["devices"]) for each in rest] == [(2.0, 1.0), (10.0, 5.0)]
    assert {each.other for each in stored if each.zone == "b"} == {"c", "d"}
    assert stored[-1].at == NINE + HOUR
