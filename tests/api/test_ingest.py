"""POST /v1/positions, over a real Redis."""

import asyncio
import base64
import dataclasses
import gzip
import json
import socket
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from redis.asyncio import Redis

from api.http.problems import ProblemDetails
from api.positions.ingest_answers import Accepted
from api.settings import ApiSettings
from core.errors import Reason
from core.kinds import DEFAULT_KINDS, KindId
from decoder.batch import BatchDecoder
from geofence import Campus, Geofence
from runtime.devices import DeviceHasher
from runtime.settings import CommonSettings
from state.client import open_redis
from state.raw import Raw
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.conftest import NOON, RAW, entries
from tests.kinds_of_tests import CAR
from tests.raw_streams import raw_messages

POSITIONS = "/v1/positions"
FEATURE: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [-8.5701, 52.6741]},
    "properties": {"device_id": "bus-304", "timestamp": "2026-03-01T11:59:00Z"},
}


@pytest.fixture
async def gateway(client: httpx.AsyncClient, redis_client: Redis) -> httpx.AsyncClient:
    """The client, with the key of a gateway."""
    client.headers.update(await key_for(redis_client, "positions:write", name="north gate"))
    return client


def of_size(size: int) -> bytes:
    """A Feature of that many bytes."""
    text = json.dumps({**FEATURE, "x": ""}).encode()
    return text[:-2] + b"a" * (size - len(text)) + text[-2:]


@pytest.mark.parametrize("kind", DEFAULT_KINDS.ids)
async def test_what_was_accepted_is_in_raw_as_a_gateway_would_have_published_it(
    gateway: httpx.AsyncClient, redis_client: Redis, kind: KindId
) -> None:
    answer = await gateway.post(POSITIONS, params={"kind": kind}, json=FEATURE)

    assert answer.status_code == 202
    assert answer.json() == {
        "kind": kind,
        "received_at": "2026-03-01T12:00:00Z",
        "taken": 1,
        "ignored": 0,
        "refused": [],
        "result": "ok",
    }
    TypeAdapter(Accepted).validate_json(answer.content)
    [message] = await raw_messages(redis_client)
    assert (message.topic, message.user, message.role) == (f"{kind}-iotp", "north gate", "gateway")
    assert message.received_at == NOON
    assert message.refused is None
    assert json.loads(message.payload) == FEATURE


async def test_a_body_is_kept_as_it_came_whatever_its_type_says(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    plain = json.dumps(FEATURE).encode()
    bodies = [
        (plain, "application/geo+json"),
        (b"\n " + plain + b"\r\n", "application/json"),
        (base64.b64encode(plain), "text/plain"),
        (base64.urlsafe_b64encode(plain), "application/x-www-form-urlencoded"),
        (base64.encodebytes(plain), "text/plain"),
        (gzip.compress(plain, mtime=0), "application/gzip"),
    ]
    for body, media_type in bodies:
        answer = await gateway.post(f"{POSITIONS}?kind=car", content=body, headers={"Content-Type": media_type})
        assert answer.status_code == 202, answer.text

    assert [message.payload for message in await raw_messages(redis_client)] == [body for body, _ in bodies]


@pytest.mark.parametrize("named", ["gzip", "GZIP", "x-gzip", " gzip "])
async def test_a_body_may_be_gzip_by_its_content_encoding(
    gateway: httpx.AsyncClient, redis_client: Redis, named: str
) -> None:
    body = gzip.compress(json.dumps(FEATURE).encode())
    answer = await gateway.post(f"{POSITIONS}?kind=car", content=body, headers={"Content-Encoding": named})

    assert answer.status_code == 202, answer.text
    [message] = await raw_messages(redis_client)
    assert message.payload == body


@pytest.mark.parametrize("named", ["br", "deflate", "gzip, gzip", "base64"])
async def test_any_other_content_encoding_is_a_415_that_names_gzip(
    gateway: httpx.AsyncClient, redis_client: Redis, named: str
) -> None:
    answer = await gateway.post(f"{POSITIONS}?kind=car", json=FEATURE, headers={"Content-Encoding": named})

    assert "gzip" in assert_problem(answer, 415)["detail"]
    assert answer.headers["accept-encoding"] == "gzip"
    assert not await redis_client.exists(RAW)


async def test_a_body_that_is_no_gzip_though_its_content_encoding_says_so_is_refused(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    answer = await gateway.post(f"{POSITIONS}?kind=car", json=FEATURE, headers={"Content-Encoding": "gzip"})

    assert "it is not" in assert_problem(answer, 422)["detail"]
    assert not await redis_client.exists(RAW)


async def test_the_decoder_makes_of_it_what_it_makes_of_a_message_over_mqtt(
    gateway: httpx.AsyncClient, redis_client: Redis, campus: Campus
) -> None:
    bad = {**FEATURE, "properties": {"device_id": "bus-305", "timestamp": "yesterday"}}
    other = {**FEATURE, "properties": {"device_id": "bus-306"}}
    collection = {"type": "FeatureCollection", "features": [FEATURE, bad, other]}
    await gateway.post(f"{POSITIONS}?kind=car", json=collection)
    hasher = DeviceHasher(b"k" * 32)

    messages = await raw_messages(redis_client)
    batch = BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(campus), hasher=hasher, partitions=1).decode(messages)

    assert [(each.device, each.observed_at) for each in batch.positions] == [
        (hasher.hash(CAR, "bus-304"), NOON - 60_000),
        (hasher.hash(CAR, "bus-306"), NOON),
    ]
    assert [letter.reason for letter in batch.dead] == [Reason.BAD_PROPERTY]


async def test_the_largest_message_of_mqtt_is_accepted_and_one_byte_more_is_not(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    for body, status in (
        (of_size(65_536), 202),
        (of_size(65_537), 413),
        (base64.b64encode(of_size(49_152)), 202),
        (base64.b64encode(of_size(49_153)), 413),
        (gzip.compress(of_size(65_536), mtime=0), 202),
        (gzip.compress(of_size(65_537), mtime=0), 413),
        (gzip.compress(of_size(10_000_000), mtime=0), 413),
    ):
        answer = await gateway.post(f"{POSITIONS}?kind=car", content=body)
        assert answer.status_code == status, answer.text
        if status == 413:
            assert assert_problem(answer, 413)["type"] == "/docs#too-large"
            assert "several messages" in answer.text

    assert len(await raw_messages(redis_client)) == 3


@pytest.mark.parametrize(
    ("body", "reason", "told"),
    [
        (b"", "not_json", "empty"),
        (b" \r\n", "not_json", "empty"),
        (b"{", "not_json", ""),
        (b"{}", "not_geojson", ""),
        (b"[1]", "not_geojson", ""),
        (b'{"type":"Feature",}', "not_json", ""),
        (b'{"type":"Polygon"}', "not_a_point", "a Polygon"),
        (b'{"type":"Feature","x":' + b"[" * 30_000, "not_json", ""),
        (b'{"type":"Feature","x":"\xff"}', "not_json", "UTF-8"),
        (b"hello", "not_base64", "base64"),
        (b"%%%%", "not_base64", "base64"),
        (base64.b64encode(b"hello"), "not_json", ""),
        (base64.b64encode(b'{"type":"Polygon"}'), "not_a_point", "a Polygon"),
    ],
)
async def test_what_can_hold_no_position_is_refused_with_the_reason(
    gateway: httpx.AsyncClient, redis_client: Redis, body: bytes, reason: str, told: str
) -> None:
    problem = assert_problem(await gateway.post(f"{POSITIONS}?kind=car", content=body), 422)

    assert problem["type"] == "/docs#no-position"
    [error] = problem["errors"]
    assert (error["parameter"], error["reason"], error["index"]) == ("body", reason, None)
    assert told in error["detail"]
    assert error["detail"] in problem["detail"]
    assert not await redis_client.exists(RAW)


def with_(**properties: object) -> dict[str, Any]:
    return {**FEATURE, "properties": {"device_id": "bus-304", **properties}}


NO_DEVICE = {**FEATURE, "properties": {}}
LINE = {**FEATURE, "geometry": {"type": "LineString", "coordinates": [[-8.57, 52.67], [-8.58, 52.67]]}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (NO_DEVICE, "no_device"),
        (FEATURE["geometry"], "no_device"),
        (LINE, "not_a_point"),
        ({**FEATURE, "geometry": {"type": "Point", "coordinates": [-8.57, 152.67]}}, "bad_coordinates"),
        (with_(timestamp="yesterday"), "bad_property"),
        (with_(timestamp="2026-03-01T12:06:00Z"), "future_timestamp"),
        ({"type": "FeatureCollection", "features": [{"type": "Feature"}] * 501}, "too_many_features"),
    ],
)
async def test_who_sends_one_position_that_cannot_be_used_hears_it_at_once_and_nothing_is_kept(
    gateway: httpx.AsyncClient, redis_client: Redis, parts: Parts, body: dict[str, Any], reason: str
) -> None:
    for sent in (json.dumps(body).encode(), base64.b64encode(json.dumps(body, separators=(",", ":")).encode())):
        problem = assert_problem(await gateway.post(f"{POSITIONS}?kind=car", content=sent), 422)
        assert [(each["reason"], each["index"]) for each in problem["errors"]] == [(reason, None)]
        assert "bus-304" not in str(problem)
        assert "52.67" not in str(problem)

    assert not await redis_client.exists(RAW)
    assert told(parts) == {reason: 2.0}


def told(parts: Parts) -> dict[str, float]:
    """What the metrics say of what senders were told."""
    return {
        sample.labels["reason"]: sample.value
        for metric in parts.metrics.positions_refused.collect()
        for sample in metric.samples
        if sample.name == "api_positions_refused_total" and sample.value
    }


async def test_of_many_positions_those_that_cannot_be_used_are_named_and_the_others_are_taken(
    gateway: httpx.AsyncClient, redis_client: Redis, parts: Parts
) -> None:
    body = {"type": "FeatureCollection", "features": [FEATURE, NO_DEVICE, with_(), LINE, 7]}
    answer = await gateway.post(f"{POSITIONS}?kind=car", json=body)

    assert answer.status_code == 202
    found = answer.json()
    assert (found["taken"], found["ignored"]) == (2, 0)
    assert [(each["index"], each["reason"]) for each in found["refused"]] == [
        (1, "no_device"),
        (3, "not_a_point"),
        (4, "not_geojson"),
    ]
    TypeAdapter(Accepted).validate_json(answer.content)
    assert len(await raw_messages(redis_client)) == 1
    assert told(parts) == {"no_device": 1.0, "not_a_point": 1.0, "not_geojson": 1.0}


async def test_where_none_of_many_positions_can_be_used_each_is_named_and_nothing_is_kept(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    for features in ([NO_DEVICE], [NO_DEVICE, LINE], [{"type": "Feature"}] * 500):
        body = {"type": "FeatureCollection", "features": features}
        problem = assert_problem(await gateway.post(f"{POSITIONS}?kind=car", json=body), 422)
        assert [each["index"] for each in problem["errors"]] == list(range(len(features)))
        assert problem["errors"][0]["detail"] in problem["detail"]
        assert len(problem["detail"]) < 300
        TypeAdapter(ProblemDetails).validate_python(problem)

    assert not await redis_client.exists(RAW)


async def test_a_position_that_cannot_be_used_is_a_422_and_nothing_of_it_is_kept(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    nowhere = {**FEATURE, "geometry": {"type": "Point", "coordinates": [200, 0]}}
    answer = await gateway.post(f"{POSITIONS}?kind=car", json={"type": "FeatureCollection", "features": [nowhere]})

    assert answer.status_code == 422
    assert [(each["index"], each["reason"]) for each in answer.json()["errors"]] == [(0, "bad_coordinates")]
    assert await raw_messages(redis_client) == []


async def test_a_message_without_any_position_is_accepted_and_not_kept(
    gateway: httpx.AsyncClient, redis_client: Redis
) -> None:
    answer = await gateway.post(f"{POSITIONS}?kind=car", json={"type": "FeatureCollection", "features": []})

    assert (answer.status_code, answer.json()["taken"]) == (202, 0)
    assert not await redis_client.exists(RAW)


async def test_no_answer_tells_whether_a_position_is_on_the_campus(gateway: httpx.AsyncClient) -> None:
    places = [[-8.5701, 52.6741], [2.35, 48.85], [0, 0], [52.6741, -8.5701]]
    answers = [
        await gateway.post(
            f"{POSITIONS}?kind=car", json={**FEATURE, "geometry": {"type": "Point", "coordinates": place}}
        )
        for place in places
    ]

    assert [(each.status_code, each.content) for each in answers] == [(202, answers[0].content)] * 4


@pytest.mark.parametrize("query", [{}, {"kind": "bus"}, {"kind": "car", "device": "x"}])
async def test_the_kind_is_needed_and_nothing_else(
    gateway: httpx.AsyncClient, redis_client: Redis, query: dict[str, str]
) -> None:
    assert_problem(await gateway.post(POSITIONS, params=query, json=FEATURE), 422)
    assert not await redis_client.exists(RAW)


async def test_nothing_is_taken_without_a_key_for_it(client: httpx.AsyncClient, redis_client: Redis) -> None:
    other = await key_for(redis_client, "positions:read")

    assert_problem(await client.post(f"{POSITIONS}?kind=car", json=FEATURE), 401)
    assert_problem(await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=other), 403)
    assert not await redis_client.exists(RAW)


async def test_when_too_many_messages_wait_it_is_a_503_that_says_when_to_come_back(
    parts: Parts, redis_client: Redis
) -> None:
    full = ApiSettings(data_dir=parts.settings.data_dir, raw_max_length=1000)
    key = await key_for(redis_client, "positions:write")
    async with redis_client.pipeline() as pipeline:
        for _ in range(1000):
            pipeline.xadd(RAW, {"t": "car-iotp"})
        await pipeline.execute()

    async with client_over(dataclasses.replace(parts, settings=full)) as client:
        last = await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=key)
        refused = await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=key)

    assert last.status_code == 202
    assert_problem(refused, 503)
    assert refused.headers["retry-after"] == "5"
    assert await redis_client.xlen(RAW) == 1001


async def test_redis_that_is_away_or_silent_is_a_503_and_never_a_202(
    parts: Parts, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.ingest.APPEND_SECONDS", 0.1)
    headers = await key_for(redis_client, "positions:write")
    # The key is still known from the request before, though messages go to another Redis: what fails is the append.
    async with client_over(parts) as client:
        assert (await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=headers)).status_code == 202
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
            async with open_redis(CommonSettings(redis_url=url)) as stuck:
                object.__setattr__(parts.rooms.ingest, "raw", Raw(client=stuck, partitions=1))
                answer = await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=headers)
                assert_problem(answer, 503)
                assert answer.headers["retry-after"] == "1"
        async with open_redis(CommonSettings(redis_url="unix:///nowhere/redis.sock")) as away:
            object.__setattr__(parts.rooms.ingest, "raw", Raw(client=away, partitions=1))
            assert_problem(await client.post(f"{POSITIONS}?kind=car", json=FEATURE, headers=headers), 503)


DAY = "2026-02-20T12:00:00Z"
WITHIN = with_(timestamp="2026-02-22T12:00:00Z")


async def test_who_sends_what_is_too_old_for_a_gateway_hears_it(parts: Parts, redis_client: Redis) -> None:
    limited = ApiSettings(data_dir=parts.settings.data_dir, position_max_age="gateway=7d")
    headers = await key_for(redis_client, "positions:write")
    async with client_over(dataclasses.replace(parts, settings=limited)) as client:
        for old in (DAY, NOON - 8 * 86_400_000):
            answer = await client.post(f"{POSITIONS}?kind=car", json=with_(timestamp=old), headers=headers)
            [error] = assert_problem(answer, 422)["errors"]
            assert error["reason"] == "too_old"
            assert "POSITION_MAX_AGE lets the role gateway send" in error["detail"]
        several = {"type": "FeatureCollection", "features": [WITHIN, with_(timestamp=DAY), FEATURE]}
        answer = await client.post(f"{POSITIONS}?kind=car", json=several, headers=headers)
        assert answer.status_code == 202
        assert answer.json()["taken"] == 2
        assert [(each["index"], each["reason"]) for each in answer.json()["refused"]] == [(1, "too_old")]
    assert await redis_client.xlen(RAW) == 1


async def test_a_gateway_may_send_positions_of_any_time_unless_it_is_limited(gateway: httpx.AsyncClient) -> None:
    body = {**FEATURE, "properties": {"device_id": "bus", "timestamp": "2019-02-18T09:00:00Z"}}
    assert (await gateway.post(f"{POSITIONS}?kind=car", json=body)).status_code == 202


async def test_messages_spread_over_the_partitions_and_the_same_one_goes_to_the_same(
    parts: Parts, redis_client: Redis
) -> None:
    several = ApiSettings(data_dir=parts.settings.data_dir, partitions=3)
    headers = await key_for(redis_client, "positions:write")
    bodies = [{**FEATURE, "properties": {"device_id": f"car-{number}"}} for number in range(30)]

    async with client_over(dataclasses.replace(parts, settings=several)) as client:
        for body in bodies * 2:
            assert (await client.post(f"{POSITIONS}?kind=car", json=body, headers=headers)).status_code == 202

    for partition in range(3):
        payloads = Counter(message.payload for message in await raw_messages(redis_client, partition, 3))
        assert payloads
        assert set(payloads.values()) == {2}


async def test_what_is_sent_at_once_is_all_there(gateway: httpx.AsyncClient, redis_client: Redis) -> None:
    bodies = [{**FEATURE, "properties": {"device_id": f"car-{number}"}} for number in range(50)]

    answers = await asyncio.gather(*(gateway.post(f"{POSITIONS}?kind=car", json=body) for body in bodies))

    assert {answer.status_code for answer in answers} == {202}
    assert await redis_client.xlen(RAW) == 50


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=80) | st.binary(max_size=60).map(base64.b64encode) | st.text(max_size=40).map(str.encode)
)
async def test_no_body_makes_the_server_fail(gateway: httpx.AsyncClient, body: bytes) -> None:
    answer = await gateway.post(f"{POSITIONS}?kind=car", content=body)

    assert_problem(answer, 422)


async def test_a_key_that_sends_faster_than_a_gateway_may_is_told_when_to_come_back(
    parts: Parts, redis_client: Redis
) -> None:
    changed = parts.settings.model_copy(update={"position_rate": "gateway=0.1:20"})
    parts = dataclasses.replace(parts, settings=changed, elapsed=lambda: 0.0)
    keys = [await key_for(redis_client, "positions:write", name=name) for name in ("north gate", "south gate")]
    async with client_over(parts) as client:
        for number, (key, size, status) in enumerate(
            [(keys[0], 8000, 202), (keys[0], 8000, 429), (keys[0], 500, 202), (keys[1], 8000, 202)]
        ):
            answer = await client.post(POSITIONS, params={"kind": "car"}, content=of_size(size), headers=key)
            assert answer.status_code == status, number
            if status == 429:
                assert_problem(answer, 429)
                # 8,000 bytes are 16, of which 4 are left.
                assert answer.headers["retry-after"] == "120"
    assert len(await entries(redis_client, RAW)) == 3


async def test_what_cannot_be_used_counts_as_over_mqtt(parts: Parts, redis_client: Redis) -> None:
    changed = parts.settings.model_copy(update={"position_rate": "gateway=0.1:20"})
    key = await key_for(redis_client, "positions:write")
    bad = json.dumps([{"lat": 200, "lon": 0}] * 400)
    async with client_over(dataclasses.replace(parts, settings=changed, elapsed=lambda: 0.0)) as client:
        for status in (422, 429):
            answer = await client.post(f"{POSITIONS}?kind=car", content=bad, headers=key)
            assert answer.status_code == status


async def test_a_message_in_gzip_counts_as_what_is_in_it(parts: Parts, redis_client: Redis) -> None:
    changed = parts.settings.model_copy(update={"position_rate": "gateway=0.1:20"})
    key = await key_for(redis_client, "positions:write")
    body = gzip.compress(of_size(8000))
    assert len(body) < 512
    async with client_over(dataclasses.replace(parts, settings=changed, elapsed=lambda: 0.0)) as client:
        for status in (202, 429):
            answer = await client.post(f"{POSITIONS}?kind=car", content=body, headers=key)
            assert answer.status_code == status


@pytest.mark.parametrize(("source", "sender"), [(False, "a test"), (True, "key:")])
async def test_decoders_are_told_which_key_it_was_where_who_sends_is_a_part_of_who_a_device_is(
    parts: Parts, redis_client: Redis, sender: str, *, source: bool
) -> None:
    settings = parts.settings.model_copy(update={"device_source": source})
    async with client_over(dataclasses.replace(parts, settings=settings)) as client:
        client.headers.update(await key_for(redis_client, "positions:write"))
        assert (await client.post(f"{POSITIONS}?kind=car", json=FEATURE)).status_code == 202
    (message,) = await raw_messages(redis_client)
    assert message.user.startswith(sender)
    assert message.role == "gateway"
