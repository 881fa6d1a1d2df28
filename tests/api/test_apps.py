"""POST /v1/positions as apps send it, each as its documentation or its source has it; docs/apps.md tells people."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.api.conftest import key_for
from tests.raw_streams import raw_messages

URL = "/v1/positions?kind=mobile"
TST = 1_772_366_400
"""2026-03-01T12:00:00Z, the present of these tests."""
OWNTRACKS = {
    "_type": "location",
    "lat": 52.67,
    "lon": -8.57,
    "tst": TST,
    "acc": 12,
    "tid": "ab",
    "topic": "owntracks/ann/p",
}
OVERLAND = {
    "locations": [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [-8.57, 52.67]},
            "properties": {"timestamp": "2026-03-01T12:00:00Z", "horizontal_accuracy": 8, "device_id": "ann"},
        }
    ]
}
TRACCAR = {
    "location": {
        "timestamp": "2026-03-01T12:00:00.000Z",
        "coords": {"latitude": 52.67, "longitude": -8.57, "accuracy": 8, "speed": -1, "heading": -1, "altitude": 10},
    },
    "device_id": "12345678",
}
FLAT = {"device_id": "pixel", "latitude": 52.67, "longitude": -8.57, "timestamp": TST, "accuracy": 9}


@pytest.fixture
async def key(redis_client: Redis) -> str:
    headers = await key_for(redis_client, "positions:write", name="phones")
    return headers["Authorization"].removeprefix("Bearer ")


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


async def test_owntracks_over_http_has_the_key_as_its_password(
    client: httpx.AsyncClient, redis_client: Redis, key: str
) -> None:
    headers = {
        "Authorization": basic("ann", key),
        "Content-Type": "application/json; charset=utf-8",
        "X-Limit-U": "ann",
        "X-Limit-D": "p",
        "User-Agent": "Owntracks-Android/gms/420506000",
    }
    answer = await client.post(URL, content=json.dumps(OWNTRACKS), headers=headers)
    assert (answer.status_code, answer.json()["taken"]) == (202, 1)
    # The app counts on a list or an object, and takes any for "delivered".
    assert isinstance(answer.json(), dict)
    assert [(each.role, each.topic) for each in await raw_messages(redis_client)] == [("gateway", "mobile-iotp")]


@pytest.mark.parametrize("kind", ["lwt", "waypoint", "waypoints", "transition", "status", "steps", "card"])
async def test_what_owntracks_sends_beside_positions_is_taken_so_that_it_sends_it_once(
    client: httpx.AsyncClient, redis_client: Redis, key: str, kind: str
) -> None:
    body = {"_type": kind, "tst": TST, "lat": 52.67, "lon": -8.57}
    answer = await client.post(URL, json=body, headers={"Authorization": basic("ann", key)})
    assert (answer.status_code, answer.json()["ignored"]) == (202, 1)
    assert await raw_messages(redis_client) == []


async def test_overland_has_the_key_as_its_access_token_and_reads_ok(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(URL, json=OVERLAND, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["result"]) == (202, "ok")


NOWHERE = {**OWNTRACKS, "lat": 95.0}
LONG_AGO = {"locations": [{**OVERLAND["locations"][0], "geometry": {"type": "Point", "coordinates": [-8.57]}}] * 2}


@pytest.mark.parametrize(
    ("body", "reason", "count"),
    [
        (NOWHERE, "bad_coordinates", 1),
        ({"_type": "encrypted", "data": "pZ8r"}, "not_geojson", 1),
        (LONG_AGO, "bad_coordinates", 2),
        ({"locations": 7}, "not_geojson", 1),
    ],
)
async def test_what_can_never_be_used_is_taken_of_apps_that_would_send_it_for_ever_and_the_answer_says_why(
    client: httpx.AsyncClient, redis_client: Redis, key: str, body: dict[str, Any], reason: str, count: int
) -> None:
    answer = await client.post(URL, json=body, headers={"Authorization": f"Bearer {key}"})
    said = answer.json()
    assert (answer.status_code, said["taken"], said["result"]) == (202, 0, "ok")
    assert [each["reason"] for each in said["refused"]] == [reason] * count
    # The decoder makes dead letters of it, so that people hear of it.
    assert len(await raw_messages(redis_client)) == 1


async def test_of_an_app_that_sends_too_much_at_once_nothing_is_taken_for_it_can_be_set_to_send_less(
    client: httpx.AsyncClient, redis_client: Redis, key: str
) -> None:
    body = {"locations": [{"type": "Feature"}] * 501}
    answer = await client.post(URL, json=body, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["errors"][0]["reason"]) == (422, "too_many_features")
    assert await raw_messages(redis_client) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("how", ["bearer", "basic", "x-api-key"])
async def test_gpslogger_and_home_assistant_send_flat_json_with_a_header_of_their_own(
    client: httpx.AsyncClient, key: str, how: str, content_type: str | None
) -> None:
    headers = {
        "bearer": {"Authorization": f"Bearer {key}"},
        "basic": {"Authorization": basic("any", key)},
        "x-api-key": {"X-API-Key": key},
    }[how]
    if content_type is not None:
        headers["Content-Type"] = content_type
    answer = await client.post(URL, content=json.dumps(FLAT).encode(), headers=headers)
    assert (answer.status_code, answer.json()["taken"]) == (202, 1)


async def test_traccar_client_has_no_field_for_a_key_and_is_told_that_it_needs_one(
    client: httpx.AsyncClient, redis_client: Redis, key: str
) -> None:
    answer = await client.post(URL, json=TRACCAR)
    assert answer.status_code == 401
    assert await raw_messages(redis_client) == []
    # A front that adds the header makes it one that is counted.
    answer = await client.post(URL, json=TRACCAR, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["taken"]) == (202, 1)


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        # The protocol of OsmAnd, which Traccar Client before 9 speaks: all is in the address, and an address is logged.
        ("POST", "&id=12345678&lat=52.67&lon=-8.57&timestamp=1772366400", 422),
        ("GET", "&id=12345678&lat=52.67&lon=-8.57&timestamp=1772366400", 403),
    ],
)
async def test_positions_in_an_address_are_refused(
    client: httpx.AsyncClient, redis_client: Redis, key: str, method: str, query: str, status: int
) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {key}"}
    answer = await client.request(method, URL + query, headers=headers)
    assert answer.status_code == status
    assert await raw_messages(redis_client) == []
