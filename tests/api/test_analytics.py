"""Forecasts, visits and flows, over results in the real SQLite store."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from api.analytics import flow_days
from api.zones.campus import FollowedCampus
from core.kinds import KindId
from tests.api.conftest import Parts, assert_problem, client_over, key_for, watched
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, OccupancyPoint, Result, TimeseriesStore, Width, Window

HOUR = 3_600_000
DAY = 24 * HOUR
COMPUTED = NOON - 9 * HOUR
TEN = NOON - 2 * HOUR
LAST_THREE = {"start": "2026-03-01T09:00:00Z", "end": "2026-03-01T12:00:00Z"}
BUSY: dict[str, Any] = {"entries": 40, "exits": 30, "devices": 60, "visits": 65, "dwell_devices": 25}
DWELL: dict[str, Any] = {"dwell_q1": 300.0, "dwell_median": 1_800.0, "dwell_q3": 5_400.0}


@pytest.fixture(autouse=True)
def _flows_are_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of these tests stands still."""
    monkeypatch.setattr(flow_days, "KEPT_MS", 0)


def result(
    job: str, zone: str, at: int, other: str = "", *, kind: KindId = MOBILE, computed: int = COMPUTED, **values: float
) -> Result:
    return Result(job, zone, kind, other, at, {**values, "computed_at": float(computed)})


def flow(origin: str, destination: str, at: int, devices: int, count: int | None = None) -> Result:
    return result("flows", origin, at, destination, count=count or devices, devices=devices)


async def keep(store: TimeseriesStore, *results: Result) -> None:
    await store.write_results(results)


def been(job: str, until: int, *, computed: int = COMPUTED) -> Result:
    """That a job has been through a day until some hour."""
    day = (until - HOUR) // DAY * DAY
    return result("days", "campus", day, job, kind=KindId("all"), until=until, computed=computed)


async def jobs_ran(store: TimeseriesStore, kind: KindId = MOBILE) -> None:
    """Let the jobs have been through the day before and the morning until eleven."""
    await watched(store, "campus", kind, NOON - DAY, NOON)
    await watched(store, "kemmy", kind, NOON - 4 * HOUR, NOON)
    await keep(store, *(been(job, until) for job in ("visits", "flows") for until in (NOON - 12 * HOUR, NOON - HOUR)))


async def got(client: httpx.AsyncClient, path: str, **parameters: str) -> dict[str, Any]:
    answer = await client.get(path, params={"kind": "mobile", **parameters})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_visits_are_given_hour_by_hour_with_what_they_rest_on(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    await keep(store, result("visits", "kemmy", TEN, **BUSY, **DWELL, cut=1.0))

    body = await got(client, "/v1/zones/kemmy/visits", **LAST_THREE)

    nothing = dict.fromkeys(["entries", "exits", "visits", "devices", "dwell"])
    assert body["hours"] == [
        {
            "start": "2026-03-01T09:00:00Z",
            "end": "2026-03-01T10:00:00Z",
            **nothing,
            "suppressed": True,
            "recorded_minutes": 60,
        },
        {
            "start": "2026-03-01T10:00:00Z",
            "end": "2026-03-01T11:00:00Z",
            "entries": 40,
            "exits": 30,
            "visits": 65,
            "devices": 60,
            "dwell": {"first_quartile": 5, "median": 30, "third_quartile": 90},
            "suppressed": False,
            "recorded_minutes": 60,
        },
        # The job has not been there yet.
        {
            "start": "2026-03-01T11:00:00Z",
            "end": "2026-03-01T12:00:00Z",
            **nothing,
            "suppressed": False,
            "recorded_minutes": 60,
        },
    ]
    assert {name: body[name] for name in body if name not in {"hours", "basis"}} == {
        "zone": "kemmy",
        "kind": "mobile",
        "timezone": "UTC",
        "start": "2026-03-01T09:00:00Z",
        "end": "2026-03-01T12:00:00Z",
        "data_begin": "2026-03-01T09:00:00Z",
        "data_end": "2026-03-01T11:00:00Z",
        "computed_at": "2026-03-01T03:00:00Z",
        "recorded_minutes": 120,
    }
    assert "Quartiles are of 20 devices or more, in whole minutes." in body["basis"]


async def test_an_hour_in_which_few_came_is_answered_as_one_in_which_nobody_did(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    nobody = await got(client, "/v1/zones/kemmy/visits", **LAST_THREE)
    await keep(store, result("visits", "kemmy", TEN, entries=4, exits=4, devices=4, visits=4, computed=COMPUTED))
    few = await got(client, "/v1/zones/kemmy/visits", **LAST_THREE)
    await keep(store, flow("kemmy", "schuman", TEN, 4), flow("schuman", "kemmy", TEN, 4))

    assert few == nobody == await got(client, "/v1/zones/kemmy/visits", **LAST_THREE)


async def test_an_hour_that_was_not_recorded_is_unknown_and_not_withheld(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    await store.write_coverage([Coverage("kemmy", MOBILE, TEN, 0)])

    body = await got(client, "/v1/zones/kemmy/visits", start="2026-03-01T10:00:00Z", end="2026-03-01T11:00:00Z")

    [hour] = body["hours"]
    assert (hour["suppressed"], hour["recorded_minutes"], hour["entries"]) == (False, 0, None)
    assert (body["data_begin"], body["data_end"], body["recorded_minutes"]) == (None, None, 0)


async def test_visits_from_which_a_small_flow_could_be_computed_are_withheld(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    at_ten = {"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"}
    await keep(store, result("visits", "kemmy", TEN, **BUSY, **DWELL))
    # Of 40 that came 36 are known: the other four might be those who came from one other zone.
    await keep(store, flow("schuman", "kemmy", TEN, 36))
    [withheld] = (await got(client, "/v1/zones/kemmy/visits", **at_ten))["hours"]
    await keep(store, flow("schuman", "kemmy", TEN, 35))
    [shown] = (await got(client, "/v1/zones/kemmy/visits", **at_ten))["hours"]

    assert (withheld["entries"], withheld["suppressed"]) == (None, True)
    assert (shown["entries"], shown["suppressed"]) == (40, False)


@pytest.mark.parametrize("path", ["/v1/zones/kemmy/visits", "/v1/zones/campus/visits", "/v1/flows"])
@pytest.mark.parametrize("day", ["2026-02-28", "2026-03-01"])
async def test_whether_anybody_was_on_the_campus_follows_from_no_hour_and_no_day_that_is_asked_for(
    client: httpx.AsyncClient, store: TimeseriesStore, path: str, day: str
) -> None:
    await jobs_ran(store)
    ranges = [(f"{day}T0{hour}:00:00Z", f"{day}T0{hour + 1}:00:00Z") for hour in range(7)]
    ranges += [(f"{day}T00:00:00Z", f"{day}T12:00:00Z"), ("2026-02-01T00:00:00Z", f"{day}T04:00:00Z")]

    async def all_of_it() -> list[dict[str, Any]]:
        return [await got(client, path, start=start, end=end) for start, end in ranges]

    nobody = await all_of_it()
    four = NOON - 8 * HOUR
    await keep(
        store,
        *(
            result("visits", zone, at, entries=1, exits=1, devices=1, visits=1, computed=COMPUTED + 1)
            for zone in ("campus", "kemmy")
            for at in (four - DAY, four)
        ),
        *(result("flows", "main", at, "kemmy", count=1, devices=1, computed=COMPUTED + 1) for at in (four - DAY, four)),
    )

    assert nobody == await all_of_it()


async def test_visits_are_not_told_before_the_flows_are_known_that_are_subtracted_from_them(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await watched(store, "kemmy", MOBILE, NOON - 4 * HOUR, NOON)
    await keep(store, been("visits", NOON - HOUR), result("visits", "kemmy", TEN, **BUSY))
    at_ten = {"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"}
    early = await got(client, "/v1/zones/kemmy/visits", **at_ten)
    await keep(store, been("flows", NOON - HOUR), flow("main", "kemmy", TEN, 38))
    then = await got(client, "/v1/zones/kemmy/visits", **at_ten)

    assert [(each["entries"], each["suppressed"]) for each in (*early["hours"], *then["hours"])] == [
        (None, False),
        (None, True),
    ]
    assert (early["data_end"], early["computed_at"]) == (None, None)
    assert then["data_end"] == "2026-03-01T11:00:00Z"


async def test_what_is_told_of_an_hour_is_the_same_whatever_range_it_is_asked_for_in(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await jobs_ran(store)
    # Of those who left the hour before, some arrive in this one.
    few: dict[str, Any] = {"entries": 40, "exits": 10, "devices": 60, "visits": 65, "dwell_devices": 25}
    await keep(store, result("visits", "kemmy", TEN - HOUR, **BUSY), result("visits", "kemmy", TEN, **few))
    await keep(store, flow("kemmy", "main", TEN, 35))

    told = [
        (await got(client, "/v1/zones/kemmy/visits", start=start, end=end))["hours"][place]
        for start, end, place in (
            ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", 0),
            ("2026-03-01T08:00:00Z", "2026-03-01T12:00:00Z", 2),
            ("2026-02-27T10:00:00Z", "2026-03-01T11:00:00Z", -1),
        )
    ]

    assert told == [told[0]] * 3
    assert (told[0]["entries"], told[0]["exits"]) == (40, 10)


async def test_flows_are_sums_of_the_hours_that_are_shown(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await jobs_ran(store)
    await keep(
        store,
        flow("car-park-west", "kemmy", TEN - HOUR, 9, 11),
        flow("car-park-west", "kemmy", TEN, 5),
        flow("car-park-west", "kemmy", TEN + HOUR, 4),
        flow("schuman", "kemmy", TEN, 20),
        flow("kemmy", "schuman", TEN, 3),
        # Pairs that are not named.
        flow("kemmy", "", TEN, 90),
    )

    body = await got(client, "/v1/flows", **LAST_THREE)

    assert body["flows"] == [
        {"origin": "schuman", "destination": "kemmy", "count": 20, "hours": 1},
        {"origin": "car-park-west", "destination": "kemmy", "count": 16, "hours": 2},
    ]
    assert {name: body[name] for name in body if name not in {"flows", "basis"}} == {
        "kind": "mobile",
        "timezone": "UTC",
        "start": "2026-03-01T09:00:00Z",
        "end": "2026-03-01T12:00:00Z",
        "data_begin": "2026-03-01T09:00:00Z",
        "data_end": "2026-03-01T11:00:00Z",
        "computed_at": "2026-03-01T03:00:00Z",
        "recorded_minutes": 120,
    }
    assert "Of each hour a pair of zones with fewer than 5 devices is withheld, whatever the kind." in body["basis"]


@pytest.mark.parametrize(("count", "devices", "shown"), [(5, 2, 6), (5, 7, 7), (9, 2, 9)])
async def test_the_greater_of_both_settings_holds_for_flows_of_every_kind(
    parts: Parts, store: TimeseriesStore, count: int, devices: int, shown: int
) -> None:
    chosen = parts.settings.model_copy(update={"privacy_min_count": count, "flows_min_devices": devices})
    least = max(count, devices)
    found = [
        result("flows", "kemmy", TEN, other, kind=CAR, count=number, devices=number)
        for other, number in (("schuman", least - 1), ("main", least))
    ]
    await keep(store, *found)
    async with client_over(dataclasses.replace(parts, settings=chosen)) as client:
        body = (await client.get("/v1/flows", params={"kind": "car", **LAST_THREE})).json()

    assert [each["destination"] for each in body["flows"]] == ["main"]
    assert body["flows"][0]["count"] == least <= shown


def rows(answer: httpx.Response) -> Sequence[Sequence[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.text, newline="")))


async def test_flows_are_given_as_csv_and_as_a_matrix(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await jobs_ran(store)
    await keep(store, flow("schuman", "kemmy", TEN, 20), flow("kemmy", "main", TEN, 7), flow("main", "kemmy", TEN, 4))
    asked = {"kind": "mobile", **LAST_THREE}

    table = await client.get("/v1/flows", params={**asked, "format": "csv"})
    matrix = await client.get("/v1/flows", params={**asked, "format": "matrix"})
    preferred = await client.get("/v1/flows", params=asked, headers={"Accept": "text/csv"})

    assert rows(table) == [
        ["origin", "destination", "kind", "start", "end", "count", "hours"],
        ["schuman", "kemmy", "mobile", "2026-03-01T09:00:00Z", "2026-03-01T12:00:00Z", "20", "1"],
        ["kemmy", "main", "mobile", "2026-03-01T09:00:00Z", "2026-03-01T12:00:00Z", "7", "1"],
    ]
    # In the order of the campus; nobody knows whether somebody went from main to kemmy.
    header, *lines = rows(matrix)
    assert header[0] == "origin"
    assert sorted(header[1:]) == ["kemmy", "main", "schuman"]
    told = {(line[0], to): count for line in lines for to, count in zip(header[1:], line[1:], strict=True) if count}
    assert told == {("schuman", "kemmy"): "20", ("kemmy", "main"): "7"}
    assert preferred.text == table.text
    assert {name: table.headers[name] for name in ("Computed-At", "Data-Begin", "Data-End", "Recorded-Minutes")} == {
        "Computed-At": "2026-03-01T03:00:00Z",
        "Data-Begin": "2026-03-01T09:00:00Z",
        "Data-End": "2026-03-01T11:00:00Z",
        "Recorded-Minutes": "120",
    }


async def test_a_matrix_is_another_one_where_the_zones_have_another_order(parts: Parts, store: TimeseriesStore) -> None:
    await jobs_ran(store)
    await keep(store, flow("schuman", "kemmy", TEN, 20))
    asked = {"kind": "mobile", **LAST_THREE, "format": "matrix"}
    turned = dataclasses.replace(parts.campus, zones=parts.campus.zones[::-1])
    answers = []
    for campus in (parts.campus, turned):
        followed = FollowedCampus(client=parts.redis, file=campus)
        async with client_over(dataclasses.replace(parts, followed=followed)) as client:
            answers.append(await client.get("/v1/flows", params=asked))

    assert sorted(rows(answers[0])[0]) == sorted(rows(answers[1])[0])
    assert rows(answers[0])[0] != rows(answers[1])[0]
    assert answers[0].headers["etag"] != answers[1].headers["etag"]


async def has_forecast(store: TimeseriesStore, *, served: int, mase: float = 0.7123, kind: KindId = MOBILE) -> None:
    await watched(store, "kemmy", kind, COMPUTED - 2 * DAY, COMPUTED)
    await keep(
        store,
        result("forecast_score", "kemmy", COMPUTED, "mstl", kind=kind, mase=mase, baseline_mase=0.9, served=served),
        result("forecast_score", "kemmy", COMPUTED, "lightgbm", kind=kind, mase=2.0, baseline_mase=0.9, served=0),
        result("forecast_score", "kemmy", COMPUTED - DAY, "old", kind=kind, mase=0.1, baseline_mase=0.9, served=1),
        *(
            result("forecast", "kemmy", NOON + hour * HOUR, kind=kind, value=10.0 + hour, low=4.0 + hour, high=20.04)
            for hour in range(-1, 2)
        ),
        result("nowcast", "kemmy", NOON - 300_000, kind=kind, value=1.0, low=1.0, high=1.0),
        result("nowcast", "kemmy", NOON, kind=kind, value=12.0, low=6.0, high=22.0),
    )


async def test_a_forecast_that_has_earned_its_place_is_given_from_the_present_hour_on(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await has_forecast(store, served=1)

    body = await got(client, "/v1/zones/kemmy/forecast")

    assert body["points"] == [
        {
            "start": "2026-03-01T12:00:00Z",
            "end": "2026-03-01T13:00:00Z",
            "value": 10.0,
            "low": 4.0,
            "high": 20.0,
            "suppressed": False,
        },
        {
            "start": "2026-03-01T13:00:00Z",
            "end": "2026-03-01T14:00:00Z",
            "value": 11.0,
            "low": 5.0,
            "high": 20.0,
            "suppressed": False,
        },
    ]
    assert body["nowcast"] == [
        {
            "start": "2026-03-01T12:00:00Z",
            "end": "2026-03-01T12:05:00Z",
            "value": 12.0,
            "low": 6.0,
            "high": 22.0,
            "suppressed": False,
        }
    ]
    assert {name: body[name] for name in body if name not in {"points", "nowcast", "basis"}} == {
        "zone": "kemmy",
        "kind": "mobile",
        "timezone": "UTC",
        "model": "mstl",
        "mase": 0.712,
        "baseline_mase": 0.9,
        "served": True,
        "reason": None,
        "data_begin": "2026-02-27T03:00:00Z",
        "data_end": "2026-03-01T03:00:00Z",
        "computed_at": "2026-03-01T03:00:00Z",
        "recorded_minutes": 2880,
    }


async def test_a_forecast_that_is_no_better_than_last_week_is_not_given_and_it_is_said_why(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await has_forecast(store, served=0, mase=1.04)

    body = await got(client, "/v1/zones/kemmy/forecast")

    assert (body["points"], body["nowcast"], body["served"], body["model"]) == ([], [], False, "mstl")
    assert body["reason"] == "The best model has a MASE of 1.04, and a baseline 0.9: what is no better is not given."


async def test_each_end_of_an_interval_of_people_is_withheld_under_the_least_number(
    parts: Parts, store: TimeseriesStore
) -> None:
    await has_forecast(store, served=1)
    await has_forecast(store, served=1, kind=CAR)
    few = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"privacy_min_count": 5}))
    async with client_over(few) as client:
        phones = await got(client, "/v1/zones/kemmy/forecast")
        cars = await got(client, "/v1/zones/kemmy/forecast", kind="car")

    def ends(body: dict[str, Any]) -> list[tuple[object, ...]]:
        return [(point["low"], point["value"], point["suppressed"]) for point in body["points"]]

    assert ends(phones) == [(None, 10.0, True), (5.0, 11.0, False)]
    assert ends(cars) == [(4.0, 10.0, False), (5.0, 11.0, False)]


@pytest.mark.parametrize(("least_counted", "kind", "value"), [(5, MOBILE, 12.0), (4, MOBILE, None), (4, CAR, 12.0)])
async def test_a_nowcast_is_withheld_where_a_count_is_that_it_was_corrected_by(
    parts: Parts, store: TimeseriesStore, least_counted: int, kind: KindId, value: float | None
) -> None:
    await has_forecast(store, served=1, kind=kind)
    await keep(
        store,
        result("nowcast", "kemmy", NOON, kind=kind, value=12.0, low=6.0, high=22.0, computed=NOON + 60_500),
    )
    counts = (30, 30, 30, least_counted, 30, 30, 30)
    await store.write(
        [
            OccupancyPoint(Window(Width.FIVE_MINUTES, NOON + (place - 7) * 300_000, "kemmy", kind), devices)
            for place, devices in enumerate(counts)
        ]
    )
    few = dataclasses.replace(
        parts, settings=parts.settings.model_copy(update={"privacy_min_count": 5}), clock=lambda: NOON + 120_000
    )
    async with client_over(few) as client:
        body = await got(client, "/v1/zones/kemmy/forecast", kind=kind)

    [window] = body["nowcast"]
    assert (window["value"], window["suppressed"]) == (value, value is None)
    assert {window["low"], window["high"]} == ({None} if value is None else {6.0, 22.0})
    assert body["points"][0]["value"] == 10.0


async def test_a_forecast_of_hours_that_are_over_says_that_nothing_was_computed_since(
    parts: Parts, store: TimeseriesStore
) -> None:
    await has_forecast(store, served=1)
    async with client_over(dataclasses.replace(parts, clock=lambda: NOON + 2 * DAY)) as client:
        body = await got(client, "/v1/zones/kemmy/forecast")

    assert body["reason"] == "What was computed is of hours that are over: analytics has not run since."
    assert (body["points"], body["computed_at"]) == ([], "2026-03-01T03:00:00Z")


@pytest.mark.parametrize("path", ["/v1/zones/kemmy/forecast", "/v1/zones/kemmy/visits", "/v1/flows"])
async def test_where_nothing_was_computed_all_is_unknown_and_no_error(client: httpx.AsyncClient, path: str) -> None:
    body = await got(client, path)

    assert (body["computed_at"], body["data_begin"], body["data_end"], body["recorded_minutes"]) == (None,) * 3 + (0,)
    assert body["basis"]


@pytest.mark.parametrize(
    "path", ["/v1/zones/kemmy/forecast", "/v1/zones/kemmy/visits", "/v1/flows", "/v1/flows?format=matrix"]
)
async def test_an_answer_is_the_same_until_something_is_computed_again(
    client: httpx.AsyncClient, store: TimeseriesStore, path: str
) -> None:
    async def asked(etag: str) -> httpx.Response:
        address = httpx.URL(path).copy_merge_params({"kind": "mobile"})
        return await client.get(address, headers={"If-None-Match": etag})

    async def computed(at: int) -> None:
        await keep(
            store,
            been("visits", NOON - HOUR, computed=at),
            been("flows", NOON - HOUR, computed=at),
            result("flows", "kemmy", TEN, "main", count=9, devices=9, computed=at),
            result("forecast_score", "kemmy", COMPUTED, "mstl", mase=0.5, baseline_mase=0.9, served=1, computed=at),
        )

    await computed(COMPUTED)
    first = await asked("")
    again = await asked(first.headers["etag"])
    await computed(COMPUTED + 1000)
    later = await asked(first.headers["etag"])

    assert (first.status_code, again.status_code, later.status_code) == (200, 304, 200)
    assert again.headers["etag"] == first.headers["etag"] != later.headers["etag"]
    assert first.headers["cache-control"] == "public, no-cache"


async def test_an_anomaly_is_told_while_it_lasts(
    parts: Parts, client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    usual = await client.get("/v1/zones/kemmy/anomaly")
    for window, devices in ((NOON - 900_000, 70), (NOON - 600_000, 80)):
        await keep(store, result("anomalies", "kemmy", window, value=30.0, low=20.0, high=40.5, devices=devices))

    found = (await client.get("/v1/zones/kemmy/anomaly")).json()
    async with client_over(dataclasses.replace(parts, clock=lambda: NOON + HOUR)) as other:
        over = (await other.get("/v1/zones/kemmy/anomaly")).json()

    assert usual.json() == over == {"zone": "kemmy", "anomalies": [], "computed_at": None}
    assert found == {
        "zone": "kemmy",
        "anomalies": [
            {
                "kind": "mobile",
                "start": "2026-03-01T11:50:00Z",
                "end": "2026-03-01T11:55:00Z",
                "devices": 80,
                "value": 30.0,
                "low": 20.0,
                "high": 40.5,
            }
        ],
        "computed_at": "2026-03-01T03:00:00Z",
    }


@pytest.mark.parametrize(("devices", "low"), [(4, 20.0), (80, 4.0)])
async def test_of_an_anomaly_with_a_small_count_or_end_nothing_is_told(
    parts: Parts, store: TimeseriesStore, devices: int, low: float
) -> None:
    found = result("anomalies", "kemmy", NOON - 600_000, value=30.0, low=low, high=40.5, devices=devices)
    await keep(store, found)
    few = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"privacy_min_count": 5}))
    async with client_over(few) as client:
        answer = (await client.get("/v1/zones/kemmy/anomaly")).json()

    assert answer == {"zone": "kemmy", "anomalies": [], "computed_at": None}


@pytest.mark.parametrize(
    ("path", "parameters", "parameter", "told"),
    [
        ("/v1/flows", {}, "kind", "required"),
        ("/v1/flows", {"kind": "bus"}, "kind", "'car' or 'mobile'"),
        ("/v1/flows", {"kind": "car", "format": "xml"}, "format", "'json', 'csv' or 'matrix'"),
        ("/v1/flows", {"kind": "car", "from": "x"}, "from", "no such parameter"),
        (
            "/v1/flows",
            {"kind": "car", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:01Z"},
            "start",
            "longer than 31 days",
        ),
        ("/v1/zones/kemmy/visits", {"kind": "car", "start": "2026-03-02T00:00:00Z"}, "start", "before it ends"),
        ("/v1/zones/kemmy/forecast", {"kind": "car", "start": "2026-03-02T00:00:00Z"}, "start", "no such parameter"),
        ("/v1/zones/kemmy/forecast", {"kind": "car", "tz": "Dublin"}, "tz", "IANA"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_parameter_that_is_wrong(
    client: httpx.AsyncClient, path: str, parameters: dict[str, str], parameter: str, told: str
) -> None:
    problem = assert_problem(await client.get(path, params=parameters), 422)

    [error] = problem["errors"]
    assert error["parameter"] == parameter
    assert told in error["detail"]


async def test_thirty_one_days_are_answered(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await keep(store, flow("kemmy", "main", NOON - 30 * DAY, 6), flow("kemmy", "main", NOON - DAY, 7))

    body = await got(client, "/v1/flows", start="2026-01-29T12:00:00Z", end="2026-03-01T12:00:00Z")

    assert body["flows"] == [{"origin": "kemmy", "destination": "main", "count": 13, "hours": 2}]


@pytest.mark.parametrize("what", ["forecast", "visits", "anomaly"])
async def test_of_an_unknown_zone_nothing_is_told(client: httpx.AsyncClient, what: str) -> None:
    parameters = {} if what == "anomaly" else {"kind": "car"}

    assert_problem(await client.get(f"/v1/zones/nowhere/{what}", params=parameters), 404)


async def test_times_are_written_in_the_time_zone_asked_for(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await jobs_ran(store)

    body = await got(client, "/v1/zones/kemmy/visits", tz="Asia/Tokyo", **LAST_THREE)

    assert (body["timezone"], body["start"]) == ("Asia/Tokyo", "2026-03-01T18:00:00+09:00")
    assert body["computed_at"] == "2026-03-01T12:00:00+09:00"


async def test_a_key_is_asked_for_where_occupancy_is_not_public(parts: Parts) -> None:
    closed = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"api_public_occupancy": False}))
    key = await key_for(parts.redis, "occupancy:read")
    async with client_over(closed) as client:
        assert_problem(await client.get("/v1/flows", params={"kind": "car"}), 401)
        answer = await client.get("/v1/flows", params={"kind": "car"}, headers=key)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_a_day_of_flows_is_read_again_after_a_moment(
    parts: Parts, store: TimeseriesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_days, "KEPT_MS", 30_000)
    now = NOON
    async with client_over(dataclasses.replace(parts, clock=lambda: now)) as client:
        counts = []
        for devices, later in ((6, 0), (7, 29_999), (8, 1)):
            now += later
            await keep(store, flow("kemmy", "main", TEN, devices))
            body = await got(client, "/v1/flows", **LAST_THREE)
            counts.append(body["flows"][0]["count"])

    assert counts == [6, 6, 8]


async def test_only_so_many_days_of_flows_are_kept(
    parts: Parts, store: TimeseriesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_days, "KEPT_DAYS", 2)
    await keep(store, *(flow("kemmy", "main", NOON - days * DAY, 6) for days in range(5)))
    days = parts.rooms.analytics.flow_days

    found = await days.between(MOBILE, NOON - 4 * DAY, NOON + 1)

    assert [[*day.hours] for day in found] == [[NOON - back * DAY] for back in (4, 3, 2, 1, 0)]
    assert len(days._kept) == 2
    # Nor more pairs than so many.
    monkeypatch.setattr(flow_days, "KEPT_DAYS", 9)
    monkeypatch.setattr(flow_days, "KEPT_PAIRS", 3)
    assert len(await days.between(MOBILE, NOON - 4 * DAY, NOON + 1)) == 5
    assert len(days._kept) == 3
