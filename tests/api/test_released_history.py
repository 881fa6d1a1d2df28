"""Where counts are protected, history, summaries and forecasts are made of released counts alone."""

import dataclasses
import warnings
from collections.abc import AsyncIterator

import httpx
import pytest

from api.analytics import NewestAnswers
from api.privacy import released_basis
from api.settings import ApiSettings
from disclosure.policy import Privacy, PrivacySettings
from tests.api.conftest import Parts, assert_problem, client_over, record
from tests.api.test_analytics import jobs_ran
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, Result, TimeseriesStore, Width, hour_of, open_store

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
KEMMY = "/v1/zones/kemmy"
STEPS = [
    (
        "Counts are released counts: they follow how many are present in steps of 130, on the campus as a whole of 390,"
        " and seldom, so that one device hardly ever moves one."
    ),
    (
        "The true count of a zone is nearer to the released one than 173, on the campus as a whole than 520; a crowd"
        " that comes at once is followed by one step in 30 s."
    ),
    "A window is the mean of what was released in it: it tells no devices apart, and late positions change nothing.",
    "What is null is a released count under 5: fewer than 173 may be there.",
]


@pytest.fixture
async def released(settings: ApiSettings) -> AsyncIterator[TimeseriesStore]:
    async with open_store(settings, released=True) as opened:
        yield opened


@pytest.fixture
def protected(parts: Parts, settings: ApiSettings, released: TimeseriesStore) -> Parts:
    told = settings.model_copy(update={"privacy": Privacy.PROTECTED})
    return dataclasses.replace(parts, settings=told, store=released)


@pytest.fixture
async def client(protected: Parts) -> AsyncIterator[httpx.AsyncClient]:
    async with client_over(protected) as opened:
        yield opened


async def test_history_has_what_was_released_and_says_so(
    client: httpx.AsyncClient, store: TimeseriesStore, released: TimeseriesStore
) -> None:
    await record(store, "kemmy", MOBILE, Width.FIVE_MINUTES, {NOON - 10 * MINUTE: 77, NOON - 5 * MINUTE: 78})
    await record(released, "kemmy", MOBILE, Width.FIVE_MINUTES, {NOON - 10 * MINUTE: 130, NOON - 5 * MINUTE: 0})
    await released.write_coverage([Coverage("kemmy", MOBILE, hour_of(NOON - 1), 0b1111111111)])

    answer = await client.get(
        f"{KEMMY}/occupancy/history", params={"kind": "mobile", "window": "5m", "start": "2026-03-01T11:50:00Z"}
    )

    body = answer.json()
    assert body == {
        "zone": "kemmy",
        "kind": "mobile",
        "window": "5m",
        "timezone": "UTC",
        "start": "2026-03-01T11:50:00Z",
        "end": "2026-03-01T12:00:00Z",
        "points": [
            {"start": "2026-03-01T11:50:00Z", "end": "2026-03-01T11:55:00Z", "devices": 130, "suppressed": False},
            {"start": "2026-03-01T11:55:00Z", "end": "2026-03-01T12:00:00Z", "devices": None, "suppressed": True},
        ],
        "first": "2026-03-01T11:50:00Z",
        "last": "2026-03-01T11:55:00Z",
        "unrecorded": [],
        "kept_since": None,
        "protected": True,
        "basis": STEPS,
    }


async def test_the_history_of_several_zones_says_it_once(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/occupancy/history", params={"kind": "mobile", "window": "1d"})).json()

    assert (body["protected"], body["basis"]) == (True, STEPS)
    assert all("protected" not in zone and "basis" not in zone for zone in body["zones"])


async def test_a_table_says_it_in_a_header(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{KEMMY}/occupancy/history", params={"kind": "car", "window": "1d", "format": "csv"})

    assert answer.headers["protected"] == "true"


async def test_a_window_that_is_not_over_is_withheld_even_where_nothing_else_is(
    protected: Parts, released: TimeseriesStore
) -> None:
    await record(released, "kemmy", CAR, Width.MINUTE, {NOON - 2 * MINUTE: 0, NOON - MINUTE: 7, NOON: 130})
    all_shown = protected.settings.model_copy(update={"privacy_min_count": 0})
    at = dataclasses.replace(protected, settings=all_shown, clock=lambda: NOON + 30_000)
    async with client_over(at) as client:
        query = {"kind": "car", "window": "1m", "start": "2026-03-01T11:58:00Z"}
        points = (await client.get(f"{KEMMY}/occupancy/history", params=query)).json()["points"]
        table = (await client.get(f"{KEMMY}/occupancy/history", params={**query, "format": "csv"})).text.splitlines()

    assert [(point["devices"], point["suppressed"]) for point in points] == [(0, False), (7, False), (None, True)]
    assert [row.split(",")[5:7] for row in table[1:]] == [["0", "false"], ["7", "false"], ["", "true"]]


async def test_a_window_that_ends_within_a_slot_is_withheld_until_the_slot_is_over(
    protected: Parts, released: TimeseriesStore
) -> None:
    # Nobody has told of the two minutes before: under `strict` a slot has five, and is told as the next one begins.
    await record(released, "kemmy", CAR, Width.MINUTE, {NOON - MINUTE: 240})
    strict = protected.settings.model_copy(update={"privacy": Privacy.STRICT, "privacy_min_count": 0})
    at = dataclasses.replace(protected, settings=strict, clock=lambda: NOON + 2 * MINUTE)
    async with client_over(at) as client:
        query = {"kind": "car", "window": "1m", "start": "2026-03-01T11:59:00Z"}
        points = (await client.get(f"{KEMMY}/occupancy/history", params=query)).json()["points"]

    assert [point["devices"] for point in points] == [240, None, None]


async def test_small_released_counts_are_null_of_every_kind(
    client: httpx.AsyncClient, released: TimeseriesStore
) -> None:
    await record(released, "kemmy", CAR, Width.HOUR, {NOON - 2 * HOUR: 4, NOON - HOUR: 5})

    query = {"kind": "car", "window": "1h", "start": "2026-03-01T10:00:00Z"}
    points = (await client.get(f"{KEMMY}/occupancy/history", params=query)).json()["points"]

    assert [point["devices"] for point in points] == [None, 5]


async def test_a_summary_is_of_released_hours_and_of_when_the_releaser_looked(
    client: httpx.AsyncClient, store: TimeseriesStore, released: TimeseriesStore
) -> None:
    await record(store, "kemmy", MOBILE, Width.HOUR, {NOON - 4 * HOUR: 200, NOON - HOUR: 201})
    await record(released, "kemmy", MOBILE, Width.HOUR, {NOON - 2 * HOUR: 130, NOON - HOUR: 260})

    body = (await client.get(f"{KEMMY}/occupancy/summary", params={"kind": "mobile"})).json()

    assert (body["peak"]["devices"], body["mean"], body["hours"], body["recorded_minutes"]) == (260, 195.0, 2, 120)
    assert (body["first"], body["last"]) == ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
    assert (body["protected"], body["basis"]) == (True, STEPS)


@pytest.mark.parametrize(
    ("path", "what"), [("/v1/flows?kind=mobile", "Flows"), (f"{KEMMY}/visits?kind=mobile", "Visits")]
)
async def test_visits_and_flows_are_withheld_and_the_answer_says_where_they_are(
    client: httpx.AsyncClient, path: str, what: str
) -> None:
    problem = assert_problem(await client.get(path), 403)

    assert problem["type"] == "/docs#withheld"
    assert problem["detail"] == (
        f"{what} are made of where single devices went, and here none but released counts are told (PRIVACY). "
        "Who runs the system has them by `python -m analytics`."
    )


async def test_a_zone_that_is_not_there_has_no_visits_to_withhold(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/zones/nowhere/visits?kind=mobile"), 404)


async def test_the_mirror_gets_forecasts_and_neither_visits_nor_flows(
    parts: Parts, protected: Parts, released: TimeseriesStore
) -> None:
    opened = dataclasses.replace(parts, store=released)
    await jobs_ran(released)
    computed = {"computed_at": float(NOON)}
    score = {"served": 1.0, "mase": 0.5, "baseline_mase": 0.9, **computed}
    likely = {"value": 140.0, "low": 100.0, "high": 180.0, **computed}
    visited = {"entries": 9.0, "exits": 9.0, "devices": 9.0, "visits": 9.0, **computed}
    await released.write_results(
        [
            Result("forecast_score", "kemmy", MOBILE, "mstl", NOON - HOUR, score),
            Result("forecast", "kemmy", MOBILE, "", NOON, likely),
            Result("visits", "kemmy", MOBILE, "", NOON - HOUR, visited),
            Result("flows", "kemmy", MOBILE, "schuman", NOON - HOUR, {"count": 9.0, "devices": 9.0, **computed}),
        ]
    )

    newest = await NewestAnswers(protected.rooms.analytics).all()

    # Whatever were in that store: under open both are told.
    assert {"v1/flows", "v1/zones/kemmy/visits"} <= (await NewestAnswers(opened.rooms.analytics).all()).bodies.keys()
    assert sorted(newest.bodies) == ["v1/zones/kemmy/anomaly", "v1/zones/kemmy/forecast"]
    assert b'"protected":true' in newest.bodies["v1/zones/kemmy/forecast"]


async def test_an_anomaly_says_that_its_counts_are_released_ones(
    client: httpx.AsyncClient, released: TimeseriesStore
) -> None:
    unlike = {"devices": 260.0, "value": 130.0, "low": 120.0, "high": 140.0, "computed_at": float(NOON)}
    await released.write_results([Result("anomalies", "kemmy", MOBILE, "", NOON - 5 * MINUTE, unlike)])

    there = (await client.get(f"{KEMMY}/anomaly")).json()
    elsewhere = (await client.get("/v1/zones/schuman/anomaly")).json()

    assert ([each["devices"] for each in there["anomalies"]], there["protected"]) == ([260], True)
    assert (elsewhere["anomalies"], elsewhere["protected"]) == ([], True)


async def test_under_open_no_answer_has_a_new_member(parts: Parts) -> None:
    async with client_over(parts) as client:
        for path in (f"{KEMMY}/occupancy/history", f"{KEMMY}/occupancy/summary", f"{KEMMY}/forecast"):
            answer = await client.get(path, params={"kind": "mobile"})
            assert answer.status_code == 200
            assert "protected" not in answer.json()
            assert "protected" not in answer.headers
        assert "protected" not in (await client.get(f"{KEMMY}/anomaly")).json()
    assert released_basis(parts.settings.policy) == []


async def test_what_is_left_out_has_no_default_in_the_document(parts: Parts) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schemas = parts.app().openapi()["components"]["schemas"]

    for name in ("History", "HistoryOfSeveral", "Summary", "Forecast", "Anomalies"):
        assert "protected" not in schemas[name]["required"]
        assert "default" not in schemas[name]["properties"]["protected"]


def test_the_sentences_have_the_numbers_of_the_policy() -> None:
    strict = PrivacySettings(privacy=Privacy.STRICT, privacy_width=60).policy

    said = " ".join(released_basis(strict))

    assert "steps of 60, on the campus as a whole of 720" in said
    assert "than 80, on the campus as a whole than 960" in said
    assert "one step in 300 s" in said
    assert "under 10: fewer than 80" in said
