"""Faults on purpose over REST: off unless allowed, and never without an end."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from core.faults import Fault
from state.apps import AppStore
from state.faults import FaultStore
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.api.test_app_rules import instance
from tests.conftest import NOON

URL = "/v1/faults"
SLOW = {"between": "decoder>redis", "kind": "delay", "milliseconds": 2000, "seconds": 60}


@pytest.fixture
async def admin(parts: Parts, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator where faults are allowed, for five minutes at the most."""
    settings = parts.settings.model_copy(update={"faults": True, "faults_max_seconds": 300})
    async with client_over(dataclasses.replace(parts, settings=settings)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        yield client


async def test_faults_are_on_until_they_end(admin: httpx.AsyncClient, service_redis: Redis) -> None:
    front = {"between": "front>api", "kind": "abort", "share": 0.05, "status": 503, "seconds": 5}
    answer = await admin.put(URL, json={"faults": [SLOW, front]})

    assert answer.status_code == 200
    by = admin.headers["authorization"].split("_")[1]
    body = answer.json()
    assert body.pop("kinds").keys() >= {"front", "decoder>redis", "api>couchdb"}
    assert body == {
        "allowed": True,
        "may": True,
        "max_seconds": 300,
        "faults": [
            {
                "between": "decoder>redis",
                "kind": "delay",
                "share": 1.0,
                "milliseconds": 2000,
                "status": 0,
                "kilobytes": 0,
                "until": "2026-03-01T12:01:00Z",
                "seconds_left": 60,
                "by": by,
            },
            {
                "between": "front>api",
                "kind": "abort",
                "share": 0.05,
                "milliseconds": 0,
                "status": 503,
                "kilobytes": 0,
                "until": "2026-03-01T12:00:05Z",
                "seconds_left": 5,
                "by": by,
            },
        ],
    }
    assert (await admin.get(URL)).json() == answer.json()
    kept = await FaultStore(service_redis).faults(NOON + 5000)
    assert kept == [Fault(between="decoder>redis", kind="delay", milliseconds=2000, until=NOON + 60_000, by=by)]


async def test_put_replaces_all_that_are_on_and_delete_ends_them(admin: httpx.AsyncClient) -> None:
    await admin.put(URL, json={"faults": [SLOW]})
    other = {"between": "api>couchdb", "kind": "cut", "seconds": 1}
    assert [each["between"] for each in (await admin.put(URL, json={"faults": [other]})).json()["faults"]] == [
        "api>couchdb"
    ]

    assert (await admin.delete(URL)).status_code == 204

    assert (await admin.get(URL)).json()["faults"] == []


async def test_who_names_faults_that_are_no_longer_those_that_are_on_changes_nothing(admin: httpx.AsyncClient) -> None:
    nothing = (await admin.get(URL)).headers["etag"]
    first = await admin.put(URL, json={"faults": [SLOW]}, headers={"If-Match": nothing})
    assert first.status_code == 200

    other = {"faults": [{"between": "api>couchdb", "kind": "cut", "seconds": 9}]}
    refused = await admin.put(URL, json=other, headers={"If-Match": nothing})
    assert assert_problem(refused, 412)["type"] == "/docs#changed-meanwhile"
    assert refused.headers["etag"] == first.headers["etag"] == (await admin.get(URL)).headers["etag"] != nothing
    assert [each["kind"] for each in (await admin.get(URL)).json()["faults"]] == ["delay"]

    for named in (first.headers["etag"], "*"):
        assert (await admin.put(URL, json=other, headers={"If-Match": named})).status_code == 200
    await admin.delete(URL)
    assert (await admin.get(URL)).headers["etag"] == nothing


async def test_a_change_between_the_look_and_the_own_change_is_not_lost(
    admin: httpx.AsyncClient, service_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = (await admin.get(URL)).headers["etag"]
    theirs = Fault(between="api>redis", kind="cut", until=NOON + 60_000, by="another")
    look = FaultStore.marked

    async def look_and_be_late(store: FaultStore, now: int) -> tuple[list[Fault], str]:
        seen = await look(store, now)
        await FaultStore(service_redis).replace([theirs], now=NOON)
        return seen

    monkeypatch.setattr(FaultStore, "marked", look_and_be_late)
    assert_problem(await admin.put(URL, json={"faults": [SLOW]}, headers={"If-Match": named}), 412)
    assert await FaultStore(service_redis).faults(NOON) == [theirs]


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([{"between": "decoder>redis", "kind": "cut"}], "missing required field `seconds`"),
        ([{**SLOW, "seconds": 0}], "fault 1: its seconds are 0: take a whole number from 1 to 300"),
        ([{**SLOW, "seconds": 301}], "fault 1: its seconds are 301: take a whole number from 1 to 300"),
        ([{**SLOW, "seconds": 10**30}], "take a whole number from 1 to 300"),
        ([{**SLOW, "between": "redis>redis"}], "between 'redis>redis' no fault can be made"),
        ([{**SLOW, "kind": "melt"}], "'melt' cannot be made between decoder>redis"),
        ([{**SLOW, "milliseconds": 30_001}], "delay needs milliseconds: take 1 to 30000"),
        ([{**SLOW, "share": 1.5}], "its share is 1.5"),
        ([{**SLOW, "colour": "red"}], "unknown field `colour`"),
        ([SLOW, SLOW], "the same kind of fault is there twice"),
        ([{**SLOW, "between": f"front>app/{number}"} for number in range(33)], "33 faults are too many"),
        ([{**SLOW, "between": "front>update-schuman/9"}], "nobody has seen update-schuman/9"),
        ([{**SLOW, "between": "x" * 81}], "length <= 80"),
    ],
)
async def test_a_fault_that_cannot_be_made_is_refused_with_a_sentence(
    admin: httpx.AsyncClient, service_redis: Redis, faults: list[dict[str, Any]], said: str
) -> None:
    assert said in assert_problem(await admin.put(URL, json={"faults": faults}), 422)["detail"]
    assert await FaultStore(service_redis).faults(NOON) == []


async def test_a_fault_in_front_of_a_version_that_runs_is_taken(admin: httpx.AsyncClient, service_redis: Redis) -> None:
    await AppStore(service_redis).see(NOON, [instance("2")])
    answer = await admin.put(URL, json={"faults": [{**SLOW, "between": "front>update-schuman/2", "share": 0.1}]})
    assert (answer.status_code, answer.json()["faults"][0]["share"]) == (200, 0.1)


async def test_without_faults_allowed_nobody_can_make_one_and_everybody_can_end_them(
    client: httpx.AsyncClient, redis_client: Redis, service_redis: Redis
) -> None:
    headers = await key_for(redis_client, "admin")
    await FaultStore(service_redis).replace(
        [Fault(between="api>redis", kind="cut", until=NOON + 300_000, by="key")], now=NOON
    )

    refused = await client.put(URL, json={"faults": [SLOW]}, headers=headers)

    problem = assert_problem(refused, 403)
    assert problem["type"] == "/docs#faults-off"
    assert "FAULTS=true" in problem["detail"]
    told = (await client.get(URL, headers=await key_for(redis_client, "positions:read"))).json()
    assert (told["allowed"], told["may"], [fault["kind"] for fault in told["faults"]]) == (False, False, ["cut"])
    assert (told["kinds"]["front"], told["kinds"]["broker>redis"]) == (
        ["delay", "abort"],
        ["delay", "reset", "cut", "bandwidth"],
    )
    assert "status" in told["kinds"]["decoder>influxdb"]
    assert (await client.delete(URL, headers=headers)).status_code == 204
    assert (await client.get(URL, headers=headers)).json()["faults"] == []


async def test_faults_that_are_too_long_are_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(URL, json={"faults": [SLOW] * 500})
    assert "16,384 bytes" in assert_problem(answer, 413)["detail"]
