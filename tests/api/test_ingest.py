"""POST /v1/positions, over a real Redis."""

import asyncio
import base64
import dataclasses
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

from api.positions.ingest import Accepted
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

MAX_PAYLOAD = 65_536
MAX_PLAIN = 49_152

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
    assert answer.json() == {"kind": kind, "received_at": "2026-03-01T12:00:00Z"}
    TypeAdapter(Accepted).validate_json(answer.content)
    [message] = await raw_messages(redis_client)
    assert (message.topic, message.user, message.role) == (f"{kind}-iotp", "north gate", "gateway")
    assert message.received_at == NOON
    assert message.refused is None
    assert json.loads(base64.b64decode(message.payload, validate=True)) == FEATURE


async def test_plain_and_base64_become_the_same_entry(gateway: httpx.AsyncClient, redis_client: Redis) -> None:
    plain = json.dumps(FEATURE).encode()
    for body, media_type in (
        (plain, "application/geo+json"),
        (b"\n " + plain + b"\r\n", "application/json"),
        (base64.b64encode(plain), "text/plain"),
        (base64.b64encode(plain) + b"\n", "application/octet-stream"),
    ):
        answer = await gateway.post(f"{POSITIONS}?kind=car", content=body, headers={"Content-Type": media_type})
        assert answer.status_code == 202, answer.text

    found = await entries(redis_client, RAW)
    assert len(found) == 4
    assert found == [found[0]] * 4


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
    assert len(base64.b64encode(of_size(MAX_PLAIN))) == MAX_PAYLOAD == 65_536
    for body, status in (
        (of_size(MAX_PLAIN), 202),
        (of_size(MAX_PLAIN + 1), 413),
        (base64.b64encode(of_size(MAX_PLAIN)), 202),
        (base64.b64encode(of_size(MAX_PLAIN + 1)), 413),
    ):
        answer = await gateway.post(f"{POSITIONS}?kind=car", content=body)
        assert answer.status_code == status
        if status == 413:
            assert assert_problem(answer, 413)["type"] == "/docs#too-large"
            assert "several messages" in answer.text

    assert await redis_client.xlen(RAW) == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"{", "not JSON"),
        (b"{}", "not a GeoJSON Feature"),
        (b"[]", "not a GeoJSON Feature"),
        (b'{"type":"Feature",}', "not JSON"),
        (b'{"type":"Polygon"}', "not a GeoJSON Feature"),
        (b'{"type":"Point","coordinates":[-8.57,52.67]}', "not a GeoJSON Feature"),
        (b'{"type":"Feature","x":' + b"[" * 30_000, "not JSON"),
        (b'{"type":"Feature","x":"\xff"}', "not UTF-8"),
        (b"hello", "base64"),
        (b"%%%%", "base64"),
        (b"\x00\x01", "base64"),
        (b"aGVs\nbG8=", "base64"),
        (base64.b64encode(b"hello"), "not JSON"),
        (base64.b64encode(b"\xff\xfe"), "not UTF-8"),
        (base64.b64encode(b'{"type":"Point"}'), "not a GeoJSON Feature"),
    ],
)
async def test_what_can_hold_no_position_is_refused_with_the_reason(
    gateway: httpx.AsyncClient, redis_client: Redis, body: bytes, told: str
) -> None:
    problem = assert_problem(await gateway.post(f"{POSITIONS}?kind=car", content=body), 422)

    assert problem["errors"][0]["parameter"] == "body"
    assert told in problem["errors"][0]["detail"]
    assert not await redis_client.exists(RAW)


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
WITHIN = {**FEATURE, "properties": {"timestamp": "2026-02-22T12:00:00Z"}}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({**FEATURE, "properties": {"timestamp": DAY}}, "the feature"),
        ({**FEATURE, "properties": {"timestamp": NOON - 8 * 86_400_000, "speed": "?"}}, "the feature"),
        (
            {"type": "FeatureCollection", "features": [7, WITHIN, {**FEATURE, "properties": {"timestamp": DAY}}]},
            "features[2]",
        ),
    ],
)
async def test_who_sends_what_is_too_old_for_a_gateway_hears_it(
    parts: Parts, redis_client: Redis, body: dict[str, Any], where: str
) -> None:
    limited = ApiSettings(data_dir=parts.settings.data_dir, position_max_age="gateway=7d")
    headers = await key_for(redis_client, "positions:write")
    async with client_over(dataclasses.replace(parts, settings=limited)) as client:
        for sent in (json.dumps(body).encode(), base64.b64encode(json.dumps(body).encode())):
            problem = assert_problem(await client.post(f"{POSITIONS}?kind=car", content=sent, headers=headers), 422)
            assert where in str(problem)
            assert "POSITION_MAX_AGE" in str(problem)
        good = {"type": "FeatureCollection", "features": [7, WITHIN, FEATURE]}
        assert (await client.post(f"{POSITIONS}?kind=car", json=good, headers=headers)).status_code == 202
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
            [(keys[0], 6000, 202), (keys[0], 6000, 429), (keys[0], 500, 202), (keys[1], 6000, 202)]
        ):
            answer = await client.post(POSITIONS, params={"kind": "car"}, content=of_size(size), headers=key)
            assert answer.status_code == status, number
            if status == 429:
                assert_problem(answer, 429)
                # 8,000 bytes of base64 are 16, of which 4 are left.
                assert answer.headers["retry-after"] == "120"
    assert len(await entries(redis_client, RAW)) == 3
