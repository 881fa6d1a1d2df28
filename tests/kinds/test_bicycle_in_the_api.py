"""One entry more in the table, and the API tells of bicycles, is asked for them, and takes them."""

import dataclasses
from typing import Any

import pytest
from redis.asyncio import Redis

from api.live.poller import poll_once
from core.errors import Reason
from core.kinds import KindId
from core.messages import DeadLetter
from documents import DocumentStore
from state.newest_input import note_newest_input
from tests.api.conftest import (
    Parts,
    arrive,
    assert_problem,
    campus,
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
from tests.documents.positions import position
from tests.kinds.tables import ONE_KIND, SIX_KINDS, THREE_KINDS
from tests.kinds_of_tests import CAR, MOBILE
from tests.raw_streams import add_dead_letters, raw_messages
from timeseries import TimeseriesStore, Width

__all__ = ["campus", "documents", "parts", "settings", "store"]

BICYCLE = KindId("bicycle")
WATCH = KindId("watch")
POINT = '{"type":"Feature","geometry":{"type":"Point","coordinates":[-8.57,52.67]},"properties":{"device_id":"a"}}'


@pytest.fixture
def three(parts: Parts) -> Parts:
    return dataclasses.replace(parts, kinds=THREE_KINDS)


async def test_occupancy_has_a_count_of_bicycles_after_those_of_before(three: Parts, redis_client: Redis) -> None:
    await arrive(redis_client, "kemmy", BICYCLE, NOON - 2000, NOON - 1000)
    await arrive(redis_client, "kemmy", CAR, NOON - 3000)
    await note_newest_input(redis_client, {BICYCLE: NOON - 5000})

    async with client_over(three) as client:
        body = (await client.get("/v1/zones/kemmy/occupancy")).json()
        [*_, last] = (await client.get("/v1/occupancy", params={"sort": "count"})).json()["zones"]

    assert [*body][:8] == ["zone", "name", "category", "car", "mobile", "bicycle", "total", "capacity"]
    assert (body["car"], body["mobile"], body["bicycle"], body["total"]) == (1, 0, 2, 3)
    assert body["observed_at"] == "2026-03-01T11:59:59Z"
    assert body["newest_input_at"] == {"car": None, "mobile": None, "bicycle": "2026-03-01T11:59:55Z"}
    assert last["bicycle"] == 0


async def test_history_and_summary_are_of_bicycles_and_are_not_withheld(three: Parts, store: TimeseriesStore) -> None:
    few = dataclasses.replace(three, settings=three.settings.model_copy(update={"privacy_min_count": 5}))
    await record(store, "kemmy", BICYCLE, Width.HOUR, {NOON - 7_200_000: 2})
    path = "/v1/zones/kemmy/occupancy"

    async with client_over(few) as client:
        history = (await client.get(f"{path}/history?kind=bicycle&window=1h&start=2026-03-01T10:00:00Z")).json()
        csv = (await client.get(f"{path}/history?kind=bicycle&window=1h&start=2026-03-01T10:00:00Z&format=csv")).text
        summary = (await client.get(f"{path}/summary?kind=bicycle")).json()
        phones = (await client.get(f"{path}/history?kind=mobile&window=1h&start=2026-03-01T10:00:00Z")).json()

    assert [point["devices"] for point in history["points"]] == [2, 0]
    assert csv.splitlines()[1] == "kemmy,bicycle,1h,2026-03-01T10:00:00Z,2026-03-01T11:00:00Z,2,false,true"
    assert (summary["kind"], summary["peak"]["devices"], summary["suppressed"]) == ("bicycle", 2, False)
    assert [point["devices"] for point in phones["points"]] == [None, None]


async def test_an_event_tells_of_a_bicycle(three: Parts, redis_client: Redis) -> None:
    await poll_once(three.live)

    async with streaming(three.app(), "zone=kemmy") as stream:
        await stream.until(1)
        await arrive(redis_client, "kemmy", BICYCLE, NOON)
        await poll_once(three.live)
        _, change = await stream.until(2)

    assert (change.name, change.data["bicycle"], change.data["total"]) == ("occupancy", 1, 1)


async def test_positions_of_bicycles_are_taken_over_http(three: Parts, redis_client: Redis) -> None:
    async with client_over(three) as client:
        key = await key_for(redis_client, "positions:write")
        sent = await client.post("/v1/positions?kind=bicycle", content=POINT, headers=key)

    [message] = await raw_messages(redis_client)
    assert (sent.json()["kind"], sent.json()["taken"]) == ("bicycle", 1)
    assert (message.topic, message.role) == ("bicycle-iotp", "gateway")


async def test_a_bicycle_is_forgotten_and_the_car_of_that_name_is_not(
    three: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    mine, other = (three.hasher.hash(kind, "304") for kind in (BICYCLE, CAR))
    await documents.put([position(kind=BICYCLE, device=mine), position(kind=CAR, device=other)])
    letter = DeadLetter(
        reason=Reason.BAD_PROPERTY,
        detail="speed: not a number",
        topic="bicycle-iotp",
        received_at=NOON,
        payload=b"e30=",
        user="304",
        role="bicycle",
    )
    await add_dead_letters(redis_client, letter, dataclasses.replace(letter, topic="car-iotp", role="car"))

    async with client_over(three) as client:
        key = await key_for(redis_client, "admin")
        erased = await client.delete("/v1/devices/304/positions?kind=bicycle", headers=key)
        rest = await client.delete("/v1/devices/304/positions", headers=key)

    assert erased.json() == {
        "documents": 1,
        "present": 0,
        "dead_letters": 1,
        "queued": 0,
        "marks": 0,
        "lake": 0,
        "cannot_reach": [],
    }
    assert rest.json() == {
        "documents": 1,
        "present": 0,
        "dead_letters": 1,
        "queued": 0,
        "marks": 0,
        "lake": 0,
        "cannot_reach": [],
    }


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/zones/kemmy/occupancy/history", "occupancy:read"),
        ("GET", "/v1/zones/kemmy/occupancy/summary", "occupancy:read"),
        ("GET", "/v1/occupancy/history", "occupancy:read"),
        ("POST", "/v1/positions", "positions:write"),
        ("DELETE", "/v1/devices/a/positions", "admin"),
    ],
)
async def test_a_kind_that_is_not_in_the_table_is_refused_with_those_that_are(
    three: Parts, redis_client: Redis, method: str, path: str, scope: str
) -> None:
    async with client_over(three) as client:
        answer = await client.request(method, f"{path}?kind=bus", headers=await key_for(redis_client, scope))

    problem = assert_problem(answer, 422)
    assert problem["errors"] == [{"parameter": "kind", "detail": "Input should be 'car', 'mobile' or 'bicycle'"}]


async def test_watches_and_phones_are_withheld_each_by_itself(parts: Parts, redis_client: Redis) -> None:
    few = dataclasses.replace(
        parts, kinds=SIX_KINDS, settings=parts.settings.model_copy(update={"privacy_min_count": 2})
    )
    await arrive(redis_client, "kemmy", MOBILE, NOON - 2000, NOON - 1000)
    await arrive(redis_client, "kemmy", WATCH, NOON)
    await arrive(redis_client, "schuman", WATCH, NOON - 2000, NOON - 1000)

    async with client_over(few) as client:
        kemmy = (await client.get("/v1/zones/kemmy/occupancy")).json()
        schuman = (await client.get("/v1/zones/schuman/occupancy")).json()

    assert (kemmy["mobile"], kemmy["watch"], kemmy["total"], kemmy["suppressed"]) == (2, None, None, True)
    assert kemmy["observed_at"] == "2026-03-01T11:59:59Z"
    assert (schuman["mobile"], schuman["watch"], schuman["total"]) == (None, 2, None)


async def test_the_openapi_document_follows_from_the_table(three: Parts) -> None:
    document: dict[str, Any] = three.app().openapi()
    schemas = document["components"]["schemas"]

    assert schemas["Kind"]["enum"] == ["car", "mobile", "bicycle"]
    assert [*schemas["NewestInput"]["properties"]] == ["car", "mobile", "bicycle"]
    assert schemas["Occupancy"]["required"][3:6] == ["car", "mobile", "bicycle"]
    assert schemas["Occupancy"]["properties"]["bicycle"]["description"] == "Bicycles present."
    assert schemas["Occupancy"]["properties"]["total"]["examples"] == [124]
    assert document["info"]["description"].startswith("How many cars, phones and bicycles are in each building")
    history = document["paths"]["/v1/zones/{zone}/occupancy/history"]["get"]
    assert history["description"].startswith("Distinct cars, phones or bicycles in one zone, window by window")
    [kind] = [each for each in history["parameters"] if each["name"] == "kind"]
    assert kind["description"] == "What to count: car, mobile for phones, or bicycle."
    erase = document["paths"]["/v1/devices/{device_id}/positions"]["delete"]["parameters"]
    [which] = [each["description"] for each in erase if each["name"] == "kind"]
    assert which == ("What the device is: a car, a phone and a bicycle of the same id are 3 devices. By default all.")
    stream = document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert '"car":3,"mobile":118,"bicycle":3,...' in stream["example"]


async def test_of_a_table_without_cars_no_example_is_of_a_car(parts: Parts) -> None:
    async with client_over(dataclasses.replace(parts, kinds=ONE_KIND)) as client:
        document = await client.get("/openapi.json")

    for word in ('"car"', '"mobile"', " cars", "phones", ",car,"):
        assert word not in document.text, word


async def test_each_answer_is_what_the_document_says_of_it(three: Parts, redis_client: Redis) -> None:
    await arrive(redis_client, "kemmy", BICYCLE, NOON)
    schemas = three.app().openapi()["components"]["schemas"]

    async with client_over(three) as client:
        body = (await client.get("/v1/occupancy")).json()

    assert [*body] == schemas["OccupancyOfAll"]["required"]
    assert [*body["zones"][0]] == schemas["Occupancy"]["required"]
