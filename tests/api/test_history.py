import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from api.history.body import HistoryQuery, histories, range_of
from api.settings import ApiSettings
from core.clock import format_rfc3339, parse_rfc3339
from tests.api.conftest import Parts, assert_problem, client_over, key_for, record
from tests.conftest import NOON, WAIT_SECONDS
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import TimeseriesStore, Width, open_store

KEMMY = "/v1/zones/kemmy/occupancy/history"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def devices(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {point["start"]: point["devices"] for point in answer.json()["points"]}


async def test_history_has_every_window_of_the_range_with_zeros_where_nobody_was(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - 2 * MINUTE: 3, NOON - 5 * MINUTE: 1, NOON: 7})
    await record(store, "kemmy", MOBILE, Width.MINUTE, {NOON - 3 * MINUTE: 99})
    await record(store, "campus", CAR, Width.MINUTE, {NOON - 3 * MINUTE: 99})

    answer = await client.get(
        KEMMY, params={"kind": "car", "window": "1m", "start": "2026-03-01T11:57:00Z", "end": "2026-03-01T12:00:00Z"}
    )

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "zone": "kemmy",
        "kind": "car",
        "window": "1m",
        "timezone": "UTC",
        "start": "2026-03-01T11:57:00Z",
        "end": "2026-03-01T12:00:00Z",
        "points": [
            {"start": "2026-03-01T11:57:00Z", "end": "2026-03-01T11:58:00Z", "devices": 0, "suppressed": False},
            {"start": "2026-03-01T11:58:00Z", "end": "2026-03-01T11:59:00Z", "devices": 3, "suppressed": False},
            {"start": "2026-03-01T11:59:00Z", "end": "2026-03-01T12:00:00Z", "devices": 0, "suppressed": False},
        ],
        "first": "2026-03-01T11:55:00Z",
        "last": "2026-03-01T12:00:00Z",
        "unrecorded": [
            {"start": "2026-03-01T11:57:00Z", "end": "2026-03-01T11:58:00Z"},
            {"start": "2026-03-01T11:59:00Z", "end": "2026-03-01T12:00:00Z"},
        ],
        "kept_since": None,
    }


async def test_the_first_window_is_the_one_that_holds_the_start(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.FIVE_MINUTES, {NOON: 2, NOON + 5 * MINUTE: 4})

    answer = await client.get(
        KEMMY,
        params={"kind": "car", "window": "5m", "start": "2026-03-01T12:04:59.999Z", "end": "2026-03-01T12:05:01Z"},
    )

    assert devices(answer) == {"2026-03-01T12:00:00Z": 2, "2026-03-01T12:05:00Z": 4}


async def test_zero_and_no_data_differ_by_first_and_last(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    query = {"kind": "mobile", "window": "1h", "start": "2026-03-01T09:00:00Z", "end": "2026-03-01T12:00:00Z"}

    unknown = (await client.get(KEMMY, params=query)).json()
    await record(store, "kemmy", MOBILE, Width.HOUR, {NOON - 2 * HOUR: 0})
    known = (await client.get(KEMMY, params=query)).json()

    assert (unknown["first"], unknown["last"]) == (None, None)
    assert (known["first"], known["last"]) == ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z")
    assert unknown["points"] == known["points"]
    assert len(known["points"]) == 3


async def test_days_are_those_of_the_campus_23_hours_long_when_clocks_go_forward(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.DAY, {parse_rfc3339("2026-03-29T00:00:00Z"): 5})

    answer = await client.get(
        KEMMY,
        params={"kind": "car", "window": "1d", "start": "2026-03-28T12:00:00Z", "end": "2026-03-30T12:00:00+01:00"},
    )

    assert answer.json()["points"] == [
        {"start": "2026-03-28T00:00:00Z", "end": "2026-03-29T00:00:00Z", "devices": 0, "suppressed": False},
        {"start": "2026-03-29T00:00:00Z", "end": "2026-03-29T23:00:00Z", "devices": 5, "suppressed": False},
        {"start": "2026-03-29T23:00:00Z", "end": "2026-03-30T23:00:00Z", "devices": 0, "suppressed": False},
    ]


@pytest.mark.parametrize(
    ("window", "span"), [("1m", HOUR), ("5m", DAY), ("1h", 7 * DAY), ("1d", 30 * DAY)], ids=["1m", "5m", "1h", "1d"]
)
async def test_without_a_range_the_history_is_as_long_as_fits_the_window_and_ends_now(
    client: httpx.AsyncClient, window: str, span: int
) -> None:
    body = (await client.get(KEMMY, params={"kind": "car", "window": window})).json()

    assert (body["start"], body["end"]) == (format_rfc3339(NOON - span), "2026-03-01T12:00:00Z")
    assert body["points"][0]["start"] <= body["start"] < body["points"][0]["end"]
    assert body["points"][-1]["start"] < body["end"] <= body["points"][-1]["end"]


async def test_windows_are_five_minutes_long_unless_asked_otherwise(client: httpx.AsyncClient) -> None:
    body = (await client.get(KEMMY, params={"kind": "car", "end": "2026-02-01T00:00:00Z"})).json()

    assert (body["window"], body["start"], len(body["points"])) == ("5m", "2026-01-31T00:00:00Z", 288)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T13:00:00%2B01:00",
        # As people type it, and as many programs send it: the plus arrives as a space.
        "2026-03-01T13:00:00+01:00",
        "2026-03-01T13:00:00.000+01:00",
        "2026-03-01%2013:00:00+01:00",
        "2026-03-01T07:00:00-05:00",
        "2026-03-01t12:00:00z",
    ],
)
async def test_an_offset_is_understood_however_its_plus_is_written(client: httpx.AsyncClient, written: str) -> None:
    body = (await client.get(f"{KEMMY}?kind=car&window=1m&end={written}")).json()

    assert body["end"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("query", "parameter", "told"),
    [
        ({}, "kind", "required"),
        ({"kind": "bus"}, "kind", "'car' or 'mobile'"),
        ({"kind": "car", "window": "2m"}, "window", "'1m', '5m', '1h' or '1d'"),
        ({"kind": "car", "window": ""}, "window", "'1m', '5m', '1h' or '1d'"),
        ({"kind": "car", "start": "yesterday"}, "start", "2019-02-18T08:58:05Z"),
        ({"kind": "car", "start": ""}, "start", "2019-02-18T08:58:05Z"),
        ({"kind": "car", "start": "2026-03-01T11:00:00"}, "start", "offset"),
        ({"kind": "car", "end": "2026-03-01 11:00"}, "end", "offset"),
        ({"kind": "car", "end": "2026-02-30T11:00:00Z"}, "end", "day"),
        ({"kind": "car", "end": "1969-12-31T23:59:59Z"}, "end", "1970"),
        ({"kind": "car", "end": "9999-12-31T23:59:59Z"}, "end", "9999"),
        ({"kind": "car", "from": "2026-03-01T11:00:00Z"}, "from", "no such parameter"),
        ({"kind": "car", "start": "2026-03-01T12:00:00.001Z"}, "start", "after now"),
        ({"kind": "car", "start": "2026-03-01T12:00:00Z"}, "start", "same as now"),
        (
            {"kind": "car", "start": "2026-02-02T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
            "start",
            "after end, 2026-02-01T00:00:00Z",
        ),
        (
            {"kind": "car", "start": "2026-02-01T01:00:00+01:00", "end": "2026-02-01T00:00:00Z"},
            "start",
            "same as end",
        ),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named_with_what_is_wrong(
    client: httpx.AsyncClient, query: dict[str, str], parameter: str, told: str
) -> None:
    problem = assert_problem(await client.get(KEMMY, params=query), 422)

    assert problem["type"] == "/docs#bad-parameter"
    [error] = problem["errors"]
    assert error["parameter"] == parameter
    assert told in error["detail"]
    assert problem["detail"] == f"{parameter}: {error['detail']}"


async def test_all_wrong_parameters_are_named_at_once(client: httpx.AsyncClient) -> None:
    query = {"kind": "bus", "window": "2m", "start": "then", "end": "now"}

    problem = assert_problem(await client.get(KEMMY, params=query), 422)

    assert [error["parameter"] for error in problem["errors"]] == ["kind", "window", "start", "end"]


async def test_an_answer_holds_as_many_windows_as_the_setting_allows_and_no_more(client: httpx.AsyncClient) -> None:
    query = {"kind": "car", "window": "1m", "start": format_rfc3339(NOON - 1000 * MINUTE)}

    at_the_limit = await client.get(KEMMY, params={**query, "end": format_rfc3339(NOON)})
    above = await client.get(KEMMY, params={**query, "end": format_rfc3339(NOON + 1)})

    assert len(devices(at_the_limit)) == 1000
    assert "choose window=5m" in str(assert_problem(above, 422)["detail"])


async def test_a_range_that_is_too_large_for_any_window_is_refused_at_once(client: httpx.AsyncClient) -> None:
    query = {"kind": "car", "window": "1m", "start": "1970-02-01T00:00:00Z", "end": "9999-01-01T00:00:00Z"}

    problem = assert_problem(await client.get(KEMMY, params=query), 422)

    assert "choose a shorter range" in str(problem["detail"])
    assert "1,000 at the most" in str(problem["detail"])


async def test_a_store_that_is_away_is_a_503_and_the_rest_goes_on(parts: Parts, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("no folder")
    async with (
        open_store(ApiSettings(data_dir=blocked)) as away,
        client_over(dataclasses.replace(parts, store=away)) as client,
    ):
        answer = await client.get(KEMMY, params={"kind": "car"})

        assert_problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
        assert "a-file" not in answer.text
        assert (await client.get("/v1/occupancy")).status_code == 200


QUESTIONS = [
    "kind=car&window=1m&start=2026-03-01T11:57:00Z",
    "kind=mobile&window=5m&end=2026-03-01T12:00:00%2B01:00&tz=Europe%2FDublin",
    "kind=car&format=csv",
    "kind=car&window=2h",
    "kind=lorry",
    "kind=car&from=2026-03-01T11:57:00Z",
    "kind=car&kind=mobile",
    "kind=car&start=",
    "kind=car&start=2026-03-01T11:57:00 01:00",
    "kind=car&tz=%FF",
    "window=1m",
    "",
]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("zone", ["kemmy", "nowhere"])
async def test_who_needs_no_key_is_told_the_same_as_who_has_one(
    parts: Parts, redis_client: Redis, store: TimeseriesStore, zone: str, question: str
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - 2 * MINUTE: 3})
    private = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"api_public_occupancy": False}))
    path = f"/v1/zones/{zone}/occupancy/history?{question}"

    async with client_over(parts) as client, client_over(private) as other:
        quick = await client.get(path)
        assert_problem(await other.get(path), 401)
        slow = await other.get(path, headers=await key_for(redis_client, "occupancy:read"))

    assert quick.status_code == slow.status_code
    assert quick.headers == slow.headers
    assert quick.content == slow.content


async def test_a_store_that_is_silent_is_not_waited_for_long(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def record(self, **_: object) -> None:
            await asyncio.Event().wait()

        async def kept_since(self, _: Width) -> None:
            return None

    monkeypatch.setattr("api.history.body.STORE_SECONDS", 0.05)
    silent = dataclasses.replace(parts, store=Silent())  # type: ignore[arg-type] # it has what is asked of it
    async with client_over(silent) as client, asyncio.timeout(WAIT_SECONDS):
        assert_problem(await client.get(KEMMY, params={"kind": "car"}), 503)


@pytest.fixture
async def largest(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    settings = ApiSettings(data_dir=parts.settings.data_dir, history_max_points=100_000)
    async with client_over(dataclasses.replace(parts, settings=settings)) as client:
        yield client


async def test_the_largest_answer_that_can_be_set_can_be_given(
    largest: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - minute * MINUTE: 1 for minute in range(100_001)})

    answer = await largest.get(
        KEMMY,
        params={
            "kind": "car",
            "window": "1m",
            "start": format_rfc3339(NOON - 99_999 * MINUTE),
            "end": format_rfc3339(NOON + 1),
        },
    )

    assert sum(devices(answer).values()) == 100_000


@pytest.mark.parametrize("least", [0, 3])
async def test_points_that_are_written_at_once_are_the_same_json(store: TimeseriesStore, least: int) -> None:
    await store.setup()
    await record(store, "kemmy", MOBILE, Width.MINUTE, {NOON: 2, NOON + 60_000: 3})
    query = HistoryQuery.model_validate(
        {"kind": "mobile", "window": "1m", "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:05:00Z"}
    )
    asked = range_of(query, now=NOON, timezone=ZoneInfo("Europe/Dublin"), most=100)

    [plain] = await histories(store, ["kemmy"], MOBILE, asked, least=least)
    [encoded] = await histories(store, ["kemmy"], MOBILE, asked, least=least, encoded=True)

    assert len(plain.points) == 5
    assert msgspec.json.encode(encoded) == msgspec.json.encode(plain)


async def test_the_very_first_window_can_be_asked_for(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    # A day in Dublin, which began an hour before it did in UTC.
    await record(store, "kemmy", CAR, Width.DAY, {-3_600_000: 2})
    query = {"kind": "car", "window": "1d", "start": "1970-01-01T00:00:00Z", "end": "1970-01-02T00:00:00Z"}

    body = (await client.get(KEMMY, params=query)).json()

    assert body["points"][0] == {
        "start": "1969-12-31T23:00:00Z",
        "end": "1970-01-01T23:00:00Z",
        "devices": 2,
        "suppressed": False,
    }
    # What is called first can be asked for.
    assert body["first"] == "1970-01-01T00:00:00Z"
