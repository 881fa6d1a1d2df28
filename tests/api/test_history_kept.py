"""History of a time that is not kept any more, or only in part."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Parts, assert_problem, client_over, record
from tests.conftest import NOON
from tests.kinds_of_tests import CAR
from timeseries import Coverage, Width
from timeseries.keep import Keep, parse_keep
from timeseries.sqlite import SqliteOccupancyStore

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
KEMMY = "/v1/zones/kemmy/occupancy"
SINCE_1M = "2026-02-27T12:00:30Z"
"""Two days before the present, which is half a minute after noon."""


@pytest.fixture
def keep() -> Keep:
    return parse_keep("1m:2d,5m:30d,1h:60d")


@pytest.fixture
async def client(parts: Parts, tmp_path: Path, keep: Keep) -> AsyncIterator[httpx.AsyncClient]:
    now = NOON + 30_000
    async with SqliteOccupancyStore(file=tmp_path / "kept.sqlite3", keep=keep, clock=lambda: now) as store:
        await store.setup()
        await record(store, "kemmy", CAR, Width.MINUTE, {NOON - DAY: 3, NOON - DAY + MINUTE: 1})
        await record(store, "kemmy", CAR, Width.HOUR, {NOON - DAY: 3, NOON - 40 * DAY: 5})
        async with client_over(dataclasses.replace(parts, store=store, clock=lambda: now)) as opened:
            yield opened


def asked(window: str, start: str, end: str, **more: str) -> dict[str, str]:
    return {"kind": "car", "window": window, "start": start, "end": end, **more}


@pytest.mark.parametrize(
    ("window", "since"),
    [
        ("1m", "2026-02-27T12:01:00Z"),
        ("5m", "2026-01-30T12:05:00Z"),
        ("1h", "2025-12-31T13:00:00Z"),
        ("1d", None),
    ],
)
async def test_an_answer_says_since_when_windows_are_kept(
    client: httpx.AsyncClient, window: str, since: str | None
) -> None:
    """The start of the first of them, not a time within one."""
    query = asked(window, "2026-02-28T12:00:00Z", "2026-02-28T12:02:00Z")
    one = (await client.get(f"{KEMMY}/history", params=query)).json()
    several = (await client.get("/v1/occupancy/history", params={**query, "zone": ["kemmy", "campus"]})).json()
    assert [one["kept_since"], several["kept_since"]] == [since, since]
    assert [zone["kept_since"] for zone in several["zones"]] == [since, since]


async def test_kept_since_is_in_the_time_zone_that_was_asked_for(client: httpx.AsyncClient) -> None:
    query = asked("1m", "2026-02-28T12:00:00Z", "2026-02-28T12:02:00Z", tz="Asia/Kolkata")
    assert (await client.get(f"{KEMMY}/history", params=query)).json()["kept_since"] == "2026-02-27T17:31:00+05:30"


async def test_a_range_that_is_kept_in_part_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{KEMMY}/history", params=asked("1m", "2026-02-27T11:59:00Z", "2026-02-27T12:02:00Z"))
    assert answer.status_code == 200
    assert [point["devices"] for point in answer.json()["points"]] == [0, 0, 0]
    assert answer.json()["kept_since"] == "2026-02-27T12:01:00Z"


async def test_csv_says_since_when_in_a_header_and_that_what_was_before_is_not_recorded(
    client: httpx.AsyncClient,
) -> None:
    query = asked("1m", "2026-02-27T12:00:00Z", "2026-02-28T12:02:00Z", format="csv")
    query["start"] = "2026-02-28T11:59:00Z"
    answer = await client.get(f"{KEMMY}/history", params=query)
    assert answer.headers["kept-since"] == "2026-02-27T12:01:00Z"
    assert [row.split(",")[5:] for row in answer.text.splitlines()[1:]] == [
        ["0", "false", "false"],
        ["3", "false", "true"],
        ["1", "false", "true"],
    ]
    all_kept = await client.get(f"{KEMMY}/history", params={**query, "window": "1d"})
    assert "kept-since" not in all_kept.headers


@pytest.mark.parametrize(
    ("window", "start", "end", "status", "choose"),
    [
        ("1m", "2026-02-27T11:59:00Z", "2026-02-27T12:01:00Z", 410, "choose window=5m"),
        ("1m", "2026-02-27T11:59:00Z", "2026-02-27T12:01:01Z", 200, ""),
        ("5m", "2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z", 410, "choose window=1h"),
        ("1h", "2025-12-01T00:00:00Z", "2025-12-02T00:00:00Z", 410, "choose window=1d"),
        ("1d", "2025-12-01T00:00:00Z", "2025-12-02T00:00:00Z", 200, ""),
    ],
)
@pytest.mark.parametrize("path", [f"{KEMMY}/history", "/v1/occupancy/history?zone=kemmy&zone=campus"])
async def test_a_range_of_which_nothing_is_kept_is_gone_and_a_width_is_named_that_is_not(
    client: httpx.AsyncClient, path: str, window: str, start: str, end: str, status: int, choose: str
) -> None:
    answer = await client.get(httpx.URL(path).copy_merge_params(asked(window, start, end)))
    assert answer.status_code == status
    if status == 410:
        problem = assert_problem(answer, 410)
        assert problem["type"] == "/docs#no-longer-kept"
        assert choose in problem["detail"]


async def test_a_range_that_no_width_has_any_more_is_gone_without_advice(parts: Parts, tmp_path: Path) -> None:
    keep = parse_keep("1m:2d,5m:2d,1h:2d,1d:2d")
    async with SqliteOccupancyStore(file=tmp_path / "kept.sqlite3", keep=keep, clock=lambda: NOON) as store:
        await store.setup()
        async with client_over(dataclasses.replace(parts, store=store)) as client:
            answer = await client.get(
                f"{KEMMY}/history", params=asked("1m", "2025-12-01T00:00:00Z", "2025-12-01T01:00:00Z")
            )
    assert assert_problem(answer, 410)["detail"] == (
        "of 1m windows those since 2026-02-27T12:00:00Z are kept, and all of these began before"
    )


async def test_a_summary_says_since_when_hours_are_kept_and_is_gone_where_none_of_them_is(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(f"{KEMMY}/summary", params={"kind": "car"})
    assert answer.json()["kept_since"] == "2025-12-31T13:00:00Z"
    query = {"kind": "car", "start": "2025-12-01T00:00:00Z", "end": "2025-12-31T13:00:00Z"}
    assert assert_problem(await client.get(f"{KEMMY}/summary", params=query), 410)["type"] == "/docs#no-longer-kept"
    query["end"] = "2025-12-31T14:00:00Z"
    assert (await client.get(f"{KEMMY}/summary", params=query)).status_code == 200


async def test_a_store_that_does_not_say_what_it_keeps_is_a_503(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def kept_since(self, _: Width) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("api.history.body.STORE_SECONDS", 0.05)
    silent = dataclasses.replace(parts, store=Silent())  # type: ignore[arg-type] # it has what is asked of it
    async with client_over(silent) as client, asyncio.timeout(15):
        for path in ("history", "summary"):
            assert_problem(await client.get(f"{KEMMY}/{path}", params={"kind": "car"}), 503)


async def test_what_is_not_kept_any_more_is_not_recorded_although_somebody_was_counting_then(
    parts: Parts, tmp_path: Path, keep: Keep
) -> None:
    """Coverage may be there for longer than the windows are."""
    async with SqliteOccupancyStore(file=tmp_path / "kept.sqlite3", keep=keep, clock=lambda: NOON) as store:
        await store.setup()
        hours = [NOON - days * DAY for days in (2, 70)] + [NOON - 2 * DAY - 3_600_000, NOON - 60 * DAY]
        await store.write_coverage([Coverage("kemmy", CAR, hour, (1 << 60) - 1) for hour in hours])
        async with client_over(dataclasses.replace(parts, store=store, clock=lambda: NOON)) as client:
            query = asked("1m", "2026-02-27T11:58:00Z", "2026-02-27T12:02:00Z")
            history = (await client.get(f"{KEMMY}/history", params=query)).json()
            assert history["kept_since"] == "2026-02-27T12:00:00Z"
            assert history["unrecorded"] == [{"start": "2026-02-27T11:58:00Z", "end": "2026-02-27T12:00:00Z"}]
            rows = (await client.get(f"{KEMMY}/history", params={**query, "format": "csv"})).text.splitlines()[1:]
            assert [row.rpartition(",")[2] for row in rows] == ["false", "false", "true", "true"]
            query = {"kind": "car", "start": "2025-12-01T00:00:00Z", "end": "2026-03-01T12:00:00Z"}
            summary = (await client.get(f"{KEMMY}/summary", params=query)).json()
            # Those of two days ago and of sixty, not that of seventy.
            assert (summary["kept_since"], summary["hours"]) == ("2025-12-31T12:00:00Z", 3)
