"""History of several zones, as CSV, in other time zones, and with counts withheld."""

import csv
import dataclasses
import io
import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.instants import time_zone, writer, written
from api.settings import ApiSettings
from core.clock import format_rfc3339, parse_rfc3339
from tests.api.conftest import Parts, assert_problem, client_over, record
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, TimeseriesStore, Width

EARLIEST = 0
LATEST = 253_402_041_599_999

KEMMY = "/v1/zones/kemmy/occupancy/history"
SEVERAL = "/v1/occupancy/history"
MINUTE = 60_000
HOUR = 60 * MINUTE
LAST_TWO = {"kind": "car", "window": "1m", "start": "2026-03-01T11:58:00Z", "end": "2026-03-01T12:00:00Z"}


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_several_zones_come_in_the_order_asked_for_each_as_if_asked_alone(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - MINUTE: 3})
    await record(store, "schuman", CAR, Width.MINUTE, {NOON - 2 * MINUTE: 8})

    zones = [("zone", "schuman"), ("zone", "kemmy"), ("zone", "schuman")]
    answer = await client.get(SEVERAL, params=[*LAST_TWO.items(), *zones])

    body = answer.json()
    assert {name: body[name] for name in ("kind", "window", "timezone", "start", "end")} == {
        "kind": "car",
        "window": "1m",
        "timezone": "UTC",
        "start": "2026-03-01T11:58:00Z",
        "end": "2026-03-01T12:00:00Z",
    }
    assert [each["zone"] for each in body["zones"]] == ["schuman", "kemmy"]
    for each in body["zones"]:
        alone = await client.get(f"/v1/zones/{each['zone']}/occupancy/history", params=LAST_TWO)
        assert alone.json() == each


async def test_without_a_zone_all_of_them_are_given_the_campus_first(
    parts: Parts, client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "campus", CAR, Width.MINUTE, {NOON - MINUTE: 3})

    zones = (await client.get(SEVERAL, params=LAST_TWO)).json()["zones"]

    assert [each["zone"] for each in zones] == [zone.id for zone in parts.campus.everything]
    assert [point["devices"] for point in zones[0]["points"]] == [0, 3]


async def test_an_unknown_zone_among_several_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get(SEVERAL, params=[*LAST_TWO.items(), ("zone", "kemmy"), ("zone", "atlantis")])

    assert "'atlantis'" in str(assert_problem(answer, 404)["detail"])


async def test_all_zones_together_hold_no_more_windows_than_one_may(client: httpx.AsyncClient) -> None:
    # 1000 windows are the limit here: 23 zones have room for 43 each.
    fits = {**LAST_TWO, "start": format_rfc3339(NOON - 43 * MINUTE)}
    above = {**LAST_TWO, "start": format_rfc3339(NOON - 44 * MINUTE)}

    assert (await client.get(SEVERAL, params=fits)).status_code == 200
    told = str(assert_problem(await client.get(SEVERAL, params=above), 422)["detail"])

    assert "44 windows of 1m for each of 23 zones" in told
    assert "choose window=5m" in told
    assert "fewer zones" in told
    assert (await client.get(SEVERAL, params={**above, "zone": "kemmy"})).status_code == 200


async def test_ten_years_at_a_minute_are_refused_with_a_hint(client: httpx.AsyncClient) -> None:
    query = {"kind": "car", "window": "1m", "start": "2016-03-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}

    for path in (KEMMY, SEVERAL):
        problem = assert_problem(await client.get(path, params={**query, "format": "csv"}), 422)
        assert problem["errors"][0]["parameter"] == "window"
        assert "5,258,880 windows of 1m" in str(problem["detail"])
        assert "choose" in str(problem["detail"])


async def test_more_zones_than_an_answer_may_have_are_refused_with_a_hint(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.history.body.ZONES_MAX", 22)

    problem = assert_problem(await client.get(SEVERAL, params=LAST_TWO), 422)

    assert problem["errors"][0]["parameter"] == "zone"
    assert "zone=a&zone=b" in str(problem["detail"])


async def test_csv_has_a_row_a_window_and_says_where_data_begin_and_end(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - 4 * MINUTE: 3, NOON - 2 * MINUTE: 1})
    await store.write_coverage([Coverage("kemmy", CAR, NOON - 60 * MINUTE, 0b1110)])
    query = {**LAST_TWO, "start": format_rfc3339(NOON - 5 * MINUTE)}

    answer = await client.get(KEMMY, params={**query, "format": "csv"})

    assert answer.text.splitlines()[0] == "zone,kind,window,start,end,devices,suppressed,recorded"
    assert [(row["start"][11:16], row["devices"], row["recorded"]) for row in rows(answer)] == [
        ("11:55", "0", "false"),
        ("11:56", "3", "true"),
        ("11:57", "0", "true"),
        ("11:58", "1", "true"),
        ("11:59", "0", "false"),
    ]
    assert {(row["zone"], row["kind"], row["window"], row["suppressed"]) for row in rows(answer)} == {
        ("kemmy", "car", "1m", "false")
    }
    assert answer.text.count("\r\n") == 6


async def test_csv_and_json_of_several_zones_say_the_same(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - MINUTE: 3})
    query = {**LAST_TWO, "zone": ["schuman", "kemmy"], "tz": "Asia/Tokyo"}

    body = (await client.get(SEVERAL, params=query)).json()
    table = rows(await client.get(SEVERAL, params={**query, "format": "csv"}))

    assert [(row["zone"], row["start"], row["end"], int(row["devices"])) for row in table] == [
        (each["zone"], point["start"], point["end"], point["devices"])
        for each in body["zones"]
        for point in each["points"]
    ]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf-8", "csv"),
        ("text/csv, */*", "csv"),
        ("text/csv, */*;q=0.1", "csv"),
        ("text/csv;q=0.5, */*", "json"),
        ("text/csv, application/json", "json"),
        ("text/csv;q=0.9, application/json;q=0.8", "csv"),
        ("text/csv;q=0", "json"),
        ("text/csv;q=much", "json"),
        ("text/html", "json"),
        (",;=,;q", "json"),
    ],
)
async def test_accept_chooses_the_format(client: httpx.AsyncClient, accept: str | None, expected: str) -> None:
    headers = {} if accept is None else {"Accept": accept}

    answer = await client.get(KEMMY, params=LAST_TWO, headers=headers)

    assert expected in answer.headers["content-type"]
    assert answer.headers["vary"] == "Accept"


async def test_the_parameter_goes_before_accept(client: httpx.AsyncClient) -> None:
    answer = await client.get(KEMMY, params={**LAST_TWO, "format": "json"}, headers={"Accept": "text/csv"})

    assert answer.headers["content-type"] == "application/json"


async def test_times_are_written_in_the_time_zone_asked_for_and_windows_stay_the_same(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.HOUR, {parse_rfc3339("2026-03-29T00:00:00Z"): 5})
    query = {"kind": "car", "window": "1h", "start": "2026-03-29T00:00:00Z", "end": "2026-03-29T02:00:00Z"}

    body = (await client.get(KEMMY, params={**query, "tz": "Europe/Dublin"})).json()

    assert body["timezone"] == "Europe/Dublin"
    # Clocks go forward in between.
    assert [(point["start"], point["end"]) for point in body["points"]] == [
        ("2026-03-29T00:00:00+00:00", "2026-03-29T02:00:00+01:00"),
        ("2026-03-29T02:00:00+01:00", "2026-03-29T03:00:00+01:00"),
    ]
    assert (body["start"], body["end"]) == ("2026-03-29T00:00:00+00:00", "2026-03-29T03:00:00+01:00")
    assert (body["first"], body["last"]) == ("2026-03-29T00:00:00+00:00",) * 2


@pytest.mark.parametrize(
    "name", ["Dublin", "", "europe/nowhere", "Europe", "../../etc/passwd", "/etc/passwd", "x" * 5000, "a\0b"]
)
async def test_a_time_zone_that_is_none_is_named(client: httpx.AsyncClient, name: str) -> None:
    problem = assert_problem(await client.get(KEMMY, params={**LAST_TWO, "tz": name}), 422)

    assert problem["errors"][0]["parameter"] == "tz"
    assert "Europe/Dublin" in problem["errors"][0]["detail"]


@given(
    at=st.integers(EARLIEST, LATEST)
    | st.integers(EARLIEST // MINUTE, LATEST // MINUTE).map(lambda minute: minute * MINUTE),
    zone=st.sampled_from(
        ["Europe/Dublin", "Asia/Kolkata", "America/St_Johns", "Africa/Monrovia", "Pacific/Apia", "UTC"]
    ),
)
def test_a_time_is_the_same_instant_however_it_is_written(at: int, zone: str) -> None:
    there = writer(time_zone(zone))(at)

    assert parse_rfc3339(there) == at
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d\d:\d\d)", there)
    assert written([at], None) == [format_rfc3339(at)]


async def test_counts_of_phones_under_the_minimum_are_null_in_json_and_empty_in_csv(
    parts: Parts, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", MOBILE, Width.MINUTE, {NOON - 2 * MINUTE: 4, NOON - MINUTE: 5})
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - 2 * MINUTE: 4})
    settings = ApiSettings(data_dir=parts.settings.data_dir, privacy_min_count=5)
    phones = {**LAST_TWO, "kind": "mobile"}

    async with client_over(dataclasses.replace(parts, settings=settings)) as client:
        for path, query in ((KEMMY, phones), (SEVERAL, {**phones, "zone": "kemmy"})):
            body = (await client.get(path, params=query)).json()
            [history] = body.get("zones", [body])
            assert [(point["devices"], point["suppressed"]) for point in history["points"]] == [
                (None, True),
                (5, False),
            ]
        table = rows(await client.get(KEMMY, params={**phones, "format": "csv"}))
        cars = (await client.get(KEMMY, params=LAST_TWO)).json()

    assert [(row["devices"], row["suppressed"]) for row in table] == [("", "true"), ("5", "false")]
    assert [(point["devices"], point["suppressed"]) for point in cars["points"]] == [(4, False), (0, False)]
