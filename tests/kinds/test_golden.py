"""With the default table, of cars and phones, all that is told is what it was when kinds were an enumeration."""

import dataclasses
import json
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from api.live.change_log import ChangeLog
from api.live.poller import poll_once
from geofence import Campus, load_campus
from state.newest_input import note_newest_input
from tests.api.conftest import (
    Parts,
    app,
    arrive,
    client,
    client_over,
    documents,
    key_for,
    parts,
    record,
    settings,
    store,
)
from tests.api.streams import streaming
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import TimeseriesStore, Width

__all__ = ["app", "client", "documents", "parts", "settings", "store"]

GOLDEN = Path(__file__).parent / "golden"
HOUR = 3_600_000
MINUTE = 60_000
POINT = '{"type":"Feature","geometry":{"type":"Point","coordinates":[-8.57,52.67]},"properties":{"device_id":"a"}}'


def assert_golden(name: str, told: bytes, folder: Path) -> None:
    """What is told is what the file says, to the byte."""
    now = folder / name
    now.write_bytes(told)
    same = told == (GOLDEN / name).read_bytes()
    assert same, f"not what tests/kinds/golden/{name} says; if that is meant to be: cp {now} tests/kinds/golden/"


@pytest.fixture
def campus() -> Campus:
    """The default campus, with room for so many in two of its zones."""
    loaded, room = load_campus(None), {"car-park-west": 8, "kemmy": 40}
    return dataclasses.replace(
        loaded, zones=tuple(dataclasses.replace(zone, capacity=room.get(zone.id)) for zone in loaded.zones)
    )


@pytest.fixture
async def busy(redis_client: Redis, store: TimeseriesStore) -> None:
    """A noon with cars and phones, too few phones in one place, and a morning that was recorded."""
    await arrive(redis_client, "campus", CAR, NOON - 3000, NOON - 2000)
    await arrive(redis_client, "campus", MOBILE, *range(NOON - 7000, NOON, 1000))
    await arrive(redis_client, "kemmy", MOBILE, *range(NOON - 6000, NOON, 1000))
    await arrive(redis_client, "car-park-west", CAR, NOON - 3000, NOON - 2000)
    await arrive(redis_client, "car-park-west", MOBILE, NOON - 1000)
    await note_newest_input(redis_client, {CAR: NOON - 61_234})
    await record(store, "kemmy", CAR, Width.HOUR, {NOON - 3 * HOUR: 2, NOON - 2 * HOUR: 1})
    await record(store, "kemmy", MOBILE, Width.HOUR, {NOON - 3 * HOUR: 118, NOON - 2 * HOUR: 4})
    await record(store, "kemmy", MOBILE, Width.MINUTE, {NOON - 3 * MINUTE: 7, NOON - 2 * MINUTE: 2})


@pytest.fixture
def careful(parts: Parts) -> Parts:
    """The same, where counts of fewer than five phones are withheld."""
    return dataclasses.replace(parts, settings=parts.settings.model_copy(update={"privacy_min_count": 5}))


async def test_the_openapi_document_says_the_same(client: httpx.AsyncClient, tmp_path: Path) -> None:
    answer = await client.get("/openapi.json")

    # Indented, so that people see what differs: its bytes follow from that.
    indented = json.dumps(answer.json(), indent=1, ensure_ascii=False) + "\n"
    assert_golden("openapi.json", indented.encode(), tmp_path)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("occupancy.json", "/v1/occupancy"),
        ("occupancy-by-count.json", "/v1/occupancy?category=car_park&category=building&sort=count"),
        ("occupancy-of-a-zone.json", "/v1/zones/car-park-west/occupancy"),
        ("history.json", "/v1/zones/kemmy/occupancy/history?kind=mobile&window=1m&start=2026-03-01T11:55:00Z"),
        (
            "histories.json",
            "/v1/occupancy/history?kind=car&window=1h&start=2026-03-01T08:00:00Z&zone=kemmy&zone=schuman",
        ),
        (
            "history.csv",
            "/v1/occupancy/history?kind=mobile&window=1h&start=2026-03-01T08:00:00Z&zone=kemmy&zone=schuman&format=csv",
        ),
        ("summary.json", "/v1/zones/kemmy/occupancy/summary?kind=mobile"),
    ],
)
@pytest.mark.parametrize("least", [0, 5])
async def test_an_answer_is_the_same(
    parts: Parts, careful: Parts, tmp_path: Path, name: str, path: str, least: int
) -> None:
    async with client_over(careful if least else parts) as client:
        answer = await client.get(path)

    folder = "suppressed" if least else "whole"
    (tmp_path / folder).mkdir()
    assert_golden(f"{folder}/{name}", answer.content, tmp_path)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("least", [0, 5])
async def test_events_are_the_same(
    parts: Parts, careful: Parts, redis_client: Redis, tmp_path: Path, least: int
) -> None:
    followed = dataclasses.replace(careful if least else parts, change_log=ChangeLog(run="run"))
    await poll_once(followed.live)

    async with streaming(followed.app(), "zone=kemmy") as stream:
        await stream.until(1)
        await arrive(redis_client, "kemmy", CAR, NOON)
        await poll_once(followed.live)
        await stream.until(2)

    folder = "suppressed" if least else "whole"
    (tmp_path / folder).mkdir()
    assert_golden(f"{folder}/events.txt", stream.body, tmp_path)


@pytest.mark.parametrize(
    ("name", "method", "path", "scope"),
    [
        ("history-of-no-such-kind.json", "GET", "/v1/zones/kemmy/occupancy/history?kind=bus", "occupancy:read"),
        ("summary-of-no-kind.json", "GET", "/v1/zones/kemmy/occupancy/summary", "occupancy:read"),
        ("accepted.json", "POST", "/v1/positions?kind=mobile", "positions:write"),
        ("accepted-of-no-kind.json", "POST", "/v1/positions?kind=bus", "positions:write"),
        ("erased-of-no-kind.json", "DELETE", "/v1/devices/a/positions?kind=bus", "admin"),
    ],
)
async def test_what_is_said_of_kinds_is_the_same(
    client: httpx.AsyncClient, redis_client: Redis, tmp_path: Path, name: str, method: str, path: str, scope: str
) -> None:
    answer = await client.request(method, path, content=POINT, headers=await key_for(redis_client, scope))

    assert_golden(name, answer.content, tmp_path)
